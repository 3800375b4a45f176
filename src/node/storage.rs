//! The tiers of a node, and the journal of the purges that they reflect.
//!
//! The folder is held before anything in it is opened. What is stored survives a restart only
//! together with the purges: a journal that was lost or damaged is one of another identity, and the
//! store empties itself.

use super::{StartError, generations, identity};
use crate::config::cache::{Cache, Disk};
use crate::config::purge::Purge;
use crate::purge::{Followed, Journal};
use crate::store::{
    self, CacheDirectory, DiskConfig, OpenError, RuleBounds, Rules, Store, StoreLimits, StoreReport,
};
use crate::telemetry::metrics::Metrics;

/// Name of the journal in the cache folder.
const JOURNAL: &str = "purges.journal";

/// The store that the config asks for; with a disk tier, the journal of its purges, and how far
/// that has come in the log that the node follows.
pub(super) fn open(
    cache: &Cache,
    purge: &Purge,
    metrics: &Metrics,
) -> Result<(Store, Option<Journal>, Option<Followed>), StartError> {
    let rules = RuleBounds { rules: purge.rules, wildcards: purge.wildcards };
    let limits = StoreLimits { memory: cache.memory.0, variants: cache.variants, rules };
    let Some(disk) = &cache.disk else { return Ok((Store::new(limits), None, None)) };
    let directory = CacheDirectory::open(&disk.path)?;
    let (journal, restored) = Journal::open(&disk.path.join(JOURNAL), purge.rules)?;
    let rules = Rules::new(rules);
    rules.restore(restored.head, restored.rules);
    let store =
        Store::open(limits, rules, directory, &disk_config(disk, metrics), restored.identity)?;
    Ok((store, Some(journal), restored.followed))
}

/// Looks at all that a cache folder holds, while no node uses it, and changes nothing.
///
/// # Errors
/// It is in use, or holds no store, or cannot be read.
pub fn verify(disk: &Disk) -> Result<StoreReport, OpenError> {
    let directory = CacheDirectory::hold(&disk.path)?;
    let mut report = store::verify(&directory, &[JOURNAL, generations::NAME, identity::NAME])?;
    match Journal::inspect(&disk.path.join(JOURNAL)) {
        Ok(Ok(restored)) if restored.identity == report.log => {}
        Ok(Ok(_)) => report.damaged(JOURNAL, "it is of another log than the store"),
        Ok(Err(damage)) => report.damaged(JOURNAL, &damage),
        Err(error) => report.damaged(JOURNAL, &error.to_string()),
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
