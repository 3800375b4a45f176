//! What of a log outlives its home: what a backup keeps, and what a restore brings back under a new
//! identity.

use std::sync::Arc;

use super::{LogError, Logged, PurgeLog};
use crate::object::{LogId, Position, PurgeCommand};

/// How often what moved meanwhile is looked at again.
const TRIES: usize = 16;

/// The entries of a log that are kept, and the purges from before that still matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What the first entry follows.
    pub base: Position,
    /// Purges with their numbers, as in a snapshot; they may reflect the entries.
    pub rules: Vec<(u64, PurgeCommand)>,
    /// In their order.
    pub entries: Vec<Arc<Logged>>,
}

impl Kept {
    /// What a log keeps.
    ///
    /// # Errors
    /// The log's; [`LogError::Busy`] where it moves all the time.
    pub async fn of(log: &dyn PurgeLog) -> Result<Self, LogError> {
        for _ in 0..TRIES {
            let snapshot = log.snapshot().await?;
            let entries = log.recent(usize::MAX).await?;
            let base = match entries.first() {
                Some(first) => {
                    let (number, hash) = (first.first - 1, first.previous);
                    Position { number, hash, ..snapshot.at }
                }
                None => snapshot.at,
            };
            let kept = Self { base, rules: snapshot.commands, entries };
            if kept.head() == snapshot.at {
                return Ok(kept);
            }
        }
        Err(LogError::Busy)
    }

    /// How far it goes.
    pub fn head(&self) -> Position {
        self.entries.last().map_or(self.base, |last| last.position(self.base.log))
    }

    /// Whether nothing was ever purged.
    pub fn is_empty(&self) -> bool {
        self.head().number == 0
    }

    /// The same as a log of another identity: whoever has followed the one it was proves nothing
    /// by that.
    pub fn under(self, log: LogId) -> Self {
        Self { base: Position { log, ..self.base }, ..self }
    }
}
