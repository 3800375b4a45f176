//! Reads a TOML document by hand, so that one pass finds every fault and knows its place.
//!
//! ```text
//! Document   the text, the environment, the faults so far, the place of every key
//!    └ Table    [limits]          asked key by key; what nobody asked for is unknown
//!        └ Node    headers = 128     one value with its path; its type reads it
//! ```
//!
//! A value that cannot be read is told as a fault and replaced by its default, so that reading
//! always goes on to the end.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::fault::{Fault, Place, Report};
use super::later::{FOR_LATER, is_for_later};

/// Faults of one file that are told; the others are counted.
const FAULTS_MAX: usize = 100;

/// Looks up a variable of the environment.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a text is read in.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// Stands for the file in faults.
    pub(super) file: &'a str,
    /// Where paths start; `None` where the text is for many machines: only absolute ones will do.
    pub(super) folder: Option<&'a Path>,
    /// `None` where the variables are those of others: a value that has one is right for now.
    pub(super) environment: Option<Environment<'a>>,
}

/// One config file while it is read.
pub(super) struct Document<'a> {
    text: &'a str,
    around: Surroundings<'a>,
    /// Whether all of the text was understood, so that what is not there is missing.
    is_whole: bool,
    line_starts: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
    /// Faults beyond those that are told.
    more: Cell<usize>,
    /// Keys that are faulty, or whose values others will know.
    faulty: RefCell<BTreeSet<String>>,
    /// Where the text is no TOML.
    not_understood: RefCell<BTreeSet<Place>>,
    places: RefCell<BTreeMap<String, Place>>,
    /// The values that have variables, by their keys and as they are written.
    written: RefCell<BTreeMap<String, String>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, around: Surroundings<'a>, is_whole: bool) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            around,
            is_whole,
            line_starts: std::iter::once(0).chain(after_newlines).collect(),
            faults: RefCell::default(),
            more: Cell::default(),
            faulty: RefCell::default(),
            not_understood: RefCell::default(),
            places: RefCell::default(),
            written: RefCell::default(),
        }
    }

    /// The folder from which the paths in the file start, if they may start from one.
    pub(super) fn folder(&self) -> Option<&'a Path> {
        self.around.folder
    }

    /// Line and column of a byte of the text.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        Place { line, column: before.chars().count() + 1 }
    }

    /// Notes a fault. What cannot be understood at all is told once.
    pub(super) fn fault(&self, place: Place, key: &str, expected: &str, wrong: &str) {
        if self.not_understood.borrow().contains(&place) {
            return;
        }
        self.faulty.borrow_mut().insert(key.to_owned());
        if self.is_full() {
            self.more.set(self.more.get() + 1);
            return;
        }
        self.faults.borrow_mut().push(Fault {
            file: self.around.file.to_owned(),
            place,
            key: key.to_owned(),
            expected: expected.to_owned(),
            wrong: wrong.to_owned(),
        });
    }

    /// Whether as many faults were found as are told: of others only the key counts, and no time
    /// is spent on words.
    pub(super) fn is_full(&self) -> bool {
        self.faults.borrow().len() >= FAULTS_MAX
    }

    /// Notes text that is no TOML, with the key that its line is about.
    pub(super) fn misunderstood(&self, offset: usize, wrong: &str) {
        let place = self.place(offset);
        let key = if self.is_full() { String::new() } else { self.key_of_line(place.line) };
        self.fault(place, &key, "", wrong);
        self.not_understood.borrow_mut().insert(place);
    }

    /// The key that a line sets, under the heading above it as it is written, or the heading that
    /// it is; empty where it is neither.
    fn key_of_line(&self, line: usize) -> String {
        let own = self.text.lines().nth(line - 1).unwrap_or_default();
        if let Some(heading) = heading(own) {
            return heading.to_owned();
        }
        let Some(name) = own.split_once('=').and_then(|(name, _)| bare(name)) else {
            return String::new();
        };
        match self.text.lines().take(line - 1).filter_map(heading).last() {
            Some(table) => format!("{table}.{name}"),
            None => name.to_owned(),
        }
    }

    /// Whether `key`, or a key beneath it, was found faulty, or is not known here.
    pub(super) fn is_faulty(&self, key: &str) -> bool {
        let faulty = self.faulty.borrow();
        let beneath = |mark: &str| {
            let start = format!("{key}{mark}");
            let mut from = faulty.range::<str, _>((Included(&*start), Unbounded));
            from.next().is_some_and(|found| found.starts_with(&start))
        };
        faulty.contains(key) || beneath(".") || beneath("[")
    }

    /// Whether the file says anything about `key`.
    pub(super) fn says(&self, key: &str) -> bool {
        self.places.borrow().contains_key(key)
    }

    /// The value of `key` for a fault, in the words of the file: a replaced `${NAME}` may be a
    /// secret.
    pub(super) fn words(&self, key: &str, value: &dyn Display) -> String {
        match self.written.borrow().get(key) {
            Some(written) => shorten(written),
            None => shorten(&value.to_string()),
        }
    }

    /// Where `key` stands; where it is left out, the place of the table around it.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let places = self.places.borrow();
        let mut key = key;
        loop {
            if let Some(place) = places.get(key) {
                return *place;
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Place { line: 1, column: 1 },
            }
        }
    }

    /// The table at the top of the file.
    pub(super) fn top(&'a self, entries: &'a DeTable<'a>) -> Table<'a> {
        Table { document: self, path: String::new(), at: 0, entries, known: Vec::new() }
    }

    /// Ends the reading: the faults, and the place of every key.
    pub(super) fn finish(self) -> (Report, BTreeMap<String, Place>) {
        let report = Report { more: self.more.get(), ..Report::sorted(self.faults.into_inner()) };
        (report, self.places.into_inner())
    }
}

/// A table of the document.
pub(super) struct Table<'a> {
    document: &'a Document<'a>,
    path: String,
    at: usize,
    entries: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Tells that `name` has to be there, unless the text around it was not understood.
    pub(super) fn missing(&self, name: &str, expected: &str) {
        if self.document.is_whole {
            let place = self.document.place(self.at);
            self.document.fault(place, &self.path_to(name), expected, "found none");
        }
    }

    /// What stands under `name`, for readers of their own.
    pub(super) fn node(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.known.push(name);
        let (key, value) = self.entries.get_key_value(name)?;
        let path = self.path_to(name);
        let place = self.document.place(key.span().start);
        self.document.places.borrow_mut().insert(path.clone(), place);
        Some(Node { document: self.document, path, value })
    }

    /// Every entry, for tables whose keys the user chooses.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.entries.iter().map(move |(key, value)| {
            let path = self.path_to(key.get_ref());
            (&**key.get_ref(), Node { document: self.document, path, value })
        })
    }

    /// Tells every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            let path = self.path_to(name);
            let place = self.document.place(key.span().start);
            if is_for_later(&path) {
                self.document.fault(place, &path, "", FOR_LATER);
            } else if !self.known.contains(&name) && !self.is_astray() {
                let nearest = nearest(name, self.known.iter().copied());
                let wrong = format!("unknown key{}", did_you_mean(nearest));
                self.document.fault(place, &path, "", &wrong);
            }
        }
    }

    /// Whether keys are here only because the heading they stand under was not understood.
    fn is_astray(&self) -> bool {
        self.path.is_empty() && !self.document.is_whole
    }

    fn path_to(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// A value of the document.
pub(super) struct Node<'a> {
    document: &'a Document<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Node<'a> {
    /// The document's folder, if paths may start from one.
    pub(super) fn folder(&self) -> Option<&'a Path> {
        self.document.folder()
    }

    /// The value as a string with each `${NAME}` replaced; `None` where it is no string, where a
    /// variable is unset, which is told here, and where variables are those of others.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        let DeValue::String(text) = self.value.get_ref() else {
            return None;
        };
        let is_unknown = Cell::new(false);
        let environment = |name: &str| match self.document.around.environment {
            Some(environment) => environment(name),
            None => {
                is_unknown.set(true);
                Some(String::new())
            }
        };
        let expanded = expand(text, &environment).map_err(|wrong| self.wrong("", &wrong)).ok();
        if let Some(Cow::Owned(_)) = expanded {
            let written = (self.path.clone(), text.clone().into_owned());
            self.document.written.borrow_mut().extend([written]);
        }
        if is_unknown.get() && expanded.is_some() {
            self.document.faulty.borrow_mut().insert(self.path.clone());
            return None;
        }
        expanded
    }

    /// The value as a string that `parse` understands, or a fault that says `expected`.
    pub(super) fn parse<V>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<V>,
    ) -> Option<V> {
        if !matches!(self.value.get_ref(), DeValue::String(_)) {
            self.misfit(expected);
            return None;
        }
        let parsed = parse(&self.text()?);
        if parsed.is_none() {
            self.misfit(expected);
        }
        parsed
    }

    /// The value as a whole number that is not negative.
    pub(super) fn number(&self) -> Option<u64> {
        match self.value.get_ref() {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        }
    }

    /// The value as a date, a time or both.
    pub(super) fn datetime(&self) -> Option<Datetime> {
        self.value.get_ref().as_datetime().copied()
    }

    /// The value as a boolean.
    pub(super) fn boolean(&self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    /// The elements of an array, or a fault that says `expected`.
    pub(super) fn elements(&self, expected: &str) -> Option<Vec<Node<'a>>> {
        let DeValue::Array(elements) = self.value.get_ref() else {
            self.misfit(expected);
            return None;
        };
        let element = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{}[{index}]", self.path);
            let place = self.document.place(value.span().start);
            self.document.places.borrow_mut().insert(path.clone(), place);
            Node { document: self.document, path, value }
        };
        Some(elements.iter().enumerate().map(element).collect())
    }

    /// Whether the value is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// The value as a table, or a fault.
    pub(super) fn table(&self) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.value.get_ref() else {
            self.misfit("a table");
            return None;
        };
        Some(Table {
            document: self.document,
            path: self.path.clone(),
            at: self.value.span().start,
            entries,
            known: Vec::new(),
        })
    }

    /// Tells that the value is not what was expected, in the words of the file.
    pub(super) fn misfit(&self, expected: &str) {
        let written = self.document.text.get(self.value.span()).unwrap_or_default();
        let found = shorten(written.lines().next().unwrap_or_default());
        self.wrong(expected, &format!("found {found}"));
    }

    /// Tells a fault at this value.
    pub(super) fn wrong(&self, expected: &str, wrong: &str) {
        let place = self.document.place(self.value.span().start);
        self.document.fault(place, &self.path, expected, wrong);
    }
}

/// The name of a line such as `[limits]` or `[[site]]`, whole or broken.
fn heading(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?;
    let name = name.strip_prefix('[').unwrap_or(name);
    bare(name.split(']').next()?)
}

/// A key without quotes, dotted or not.
fn bare(name: &str) -> Option<&str> {
    let name = name.trim();
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_bare)).then_some(name)
}

/// `; did you mean …?`, or nothing.
pub(super) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

/// The name that is fewest changes away, if it is near enough to be meant.
pub(super) fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = wrong.chars().count().div_ceil(3).min(3);
    names
        .map(|name| (edit_distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, one row of the table at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

/// Replaces each `${NAME}`; `$${` stands for `${` itself. The error says what is wrong.
fn expand<'t>(text: &'t str, environment: Environment<'_>) -> Result<Cow<'t, str>, String> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            expanded.push_str(escaped);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let (name, tail) = after.split_once('}').ok_or("found \"${\" without \"}\"")?;
        expanded.push_str(before);
        let value = environment(name).ok_or_else(|| format!("${{{name}}} is not set"))?;
        expanded.push_str(&value);
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(Cow::Owned(expanded))
}

/// Keeps a long value from flooding the report.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands() {
        let environment = |name: &str| (name == "A").then(|| "x".to_owned());
        let cases = [
            ("plain $5", Ok("plain $5")),
            ("${A}", Ok("x")),
            ("<${A}${A}>", Ok("<xx>")),
            ("$${A} ${A}", Ok("${A} x")),
            ("${B}", Err("${B} is not set")),
            ("${A", Err("found \"${\" without \"}\"")),
            ("${}", Err("${} is not set")),
        ];
        for (text, expected) in cases {
            let expanded = expand(text, &environment);
            assert_eq!(expanded.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn suggests_what_is_near() {
        let names = ["memory", "disk", "slice", "max_object"];
        let cases = [
            ("memroy", Some("memory")),
            ("disc", Some("disk")),
            ("max-object", Some("max_object")),
            ("ram", None),
            ("", None),
        ];
        for (wrong, expected) in cases {
            assert_eq!(nearest(wrong, names.into_iter()), expected, "{wrong}");
        }
    }
}
