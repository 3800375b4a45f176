//! The demo's temporary folder: of this user alone, and gone with its guard.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A folder that goes when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// The folder cannot be made, or a file in it.
#[derive(Debug, thiserror::Error)]
#[error("temporary folder {}: {source}", folder.display())]
pub(super) struct FolderError {
    folder: PathBuf,
    source: io::Error,
}

impl Folder {
    /// Makes it, where no other folder is.
    pub(super) fn make() -> Result<Self, FolderError> {
        let name = format!("headland-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let folder = std::env::temp_dir().join(name);
        // Keys and tokens lie in it.
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => Ok(Self(folder)),
            Err(source) => Err(FolderError { folder, source }),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Names the folder in what the system said.
    pub(super) fn fault(&self) -> impl Fn(io::Error) -> FolderError {
        |source| FolderError { folder: self.0.clone(), source }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("headland demo: {} is left: {error}", self.0.display());
        }
    }
}
