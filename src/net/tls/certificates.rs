//! The certificates in use: chosen by SNI, swapped whole when their files change.
//!
//! ```text
//! Certificates ─ table (swapped) ┬─ exact     "a.example"  → certificate
//!                                ├─ wildcard  "example"    → certificate of "*.example"
//!                                └─ first     for clients without SNI
//! ```
//!
//! A table is made of files that are all sound, or not at all: one bad file leaves the old table.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::load::{CertificateFiles, TlsFault, load};
use crate::net::DrainWatch;

/// All certificates of a node.
#[derive(Debug)]
pub struct Certificates {
    table: ArcSwap<Table>,
    source: Mutex<Source>,
}

/// Where the table came from. The lock also keeps two reloads apart.
#[derive(Debug)]
struct Source {
    files: Vec<CertificateFiles>,
    stamps: Vec<Option<Stamp>>,
}

/// What changes with a file: device, inode, size, time of change in nanoseconds.
type Stamp = (u64, u64, u64, i128);

#[derive(Debug)]
struct Table {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl Certificates {
    /// Reads all files. Where several certificates have one name, the first of them is served.
    ///
    /// Blocks on files: call it at start, or off the event loops.
    pub fn load(files: Vec<CertificateFiles>) -> Result<Arc<Self>, TlsFault> {
        // Before reading: a change in between is seen as one by the next look.
        let stamps = stamps(&files);
        let table = ArcSwap::from_pointee(Table::read(&files)?);
        Ok(Arc::new(Self { table, source: Mutex::new(Source { files, stamps }) }))
    }

    /// Reads the files again, or others where the config names others. On an error the
    /// certificates in use stay.
    ///
    /// Blocks on files: call it off the event loops.
    pub fn reload(&self, files: Option<Vec<CertificateFiles>>) -> Result<(), TlsFault> {
        let mut source = self.source.lock();
        let files = files.unwrap_or_else(|| source.files.clone());
        let stamps = stamps(&files);
        if files == source.files {
            // Even of a bad file, which is to be logged once.
            source.stamps.clone_from(&stamps);
        }
        self.table.store(Arc::new(Table::read(&files)?));
        *source = Source { files, stamps };
        Ok(())
    }

    /// Reloads whenever a file has changed, looking every `period`; ends when the drain begins.
    ///
    /// A bad file is logged once for each of its changes. Cancel safe.
    pub async fn watch(self: Arc<Self>, period: Duration, mut drain: DrainWatch) {
        loop {
            tokio::select! {
                () = drain.draining() => return,
                () = sleep(period) => {}
            }
            let this = self.clone();
            // The look ends in a log line either way, and a panic in it has been logged as well.
            let _ = spawn_blocking(move || this.reload_if_changed()).await;
        }
    }

    /// Whether the files differ from those last read; if so they are read.
    pub(super) fn reload_if_changed(&self) -> bool {
        let changed = {
            let source = self.source.lock();
            stamps(&source.files) != source.stamps
        };
        if changed {
            match self.reload(None) {
                Ok(()) => tracing::info!("certificates reloaded"),
                Err(error) => tracing::error!(%error, "the certificates in use stay"),
            }
        }
        changed
    }

    /// Whether there is a certificate for a client that asks for `name`, or for none.
    pub(super) fn know(&self, name: Option<&str>) -> bool {
        self.table.load().choose(name).is_some()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.table.load().choose(hello.server_name()).cloned()
    }
}

impl Table {
    fn read(files: &[CertificateFiles]) -> Result<Self, TlsFault> {
        let now = UnixTime::now();
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        let mut first = None;
        for files in files {
            let loaded = load(files, now)?;
            for warning in loaded.warnings {
                tracing::warn!(file = %files.cert.display(), "certificate {warning}");
            }
            first.get_or_insert_with(|| loaded.key.clone());
            for name in loaded.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcard, parent.into()),
                    None => (&mut exact, name.into_boxed_str()),
                };
                names.entry(name).or_insert_with(|| loaded.key.clone());
            }
        }
        Ok(Self { exact, wildcard, first: first.ok_or(TlsFault::None)? })
    }

    /// RFC 9525 section 6.3: a wildcard stands for exactly one label, and never for part of one.
    fn choose(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name else { return Some(&self.first) };
        let name = name.to_ascii_lowercase();
        let parent = || name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(&*name).or_else(|| self.wildcard.get(parent()?))
    }
}

fn stamps(files: &[CertificateFiles]) -> Vec<Option<Stamp>> {
    files.iter().flat_map(|files| [stamp(&files.cert), stamp(&files.key)]).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let meta = fs::metadata(file).ok()?;
    let changed = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    Some((meta.dev(), meta.ino(), meta.size(), changed))
}
