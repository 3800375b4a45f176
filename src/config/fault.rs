//! What is wrong with a config, and where: the faults of a file in one report.
//!
//! A fault prints as one line that editors and terminals can follow:
//!
//! ```text
//! edge.toml:12:11: site[0].freshness.default: expected a duration such as "10s", found "ten"
//! ```

use std::error::Error;
use std::fmt;

/// A place in a config file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1; 0 where the fault is the file itself.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl Place {
    /// The place behind the last byte of `text`.
    pub(super) fn end_of(text: &str) -> Self {
        let last = text.rsplit('\n').next().unwrap_or_default();
        Self { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The file as it was named.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// Path of the key, such as `site[0].freshness.default`; empty where no key is concerned.
    pub key: String,
    /// What was expected; empty where `wrong` says it all.
    pub expected: String,
    /// What is wrong, such as `found "ten"`.
    pub wrong: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.place.line > 0 {
            write!(f, "{}:{}:", self.place.line, self.place.column)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        if !self.expected.is_empty() {
            write!(f, " expected {},", self.expected)?;
        }
        write!(f, " {}", self.wrong)
    }
}

/// The faults of a config, in the order of the file: all, or as many as one can read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The faults; empty where nothing is wrong.
    pub faults: Vec<Fault>,
    /// How many more there are.
    pub more: usize,
}

impl Report {
    /// Puts the faults into the order of the file.
    pub(super) fn sorted(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| (a.place, &a.key).cmp(&(b.place, &b.key)));
        Self { faults, more: 0 }
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    /// One line a fault, then their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        match (self.faults.len(), self.more) {
            (1, _) => write!(f, "1 fault"),
            (count, 0) => write!(f, "{count} faults"),
            (count, more) => write!(f, "{count} faults, and {more} more"),
        }
    }
}

impl Error for Report {}
