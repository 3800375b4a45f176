//! What a home keeps of its log in memory: pure.
//!
//! ```text
//!  0 ────────── hashes alone ────────── base ────── entries ────── head
//!  │←────────── trail, bounded ──────────→│←──── bounded ────→│
//!  │←──────────────────── folded, bounded ────────────────────→│
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::folded::{Folded, weight};
use super::{Entries, Logged, Snapshot};
use crate::object::{EntryHash, Position, PurgeCommand};

/// Hashes that are kept of entries that are not: how far behind a node may be and still be told
/// what it missed, and not that everything may be purged.
const TRAIL_MAX: usize = 65_536;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Purges within entries, long ones counted as several.
    pub(super) entries: usize,
    /// Purges that are folded, counted in the same way.
    pub(super) rules: usize,
}

/// What is known of a log.
#[derive(Debug)]
pub(super) struct History {
    bounds: Bounds,
    /// Ends of entries that are not kept, the oldest first, and at last that before the first kept
    /// one.
    trail: VecDeque<(u64, EntryHash)>,
    entries: VecDeque<Arc<Logged>>,
    /// Of all purges in the entries.
    weight: usize,
    folded: Folded,
    head: Position,
}

impl History {
    /// A history that begins at the end of `trail`, where `rules` are the purges that matter; the
    /// entries behind it are pushed, whether `rules` reflects them or not.
    pub(super) fn new(
        bounds: Bounds,
        base: Position,
        trail: impl IntoIterator<Item = (u64, EntryHash)>,
        rules: &[(u64, PurgeCommand)],
    ) -> Self {
        let mut folded = Folded::new(bounds.rules);
        rules.iter().for_each(|(number, command)| folded.fold(*number, command));
        let mut trail: VecDeque<_> = trail.into_iter().collect();
        if trail.back() != Some(&(base.number, base.hash)) {
            trail.push_back((base.number, base.hash));
        }
        Self { bounds, trail, entries: VecDeque::new(), weight: 0, folded, head: base }
    }

    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// The position before the first entry that is kept.
    pub(super) fn base(&self) -> Position {
        let (number, hash) = self.trail.back().copied().unwrap_or((0, self.head.hash));
        Position { log: self.head.log, number, hash }
    }

    pub(super) fn trail(&self) -> impl ExactSizeIterator<Item = (u64, EntryHash)> {
        self.trail.iter().copied()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Logged>> {
        self.entries.iter()
    }

    /// Goes on by one entry.
    ///
    /// # Panics
    /// If it does not follow the last.
    pub(super) fn push(&mut self, entry: Arc<Logged>) {
        let follows = entry.first == self.head.number + 1 && entry.previous == self.head.hash;
        assert!(follows, "entries come in the order of the log");
        for (number, command) in (entry.first..).zip(&entry.commands) {
            self.folded.fold(number, command);
            self.weight += weight(command);
        }
        self.head = entry.position(self.head.log);
        self.entries.push_back(entry);
        while self.weight > self.bounds.entries && self.entries.len() > 1 {
            self.forget();
        }
    }

    /// Up to `max` entries behind the purge `after`.
    pub(super) fn read(&self, after: u64, max: usize) -> Entries {
        let from = self.entries.partition_point(|entry| entry.last() <= after);
        let first = self.entries.get(from).map_or(self.head.number, |entry| entry.first - 1);
        let entries = self.entries.range(from..).take(max).cloned();
        (first == after).then(|| entries.collect())
    }

    /// The last `max` entries that are kept.
    pub(super) fn recent(&self, max: usize) -> Vec<Arc<Logged>> {
        self.entries.range(self.entries.len().saturating_sub(max)..).cloned().collect()
    }

    pub(super) fn hash_at(&self, number: u64) -> Option<EntryHash> {
        if let Ok(at) = self.trail.binary_search_by_key(&number, |(end, _)| *end) {
            return self.trail.get(at).map(|(_, hash)| *hash);
        }
        let at = self.entries.binary_search_by_key(&number, |entry| entry.last());
        self.entries.get(at.ok()?).map(|entry| entry.hash())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { at: self.head, commands: self.folded.commands() }
    }

    /// Keeps only the hash of the oldest entry.
    fn forget(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.weight -= entry.commands.iter().map(weight).sum::<usize>();
        self.trail.push_back((entry.last(), entry.hash()));
        if self.trail.len() > TRAIL_MAX {
            self.trail.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
