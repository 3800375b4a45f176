//! From a file to a config: read, checked, every fault in one report.

use std::path::Path;

use toml::de::DeTable;

use super::Source;
use super::fault::{Fault, Place, Report};
use super::reader::{Document, Environment, Surroundings, Table};

/// Reads a file and hands its text on, with its name, its folder and the environment.
pub(super) fn read_file<C>(
    path: &Path,
    parse: impl FnOnce(&str, &str, &Path, Environment<'_>) -> Result<C, Report>,
) -> Result<C, Report> {
    let name = path.display().to_string();
    let report = |place, expected: &str, wrong| {
        let (file, expected) = (name.clone(), expected.to_owned());
        let fault = Fault { file, place, expected, wrong, ..Fault::default() };
        Report::sorted(vec![fault])
    };
    let bytes = std::fs::read(path)
        .map_err(|error| report(Place::default(), "", format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let sound = String::from_utf8_lossy(error.as_bytes().get(..sound).unwrap_or_default());
        report(Place::end_of(&sound), "UTF-8", "found other bytes".to_owned())
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, &name, folder, &|variable| std::env::var(variable).ok())
}

/// Whether a text has one of these tables, sound or not.
pub(super) fn has_table(text: &str, names: &[&str]) -> bool {
    let (entries, _) = DeTable::parse_recoverable(text);
    entries.get_ref().keys().any(|key| names.contains(&key.get_ref().as_ref()))
}

/// Reads a text by `read`, and tells by `check` what is wrong between keys.
pub(super) fn load<C>(
    text: &str,
    around: Surroundings<'_>,
    read: impl FnOnce(Table<'_>) -> C,
    check: impl FnOnce(&C, &Document<'_>),
) -> Result<(C, Source), Report> {
    let (entries, errors) = DeTable::parse_recoverable(text);
    let document = Document::new(text, around, errors.is_empty());
    for error in &errors {
        document.misunderstood(error.span().map_or(0, |span| span.start), error.message());
    }
    let config = read(document.top(entries.get_ref()));
    if errors.is_empty() {
        check(&config, &document);
    }
    let (report, places) = document.finish();
    let source = Source { file: around.file.to_owned(), places };
    if report.is_clean() { Ok((config, source)) } else { Err(report) }
}
