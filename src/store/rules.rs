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

    /// Adds a purge as the next entry, and returns its sequence.
    pub fn publish(&self, url: UrlKey, kind: PurgeKind) -> Sequence {
        let mut table = self.table.write();
        let number = self.head.load(Ordering::Acquire) + 1;
        if table.urls.len() >= self.bound && !table.urls.contains_key(&url) {
            let everything = table.everything;
            table.everything = table.urls.drain().fold(everything, |all, (_, rule)| all.or(rule));
        }
        table.urls.entry(url).or_default().raise(kind, number);
        self.head.store(number, Ordering::Release);
        Sequence { number }
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
        let first = rules.publish(urls("/a")[0], PurgeKind::Hard);
        assert_eq!(first.number, 1);
        assert_eq!(rules.head(), first);
        assert_eq!(state(&rules, 0, "/a"), PurgeState::Hard);
        assert_eq!(state(&rules, 1, "/a"), PurgeState::Clean);
        assert_eq!(state(&rules, 0, "/b"), PurgeState::Clean);
    }

    #[test]
    fn a_soft_rule_never_hides_a_hard_one() {
        let rules = Rules::new(9);
        rules.publish(urls("/a")[0], PurgeKind::Hard);
        rules.publish(urls("/a")[0], PurgeKind::Soft);
        assert_eq!(state(&rules, 0, "/a"), PurgeState::Hard);
        assert_eq!(state(&rules, 1, "/a"), PurgeState::Soft);
    }

    #[test]
    fn a_full_table_purges_more_and_never_less() {
        let rules = Rules::new(2);
        rules.publish(urls("/a")[0], PurgeKind::Hard);
        rules.publish(urls("/b")[0], PurgeKind::Soft);
        rules.publish(urls("/c")[0], PurgeKind::Soft);
        assert_eq!(state(&rules, 0, "/a"), PurgeState::Hard);
        assert_eq!(state(&rules, 1, "/b"), PurgeState::Soft);
        assert_eq!(state(&rules, 2, "/c"), PurgeState::Soft);
        assert_eq!(state(&rules, 0, "/other"), PurgeState::Hard);
        assert_eq!(state(&rules, 3, "/other"), PurgeState::Clean);
    }
}
