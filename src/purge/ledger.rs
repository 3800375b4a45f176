//! The recent purges, those that some event loop may not have seen yet, and those that the journal
//! does not hold yet.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::{Asked, Named, PurgeFault};
use crate::object::{PurgeCommand, Sequence};

/// What became of one purge.
#[derive(Debug)]
pub struct Receipt {
    /// Its place in the log.
    pub sequence: Sequence,
    /// What was asked.
    pub command: PurgeCommand,
    /// The one site that it purges; `None` if it may be several.
    pub site: Option<&'static str>,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: SystemTime,
    pub(super) since: Instant,
    pub(super) applied: OnceLock<Duration>,
}

impl Receipt {
    /// How long it took until no event loop served what is purged; `None` while that is pending.
    pub fn applied(&self) -> Option<Duration> {
        self.applied.get().copied()
    }
}

/// Purges that came together and are carried out together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) purges: Vec<(PurgeCommand, Named)>,
    pub(super) asked: Asked,
    /// Whether they were purged before, and are not to come again.
    pub(super) is_repeat: bool,
}

/// A batch, and who waits for its receipts.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) batch: Batch,
    pub(super) told: oneshot::Sender<Result<Receipts, PurgeFault>>,
}

pub(super) type Receipts = Vec<Arc<Receipt>>;

/// Receipts in the order of the log, the newest last.
#[derive(Debug)]
pub(super) struct Ledger {
    recent: VecDeque<Arc<Receipt>>,
    recent_max: usize,
    pub(super) pending: Vec<Arc<Receipt>>,
    /// Whether somebody carries what is pending through the barrier.
    pub(super) is_carried: bool,
    /// For the journal, in the order in which they came.
    pub(super) accepted: Vec<Accepted>,
    /// Whether somebody journals what is accepted.
    pub(super) is_recorded: bool,
}

impl Ledger {
    pub(super) fn new(recent_max: usize) -> Self {
        Self {
            recent: VecDeque::new(),
            recent_max: recent_max.max(1),
            pending: Vec::new(),
            is_carried: false,
            accepted: Vec::new(),
            is_recorded: false,
        }
    }

    /// Purges that wait, for the journal or for the event loops.
    pub(super) fn waiting(&self) -> usize {
        let accepted = self.accepted.iter().map(|accepted| accepted.batch.purges.len());
        accepted.sum::<usize>() + self.pending.len()
    }

    pub(super) fn add(&mut self, receipt: Arc<Receipt>) {
        if self.recent.len() == self.recent_max {
            self.recent.pop_front();
        }
        self.recent.push_back(receipt.clone());
        self.pending.push(receipt);
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Receipt>> {
        let place = self.recent.binary_search_by_key(&number, |receipt| receipt.sequence.number);
        self.recent.get(place.ok()?).cloned()
    }

    /// Up to `limit` receipts that `keep` wants, the newest first, from below `before` on; whether
    /// there are more.
    pub(super) fn page(
        &self,
        before: u64,
        limit: usize,
        keep: impl Fn(&Receipt) -> bool,
    ) -> (Vec<Arc<Receipt>>, bool) {
        let newest_first = self.recent.iter().rev();
        let mut wanted =
            newest_first.filter(|receipt| receipt.sequence.number < before && keep(receipt));
        let page = wanted.by_ref().take(limit).cloned().collect();
        (page, wanted.next().is_some())
    }
}
