//! The cache directory: one process at a time, one store, swept of what is no part of it.
//!
//! The lock is on the directory itself and not on a file in it, which could be removed: then two
//! processes would each hold a lock of the same name.

use std::fmt::Write as _;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::format::{SEGMENT_MAGIC, SUPERBLOCK, Superblock};
use super::recency;
use super::segment::{id_of, name_of, path_of};
use crate::durable;

/// Name of the superblock's file.
const STORE: &str = "store";
/// Name of the file that tells which process holds the lock.
const LOCK: &str = "lock";
/// How what stands in it begins.
const HOLDER: &str = " (process ";
/// Name of the file that tells what was used of late.
const RECENCY: &str = "recency";
/// Ends the name of a file that is not yet whole: it is renamed once it is.
const UNFINISHED: &str = ".new";

/// Files that others keep in a cache directory: their names, and what they begin with.
pub type Others = &'static [(&'static str, &'static [u8])];

/// Why a cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("cache.disk.path: {path} is in use by another node{holder}: each needs its own folder")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who, as far as is known.
        holder: String,
    },
    /// The operating system refused.
    #[error("cache.disk.path: cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// What stands there is none of ours.
    #[error("cache.disk.path: {path} {what}: expected a folder for the cache of this node alone")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What it is, or holds.
        what: String,
    },
    /// The purges that what is stored there is judged by would not survive a restart.
    #[error("cache.disk.path: {path} takes nothing: {why}")]
    Unkept {
        /// The directory.
        path: PathBuf,
        /// What the journal says.
        why: String,
    },
    /// Nothing is stored there.
    #[error("{path} holds no cache: {why}")]
    NoStore {
        /// The directory.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
}

impl OpenError {
    /// Whether the disk may do better later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Io { error, .. } => may_pass(error),
            Self::Unkept { .. } => true,
            _ => false,
        }
    }
}

/// A cache directory that this process holds.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    others: Others,
    /// The directory itself, locked until this is dropped. None where it could not be had yet.
    held: Option<File>,
    /// Why nothing can be written there, as far as is known from the start.
    fault: Option<String>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            // Closing it would not do while a child that is just being started has it, too.
            let _ = held.unlock();
        }
    }
}

impl Directory {
    /// Takes hold of the directory of a store alone, which is made if need be.
    ///
    /// # Errors
    /// Another process has it, or it cannot be used.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_among(path, &[])
    }

    /// The same, where others keep files as well.
    pub(super) fn open_among(path: &Path, others: Others) -> Result<Self, OpenError> {
        refuse_unfit(path)?;
        std::fs::create_dir_all(path).map_err(failed("make", path))?;
        let held = File::open(path).map_err(failed("open", path))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", path)(error)),
        }
        let mut directory = Self { path: path.to_owned(), others, held: Some(held), fault: None };
        directory.refuse_foreign()?;
        let holder = path.join(LOCK);
        let told = std::fs::write(&holder, format!("{HOLDER}{})", std::process::id()));
        match told.map_err(failed("write", &holder)) {
            Err(error) if error.may_pass() => directory.fault = Some(error.to_string()),
            told => told?,
        }
        Ok(directory)
    }

    /// The same, but where the disk is full, read-only or failing, a directory that cannot be had
    /// yet: its fault tells why.
    ///
    /// # Errors
    /// Another process has it, or it cannot be used, whatever becomes of the disk.
    pub fn open_or_wait(path: &Path, others: Others) -> Result<Self, OpenError> {
        match Self::open_among(path, others) {
            Err(error) if error.may_pass() => {
                let fault = Some(error.to_string());
                Ok(Self { path: path.to_owned(), others, held: None, fault })
            }
            opened => opened,
        }
    }

    /// Fails if a node would refuse `path` for what it is or holds. Changes nothing.
    ///
    /// # Errors
    /// That, or it cannot be read.
    pub fn check(path: &Path, others: Others) -> Result<(), OpenError> {
        refuse_unfit(path)?;
        match path.exists() {
            true => {
                Self { path: path.to_owned(), others, held: None, fault: None }.refuse_foreign()
            }
            false => Ok(()),
        }
    }

    /// The same directory, or the one that has taken its place.
    pub(super) fn again(&self) -> Result<Self, OpenError> {
        Self::open_among(&self.path, self.others)
    }

    /// Whether the directory is there, and is this process's.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Why nothing can be written there, as far as is known from the start.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether there is a store.
    pub fn has_store(&self) -> bool {
        self.path.join(STORE).exists()
    }

    /// Fails if files of our names are not ours: they would be removed or written over. What says
    /// that the directory is ours does so for every file: one may be damaged.
    fn refuse_foreign(&self) -> Result<(), OpenError> {
        let new = |name: &str| name.to_owned() + UNFINISHED;
        let mut files = vec![
            (STORE.to_owned(), Superblock::MAGIC),
            (LOCK.to_owned(), HOLDER.as_bytes()),
            (RECENCY.to_owned(), &recency::MAGIC[..]),
            (new(STORE), Superblock::MAGIC),
            (new(RECENCY), &recency::MAGIC[..]),
        ];
        for (name, magic) in self.others {
            files.extend([((*name).to_owned(), *magic), (new(name), *magic)]);
        }
        let segments = self.segments()?.into_iter().map(name_of);
        files.extend(segments.map(|name| (name, SEGMENT_MAGIC)));
        let mut foreign = None;
        for (place, (name, magic)) in files.into_iter().enumerate() {
            match Beginning::of(&self.path.join(&name), magic) {
                Beginning::Ours if place < 2 => return Ok(()),
                Beginning::Other if foreign.is_none() => foreign = Some(name),
                _ => {}
            }
        }
        let what = |name| format!("holds a file {name:?} that is none of a cache");
        let refused = |name| OpenError::Foreign { path: self.path.clone(), what: what(name) };
        foreign.map_or(Ok(()), |name| Err(refused(name)))
    }

    /// Fails if a segment is there that may not be opened: it would be given up as if damaged.
    pub(super) fn may_open(&self, ids: &[u64]) -> Result<(), OpenError> {
        for id in ids {
            let path = path_of(&self.path, *id);
            match File::options().read(true).write(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(failed("open", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Bytes that are free on its disk for this process.
    pub(super) fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Takes hold of a directory that a node has used, for as long as nothing is to change there.
    ///
    /// # Errors
    /// A node has it, or none ever had, or it cannot be read.
    pub fn hold(path: &Path) -> Result<Self, OpenError> {
        let no_store =
            |why: &str| OpenError::NoStore { path: path.to_owned(), why: why.to_owned() };
        let held = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(no_store("there is no such folder"));
            }
            Ok(file) if file.metadata().is_ok_and(|found| !found.is_dir()) => {
                return Err(no_store("it is a file"));
            }
            held => held.map_err(failed("open", path))?,
        };
        match held.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", path)(error)),
        }
        match [LOCK, STORE].iter().any(|name| path.join(name).exists()) {
            true => Ok(Self { path: path.to_owned(), others: &[], held: Some(held), fault: None }),
            false => Err(no_store("no node has used it")),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn recency(&self) -> PathBuf {
        self.path.join(RECENCY)
    }

    /// The superblock; what is wrong with it, if there is one that cannot be used.
    pub(super) fn superblock(&self) -> Result<Option<Superblock>, OpenError> {
        let name = self.path.join(STORE);
        let bytes = match std::fs::read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &name)(error)),
        };
        let why = |why: String| {
            let mut told = String::new();
            // Writing to a string does not fail.
            let _never = write!(told, "{}: {why}", name.display()).is_err();
            OpenError::NoStore { path: self.path.clone(), why: told }
        };
        Superblock::decode(&bytes).map(Some).map_err(why)
    }

    /// Whether the directory still is where it was, and still holds `store`: it may have been
    /// removed, or another disk mounted over it.
    ///
    /// # Errors
    /// That cannot be told: it cannot be read, or what it holds is damaged.
    pub(super) fn still_holds(&self, superblock: &Superblock) -> Result<bool, OpenError> {
        self.superblock().map(|found| found.as_ref() == Some(superblock))
    }

    /// Whether the path still leads to the file system that it did.
    pub(super) fn is_on_its_disk(&self) -> io::Result<bool> {
        let Some(held) = &self.held else { return Ok(true) };
        Ok(std::fs::metadata(&self.path)?.dev() == held.metadata()?.dev())
    }

    /// Whether the path still leads to the directory that is held.
    pub(super) fn is_in_place(&self) -> bool {
        self.held.as_ref().is_some_and(|held| is_at(held, &self.path))
    }

    /// Makes an empty store: every file of an older one goes first.
    pub(super) fn format(&self, superblock: &Superblock) -> Result<(), OpenError> {
        let name = self.path.join(STORE);
        for path in [&name, &self.recency()] {
            remove(path)?;
        }
        for id in self.segments()? {
            self.remove_segment(id)?;
        }
        let bytes: [u8; SUPERBLOCK] = superblock.encode();
        durable::replace(&name, &bytes).map_err(failed("write", &name))
    }

    /// The ids of the segments that are there, in rising order.
    pub(super) fn segments(&self) -> Result<Vec<u64>, OpenError> {
        let failed = failed("list", &self.path);
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(&failed)? {
            let name = entry.map_err(&failed)?.file_name();
            ids.extend(name.to_str().and_then(id_of));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The names of what is no part of a store, and not among `others`; a folder's ends with `/`.
    pub(super) fn unknown(&self, others: &[&str]) -> Result<Vec<String>, OpenError> {
        let failed = failed("list", &self.path);
        let unfinished = self.unfinished();
        let mut unknown = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_known = [STORE, LOCK, RECENCY].contains(&&*name)
                || unfinished.iter().any(|path| path.ends_with(&*name))
                || others.contains(&&*name);
            if !is_known && id_of(&name).is_none() {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                unknown.push(name.into_owned() + if is_folder { "/" } else { "" });
            }
        }
        unknown.sort_unstable();
        Ok(unknown)
    }

    /// The files of the store that a process was writing when it ended: no use to anybody.
    pub(super) fn unfinished(&self) -> Vec<PathBuf> {
        let paths = [STORE, RECENCY].map(|name| self.path.join(name.to_owned() + UNFINISHED));
        paths.into_iter().filter(|path| path.exists()).collect()
    }

    /// Removes what is [unfinished](Self::unfinished).
    pub(super) fn sweep(&self) -> Result<(), OpenError> {
        self.unfinished().iter().try_for_each(|path| remove(path))
    }

    /// Removes the file of a segment that nobody has open.
    pub(super) fn remove_segment(&self, id: u64) -> Result<(), OpenError> {
        remove(&path_of(&self.path, id))
    }

    /// Waits until files made, renamed or removed here are so on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Fails where no cache is to be made, whatever is there.
fn refuse_unfit(path: &Path) -> Result<(), OpenError> {
    let what = match path.metadata() {
        Ok(found) if !found.is_dir() => "is a file",
        Ok(_) if path.canonicalize().is_ok_and(|real| real.parent().is_none()) => {
            "is the root of all files"
        }
        _ => return Ok(()),
    };
    Err(OpenError::Foreign { path: path.to_owned(), what: what.to_owned() })
}

/// What a file begins with.
enum Beginning {
    /// What ours do.
    Ours,
    /// Something else.
    Other,
    /// Nothing that was written, or what cannot be read: no loss to anybody.
    Nothing,
}

impl Beginning {
    fn of(path: &Path, magic: &[u8]) -> Self {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.starts_with(magic) => Self::Ours,
            Ok(_) if bytes.iter().any(|byte| *byte != 0) => Self::Other,
            _ => Self::Nothing,
        }
    }
}

/// Whether `path` leads to the file that is open, and to no other of its name.
pub fn is_at(file: &File, path: &Path) -> bool {
    let place = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let there = std::fs::metadata(path).map(place);
    there.and_then(|there| Ok(there == place(file.metadata()?))).unwrap_or(false)
}

/// Whether a disk that fails so may do better later: it is full, read-only, or cannot be read.
pub fn may_pass(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO];
    Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

/// That another process holds the directory, and which, as far as it has told.
fn in_use(path: &Path) -> OpenError {
    let told = std::fs::read_to_string(path.join(LOCK)).unwrap_or_default();
    let holder = if told.starts_with(HOLDER) { told } else { String::new() };
    OpenError::InUse { path: path.to_owned(), holder }
}

fn remove(path: &Path) -> Result<(), OpenError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Io { what, path: path.clone(), error }
}
