//! Fuzz targets: the file of a log, with checksums that were made to fit, and the messages of a
//! stream.

use super::layout::{Contents, FRAME, HEADER, Writer, seal};
use super::nats;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of the log.
pub(in crate::control) const TARGETS: &[Target] =
    &[("log-file", file), ("log-message", nats::fuzz::message), ("log-saved", nats::fuzz::saved)];

/// The first byte says whether the checksums are put right.
fn file(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut file = bytes.to_vec();
    if first & 1 == 1 && file.len() >= HEADER {
        seal(&mut file);
    }
    let Ok(contents) = Contents::read(&file) else { return };
    assert!((HEADER + FRAME..=file.len()).contains(&contents.length));
    assert!(contents.trail.is_sorted_by_key(|(number, _)| *number));
    let mut head = contents.base;
    for entry in &contents.entries {
        head = head.then(entry).expect("entries follow each other");
    }
    let mut told = Writer::begin(contents.log);
    told.snapshot(&contents.rules, contents.trail.iter().copied(), contents.base);
    contents.entries.iter().for_each(|entry| told.entry(entry));
    let length = told.bytes.len();
    let again = Contents::read(&told.bytes).expect("as told on");
    assert_eq!(again, Contents { length, ..contents }, "as told on");
    // Of what a kill left of it nothing but the end is missing.
    let fewer = Contents::read(&told.bytes[..length - 1]);
    if let Ok(fewer) = fewer {
        assert!(again.entries.starts_with(&fewer.entries));
        assert_eq!(fewer.entries.len() + 1, again.entries.len());
    }
}
