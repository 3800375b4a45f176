//! The journal of a node's purges: rules and position survive whatever ends the process.
//!
//! One file, drawn in `layout`. A purge is one record behind the last; purges that come together
//! are one write and one sync. When the file holds twice the rules that a table can, it is replaced
//! by a snapshot of them.
//!
//! ```text
//!  open ─► read ──► whole ───► written over once more, synced ──► append … ──► is_long ─► compact
//!             └───► damaged ─► set aside; empty, of a new identity ─┘ ▲                      │
//!                                                                     └──────────────────────┘
//! ```
//!
//! Invariants:
//! - what [`Journal::append`] returned for is durable, and in the file that the next start finds:
//!   a file gets its name only when it is synced, takes records only when its name is, and is
//!   written anew where another has its name by then;
//! - what it failed for takes no number. Its records may yet be found by the next start if none
//!   came to stand in their place: then more is purged, never less;
//! - numbers within one identity have no gap. A file in which anything is not as it was written is
//!   given up, identity and all, and with it whatever a store holds under that identity.
//!
//! Where the disk is full, read-only or failing, the journal opens all the same, in a file without
//! a name: the first purge puts it in its place, or is refused.
//!
//! A kill leaves no record torn, for none lies across two pages; the loss of power may tear what
//! was not synced, and so costs what is stored at worst.

mod layout;
#[cfg(any(test, fuzzing))]
pub(super) use layout::fuzz;
#[cfg(test)]
pub(super) mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};

pub use self::layout::Followed;
use self::layout::{Contents, Header, Record, SLOT, encode_records};
use crate::durable::{Replacement, beside, sync_folder_of};
use crate::object::{Coverage, PurgeKind, PurgeRule, Purged};
use crate::store::{NumberedRule, is_at, may_pass};

/// A file of purges, open for more. Its calls block: they are not for event loops.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    identity: u128,
    head: u64,
    /// Slots up to the last durable record.
    slots: u64,
    rules_max: u64,
    /// Slots beyond which the file is to be compacted.
    slots_max: u64,
    /// Whether the folder surely names this file and no earlier one.
    is_named: bool,
    /// Whether something may stand behind the last durable record.
    has_remains: bool,
    followed: Option<Followed>,
}

/// What a journal held when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Identity of the log: what is stored under another is void.
    pub identity: u128,
    /// Number of the last purge.
    pub head: u64,
    /// What is purged, in the order of the log; the same maybe more than once.
    pub rules: Vec<NumberedRule>,
    /// How far the node has come in the log that it follows, if it ever did.
    pub followed: Option<Followed>,
}

/// The file system failed a journal.
#[derive(Debug, thiserror::Error)]
#[error("the purge journal {} cannot be {act}: {source}", path.display())]
pub struct JournalError {
    path: PathBuf,
    act: &'static str,
    source: io::Error,
}

impl Journal {
    /// What the file begins with.
    pub const MAGIC: &[u8] = &layout::MAGIC;

    /// Opens the journal at `path` in a folder that nobody else uses, or begins one. `rules_max` is
    /// the bound of the table of rules.
    ///
    /// A damaged file is no error: it is set aside, with a warning, for one of a new identity.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: &Path, rules_max: usize) -> Result<(Self, Restored), JournalError> {
        let (file, contents) = match find(path)? {
            Some(found) => found,
            None => {
                let contents = Contents::fresh();
                let file = match replace(path, &contents.encode()) {
                    Err(error) if may_pass(&error) => unnamed(&contents),
                    made => made,
                };
                (file.map_err(failed_at(path, "created"))?, contents)
            }
        };
        Self::over(path, rules_max, file, contents)
    }

    /// A journal of a new identity for a folder that cannot be had yet.
    ///
    /// # Errors
    /// The file system's.
    pub fn ahead(path: &Path, rules_max: usize) -> Result<(Self, Restored), JournalError> {
        let contents = Contents::fresh();
        let file = unnamed(&contents).map_err(failed_at(path, "created"))?;
        Self::over(path, rules_max, file, contents)
    }

    fn over(
        path: &Path,
        rules_max: usize,
        file: File,
        contents: Contents,
    ) -> Result<(Self, Restored), JournalError> {
        let rules_max = rules_max.max(1) as u64;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            identity: contents.header.identity,
            head: contents.head,
            slots: contents.slots,
            rules_max,
            slots_max: 2 * rules_max + 1,
            is_named: false,
            has_remains: true,
            followed: None,
        };
        if is_at(&journal.file, path) {
            // The folder is this node's alone: whoever has the lock is this process.
            let _ours = journal.file.try_lock().is_err();
            match journal.settle(&contents.records) {
                Err(error) if may_pass(&error.source) => {
                    journal.file = unnamed(&contents).map_err(failed_at(path, "kept"))?;
                }
                settled => settled?,
            }
        }
        let restored = contents.restored();
        journal.followed = restored.followed;
        Ok((journal, restored))
    }

    /// What the journal at `path` holds, without a change to it; what is damaged, if it is.
    ///
    /// # Errors
    /// The file system's.
    pub fn inspect(path: &Path) -> Result<Result<Restored, String>, JournalError> {
        let file = File::open(path).map_err(failed_at(path, "opened"))?;
        let contents = read(&file).map_err(failed_at(path, "read"))?;
        Ok(contents.map(Contents::restored).map_err(|damage| damage.to_string()))
    }

    /// Identity of the log.
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// Number of the last durable purge.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Makes purges durable, all or none, and returns the number of the first; the others follow.
    ///
    /// # Errors
    /// The file system's. None of the purges has a number then, and the next come in their place.
    pub fn append(
        &mut self,
        purges: &[(Option<PurgeRule>, PurgeKind)],
    ) -> Result<u64, JournalError> {
        let (first, records) = self.numbered(purges);
        self.append_records(&records)?;
        self.head += purges.len() as u64;
        Ok(first)
    }

    /// The same for purges of the log that the node follows, which bring it to `followed`.
    ///
    /// # Errors
    /// As above.
    pub fn follow(
        &mut self,
        purges: &[(Option<PurgeRule>, PurgeKind)],
        followed: Followed,
    ) -> Result<u64, JournalError> {
        let (first, mut records) = self.numbered(purges);
        records.push(Record::Followed(followed));
        self.append_records(&records)?;
        self.head += purges.len() as u64;
        self.followed = Some(followed);
        Ok(first)
    }

    /// Makes durable that the node goes on with another log, from `followed`, and that whatever is
    /// stored may be purged; returns the number of that.
    ///
    /// # Errors
    /// The file system's.
    pub fn distrust(&mut self, followed: Followed) -> Result<u64, JournalError> {
        let number = self.head + 1;
        let everything = PurgeRule { site: None, covers: Coverage::Whole };
        let purged = Purged { possibly: number, ..Purged::default() };
        let records = [Record::Purge(Some(everything), purged), Record::Followed(followed)];
        self.append_records(&records)?;
        self.head = number;
        self.followed = Some(followed);
        Ok(number)
    }

    /// Makes durable that no purge has a number from the next up to `number`, which is returned.
    ///
    /// # Errors
    /// The file system's.
    pub fn skip_to(&mut self, number: u64) -> Result<u64, JournalError> {
        let nothing = Purged { possibly: number, ..Purged::default() };
        self.append_records(&[Record::Purge(None, nothing)])?;
        self.head = number;
        Ok(number)
    }

    fn numbered(&self, purges: &[(Option<PurgeRule>, PurgeKind)]) -> (u64, Vec<Record>) {
        let first = self.head + 1;
        let record = |((rule, kind), number): (&(Option<PurgeRule>, PurgeKind), u64)| {
            Record::Purge(rule.clone(), Purged::by(*kind, number))
        };
        (first, purges.iter().zip(first..).map(record).collect())
    }

    fn append_records(&mut self, records: &[Record]) -> Result<(), JournalError> {
        self.name()?;
        self.clear_remains()?;
        let bytes = encode_records(self.identity, self.slots, records);
        let at = self.slots * SLOT as u64;
        self.has_remains = true;
        self.file.write_all_at(&bytes, at).map_err(|error| self.failed("written", error))?;
        self.file.sync_data().map_err(|error| self.failed("synced", error))?;
        let slots = self.slots + (bytes.len() / SLOT) as u64;
        if !is_at(&self.file, &self.path) {
            self.put_back(slots)?;
        }
        self.has_remains = false;
        self.slots = slots;
        Ok(())
    }

    /// Makes sure that the folder names the journal's file, and durably so.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep(&mut self) -> Result<(), JournalError> {
        if !is_at(&self.file, &self.path) {
            self.put_back(self.slots)?;
        }
        self.name()
    }

    /// Gives the journal's first `slots` its name again, which is nobody's by now, or that of
    /// another file: of a copy of the folder, say.
    fn put_back(&mut self, slots: u64) -> Result<(), JournalError> {
        let mut bytes = vec![0; usize::try_from(slots).unwrap_or(usize::MAX) * SLOT];
        self.file.read_exact_at(&mut bytes, 0).map_err(|error| self.failed("read", error))?;
        self.file = match is_held(&self.path) {
            true => Err(io::Error::other("another node's stands there")),
            false => replace(&self.path, &bytes),
        }
        .map_err(|error| self.failed("put in its place", error))?;
        let path = self.path.display();
        tracing::warn!(%path, "the purge journal was not in its place: it is written anew");
        self.is_named = false;
        self.name()
    }

    /// Whether the file is so long that a snapshot should take its place.
    pub fn is_long(&self) -> bool {
        self.slots > self.slots_max
    }

    /// Replaces the file by a snapshot of the rules at its own `head`.
    ///
    /// # Errors
    /// The file system's. The file goes on as it was, or, if only its name could not be synced,
    /// takes nothing until that is done.
    ///
    /// # Panics
    /// If the snapshot is of another moment.
    pub fn compact(&mut self, head: u64, rules: &[NumberedRule]) -> Result<(), JournalError> {
        assert_eq!(head, self.head, "what is journaled is published");
        self.keep()?;
        // Where it fails, it is not tried at every purge.
        self.slots_max = self.slots + self.rules_max;
        let bytes = file_of(self.identity, head, rules, self.followed);
        self.file = replace(&self.path, &bytes).map_err(|error| self.failed("compacted", error))?;
        self.is_named = false;
        self.has_remains = false;
        self.slots = (bytes.len() / SLOT) as u64;
        // A snapshot of long texts is no reason to write it anew at once.
        self.slots_max = self.slots.max(self.rules_max + 1) + self.rules_max;
        self.name()
    }

    /// Makes durable what was read: an earlier process may have ended before it synced, or gone on
    /// after a failed sync, which leaves pages that look clean and are not on disk.
    fn settle(&mut self, records: &[Record]) -> Result<(), JournalError> {
        self.clear_remains()?;
        let bytes = encode_records(self.identity, 1, records);
        self.file
            .write_all_at(&bytes, SLOT as u64)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| self.failed("synced", error))?;
        self.name()
    }

    /// Cuts off what a failed write left, lest what is written over it be shorter.
    fn clear_remains(&mut self) -> Result<(), JournalError> {
        if self.has_remains {
            let length = self.slots * SLOT as u64;
            self.file.set_len(length).map_err(|error| self.failed("cut to length", error))?;
            self.has_remains = false;
        }
        Ok(())
    }

    /// Makes durable that the folder names this file, lest the loss of power brings an earlier one
    /// back.
    fn name(&mut self) -> Result<(), JournalError> {
        if !self.is_named {
            let synced = sync_folder_of(&self.path);
            synced.map_err(|error| self.failed("synced with its folder", error))?;
            self.is_named = true;
        }
        Ok(())
    }

    fn failed(&self, act: &'static str, source: io::Error) -> JournalError {
        failed_at(&self.path, act)(source)
    }
}

fn failed_at(path: &Path, act: &'static str) -> impl Fn(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError { path: path.clone(), act, source }
}

impl Contents {
    /// Nothing yet, of a new identity.
    fn fresh() -> Self {
        let header = Header { identity: fastrand::u128(..), head: 0, rules: 0 };
        Self { header, records: Vec::new(), head: 0, slots: 1 }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.encode().to_vec();
        bytes.extend(encode_records(self.header.identity, 1, &self.records));
        bytes
    }

    fn restored(self) -> Restored {
        let (identity, head) = (self.header.identity, self.head);
        let (mut rules, mut followed) = (Vec::new(), None);
        for record in self.records {
            match record {
                Record::Purge(Some(rule), purged) => rules.push((rule, purged)),
                Record::Purge(None, _) => {}
                Record::Followed(position) => followed = Some(position),
            }
        }
        Restored { identity, head, rules, followed }
    }
}

fn read(file: &File) -> io::Result<Result<Contents, layout::Damage>> {
    Contents::read(file.metadata()?.len(), BufReader::new(file))
}

/// The file that is there, and what it holds; one that is damaged is set aside.
fn find(path: &Path) -> Result<Option<(File, Contents)>, JournalError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let is_writable = opened.is_ok();
    let opened = match opened {
        // What is read-only can be read.
        Err(error) if may_pass(&error) => File::open(path),
        opened => opened,
    };
    let damage = match opened.map(|file| (read(&file), file)) {
        Ok((Ok(Ok(contents)), file)) if is_writable => return Ok(Some((file, contents))),
        Ok((Ok(Ok(contents)), _)) => {
            let file = unnamed(&contents).map_err(failed_at(path, "kept"))?;
            return Ok(Some((file, contents)));
        }
        Ok((Ok(Err(damage)), _)) => damage.to_string(),
        Ok((Err(error), _)) if may_pass(&error) => error.to_string(),
        Ok((Err(error), _)) => return Err(failed_at(path, "read")(error)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if may_pass(&error) => error.to_string(),
        Err(error) => return Err(failed_at(path, "opened")(error)),
    };
    match set_aside(path, &damage) {
        Err(error) if !may_pass(&error) => Err(failed_at(path, "set aside")(error)),
        // Where it stays, the first purge takes its place.
        _ => Ok(None),
    }
}

fn set_aside(path: &Path, damage: &str) -> io::Result<()> {
    let kept = beside(path, "damaged");
    tracing::warn!(
        path = %path.display(),
        kept = %kept.display(),
        "the purge journal is damaged, so what is stored on disk is void: {damage}",
    );
    fs::rename(path, &kept)
}

/// A file without a name, which can be written whatever becomes of the disk.
fn unnamed(contents: &Contents) -> io::Result<File> {
    let file = File::from(memfd_create("purges.journal", MemfdFlags::CLOEXEC)?);
    file.write_all_at(&contents.encode(), 0)?;
    Ok(file)
}

/// Whether a process has the journal at `path` open.
fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The bytes of a snapshot.
fn file_of(
    identity: u128,
    head: u64,
    rules: &[NumberedRule],
    followed: Option<Followed>,
) -> Vec<u8> {
    let rules = rules.iter().map(|(rule, purged)| Record::Purge(Some(rule.clone()), *purged));
    let records: Vec<_> = rules.chain(followed.map(Record::Followed)).collect();
    let header = Header { identity, head, rules: records.len() as u64 };
    let slots = 0;
    Contents { header, records, head, slots }.encode()
}

/// Puts a file at `path` once it is synced; see [`Journal::name`] for what comes then.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let new = Replacement::of(path)?;
    // Held, so that a node whose folder this is no longer leaves it alone; nobody else has it yet.
    let _held = new.file().try_lock().is_err();
    new.put(bytes)
}
