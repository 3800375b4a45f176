//! The tiers of a node, and the journal of the purges that they reflect.
//!
//! The folder is held before anything in it is opened. What is stored survives a restart only
//! together with the purges: a journal that was lost or damaged is one of another identity, and the
//! store empties itself. A disk that fails at the start is waited for: meanwhile all is in memory,
//! and purges are refused that could not survive beside what the disk may have.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::generations::{self, KeptGenerations};
use super::{StartError, identity, published};
use crate::config::Config;
use crate::config::cache::Disk;
use crate::purge::{Followed, Journal, SharedJournal};
use crate::store::{
    self, CacheDirectory, DiskConfig, KnownLog, OpenError, Others, RuleBounds, Rules, Store,
    StoreLimits, StoreReport,
};
use crate::telemetry::metrics::Metrics;

/// Name of the journal in the cache folder.
const JOURNAL: &str = "purges.journal";

/// Our files in the cache folder that are no part of the store, and what they begin with.
const OTHERS: Others = &[
    (JOURNAL, Journal::MAGIC),
    (generations::NAME, generations::TITLE.as_bytes()),
    (identity::NAME, identity::TITLE.as_bytes()),
    (published::NAME, published::TITLE.as_bytes()),
];

/// What outlives the process, and the store that it is for.
pub(super) struct Opened {
    pub(super) store: Store,
    /// Of the purges; with a disk tier.
    pub(super) journal: Option<SharedJournal>,
    /// How far that has come in the log that the node follows.
    pub(super) followed: Option<Followed>,
    /// Of the keys of the sites.
    pub(super) generations: Arc<Mutex<KeptGenerations>>,
}

/// Holds the cache folder, if the config has one, against every other process.
pub(super) fn hold(config: &Config) -> Result<Option<CacheDirectory>, StartError> {
    let disk = config.cache.disk.as_ref();
    Ok(disk.map(|disk| CacheDirectory::open_or_wait(&disk.path, OTHERS)).transpose()?)
}

/// What a node would refuse the cache folder at `path` for, if anything. Changes nothing.
pub fn unfit(path: &Path) -> Option<String> {
    match CacheDirectory::check(path, OTHERS) {
        Err(OpenError::Foreign { what, .. }) => Some(what),
        _ => None,
    }
}

/// The store that the config asks for in the folder that is held for it, and what is kept beside.
pub(super) fn open(
    config: &Config,
    directory: Option<CacheDirectory>,
    metrics: &Metrics,
) -> Result<Opened, StartError> {
    let Config { cache, purge, sites, .. } = config;
    let rules = RuleBounds { rules: purge.rules, wildcards: purge.wildcards };
    let limits = StoreLimits { memory: cache.memory.0, variants: cache.variants, rules };
    let Some((disk, directory)) = cache.disk.as_ref().zip(directory) else {
        let generations = Arc::new(Mutex::new(KeptGenerations::open(None, sites, false)?));
        let store = Store::new(limits);
        return Ok(Opened { store, journal: None, followed: None, generations });
    };
    let path = disk.path.join(JOURNAL);
    let has_store = directory.has_store();
    if has_store && !path.exists() {
        let path = path.display();
        tracing::warn!(%path, "there is no purge journal, so what is stored on disk is void");
    }
    let (journal, restored) = match directory.is_held() {
        true => Journal::open(&path, purge.rules)?,
        false => Journal::ahead(&path, purge.rules)?,
    };
    let journal = Arc::new(Mutex::new(journal));
    // Before the store takes what room there is.
    let generations = Arc::new(Mutex::new(KeptGenerations::open(Some(disk), sites, has_store)?));
    let kept = (journal.clone(), generations.clone());
    let keep = Box::new(move || {
        kept.0.lock().keep().map_err(|error| error.to_string())?;
        kept.1.lock().keep().map_err(|error| error.to_string())
    });
    let log = KnownLog { identity: restored.identity, keep };
    let rules = Rules::new(rules);
    rules.restore(restored.head, restored.rules);
    let store = Store::open(limits, rules, directory, &disk_config(disk, metrics), log)?;
    Ok(Opened { store, journal: Some(journal), followed: restored.followed, generations })
}

/// Looks at all that a cache folder holds, while no node uses it, and changes nothing.
///
/// # Errors
/// It is in use, or holds no store, or cannot be read.
pub fn verify(disk: &Disk) -> Result<StoreReport, OpenError> {
    let directory = CacheDirectory::hold(&disk.path)?;
    let known: Vec<_> = OTHERS.iter().map(|(name, _)| *name).collect();
    let mut report = store::verify(&directory, &known)?;
    match Journal::inspect(&disk.path.join(JOURNAL)) {
        Ok(Ok(restored)) if restored.identity == report.log => {}
        Ok(Ok(_)) => report.damaged(JOURNAL, "it is of another log than the store"),
        Ok(Err(damage)) => report.damaged(JOURNAL, &damage),
        Err(error) => report.damaged(JOURNAL, &error.to_string()),
    }
    let has_any = report.sums().records > 0;
    if let Some(damage) = generations::inspect(&disk.path).filter(|_| has_any) {
        report.damaged(generations::NAME, &damage);
    }
    Ok(report)
}

fn disk_config(disk: &Disk, metrics: &Metrics) -> DiskConfig {
    DiskConfig {
        size: disk.size.0,
        queue: disk.queue.0,
        readers: disk.readers,
        checkpoint: disk.checkpoint,
        scrub: disk.scrub.0.bytes(),
        errors: metrics.disk_errors().clone(),
    }
}
