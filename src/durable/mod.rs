//! Files that outlive the process: replaced whole, and found again whole whatever ends it.
//!
//! ```text
//!  path.new   written ── synced ── renamed to path ── folder synced
//!                 what is found:   before │ either     │ the new
//! ```
//!
//! It uses nothing of ours. Everything here blocks.
//!
//! Invariants:
//! - no path ever leads to part of a file;
//! - what failed leaves what was there, and nothing beside it.

mod kept;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub use self::kept::{Kept, Lock, lock, sealed, unsealed};

/// A file that is to take the place of another.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    at: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// An empty file beside `path`, which nobody else replaces. What an earlier process left
    /// unfinished there goes.
    ///
    /// # Errors
    /// The file system's.
    pub fn of(path: &Path) -> io::Result<Self> {
        let at = beside(path, "new");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&at)?;
        Ok(Self { file, at, path: path.to_owned() })
    }

    /// The same, for a file that its owner alone may read, and which others may replace as well:
    /// the last one wins.
    ///
    /// # Errors
    /// The file system's.
    pub fn private(path: &Path) -> io::Result<Self> {
        let at = beside(path, &format!("{}.new", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at)?;
        Ok(Self { file, at, path: path.to_owned() })
    }

    /// The file, which has no name that anyone looks for.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes `bytes`, syncs them, and gives the file its name, which the folder may yet lose with
    /// the power: see [`sync_folder_of`].
    ///
    /// # Errors
    /// The file system's. What was there before is there still.
    pub fn put(mut self, bytes: &[u8]) -> io::Result<File> {
        let put = (self.file.write_all(bytes))
            .and_then(|()| self.file.sync_all())
            .and_then(|()| fs::rename(&self.at, &self.path));
        if let Err(error) = put {
            // A disk that is full wants the room back; where that fails as well, the next one goes
            // over it.
            let _gone = fs::remove_file(&self.at).is_ok();
            return Err(error);
        }
        Ok(self.file)
    }
}

/// Replaces the file at `path`, which nobody else does, durably.
///
/// # Errors
/// The file system's. Either file is there then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Replacement::of(path)?.put(bytes)?;
    sync_folder_of(path)
}

/// Waits until the folder of `path` has on disk what it names.
///
/// # Errors
/// The file system's.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The path with `.name` added.
pub fn beside(path: &Path, name: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".");
    beside.push(name);
    beside.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.log");
        fs::write(beside(&path, "new"), "left unfinished, and longer").unwrap();
        for bytes in ["one", "", "other"] {
            replace(&path, bytes.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), bytes);
        }
        let file = Replacement::private(&path).unwrap().put(b"own").unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "own");
        assert_eq!(names(folder.path()), ["it.log"]);
    }

    #[test]
    fn what_fails_leaves_what_was_and_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        assert!(replace(&path, b"bytes").is_err());
        assert!(Replacement::private(&path).unwrap().put(b"bytes").is_err());
        assert_eq!(
            (names(folder.path()), names(&path)),
            (vec!["it".into()], vec!["inside".into()])
        );
    }
}
