//! Where published versions are kept, behind one trait: a folder of the control process, or the
//! bucket on NATS, which whoever leads takes over.
//!
//! A text is written before the index that names it, and taken away after the one that no longer
//! does; the index is replaced as a whole. So whatever ends a process, the next one finds the
//! versions of before or those of after, with all their texts.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::versions::{Version, Versions};
use crate::config::published::digest;
use crate::control::log::Later;
use crate::control::nats::NatsError;

/// Versions and their texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelved {
    /// All that are kept.
    pub versions: Versions,
    /// By number: one of each.
    pub texts: BTreeMap<u64, Arc<str>>,
}

/// Keeps versions.
pub trait Shelf: Send + Sync {
    /// What is kept now. Whoever writes goes on.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn look(&self) -> Later<'_, Result<Shelved, ShelfError>>;

    /// What is kept. What was written before by another process is in it, and what it writes from
    /// now on fails.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn take_up(&self) -> Later<'_, Result<Shelved, ShelfError>>;

    /// What is written next takes the place of whatever is there, damaged or not.
    ///
    /// # Errors
    /// It cannot be asked for.
    fn seize(&self) -> Later<'_, Result<(), ShelfError>>;

    /// Makes `next` durable in the place of `before`, which is what was kept last.
    ///
    /// # Errors
    /// It may or may not be durable.
    fn write(&self, before: Arc<Shelved>, next: Arc<Shelved>) -> Later<'_, Result<(), ShelfError>>;
}

/// Why versions cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// A file's.
    #[error(transparent)]
    File(#[from] FolderFault),
    /// The bucket's.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// A thread that failed.
    #[error("the thread of the published versions failed: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl Shelved {
    /// All on one line, as [`Self::from_json`] reads it.
    pub fn to_json(&self) -> Value {
        let texts: BTreeMap<_, _> =
            self.texts.iter().map(|(number, text)| (number, &**text)).collect();
        json!({ "texts": texts, "versions": self.versions.to_lines() })
    }

    /// What [`Self::to_json`] wrote; `None` for anything else.
    pub fn from_json(json: &Value) -> Option<Self> {
        let versions = Versions::from_lines(json["versions"].as_str()?)?;
        let mut shelved = Self { versions: versions.clone(), ..Self::default() };
        let text = |number: u64| json["texts"].get(number.to_string())?.as_str();
        for version in versions.iter() {
            shelved.insert(version, text(version.number)?.to_owned()).then_some(())?;
        }
        Some(shelved)
    }

    /// Takes a text in, if it is that of the version.
    pub(super) fn insert(&mut self, version: &Version, text: String) -> bool {
        let is_whole = digest(&text) == version.hash;
        if is_whole {
            self.texts.insert(version.number, text.into());
        }
        is_whole
    }

    /// The versions that `other` does not have, with their texts.
    pub(super) fn beyond<'s>(
        &'s self,
        other: &'s Self,
    ) -> impl Iterator<Item = (&'s Version, &'s Arc<str>)> {
        let new = self.versions.iter().filter(|version| !other.texts.contains_key(&version.number));
        new.filter_map(|version| Some((version, self.texts.get(&version.number)?)))
    }
}

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderFault {
    /// The file system's.
    #[error("the published config {} cannot be {act}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        act: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not as it was written.
    #[error(
        "the published config {} is damaged; take its folder from a backup, or remove that: nodes \
         keep what they have until something is published", .0.display()
    )]
    Damaged(PathBuf),
}
