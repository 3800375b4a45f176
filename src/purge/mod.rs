//! Purges: the one entry for them, whoever asks.
//!
//! May use `store`, `object`, `net`, `config`, `telemetry` and `durable`. Which stored responses a
//! purge names is told by a function from above, for the sites are not known here.
//!
//! ```text
//!  purge ── resolve all ── journal ── publish: rule, head ──► Ledger (pending) ──► barrier: every
//!           or refuse      or refuse                          and recent           event loop has
//!                                                                                  turned
//!                                                                                  ──► acknowledge
//! ```
//!
//! Invariants: a list of purges is carried out whole or not at all; a purge is acknowledged only
//! when the journal holds it and every event loop judges by it; what waits and what is remembered
//! is bounded.
//!
//! Beside the promise, `sweep` frees in the background what is purged, `repeat` purges once more
//! where origins are not consistent at once, and `survey` tells what a purge would hit.
//!
//! A node whose stored responses survive a restart keeps a journal, so that its purges do too.
//! Where all is in memory nothing that a rule could cover survives, so there is none, and each
//! start begins a log of a new identity.

mod apply;
mod barrier;
mod commit;
mod fault;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod journal;
mod ledger;
mod repeat;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use barrier::{Barrier, EventLoops};
pub use fault::{PurgeFault, Refused};
pub use follow::{
    AskError, Beside, Figures, FollowParts, Follower, Incarnation, LeaveError, NodeFacts,
    Registered,
};
pub use journal::{Followed, Journal, JournalError, Restored};
pub use ledger::Receipt;

use self::apply::Standing;
use self::ledger::{Batch, Ledger, Receipts};
use self::repeat::REPEATS_MAX;
use self::sweep::{Sweep, Sweeper};
use crate::config::purge::Purge as PurgeConfig;
use crate::object::{LogId, Position, PurgeCommand, PurgeRule};
use crate::store::{Rules, Store};
use crate::telemetry::metrics::Metrics;

/// What a purge names on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it covers.
    pub rule: PurgeRule,
    /// The one site that it is of; `None` if it may be of several.
    pub site: Option<&'static str>,
}

/// Resolves a purge by the sites in use.
pub type Resolve = Box<dyn Fn(&PurgeCommand) -> Result<Named, PurgeFault> + Send + Sync>;

/// The parts of a [`Purger`].
pub struct PurgerParts {
    /// Holds the rules; those of the journal are restored.
    pub store: Arc<Store>,
    /// Where purges are made durable; none where nothing stored survives a restart.
    pub journal: Option<SharedJournal>,
    /// What a purge names.
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
    /// Whether the node follows the log of a control plane; how far the journal says it has come.
    pub follows: Option<Option<Followed>>,
    /// What a purge does beyond the promise.
    pub config: PurgeConfig,
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

/// A journal, for one task at a time, on threads that may block.
pub type SharedJournal = Arc<Mutex<Journal>>;

/// Carries purges out on a node that stands alone.
pub struct Purger {
    parts: PurgerParts,
    log: String,
    journal: Option<SharedJournal>,
    ledger: Mutex<Ledger>,
    /// The number up to which every event loop judges by the purges.
    applied: watch::Sender<u64>,
    /// Whether purges come from a control plane alone.
    is_following: bool,
    following: watch::Sender<Standing>,
    /// None where what is purged goes only when room is needed.
    sweep: Option<Sweep>,
    /// Purges for whose repeat there is room.
    repeats: Arc<Semaphore>,
    /// One survey at a time.
    survey: Arc<Semaphore>,
}

impl Purger {
    /// A purger that goes on with the journal's log, or begins one of a new identity.
    ///
    /// # Panics
    /// If the store's rules are not those that the journal was opened with.
    pub fn new(mut parts: PurgerParts) -> Arc<Self> {
        let journal = parts.journal.take();
        let head = parts.store.rules().head().number;
        if let Some(journal) = &journal {
            assert_eq!(journal.lock().head(), head, "the journal's rules are restored first");
        }
        let identity = journal
            .as_ref()
            .map_or_else(|| fastrand::u128(..), |journal| journal.lock().identity());
        let purger = Arc::new(Self {
            log: format!("{identity:032x}"),
            journal,
            ledger: Mutex::new(Ledger::new(parts.recent_max)),
            applied: watch::Sender::new(head),
            is_following: parts.follows.is_some(),
            following: watch::Sender::new(Standing {
                position: parts.follows.flatten().map(|followed| followed.position),
                head: parts.follows.flatten().map_or(0, |followed| followed.position.number),
            }),
            sweep: sweep(&parts),
            repeats: Arc::new(Semaphore::new(REPEATS_MAX)),
            survey: Arc::new(Semaphore::new(1)),
            parts,
        });
        match purger.parts.follows {
            // Its own log is the row of its numbers.
            None => purger.number(Position::start(LogId(identity)), 0),
            Some(Some(followed)) => purger.number(followed.position, head),
            Some(None) => {}
        }
        purger
    }

    /// Identity of the log that is applied here: the node's own, or the one it follows.
    pub fn log(&self) -> String {
        match (self.is_following, self.standing().position) {
            (false, _) => self.log.clone(),
            (true, Some(position)) => position.log.to_string(),
            (true, None) => String::new(),
        }
    }

    /// Number of the last purge of that log, as far as it is known here.
    pub fn head(&self) -> u64 {
        match self.is_following {
            true => self.standing().head,
            false => self.rules().head().number,
        }
    }

    /// Number of the last purge acknowledged: every event loop judges by it.
    pub fn position(&self) -> u64 {
        match self.is_following {
            true => self.standing().position.map_or(0, |position| position.number),
            false => *self.applied.borrow(),
        }
    }

    /// Where the node stands in the log that it follows.
    fn standing(&self) -> Standing {
        *self.following.borrow()
    }

    fn subscribe(&self) -> watch::Receiver<Standing> {
        self.following.subscribe()
    }

    /// The control plane's log goes as far as this.
    fn told_of(&self, head: u64) {
        self.following.send_modify(|standing| standing.head = head);
    }

    /// What was followed is no log any more.
    fn forget_position(&self) {
        self.following.send_modify(|standing| standing.position = None);
    }

    fn rules(&self) -> &Rules {
        self.parts.store.rules()
    }

    /// Purges, and waits up to `patience` until that has come through. What is still pending then
    /// goes on. The wait for the journal is apart: there is no receipt before it.
    ///
    /// Cancel safe: what was accepted is carried through whoever waits. Runs on a runtime.
    ///
    /// # Errors
    /// The first purge that cannot be carried out, or what keeps all from it; none is then.
    pub async fn purge(
        self: &Arc<Self>,
        commands: Vec<PurgeCommand>,
        asked: Asked,
        patience: Duration,
    ) -> Result<Vec<Arc<Receipt>>, Refused> {
        if self.is_following {
            return Err(PurgeFault::Follower.into());
        }
        let receipts = self.append(&commands, &asked, false).await?;
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

    /// Purges, without the wait for the event loops.
    async fn append(
        self: &Arc<Self>,
        commands: &[PurgeCommand],
        asked: &Asked,
        is_repeat: bool,
    ) -> Result<Receipts, Refused> {
        loop {
            let named = self.resolve(commands, asked)?;
            let purges = commands.iter().cloned().zip(named.iter().cloned()).collect();
            let batch = Batch { purges, asked: asked.clone(), is_repeat };
            let receipts = self.accept(batch).await?;
            // Sites that changed meanwhile may have begun to store what the rules do not know.
            if self.resolve(commands, asked).is_ok_and(|again| again == named) {
                return Ok(receipts);
            }
        }
    }

    /// Has what purges cover be freed, where one of those just published is hard.
    fn sweep_behind(&self, is_hard: bool) {
        if let Some(sweep) = self.sweep.as_ref().filter(|_| is_hard) {
            sweep.ask();
        }
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
        let named = (self.parts.resolve)(command)?;
        match named.site {
            _ if asked.sites.is_empty() => Ok(named),
            None => Err(PurgeFault::NoScope),
            Some(site) if asked.sites.iter().any(|scope| scope == site) => Ok(named),
            Some(site) => Err(PurgeFault::OtherScope(site.to_owned())),
        }
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

/// The sweep, if there is to be one.
fn sweep(parts: &PurgerParts) -> Option<Sweep> {
    let sweeper = Sweeper {
        store: parts.store.clone(),
        metrics: parts.metrics.clone(),
        clock: parts.clock,
        rate: parts.config.sweep as u64,
    };
    if sweeper.rate == 0 {
        return None;
    }
    let started = Sweep::start(sweeper);
    started.inspect_err(|error| tracing::error!(%error, "what is purged is not swept")).ok()
}

impl fmt::Debug for Purger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purger").field("log", &self.log).finish_non_exhaustive()
    }
}
