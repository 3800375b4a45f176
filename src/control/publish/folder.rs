//! Published versions in the folder of a control plane.
//!
//! ```text
//!  config/index     headland config 1 <BLAKE3 of the lines below>
//!                   {"candidate":9,"current":7,"share":10}
//!                   …
//!  config/7.<hash>.toml    the text of version 7, as it was published
//! ```
//!
//! Where a file is not as it was written nothing is published until it is, or the folder is gone:
//! what nodes are to have would be guessed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shelf::{FolderFault, Shelf, ShelfError, Shelved};
use super::versions::{Version, Versions};
use crate::control::log::Later;
use crate::durable::{Replacement, replace, sealed, sync_folder_of, unsealed};
use crate::net::worker::off_loop;

/// Name of the folder in that of the control plane.
const FOLDER: &str = "config";

const INDEX: &str = "index";

const TITLE: &str = "headland config 1";

/// Versions in a folder of this process alone.
#[derive(Clone, Debug)]
pub struct FolderShelf(PathBuf);

impl FolderShelf {
    /// Those in the folder of a control plane.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }
}

impl Shelf for FolderShelf {
    fn look(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        self.take_up()
    }

    fn take_up(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        let folder = self.0.clone();
        Box::pin(async move { Ok(off_loop(move || read(&folder)).await??) })
    }

    fn seize(&self) -> Later<'_, Result<(), ShelfError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn write(&self, before: Arc<Shelved>, next: Arc<Shelved>) -> Later<'_, Result<(), ShelfError>> {
        let folder = self.0.clone();
        Box::pin(async move { Ok(off_loop(move || write(&folder, &before, &next)).await??) })
    }
}

/// All versions in the folder of a control plane; none where no index is. Blocks.
fn read(folder: &Path) -> Result<Shelved, FolderFault> {
    let folder = folder.join(FOLDER);
    let path = folder.join(INDEX);
    let Some(text) = read_text(&path)? else { return Ok(Shelved::default()) };
    let versions = decode(&text).ok_or(FolderFault::Damaged(path))?;
    let mut shelved = Shelved { versions: versions.clone(), ..Shelved::default() };
    for version in versions.iter() {
        let path = text_path(&folder, version);
        let is_whole = read_text(&path)?.is_some_and(|text| shelved.insert(version, text));
        if !is_whole {
            return Err(FolderFault::Damaged(path));
        }
    }
    Ok(shelved)
}

/// Makes `next` durable in the place of `before`.
fn write(folder: &Path, before: &Shelved, next: &Shelved) -> Result<(), FolderFault> {
    let own = folder.join(FOLDER);
    let failed = |path: &Path, act| {
        let path = path.to_owned();
        move |source| FolderFault::Io { path, act, source }
    };
    if !own.is_dir() {
        let made = fs::create_dir(&own).and_then(|()| sync_folder_of(&own));
        made.map_err(failed(&own, "made"))?;
    }
    for (version, text) in next.beyond(before) {
        let path = text_path(&own, version);
        Replacement::of(&path)
            .and_then(|new| new.put(text.as_bytes()))
            .map_err(failed(&path, "written"))?;
    }
    // The texts are named on disk before the index names them.
    let path = own.join(INDEX);
    sync_folder_of(&path)
        .and_then(|()| replace(&path, encode(&next.versions).as_bytes()))
        .map_err(failed(&path, "written"))?;
    for (version, _) in before.beyond(next) {
        let path = text_path(&own, version);
        if let Err(error) = fs::remove_file(&path) {
            // It takes room, and no more.
            tracing::warn!("{}", failed(&path, "removed")(error));
        }
    }
    Ok(())
}

/// The text of an index file.
fn encode(versions: &Versions) -> String {
    sealed(TITLE, &versions.to_lines())
}

fn decode(text: &str) -> Option<Versions> {
    Versions::from_lines(unsealed(TITLE, text)?)
}

fn text_path(folder: &Path, version: &Version) -> PathBuf {
    // A write that failed may have left another text of the number, and the index that names it.
    folder.join(format!("{}.{:.16}.toml", version.number, version.hash.to_hex()))
}

/// What a file holds; `None` where there is none.
fn read_text(path: &Path) -> Result<Option<String>, FolderFault> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok(None),
            ErrorKind::InvalidData => Err(FolderFault::Damaged(path.to_owned())),
            _ => Err(FolderFault::Io { path: path.to_owned(), act: "read", source: error }),
        },
    }
}
