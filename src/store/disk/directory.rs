//! The cache directory: one process at a time, one store, swept of what is no part of it.

use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::format::{SUPERBLOCK, Superblock};
use super::segment::{id_of, path_of};

/// Name of the superblock's file.
const STORE: &str = "store";
/// Name of the file that the process holds a lock on.
const LOCK: &str = "lock";
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
    /// Held until it is dropped.
    lock: File,
}

impl Directory {
    /// Takes hold of the directory, which is made if need be.
    ///
    /// # Errors
    /// Another process has it, or it cannot be used.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path).map_err(failed("make", path))?;
        let name = path.join(LOCK);
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let mut lock = options.open(&name).map_err(failed("open", &name))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &name)(error)),
        }
        let told = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, " (process {})", std::process::id()));
        told.map_err(failed("write", &name))?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Takes hold of a directory that a node has used, for as long as nothing is to change there.
    ///
    /// # Errors
    /// A node has it, or none ever had, or it cannot be read.
    pub fn hold(path: &Path) -> Result<Self, OpenError> {
        let name = path.join(LOCK);
        let mut lock = match File::open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = "no node has used it".to_owned();
                return Err(OpenError::NoStore { path: path.to_owned(), why });
            }
            lock => lock.map_err(failed("open", &name))?,
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(error)) => Err(failed("lock", &name)(error)),
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
        Ok(std::fs::metadata(&self.path)?.dev() == self.lock.metadata()?.dev())
    }

    /// Whether the lock that is held is the one that the directory has.
    pub(super) fn is_locked_by_us(&self) -> bool {
        let there = std::fs::metadata(self.path.join(LOCK));
        there.and_then(|there| Ok(there.ino() == self.lock.metadata()?.ino())).unwrap_or(false)
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

/// Who holds `lock`, as far as is known.
fn in_use(path: &Path, lock: &mut File) -> OpenError {
    let mut holder = String::new();
    if lock.read_to_string(&mut holder).is_err() {
        holder.clear();
    }
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
