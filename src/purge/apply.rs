//! Purges of the log that a node follows: journaled with the position they bring it to, published,
//! seen by every event loop.
//!
//! Invariants: the position moves only once all of that is so; it moves by one task alone.

use super::commit::on_thread;
use super::{Followed, JournalError, Purger};
use crate::object::{LogNumbers, LogSequence, Position, PurgeCommand, PurgeKind, PurgeRule};

/// Where a node stands in the log that it follows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// The last entry applied; `None` before the first contact.
    pub(super) position: Option<Position>,
    /// The last number that the control plane has told of.
    pub(super) head: u64,
}

/// A purge as the sites in use resolve it, and its kind.
type Resolved = (Option<PurgeRule>, PurgeKind);

impl Purger {
    /// Applies purges, which bring the node to `position`: those of entries that follow each other,
    /// or those that stand for all up to there. Before it moves, `told` is told which of them name
    /// something here.
    ///
    /// # Errors
    /// The journal's: what was applied of them holds, the position has not moved, and the same may
    /// be applied again.
    pub(super) async fn apply(
        &self,
        commands: &[&PurgeCommand],
        position: Position,
        serves: bool,
        told: impl FnOnce(&[bool]),
    ) -> Result<(), String> {
        let named = self.publish_followed(commands, Followed { position, serves }).await?;
        self.parts.barrier.pass().await;
        told(&named);
        self.stand_at(position);
        Ok(())
    }

    /// Journals and publishes purges, and once more what the sites resolve otherwise by then: what
    /// was stored under the new ones meanwhile is not known to the old rules. Tells which of them
    /// named something, by the sites of before or of now.
    async fn publish_followed(
        &self,
        commands: &[&PurgeCommand],
        followed: Followed,
    ) -> Result<Vec<bool>, String> {
        let mut named = vec![false; commands.len()];
        loop {
            let resolved = self.resolve_all(commands);
            let (rules, again) = (self.rules(), resolved.clone());
            let follow = move |journal: &mut super::Journal| journal.follow(&again, followed);
            self.make_way(followed.position, resolved.len() as u64).await?;
            let first = self.journal_or_else(follow, rules.head().number + 1).await?;
            // Ahead of the rules: until the last of them holds, nothing is said to reflect them.
            self.number(followed.position, first + resolved.len() as u64 - 1);
            for ((number, (rule, kind)), named) in (first..).zip(&resolved).zip(&mut named) {
                *named |= rule.is_some();
                rules.publish(rule.as_ref(), *kind, number);
            }
            let frees = |(rule, kind): &Resolved| rule.is_some() && *kind == PurgeKind::Hard;
            self.sweep_behind(resolved.iter().any(frees));
            if self.resolve_all(commands) == resolved {
                return self.compact_if_long().await.map(|()| named);
            }
        }
    }

    /// Goes on with another log, from `position`: whatever is stored may be purged.
    ///
    /// # Errors
    /// The journal's: nothing has changed.
    pub(super) async fn distrust(&self, position: Position, serves: bool) -> Result<(), String> {
        let followed = Followed { position, serves };
        let distrust = move |journal: &mut super::Journal| journal.distrust(followed);
        let rules = self.rules();
        self.make_way(position, 1).await?;
        let number = self.journal_or_else(distrust, rules.head().number + 1).await?;
        self.number(position, number);
        rules.distrust(number);
        self.parts.barrier.pass().await;
        self.stand_at(position);
        self.compact_if_long().await
    }

    /// The log's `position` has the number `here` on this node.
    pub(super) fn number(&self, position: Position, here: u64) {
        if !self.runs_on(position, here) {
            let since = LogSequence { log: position.log, number: position.number };
            self.rules().set_numbers(LogNumbers { since, here });
        }
    }

    /// Whether the log's `position` has the number `here` already.
    fn runs_on(&self, position: Position, here: u64) -> bool {
        let since = LogSequence { log: position.log, number: position.number };
        self.rules().numbers().is_some_and(|numbers| numbers.stamp(here) == since)
    }

    /// Where `count` purges that bring the node to `position` are numbered otherwise than it was
    /// told: puts them above every number that was given meanwhile.
    async fn make_way(&self, position: Position, count: u64) -> Result<(), String> {
        let rules = self.rules();
        let head = rules.head().number;
        if self.runs_on(position, head + count) {
            return Ok(());
        }
        let given = rules.withdraw_numbers();
        if given > head {
            self.journal_or_else(move |journal| journal.skip_to(given), given).await?;
            rules.publish(None, PurgeKind::Hard, given);
        }
        Ok(())
    }

    /// What covers nothing here has a number all the same.
    fn resolve_all(&self, commands: &[&PurgeCommand]) -> Vec<Resolved> {
        let resolve = |command: &&PurgeCommand| {
            let named = (self.parts.resolve)(command);
            (named.ok().map(|named| named.rule), command.kind)
        };
        commands.iter().map(resolve).collect()
    }

    /// The number that the journal gives; `unjournaled` where there is none.
    async fn journal_or_else(
        &self,
        act: impl FnOnce(&mut super::Journal) -> Result<u64, JournalError> + Send + 'static,
        unjournaled: u64,
    ) -> Result<u64, String> {
        match &self.journal {
            Some(journal) => on_thread(journal, act).await,
            None => Ok(unjournaled),
        }
    }

    async fn compact_if_long(&self) -> Result<(), String> {
        if let Some(journal) = &self.journal
            && on_thread(journal, |journal| Ok(journal.is_long())).await?
        {
            self.compact(journal).await;
        }
        Ok(())
    }

    fn stand_at(&self, position: Position) {
        let number = self.rules().head().number;
        self.following.send_modify(|standing| {
            standing.position = Some(position);
            standing.head = standing.head.max(position.number);
        });
        self.applied.send_replace(number);
    }
}
