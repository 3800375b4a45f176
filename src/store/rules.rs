//! Purge rules: a purge is one entry here, whatever number of responses it covers.
//!
//! A rule has the number of its purge in the ordered log, and covers every response whose own
//! sequence is lower: one whose fetch had begun before the purge. A look-up compares two integers,
//! [`ObjectHead::checked`] and the head; only where they differ are the rules asked, once.
//!
//! ```text
//!  publish: rule into the map ─► head (release)
//!  judge:   head (acquire) ─► map ─► checked = head
//! ```
//!
//! The table is bounded. When it is full, all of its rules become one rule over everything: more is
//! purged than was asked for, never less.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::object::{KeyHasher, ObjectHead, PurgeKind, PurgeState, Purged, Sequence, UrlKey};

/// The rules of one node.
#[derive(Debug)]
pub struct Rules {
    head: AtomicU64,
    table: RwLock<Table>,
    bound: usize,
}

#[derive(Debug, Default)]
struct Table {
    urls: HashMap<UrlKey, Purged, KeyHasher>,
    everything: Purged,
}

impl Rules {
    /// No rules, and room for `bound` of them.
    pub fn new(bound: usize) -> Self {
        Self { head: AtomicU64::new(0), table: RwLock::default(), bound }
    }

    /// The position in the log that is applied here. A fetch that begins now reflects it.
    pub fn head(&self) -> Sequence {
        Sequence { number: self.head.load(Ordering::Acquire) }
    }

    /// Adds the purge `number`, which is above the head.
    pub fn publish(&self, url: UrlKey, kind: PurgeKind, number: u64) {
        let mut table = self.table.write();
        debug_assert!(number > self.head.load(Ordering::Acquire), "purges are published in order");
        let mut rule = Purged::default();
        rule.raise(kind, number);
        table.raise(url, rule, self.bound);
        self.head.store(number, Ordering::Release);
    }

    /// Takes over what a journal kept: `rules` in the order in which they were published, the same
    /// URL maybe more than once, and what covers `everything`. Before anything is looked up.
    pub fn restore(
        &self,
        head: u64,
        rules: impl IntoIterator<Item = (UrlKey, Purged)>,
        everything: Purged,
    ) {
        let mut table = self.table.write();
        *table = Table { everything, ..Table::default() };
        for (url, rule) in rules {
            table.raise(url, rule, self.bound);
        }
        self.head.store(head, Ordering::Release);
    }

    /// What [`Self::restore`] takes, as of one moment: head, rules, and what covers everything.
    pub fn snapshot(&self) -> (u64, Vec<(UrlKey, Purged)>, Purged) {
        let table = self.table.read();
        let rules = table.urls.iter().map(|(url, rule)| (*url, *rule)).collect();
        (self.head.load(Ordering::Acquire), rules, table.everything)
    }

    /// Whether a purge covers a response; `urls` names it, and is asked only where it must be.
    pub fn judge(&self, stored: &ObjectHead, urls: impl FnOnce() -> [UrlKey; 2]) -> PurgeState {
        let head = self.head.load(Ordering::Acquire);
        if stored.checked() >= head {
            return PurgeState::Clean;
        }
        let state = self.state_since(stored.sequence, urls);
        if state == PurgeState::Clean {
            stored.set_checked(head);
        }
        state
    }

    /// Whether a purge later than `sequence` covers `urls`.
    pub fn state_since(
        &self,
        sequence: Sequence,
        urls: impl FnOnce() -> [UrlKey; 2],
    ) -> PurgeState {
        if sequence >= self.head() {
            return PurgeState::Clean;
        }
        let table = self.table.read();
        let rules = urls().map(|url| table.urls.get(&url).copied().unwrap_or_default());
        let purged = table.everything.or(rules[0]).or(rules[1]);
        if purged.hard > sequence.number {
            PurgeState::Hard
        } else if purged.soft > sequence.number {
            PurgeState::Soft
        } else {
            PurgeState::Clean
        }
    }
}

impl Table {
    /// Adds to the rule of `url`; makes room first if there are `bound` others.
    fn raise(&mut self, url: UrlKey, rule: Purged, bound: usize) {
        if self.urls.len() >= bound && !self.urls.contains_key(&url) {
            let everything = self.everything;
            self.everything = self.urls.drain().fold(everything, |all, (_, rule)| all.or(rule));
        }
        let known = self.urls.entry(url).or_default();
        *known = known.or(rule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(path: &str) -> [UrlKey; 2] {
        [UrlKey::any_query(b"h", path.as_bytes()), UrlKey::exact(b"h", path.as_bytes(), None)]
    }

    fn state(rules: &Rules, since: u64, path: &str) -> PurgeState {
        rules.state_since(Sequence { number: since }, || urls(path))
    }

    #[test]
    fn a_rule_covers_what_was_fetched_before_it() {
        let rules = Rules::new(9);
        assert_eq!(state(&rules, 0, "/a"), PurgeState::Clean);
        rules.publish(urls("/a")[0], PurgeKind::Hard, 1);
        assert_eq!(rules.head(), Sequence { number: 1 });
        assert_eq!(state(&rules, 0, "/a"), PurgeState::Hard);
        assert_eq!(state(&rules, 1, "/a"), PurgeState::Clean);
        assert_eq!(state(&rules, 0, "/b"), PurgeState::Clean);
    }

    #[test]
    fn a_soft_rule_never_hides_a_hard_one() {
        let rules = Rules::new(9);
        rules.publish(urls("/a")[0], PurgeKind::Hard, 1);
        rules.publish(urls("/a")[0], PurgeKind::Soft, 2);
        assert_eq!(state(&rules, 0, "/a"), PurgeState::Hard);
        assert_eq!(state(&rules, 1, "/a"), PurgeState::Soft);
    }

    #[test]
    fn a_full_table_purges_more_and_never_less() {
        let rules = Rules::new(2);
        full(&rules);
        assert_full(&rules);
    }

    #[test]
    fn what_a_snapshot_holds_is_restored() {
        let rules = Rules::new(2);
        full(&rules);
        let (head, kept, everything) = rules.snapshot();
        assert_eq!((head, kept.len(), everything), (3, 1, Purged { hard: 1, soft: 2 }));
        let restored = Rules::new(2);
        restored.restore(head, kept, everything);
        assert_full(&restored);
        assert_eq!(restored.head(), rules.head());
    }

    #[test]
    fn restored_rules_overflow_as_published_ones_do() {
        let rule = |path, hard, soft| (urls(path)[0], Purged { hard, soft });
        let rules = Rules::new(2);
        let kept = [rule("/a", 1, 0), rule("/b", 0, 2), rule("/c", 0, 3)];
        rules.restore(3, kept, Purged::default());
        assert_full(&rules);
    }

    /// Three rules in a table of two.
    fn full(rules: &Rules) {
        rules.publish(urls("/a")[0], PurgeKind::Hard, 1);
        rules.publish(urls("/b")[0], PurgeKind::Soft, 2);
        rules.publish(urls("/c")[0], PurgeKind::Soft, 3);
    }

    fn assert_full(rules: &Rules) {
        assert_eq!(state(rules, 0, "/a"), PurgeState::Hard);
        assert_eq!(state(rules, 1, "/b"), PurgeState::Soft);
        assert_eq!(state(rules, 2, "/c"), PurgeState::Soft);
        assert_eq!(state(rules, 0, "/other"), PurgeState::Hard);
        assert_eq!(state(rules, 3, "/other"), PurgeState::Clean);
    }
}
