//! Repeats purges, for origins that are not consistent at once: what a node fetched right after a
//! purge may have come from a part of the origin that did not know of the change yet.
//!
//! A repeat is for a lone node: it is numbered, journaled and told like any purge, by whom asked
//! for the first. It survives nothing: one that waits when the process ends is not made up for.

use std::sync::Arc;

use super::{Asked, Purger};
use crate::object::PurgeCommand;

/// Purges that may wait for their repeat.
pub(super) const REPEATS_MAX: usize = 65_536;

impl Purger {
    /// Has purges that were just published come again after `purge.settle`, once, if there is room
    /// for them to wait. Runs on a runtime.
    pub(super) fn repeat_later(self: &Arc<Self>, commands: Vec<PurgeCommand>, asked: Asked) {
        let settle = self.parts.config.settle;
        let count = u32::try_from(commands.len()).unwrap_or(u32::MAX);
        let Ok(room) = self.repeats.clone().try_acquire_many_owned(count) else {
            return tracing::warn!(count, "too many purges wait for their repeat; these have none");
        };
        let purger = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(settle).await;
            if let Some(purger) = purger.upgrade() {
                purger.repeat(&commands, asked).await;
            }
            drop(room);
        });
    }

    async fn repeat(self: &Arc<Self>, commands: &[PurgeCommand], asked: Asked) {
        let since = (self.parts.clock)();
        let at = asked.at + since.saturating_duration_since(asked.since);
        match self.append(commands, &Asked { at, since, ..asked }, true).await {
            Ok(receipts) => {
                for receipt in receipts {
                    let (number, by) = (receipt.sequence.number, &receipt.by);
                    let (kind, value) = (receipt.command.target.kind(), &receipt.command.value);
                    tracing::info!(number, by, kind, value, "purged again");
                }
            }
            Err(refused) => tracing::error!(%refused, "purges were not repeated"),
        }
    }
}
