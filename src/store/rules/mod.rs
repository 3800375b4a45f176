//! Purge rules: a purge is one entry here, whatever number of responses it covers.
//!
//! A rule has the number of its purge in the ordered log, and covers every response whose own
//! sequence is lower: one whose fetch had begun before the purge. A look-up compares two integers,
//! [`ObjectHead::checked`] and the head; only where they differ are the rules asked, once.
//!
//! ```text
//!  publish: rule into the table ─► head (release)
//!  judge:   head (acquire) ─► table ─► checked = head
//!
//!  Table ─┬─ anywhere ─┬─ whole              hard, soft, possibly: the last number of each
//!         │            ├─ urls, tags         by digest
//!         │            ├─ prefixes           ordered, see `prefixes`
//!         │            └─ wildcards          few, tried one by one
//!         └─ sites: SiteKey ─► the same
//! ```
//!
//! The table is bounded. When it is full, the oldest quarter of its largest group becomes part of
//! what covers the group's whole: more is purged than was asked for, never less, and nothing that
//! was fetched since.

mod group;
mod prefixes;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use self::group::Group;
use crate::object::{
    Coverage, LogNumbers, ObjectHead, PurgeKind, PurgeRule, PurgeState, Purged, Sequence, SiteKey,
    TagKey, TargetUri,
};

/// Set in the head while nothing stored is to be trusted: no number reaches it.
const FENCED: u64 = 1 << 63;

/// The rules of one node.
#[derive(Debug)]
pub struct Rules {
    head: AtomicU64,
    table: RwLock<Table>,
    bounds: RuleBounds,
    numbers: ArcSwapOption<LogNumbers>,
    /// The highest number that a fetch was given above the head. Numbers change while it is held.
    given: Mutex<u64>,
    /// The head has risen, or is numbered otherwise.
    moved: Notify,
}

/// How many rules are kept apart.
#[derive(Clone, Copy, Debug)]
pub struct RuleBounds {
    /// Of all kinds.
    pub rules: usize,
    /// Wildcards of one site: each of them is tried where a response is judged.
    pub wildcards: usize,
}

#[derive(Debug, Default)]
struct Table {
    anywhere: Group,
    sites: HashMap<SiteKey, Group>,
}

/// What a purge covers and its number, as a journal keeps them.
pub type NumberedRule = (PurgeRule, Purged);

impl Rules {
    /// No rules, and room for as many.
    pub fn new(bounds: RuleBounds) -> Self {
        Self {
            head: AtomicU64::new(0),
            table: RwLock::default(),
            bounds,
            numbers: ArcSwapOption::empty(),
            given: Mutex::new(0),
            moved: Notify::new(),
        }
    }

    /// The position in the log that is applied here. A fetch that begins now reflects it.
    pub fn head(&self) -> Sequence {
        Sequence { number: self.head.load(Ordering::Acquire) & !FENCED }
    }

    /// Adds the purge `number`, at or above the head: what is at the head already belongs to it.
    pub fn publish(&self, rule: Option<&PurgeRule>, kind: PurgeKind, number: u64) {
        self.publish_purged(rule, Purged::by(kind, number), number);
    }

    /// From now on everything stored is perhaps purged: the log goes on elsewhere, from `number`.
    pub fn distrust(&self, number: u64) {
        let rule = PurgeRule { site: None, covers: Coverage::Whole };
        let purged = Purged { possibly: number, ..Purged::default() };
        self.publish_purged(Some(&rule), purged, number);
    }

    fn publish_purged(&self, rule: Option<&PurgeRule>, purged: Purged, number: u64) {
        let mut table = self.table.write();
        debug_assert!(number >= self.head().number, "purges are published in order");
        if let Some(rule) = rule {
            table.raise(rule, purged, self.bounds);
        }
        // Whoever writes holds the table's lock.
        let fenced = self.head.load(Ordering::Relaxed) & FENCED;
        self.head.store(number | fenced, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// How the numbers here lie in the log that is applied; `None` before one is known.
    pub fn numbers(&self) -> Option<Arc<LogNumbers>> {
        self.numbers.load_full()
    }

    /// The log that is applied from here on, told ahead of the rules that bring the node there: a
    /// place that it tells is not reached before the head has its number.
    pub fn set_numbers(&self, numbers: LogNumbers) {
        let _given = self.given.lock();
        self.numbers.store(Some(Arc::new(numbers)));
        self.moved.notify_waiters();
    }

    /// Gives `number` above the head to a fetch; false where `numbers` tells it no longer.
    pub fn give(&self, number: u64, numbers: &Arc<LogNumbers>) -> bool {
        let mut given = self.given.lock();
        let holds = self.numbers().is_some_and(|now| Arc::ptr_eq(&now, numbers));
        if holds {
            *given = number.max(*given);
        }
        holds
    }

    /// No number lies in a log until it is [said](Self::set_numbers) anew; returns the highest that
    /// was given: what comes next must have a higher one, lest it seem older than an earlier fetch.
    pub fn withdraw_numbers(&self) -> u64 {
        let given = self.given.lock();
        self.numbers.store(None);
        *given
    }

    /// Waits until what is published here makes `is_met` true.
    ///
    /// Cancel safe.
    pub async fn until(&self, is_met: impl Fn(&Self) -> bool) {
        loop {
            let moved = self.moved.notified();
            if is_met(self) {
                return;
            }
            moved.await;
        }
    }

    /// Whether everything stored counts as perhaps purged, until it is said otherwise.
    pub fn fence(&self, is_fenced: bool) {
        let _table = self.table.write();
        let head = self.head().number;
        self.head.store(if is_fenced { head | FENCED } else { head }, Ordering::Release);
    }

    /// Whether [`Self::fence`] says so.
    pub fn is_fenced(&self) -> bool {
        self.head.load(Ordering::Acquire) & FENCED != 0
    }

    /// Takes over what a journal kept: `rules` in the order in which they were published, the same
    /// maybe more than once. Before anything is looked up.
    pub fn restore(&self, head: u64, rules: impl IntoIterator<Item = NumberedRule>) {
        let mut table = self.table.write();
        *table = Table::default();
        for (rule, purged) in rules {
            table.raise(&rule, purged, self.bounds);
        }
        self.head.store(head, Ordering::Release);
    }

    /// What [`Self::restore`] takes, as of one moment.
    pub fn snapshot(&self) -> (u64, Vec<NumberedRule>) {
        let table = self.table.read();
        let mut rules = Vec::new();
        table.anywhere.export(None, &mut rules);
        for (site, group) in &table.sites {
            group.export(Some(*site), &mut rules);
        }
        (self.head().number, rules)
    }

    /// Whether a purge covers a response.
    pub fn judge(&self, stored: &ObjectHead) -> PurgeState {
        let head = self.head.load(Ordering::Acquire);
        let checked = stored.checked();
        if checked >= head {
            return PurgeState::Clean;
        }
        let state = match stored.target() {
            // What it was clean of needs no second look.
            Some(target) => self.state_since(checked, &target, || stored.tags()),
            None => PurgeState::Hard,
        };
        match state {
            PurgeState::Clean if head & FENCED != 0 => PurgeState::Possibly,
            PurgeState::Clean => {
                stored.set_checked(head);
                PurgeState::Clean
            }
            purged => purged,
        }
    }

    /// Whether a purge later than `since` covers the URL `target`, whatever its tags are.
    pub fn url_state_since(&self, since: Sequence, target: &TargetUri<'_>) -> PurgeState {
        if self.is_fenced() {
            return PurgeState::Possibly;
        }
        if since >= self.head() {
            return PurgeState::Clean;
        }
        self.state_since(since.number, target, std::iter::empty)
    }

    /// Whether a purge later than `since` covers a response for `target` with `tags`.
    pub fn state_since<T: Iterator<Item = TagKey>>(
        &self,
        since: u64,
        target: &TargetUri<'_>,
        tags: impl Fn() -> T,
    ) -> PurgeState {
        let table = self.table.read();
        let mut purged = table.anywhere.covering(since, target, &tags);
        if let Some(site) = table.sites.get(&target.site) {
            purged = purged.or(site.covering(since, target, &tags));
        }
        if purged.hard > since {
            PurgeState::Hard
        } else if purged.possibly > since {
            PurgeState::Possibly
        } else if purged.soft > since {
            PurgeState::Soft
        } else {
            PurgeState::Clean
        }
    }
}

impl Table {
    /// Takes a rule in; makes room first if that is one too many.
    fn raise(&mut self, rule: &PurgeRule, purged: Purged, bounds: RuleBounds) {
        let count: usize = self.anywhere.len() + self.sites.values().map(Group::len).sum::<usize>();
        if count >= bounds.rules {
            let sites = self.sites.values_mut();
            let largest = sites.chain([&mut self.anywhere]).max_by_key(|group| group.len());
            if let Some(group) = largest {
                group.fold();
            }
        }
        let group = match rule.site {
            Some(site) => self.sites.entry(site).or_default(),
            None => &mut self.anywhere,
        };
        group.raise(&rule.covers, purged, bounds.wildcards);
    }
}
