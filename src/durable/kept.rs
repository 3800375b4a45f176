//! Small files that outlive the process: read whole, replaced whole, and damage is seen.
//!
//! ```text
//!  headland identity 1 <BLAKE3 of the lines below>
//!  …
//! ```
//!
//! A hash over a text says whether it is as it was written; no secret is in it, so it keeps off
//! damage and not a forger.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{replace, sync_folder_of};

/// A file in a folder that nobody else uses.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    /// What it holds, and in which version.
    title: &'static str,
}

impl Kept {
    /// The file at `path`, of what `title` says. Touches nothing yet.
    pub fn new(path: PathBuf, title: &'static str) -> Self {
        Self { path, title }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its lines; `None` where there is no file. What is damaged is an error of the kind
    /// `InvalidData`. Blocks.
    pub fn read(&self) -> io::Result<Option<String>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = || io::Error::new(ErrorKind::InvalidData, "it is not as it was written");
        unsealed(self.title, &text).ok_or_else(damaged).map(|lines| Some(lines.to_owned()))
    }

    /// Replaces its lines, durably. Blocks. Where it fails, either stand there.
    pub fn write(&self, lines: &str) -> io::Result<()> {
        replace(&self.path, sealed(self.title, lines).as_bytes())
    }

    /// Has no file there, durably. Blocks.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => sync_folder_of(&self.path),
        }
    }
}

/// The text of a file of `lines`, under a line of its title and their hash.
pub fn sealed(title: &str, lines: &str) -> String {
    format!("{title} {}\n{lines}", blake3::hash(lines.as_bytes()).to_hex())
}

/// The lines of such a text; `None` unless it is as it was written.
pub fn unsealed<'t>(title: &str, text: &'t str) -> Option<&'t str> {
    let (head, lines) = text.split_once('\n')?;
    let hash = head.strip_prefix(title)?.strip_prefix(' ')?;
    (blake3::hash(lines.as_bytes()).to_hex().as_str() == hash).then_some(lines)
}

/// A lock on a file, held until this is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would not do while a child that is just being started has it, too.
        let _ = self.0.unlock();
    }
}

/// Makes the file at `path` if need be, and locks it; `None` where another process has it.
pub fn lock(path: &Path) -> io::Result<Option<Lock>> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_though_a_child_has_it_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path).unwrap().unwrap();
        // What a child has from its fork to its exec.
        let _child = held.0.try_clone().unwrap();
        assert!(lock(&path).unwrap().is_none());
        drop(held);
        assert!(lock(&path).unwrap().is_some());
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().join("it"), "headland test 1");
        assert_eq!(kept.read().unwrap(), None);
        for lines in ["", "one\n", "one\ntwo\n"] {
            kept.write(lines).unwrap();
            assert_eq!(kept.read().unwrap().as_deref(), Some(lines));
        }
        let whole = fs::read(kept.path()).unwrap();
        for at in 0..whole.len() {
            let mut hit = whole.clone();
            hit[at] ^= 1;
            fs::write(kept.path(), &hit).unwrap();
            assert_eq!(kept.read().unwrap_err().kind(), ErrorKind::InvalidData, "{at}");
            fs::write(kept.path(), &whole[..at]).unwrap();
            assert_eq!(kept.read().unwrap_err().kind(), ErrorKind::InvalidData, "{at}");
        }
        kept.remove().unwrap();
        kept.remove().unwrap();
        assert_eq!(kept.read().unwrap(), None);
    }

    #[test]
    fn a_lock_is_one_holders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path).unwrap();
        assert!(held.is_some() && lock(&path).unwrap().is_none());
        drop(held);
        assert!(lock(&path).unwrap().is_some());
    }
}
