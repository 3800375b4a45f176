//! The ordered log of purges: one trait, its homes, and what they share.
//!
//! ```text
//!  append ──► home: durable ──► head moves ──► feeds read on from where they are
//!                │
//!                └─► History: the entries of late, the hashes of those before,
//!                    and Folded: the last purge of every target, however old
//! ```
//!
//! A node that comes back shows its position. It is told the entries since; or, where those are no
//! longer kept, every purge that still matters; or that its history is not that of the log, and
//! then nothing it has stored can be trusted ([`Resume`]).
//!
//! Invariants, the same for every home (`suite.rs`):
//! - an entry is published, by [`PurgeLog::head`] and by what is read, only once it is durable;
//! - numbers of one log have no gap, and every entry carries the hash of the one before;
//! - what cannot be proven to be a log's own history makes it a log of a new identity;
//! - all that is kept is bounded.

pub mod embedded;
mod folded;
#[cfg(any(test, fuzzing))]
pub(in crate::control) mod fuzz;
mod history;
mod kept;
mod layout;
pub mod nats;
mod resume;
#[cfg(test)]
mod suite;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

pub(in crate::control) use folded::weight;
pub use kept::Kept;
pub use resume::{Resume, resume};

use crate::object::{Entry, EntryHash, LogId, Position, PurgeCommand};

/// What comes later, from whatever home.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How much of a log is kept in memory, whatever its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// Purges that a node may have missed and is still told one by one.
    pub entries: usize,
    /// Targets whose last purges are told to a node that missed more than that.
    pub rules: usize,
    /// Purges that may wait to be durable.
    pub waiting: usize,
}

/// An ordered log of purges.
///
/// The head may move by what others append to the same log, and its identity may change when the
/// log was lost or restored: whoever follows compares [`Position::log`].
pub trait PurgeLog: Send + Sync {
    /// How far the log goes; every entry up to there is durable and can be read.
    fn head(&self) -> watch::Receiver<Position>;

    /// Waits until the head is as far as anybody had come when this was called.
    ///
    /// # Errors
    /// The home's.
    fn refresh(&self) -> Later<'_, Result<(), LogError>>;

    /// Appends purges as one entry, 1 to 1,000 of them, and returns it when it is durable.
    ///
    /// Cancel safe: what was taken is appended or refused whoever waits.
    ///
    /// # Errors
    /// Why nothing was appended, or why that is not known.
    fn append(&self, asked: Asked) -> Later<'_, Result<Arc<Logged>, LogError>>;

    /// Up to `max` entries, the first of which begins behind the purge `after`; `None` where it is
    /// no longer kept, or no entry ends there.
    ///
    /// # Errors
    /// The home's.
    fn read(&self, after: u64, max: usize) -> Later<'_, Result<Entries, LogError>>;

    /// The last `max` entries, as far as they are kept, the newest last.
    ///
    /// # Errors
    /// The home's.
    fn recent(&self, max: usize) -> Later<'_, Result<Vec<Arc<Logged>>, LogError>>;

    /// The hash of the entry that ends with purge `number`, as far back as it is known.
    ///
    /// # Errors
    /// The home's.
    fn hash_at(&self, number: u64) -> Later<'_, Result<Option<EntryHash>, LogError>>;

    /// Every purge that still matters.
    ///
    /// # Errors
    /// The home's.
    fn snapshot(&self) -> Later<'_, Result<Snapshot, LogError>>;
}

/// Entries in their order; `None` where they are not kept.
pub type Entries = Option<Vec<Arc<Logged>>>;

/// What is to be appended.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What.
    pub commands: Vec<PurgeCommand>,
}

/// An entry of the log with what is made of it once for all who read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Logged {
    entry: Entry,
    hash: EntryHash,
    line: Bytes,
}

impl Logged {
    /// The entry in its written form.
    pub fn new(entry: Entry) -> Self {
        let mut line = entry.to_json();
        let hash = EntryHash(*blake3::hash(line.as_bytes()).as_bytes());
        line.push('\n');
        Self { entry, hash, line: line.into() }
    }

    /// Its hash.
    pub fn hash(&self) -> EntryHash {
        self.hash
    }

    /// Its JSON with the line feed behind it.
    pub fn line(&self) -> &Bytes {
        &self.line
    }

    /// The position of whoever has it and all before it.
    pub fn position(&self, log: LogId) -> Position {
        Position { log, number: self.last(), hash: self.hash }
    }
}

impl Deref for Logged {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

/// Every purge that still matters, folded: of each target the last hard and the last soft one.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The position of whoever knows these purges.
    pub at: Position,
    /// Purges with their numbers, in the order of the log. Many that were one target's, or the
    /// oldest of one site, are one here; what they covered is covered.
    pub commands: Vec<(u64, PurgeCommand)>,
}

/// Why something was not appended or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// So much waits to be appended that no more is taken.
    Busy,
    /// The home failed, which says how. Nothing was appended.
    Failed(String),
    /// The home did not answer in time: what was to be appended may yet be.
    Late,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many purges wait for the log; expected a retry later"),
            Self::Failed(how) => f.write_str(how),
            Self::Late => f.write_str(
                "the purge log does not answer; what was asked may yet be done, expected a retry",
            ),
        }
    }
}

impl std::error::Error for LogError {}
