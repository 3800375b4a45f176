//! From a purge that is accepted to one that is published: behind the journal, where there is one.
//!
//! ```text
//!                        ┌─ no journal ───────────────────────────────────────┐
//!  accept ── room? ──────┤                                                    ├─► publish ─► told
//!                        └─► Ledger (accepted) ─► one append of all that came ─┘
//!                            meanwhile, on a thread that may block ── failed ────► refused
//! ```
//!
//! Invariants: no rule is published that the journal does not hold; whoever gives numbers is alone:
//! the one task that records or, without a journal, the holder of the ledger's lock.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ledger::{Accepted, Batch, Ledger, Receipts};
use super::{Journal, JournalError, Named, PurgeFault, Purger, Receipt};
use crate::net::worker::off_loop;
use crate::object::{BATCH_MAX, PurgeCommand, PurgeKind, Sequence};

/// How long a purge waits for the journal. A disk that takes longer has failed.
const JOURNAL_TIMEOUT: Duration = Duration::from_secs(10);

impl Purger {
    /// Publishes a batch, and returns its receipts.
    ///
    /// Cancel safe: what was accepted is carried out or refused whoever waits.
    pub(super) async fn accept(self: &Arc<Self>, batch: Batch) -> Result<Receipts, PurgeFault> {
        let answer = {
            let mut ledger = self.ledger.lock();
            let waiting = ledger.waiting() + batch.purges.len();
            if waiting > self.parts.pending_max.max(BATCH_MAX) {
                return Err(PurgeFault::Busy);
            }
            let Some(journal) = &self.journal else {
                return Ok(self.publish(&mut ledger, batch, self.head() + 1));
            };
            let (told, answer) = oneshot::channel();
            ledger.accepted.push(Accepted { batch, told });
            if !std::mem::replace(&mut ledger.is_recorded, true) {
                tokio::spawn(self.clone().record(journal.clone()));
            }
            answer
        };
        // The answer fails to come only where the runtime ends.
        let answer = timeout(JOURNAL_TIMEOUT, answer).await;
        answer.ok().and_then(Result::ok).unwrap_or(Err(PurgeFault::JournalLate))
    }

    /// Journals and publishes what is accepted, all that has gathered at a time, until nothing is.
    async fn record(self: Arc<Self>, journal: Arc<Mutex<Journal>>) {
        while let Some(accepted) = self.take_accepted() {
            let purges = accepted.iter().flat_map(|accepted| &accepted.batch.purges);
            let purges: Vec<_> =
                purges.map(|(command, named)| (Some(named.rule.clone()), command.kind)).collect();
            let append = move |journal: &mut Journal| {
                journal.append(&purges).map(|first| (first, journal.is_long()))
            };
            match on_thread(&journal, append).await {
                Ok((first, is_long)) => {
                    self.publish_all(accepted, first);
                    if is_long {
                        self.compact(&journal).await;
                    }
                }
                Err(error) => {
                    tracing::error!("purges are refused: {error}");
                    for Accepted { told, .. } in accepted {
                        let refused = Err(PurgeFault::Journal(error.clone()));
                        let _left = told.send(refused).is_err();
                    }
                }
            }
        }
    }

    fn take_accepted(&self) -> Option<Vec<Accepted>> {
        let mut ledger = self.ledger.lock();
        let accepted = std::mem::take(&mut ledger.accepted);
        ledger.is_recorded = !accepted.is_empty();
        ledger.is_recorded.then_some(accepted)
    }

    fn publish_all(self: &Arc<Self>, accepted: Vec<Accepted>, mut first: u64) {
        for Accepted { batch, told } in accepted {
            let count = batch.purges.len() as u64;
            let receipts = self.publish(&mut self.ledger.lock(), batch, first);
            let _left = told.send(Ok(receipts)).is_err();
            first += count;
        }
    }

    /// Publishes a batch, its purges numbered from `first`, so that receipts stand in the order of
    /// the log.
    fn publish(self: &Arc<Self>, ledger: &mut Ledger, batch: Batch, first: u64) -> Receipts {
        let Batch { purges, asked, is_repeat } = batch;
        let is_hard = purges.iter().any(|(command, _)| command.kind == PurgeKind::Hard);
        if !is_repeat && !self.parts.config.settle.is_zero() {
            let commands = purges.iter().map(|(command, _)| command.clone()).collect();
            self.repeat_later(commands, asked.clone());
        }
        let publish = |(number, (command, named)): (u64, (PurgeCommand, Named))| {
            self.parts.store.rules().publish(Some(&named.rule), command.kind, number);
            let receipt = Arc::new(Receipt {
                sequence: Sequence { number },
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
        let receipts = (first..).zip(purges).map(publish).collect();
        self.sweep_behind(is_hard);
        if !std::mem::replace(&mut ledger.is_carried, true) {
            tokio::spawn(self.clone().carry());
        }
        receipts
    }

    /// Nothing else is published meanwhile: the snapshot is of the journal's last purge.
    pub(super) async fn compact(&self, journal: &Arc<Mutex<Journal>>) {
        let store = self.parts.store.clone();
        let compact = move |journal: &mut Journal| {
            let (head, rules) = store.rules().snapshot();
            journal.compact(head, &rules)
        };
        if let Err(error) = on_thread(journal, compact).await {
            tracing::error!("the purge journal stays long: {error}");
        }
    }
}

/// Waits for the journal where that may block.
pub(super) async fn on_thread<T: Send + 'static>(
    journal: &Arc<Mutex<Journal>>,
    act: impl FnOnce(&mut Journal) -> Result<T, JournalError> + Send + 'static,
) -> Result<T, String> {
    let journal = journal.clone();
    match off_loop(move || act(&mut journal.lock())).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(format!("the journal's thread failed: {error}")),
    }
}
