//! An entry of the ordered log: purges that were asked for at once, chained to what came before.
//!
//! ```text
//!  root of the log ◄── previous ── Entry 1..=3 ◄── previous ── Entry 4..=4 ◄── …
//!                                  (three purges)              (one)
//! ```
//!
//! Every purge has a number of its own: 1, 2, 3 … within one log. The hash of an entry covers all
//! of it and so, by `previous`, everything before it: who has the same hash at the same number has
//! the same history.
//!
//! As JSON an entry is one line, written in exactly one way, for its hash is that of the line:
//!
//! ```json
//! {"at":1795000000000,"by":"ci","commands":[{"kind":"tag","value":"p4"}],"first":7,"previous":"…"}
//! ```

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{BATCH_MAX, CommandFault, PurgeCommand, PurgeKind};

/// Which log: random, drawn when the log begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogId(pub u128);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for LogId {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        unhex(text).map(|bytes| Self(u128::from_be_bytes(bytes)))
    }
}

/// The hash of an entry and of all that came before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryHash(pub [u8; 32]);

impl EntryHash {
    /// What the first entry of a log follows.
    pub fn root(log: LogId) -> Self {
        Self(*blake3::hash(format!("headland purge log {log}").as_bytes()).as_bytes())
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryHash({self})")
    }
}

impl FromStr for EntryHash {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        unhex(text).map(Self)
    }
}

/// The text is not the hexadecimal digits that were expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected lower-case hexadecimal digits, of a log 32, of a hash 64")]
pub struct NotHex;

/// How far a log goes, or how much of it somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Of which log.
    pub log: LogId,
    /// Number of the last purge; 0 before the first.
    pub number: u64,
    /// Hash of the entry that ends with it.
    pub hash: EntryHash,
}

impl Position {
    /// Before the first entry of a log.
    pub fn start(log: LogId) -> Self {
        Self { log, number: 0, hash: EntryHash::root(log) }
    }

    /// The position behind `entry`; `None` if the entry does not follow this one.
    pub fn then(self, entry: &Entry) -> Option<Self> {
        let follows = self.number.checked_add(1) == Some(entry.first);
        let position = Self { log: self.log, number: entry.last(), hash: entry.hash() };
        (follows && entry.previous == self.hash).then_some(position)
    }
}

/// Purges that were appended at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of the first purge; the others are numbered in a row.
    pub first: u64,
    /// Hash of the entry before.
    pub previous: EntryHash,
    /// When it was appended, in milliseconds since 1970.
    pub at: u64,
    /// Who asked.
    pub by: String,
    /// What was asked: 1 to [`BATCH_MAX`] purges.
    pub commands: Vec<PurgeCommand>,
}

impl Entry {
    /// Number of the last purge.
    pub fn last(&self) -> u64 {
        self.first + (self.commands.len() as u64).saturating_sub(1)
    }

    /// The hash of this entry and of all before it.
    pub fn hash(&self) -> EntryHash {
        EntryHash(*blake3::hash(self.to_json().as_bytes()).as_bytes())
    }

    /// The one way in which it is written.
    pub fn to_json(&self) -> String {
        let mut line = format!("{{\"at\":{},\"by\":{},\"commands\":[", self.at, quote(&self.by));
        for (index, command) in self.commands.iter().enumerate() {
            line.push_str(if index == 0 { "" } else { "," });
            write_command(command, &mut line);
        }
        let (first, previous) = (self.first, self.previous);
        // Writing to a string does not fail.
        let _written = write!(line, "],\"first\":{first},\"previous\":\"{previous}\"}}").is_ok();
        line
    }

    /// Reads what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// What is not as expected. An entry with a field that is not known here is refused: its hash
    /// could not be told.
    pub fn from_json(line: &[u8]) -> Result<Self, EntryFault> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| EntryFault::Json(error.to_string()))?;
        let number = |field: Option<Value>, name| {
            field.as_ref().and_then(Value::as_u64).ok_or(EntryFault::Field(name))
        };
        let text = |field: Option<Value>, name| match field {
            Some(Value::String(text)) => Ok(text),
            _ => Err(EntryFault::Field(name)),
        };
        let first = number(fields.remove("first"), "first")?;
        let at = number(fields.remove("at"), "at")?;
        let by = text(fields.remove("by"), "by")?;
        let previous = text(fields.remove("previous"), "previous")?;
        let previous = previous.parse().map_err(|_| EntryFault::Field("previous"))?;
        let Some(Value::Array(list)) = fields.remove("commands") else {
            return Err(EntryFault::Field("commands"));
        };
        if let Some(name) = fields.keys().next() {
            return Err(EntryFault::Unknown(name.clone()));
        }
        let commands = PurgeCommand::list_from_json(&list).map_err(|(_, fault)| fault)?;
        if first == 0 || first.checked_add(BATCH_MAX as u64).is_none() {
            return Err(EntryFault::Field("first"));
        }
        Ok(Self { first, previous, at, by, commands })
    }
}

/// What is wrong with the text of an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// No JSON object.
    #[error("no entry of the log: {0}")]
    Json(String),
    /// A field that is not as expected.
    #[error("no entry of the log: {0}")]
    Field(&'static str),
    /// A field of a version that is not known here.
    #[error("an entry of the log with an unknown field {0:?}")]
    Unknown(String),
    /// One of its purges.
    #[error("no entry of the log: {0}")]
    Command(#[from] CommandFault),
}

/// The fields in the order of their names, those of a default value left out.
fn write_command(command: &PurgeCommand, out: &mut String) {
    let exact = if command.is_exact() { "\"exact\":true," } else { "" };
    let kind = command.target.kind();
    let site = command.site.as_deref().filter(|_| kind != "site");
    let site = site.map(|site| format!("\"site\":{},", quote(site))).unwrap_or_default();
    let soft = if command.kind == PurgeKind::Soft { "\"soft\":true," } else { "" };
    let value = quote(&command.value);
    let written = write!(out, "{{{exact}\"kind\":\"{kind}\",{site}{soft}\"value\":{value}}}");
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

fn unhex<const BYTES: usize>(text: &str) -> Result<[u8; BYTES], NotHex> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotHex),
    };
    let mut bytes = [0; BYTES];
    if text.len() != 2 * BYTES {
        return Err(NotHex);
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
