//! The cache directory: one process at a time, one store, swept of what is no part of it.
//!
//! The lock is on the directory itself and not on a file in it, which could be removed: then two
//! processes would each hold a lock of the same name.

use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::format::{SUPERBLOCK, Superblock};
use super::segment::{id_of, path_of};

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
    /// Nothing is stored there.
    #[error("{path} holds no cache: {why}")]
    NoStore {
        /// The directory.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
}

/// A cache directory that this process holds.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The directory itself, locked until this is dropped.
    held: File,
}

impl Directory {
    /// Takes hold of the directory, which is made if need be.
    ///
    /// # Errors
    /// Another process has it, or it cannot be used.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path).map_err(failed("make", path))?;
        let held = File::open(path).map_err(failed("open", path))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", path)(error)),
        }
        let holder = path.join(LOCK);
        let told = std::fs::write(&holder, format!("{HOLDER}{})", std::process::id()));
        told.map_err(failed("write", &holder))?;
        Ok(Self { path: path.to_owned(), held })
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
            held => held.map_err(failed("open", path))?,
        };
        match held.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", path)(error)),
        }
        match [LOCK, STORE].iter().any(|name| path.join(name).exists()) {
            true => Ok(Self { path: path.to_owned(), held }),
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
        let why = |why: &str| {
            let mut told = String::new();
            // Writing to a string does not fail.
            let _never = write!(told, "{}: {why}", name.display()).is_err();
            OpenError::NoStore { path: self.path.clone(), why: told }
        };
        Superblock::decode(&bytes).map(Some).map_err(why)
    }

    /// Whether the directory still is where it was, and still holds `store`: it may have been
    /// removed, or another disk mounted over it.
    pub(super) fn still_holds(&self, superblock: &Superblock) -> bool {
        matches!(self.superblock(), Ok(Some(found)) if found == *superblock)
    }

    /// Whether the path still leads to the file system that it did.
    pub(super) fn is_on_its_disk(&self) -> io::Result<bool> {
        Ok(std::fs::metadata(&self.path)?.dev() == self.held.metadata()?.dev())
    }

    /// Whether the path still leads to the directory that is held.
    pub(super) fn is_in_place(&self) -> bool {
        let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let there = std::fs::metadata(&self.path).map(place);
        there.and_then(|there| Ok(there == place(self.held.metadata()?))).unwrap_or(false)
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
        let fresh = self.path.join(STORE.to_owned() + UNFINISHED);
        let mut file = File::create(&fresh).map_err(failed("make", &fresh))?;
        let bytes: [u8; SUPERBLOCK] = superblock.encode();
        let written = file.write_all(&bytes).and_then(|()| file.sync_all());
        written.map_err(failed("write", &fresh))?;
        std::fs::rename(&fresh, &name).map_err(failed("rename", &fresh))?;
        self.sync().map_err(failed("sync", &self.path))
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

    /// The names of files that are no part of a store, and not among `others`.
    pub(super) fn unknown(&self, others: &[&str]) -> Result<Vec<String>, OpenError> {
        let failed = failed("list", &self.path);
        let unfinished = self.unfinished();
        let mut unknown = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(&failed)? {
            let name = entry.map_err(&failed)?.file_name();
            let name = name.to_string_lossy();
            let is_known = [STORE, LOCK, RECENCY].contains(&&*name)
                || unfinished.iter().any(|path| path.ends_with(&*name))
                || others.contains(&&*name);
            if !is_known && id_of(&name).is_none() {
                unknown.push(name.into_owned());
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
