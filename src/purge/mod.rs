//! Purges: the one entry for them, whoever asks.
//!
//! May use `store`, `object`, `net`, `config` and `telemetry`. Which stored responses a URL names
//! is told by a function from above, for the sites are not known here.
//!
//! ```text
//!  purge ── resolve all ── publish: rule, head ──► Ledger (pending) ──► barrier: every event loop
//!           or refuse                              and recent           has turned ──► acknowledge
//! ```
//!
//! Invariants: a list of purges is carried out whole or not at all; a purge is acknowledged only
//! when every event loop judges by it; what waits and what is remembered is bounded.
//!
//! The log lives in memory, as the store does: nothing that a rule could cover survives a restart,
//! so each start begins a log of a new identity.

mod barrier;
mod command;
mod fault;
mod ledger;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

pub use barrier::{Barrier, EventLoops};
pub use command::PurgeCommand;
pub use fault::{BATCH_MAX, PurgeFault, Refused};
pub use ledger::Receipt;

use self::ledger::Ledger;
use crate::object::{PurgeUrl, UrlKey};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// What a URL names on this node.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// What rules call it.
    pub key: UrlKey,
    /// The site that it belongs to.
    pub site: &'static str,
}

/// Resolves a URL by the sites in use; `None` if no site answers to its host.
pub type Resolve = Box<dyn Fn(&PurgeUrl) -> Option<Named> + Send + Sync>;

/// The parts of a [`Purger`].
pub struct PurgerParts {
    /// Holds the rules.
    pub store: Arc<Store>,
    /// What a URL names.
    pub resolve: Resolve,
    /// The event loops.
    pub barrier: Box<dyn Barrier>,
    /// Told how long purges take.
    pub metrics: Arc<Metrics>,
    /// The clock that receipts are measured by.
    pub clock: fn() -> Instant,
    /// Receipts that are remembered.
    pub recent_max: usize,
    /// Purges that may wait for the event loops.
    pub pending_max: usize,
}

/// Who asks for a purge, and when.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Name of the token's holder.
    pub by: String,
    /// Sites to which the token is limited; empty: all.
    pub sites: Vec<String>,
    /// By the calendar.
    pub at: SystemTime,
    /// By the clock of durations.
    pub since: Instant,
}

/// Carries purges out on a node that stands alone.
pub struct Purger {
    parts: PurgerParts,
    log: String,
    ledger: Mutex<Ledger>,
    /// The number up to which every event loop judges by the purges.
    applied: watch::Sender<u64>,
}

impl Purger {
    /// A purger with a log of a new identity.
    pub fn new(parts: PurgerParts) -> Arc<Self> {
        Arc::new(Self {
            log: format!("{:032x}", fastrand::u128(..)),
            ledger: Mutex::new(Ledger::new(parts.recent_max)),
            applied: watch::Sender::new(parts.store.rules().head().number),
            parts,
        })
    }

    /// Identity of the log.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Number of the last purge published.
    pub fn head(&self) -> u64 {
        self.parts.store.rules().head().number
    }

    /// Number of the last purge acknowledged: every event loop judges by it.
    pub fn position(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Purges, and waits up to `patience` until that has come through. What is still pending then
    /// goes on.
    ///
    /// Cancel safe: what was published is carried through whoever waits. Runs on a runtime.
    ///
    /// # Errors
    /// The first purge that cannot be carried out; none is then.
    pub async fn purge(
        self: &Arc<Self>,
        commands: Vec<PurgeCommand>,
        asked: Asked,
        patience: Duration,
    ) -> Result<Vec<Arc<Receipt>>, Refused> {
        let named = self.resolve(&commands, &asked)?;
        let receipts = self.publish(commands, &named, &asked)?;
        let last = receipts.last().map_or(0, |receipt| receipt.sequence.number);
        let mut applied = self.applied.subscribe();
        // Too late is told by the receipts: they are pending.
        let _late = timeout(patience, applied.wait_for(|number| *number >= last)).await.is_err();
        Ok(receipts)
    }

    /// The receipt of a recent purge.
    pub fn receipt(&self, number: u64) -> Option<Arc<Receipt>> {
        self.ledger.lock().get(number)
    }

    /// Up to `limit` recent receipts that `keep` wants, the newest first, from below `before` on;
    /// whether there are more.
    pub fn recent(
        &self,
        before: u64,
        limit: usize,
        keep: impl Fn(&Receipt) -> bool,
    ) -> (Vec<Arc<Receipt>>, bool) {
        self.ledger.lock().page(before, limit, keep)
    }

    fn resolve(&self, commands: &[PurgeCommand], asked: &Asked) -> Result<Vec<Named>, Refused> {
        let is_list = commands.len() > 1;
        let resolve = |(index, command)| {
            self.resolve_one(command, asked).map_err(|fault| match is_list {
                true => fault.at(index),
                false => fault.into(),
            })
        };
        commands.iter().enumerate().map(resolve).collect()
    }

    fn resolve_one(&self, command: &PurgeCommand, asked: &Asked) -> Result<Named, PurgeFault> {
        let named = (self.parts.resolve)(&command.url)
            .ok_or_else(|| PurgeFault::UnknownHost(command.url.host.clone()))?;
        if !asked.sites.is_empty() && asked.sites.iter().all(|site| site != named.site) {
            return Err(PurgeFault::OtherScope(named.site.to_owned()));
        }
        match &command.site {
            Some(site) if site != named.site => {
                Err(PurgeFault::OtherSite { actual: named.site.to_owned(), found: site.clone() })
            }
            _ => Ok(named),
        }
    }

    /// Publishes all rules in one go, so that receipts stand in the order of the log.
    fn publish(
        self: &Arc<Self>,
        commands: Vec<PurgeCommand>,
        named: &[Named],
        asked: &Asked,
    ) -> Result<Vec<Arc<Receipt>>, Refused> {
        let mut ledger = self.ledger.lock();
        if ledger.pending.len() + commands.len() > self.parts.pending_max.max(BATCH_MAX) {
            return Err(PurgeFault::Busy.into());
        }
        let publish = |(command, named): (PurgeCommand, &Named)| {
            let receipt = Arc::new(Receipt {
                sequence: self.parts.store.rules().publish(named.key, command.kind),
                command,
                site: named.site,
                by: asked.by.clone(),
                at: asked.at,
                since: asked.since,
                applied: OnceLock::new(),
            });
            ledger.add(receipt.clone());
            receipt
        };
        let receipts = commands.into_iter().zip(named).map(publish).collect();
        if !std::mem::replace(&mut ledger.is_carried, true) {
            tokio::spawn(self.clone().carry());
        }
        Ok(receipts)
    }

    /// Carries what is pending through the barrier, all that has gathered at a time, until nothing
    /// is.
    async fn carry(self: Arc<Self>) {
        while let Some(pending) = self.take_pending() {
            self.parts.barrier.pass().await;
            let now = (self.parts.clock)();
            for receipt in &pending {
                let took = now.saturating_duration_since(receipt.since);
                self.parts.metrics.purge_applied(took);
                // Only this task sets it, and takes each receipt once.
                let _again = receipt.applied.set(took).is_err();
            }
            let last = pending.last().map_or(0, |receipt| receipt.sequence.number);
            self.applied.send_replace(last);
        }
    }

    fn take_pending(&self) -> Option<Vec<Arc<Receipt>>> {
        let mut ledger = self.ledger.lock();
        let pending = std::mem::take(&mut ledger.pending);
        ledger.is_carried = !pending.is_empty();
        ledger.is_carried.then_some(pending)
    }
}

impl fmt::Debug for Purger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purger").field("log", &self.log).finish_non_exhaustive()
    }
}
