//! The log's file: appended and synced, compacted into a new one, held against other processes.
//! Its calls block.
//!
//! ```text
//!  open ─► read ──► whole, or torn at its end ─► written over once more, synced ─► append … ─┐
//!             └───► damaged ─► set aside; empty, of a new identity ──────┘  ▲               │
//!                                                                           └── compact ────┘
//! ```
//!
//! Invariants:
//! - what [`LogFile::append`] returned for is durable, and in the file that the next start finds: a
//!   file gets its name only when it is synced, and takes entries only when its name is;
//! - what it failed for takes no number. It may yet be found by the next start if nothing came to
//!   stand in its place: then more is purged, never less.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::control::log::history::History;
use crate::control::log::layout::{Contents, Damage, Writer};
use crate::control::log::{Kept, Logged};
use crate::durable::{Lock, Replacement, beside, lock, replace, sync_folder_of};
use crate::object::{EntryHash, LogId, Position, PurgeCommand};

/// Name of the file in the folder of the control plane.
const NAME: &str = "purges.log";
/// Name of the file that the process holds a lock on.
const LOCK: &str = "lock";

/// Bytes that are appended before a file is worth a compaction.
const SLACK: u64 = 4 << 20;

/// How often a file is read that is written meanwhile: what one failed to write may be cut off and
/// written over between two reads.
const LOOKS: usize = 3;

/// The file system failed the log.
#[derive(Debug, thiserror::Error)]
#[error("the purge log {} cannot be {act}: {source}", path.display())]
pub struct FileError {
    path: PathBuf,
    act: &'static str,
    source: io::Error,
}

/// The file, open for more.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    log: LogId,
    /// Bytes up to the last durable entry.
    length: u64,
    /// Bytes beyond which it is to be compacted.
    length_max: u64,
    /// Whether the folder surely names this file and no earlier one.
    is_named: bool,
    /// Whether something may stand behind the last durable entry.
    has_remains: bool,
    /// Whether there was none before, damaged or not.
    is_new: bool,
}

/// Holds the folder, which is made if need be, against every other process.
///
/// # Errors
/// Another process has it, or it cannot be made.
pub(super) fn hold(folder: &Path) -> Result<Lock, FileError> {
    let failed = |act| move |source| FileError { path: folder.to_owned(), act, source };
    fs::create_dir_all(folder).map_err(failed("made"))?;
    let lock = lock(&folder.join(LOCK)).map_err(failed("locked"))?;
    lock.ok_or_else(|| {
        let source = io::Error::other("another control plane uses its folder");
        failed("opened")(source)
    })
}

impl LogFile {
    /// Opens the file of a folder that this process holds, or begins one. A damaged file is no
    /// error: it is set aside, with a warning, for one of a new identity.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn open(folder: &Path) -> Result<(Self, Contents), FileError> {
        let path = folder.join(NAME);
        let failed = |act| {
            let path = path.clone();
            move |source| FileError { path, act, source }
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read")(error)),
        };
        let is_new = bytes.is_none();
        let whole = match bytes {
            None => None,
            Some(bytes) => match Contents::read(&bytes) {
                Ok(contents) => Some((bytes, contents)),
                Err(damage) => {
                    set_aside(&path, &damage).map_err(failed("set aside"))?;
                    None
                }
            },
        };
        let (bytes, contents) = match whole {
            Some(whole) => whole,
            None => begin(&path).map_err(failed("created"))?,
        };
        let file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(failed("opened"))?;
        let length = contents.length as u64;
        let (log, length_max) = (contents.log, 2 * length + SLACK);
        let (is_named, has_remains) = (false, true);
        let mut file = Self { path, file, log, length, length_max, is_named, has_remains, is_new };
        file.settle(&bytes[..contents.length])?;
        Ok((file, contents))
    }

    /// Whether it was begun where none was.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Makes entries durable, all or none, in one write and one sync.
    ///
    /// # Errors
    /// The file system's. None of the entries is part of the log then.
    pub(super) fn append(&mut self, entries: &[Arc<Logged>]) -> Result<(), FileError> {
        self.name()?;
        self.clear_remains()?;
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let mut writer = Writer::go_on(self.log, length);
        entries.iter().for_each(|entry| writer.entry(entry));
        self.has_remains = true;
        let written = self.file.write_all_at(&writer.bytes, self.length);
        written.map_err(|error| self.failed("written", error))?;
        self.file.sync_data().map_err(|error| self.failed("synced", error))?;
        self.has_remains = false;
        self.length += writer.bytes.len() as u64;
        Ok(())
    }

    /// Whether a shorter file should take its place.
    pub(super) fn is_long(&self) -> bool {
        self.length > self.length_max
    }

    /// Replaces the file by one that holds what `history`, which is up to date, keeps.
    ///
    /// # Errors
    /// The file system's. The file goes on as it was, or, if only its name could not be synced,
    /// takes nothing until that is done.
    pub(super) fn compact(&mut self, history: &Compact) -> Result<(), FileError> {
        // Where it fails, it is not tried at every entry.
        self.length_max = self.length + SLACK;
        let mut writer = Writer::begin(self.log);
        writer.snapshot(&history.rules, history.trail.iter().copied(), history.base);
        history.entries.iter().for_each(|entry| writer.entry(entry));
        let file = Replacement::of(&self.path).and_then(|new| new.put(&writer.bytes));
        self.file = file.map_err(|error| self.failed("compacted", error))?;
        self.is_named = false;
        self.has_remains = false;
        self.length = writer.bytes.len() as u64;
        self.length_max = 2 * self.length + SLACK;
        self.name()
    }

    /// Makes durable what was read: an earlier process may have ended before it synced, or gone on
    /// after a failed sync, which leaves pages that look clean and are not on disk.
    fn settle(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.clear_remains()?;
        let written = self.file.write_all_at(bytes, 0).and_then(|()| self.file.sync_all());
        written.map_err(|error| self.failed("synced", error))?;
        self.name()
    }

    /// Cuts off what a failed write left, lest what is written over it be shorter.
    fn clear_remains(&mut self) -> Result<(), FileError> {
        if self.has_remains {
            let cut = self.file.set_len(self.length);
            cut.map_err(|error| self.failed("cut to length", error))?;
            self.has_remains = false;
        }
        Ok(())
    }

    /// Makes durable that the folder names this file, lest the loss of power bring an earlier one
    /// back.
    fn name(&mut self) -> Result<(), FileError> {
        if !self.is_named {
            let synced = sync_folder_of(&self.path);
            synced.map_err(|error| self.failed("synced with its folder", error))?;
            self.is_named = true;
        }
        Ok(())
    }

    fn failed(&self, act: &'static str, source: io::Error) -> FileError {
        FileError { path: self.path.clone(), act, source }
    }
}

/// What a compacted file holds.
#[derive(Debug)]
pub(super) struct Compact {
    rules: Vec<(u64, PurgeCommand)>,
    trail: Vec<(u64, EntryHash)>,
    base: Position,
    entries: Vec<Arc<Logged>>,
}

impl Compact {
    pub(super) fn of(history: &History) -> Self {
        Self {
            rules: history.snapshot().commands,
            trail: history.trail().collect(),
            base: history.base(),
            entries: history.entries().cloned().collect(),
        }
    }
}

/// What the file of a folder holds, whoever appends to it meanwhile: what is read of one that grows
/// is its beginning, and one that takes its place leaves it as it was. `None` where there is none.
///
/// # Errors
/// It is damaged, or the file system's.
pub(super) fn look(folder: &Path) -> Result<Option<Contents>, FileError> {
    let path = folder.join(NAME);
    let failed = |source| FileError { path: path.clone(), act: "read", source };
    let mut looks = 1;
    loop {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match Contents::read(&bytes) {
            Ok(contents) => return Ok(Some(contents)),
            Err(damage) if looks == LOOKS => return Err(failed(io::Error::other(damage))),
            Err(_) => looks += 1,
        }
    }
}

/// Puts a log in the place of that of a folder, which this process holds.
///
/// # Errors
/// The file system's. Either log is there then.
pub(super) fn put(folder: &Path, kept: &Kept) -> Result<(), FileError> {
    let path = folder.join(NAME);
    let mut writer = Writer::begin(kept.base.log);
    writer.snapshot(&kept.rules, std::iter::empty(), kept.base);
    kept.entries.iter().for_each(|entry| writer.entry(entry));
    replace(&path, &writer.bytes).map_err(|source| FileError { path, act: "restored", source })
}

/// The file of a log of a new identity, and its bytes.
fn begin(path: &Path) -> io::Result<(Vec<u8>, Contents)> {
    let log = LogId(fastrand::u128(..));
    let mut writer = Writer::begin(log);
    writer.snapshot(&[], std::iter::empty(), Position::start(log));
    Replacement::of(path)?.put(&writer.bytes)?;
    let contents = Contents::read(&writer.bytes);
    Ok((writer.bytes, contents.map_err(io::Error::other)?))
}

fn set_aside(path: &Path, damage: &Damage) -> io::Result<()> {
    let kept = beside(path, "damaged");
    fs::rename(path, &kept)?;
    tracing::warn!(
        path = %path.display(),
        kept = %kept.display(),
        "the purge log is damaged and begins anew: nodes take all they have stored for possibly \
         purged: {damage}",
    );
    Ok(())
}

/// What a disk that fails is to the log.
#[cfg(test)]
impl LogFile {
    /// Makes each write fail with EBADF, as long as the answer is not given back.
    pub(super) fn break_writes(&mut self) -> File {
        std::mem::replace(&mut self.file, File::open(&self.path).unwrap())
    }

    pub(super) fn write_to(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    pub(super) fn mend_writes(&mut self, file: File) {
        self.file = file;
    }

    pub(super) fn compact_beyond(&mut self, length: u64) {
        self.length_max = length;
    }
}
