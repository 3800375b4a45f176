//! What a node has on disk: the journal of rules and position, and the copies beside it.
//!
//! ```text
//! the log  1 ─ 2 ─ 3 ─ …    each entry carries the hash of the prefix before it
//!              │ follow
//!              ▼
//! published ── written ── synced ──► acknowledged: number and hash
//!              └─ a crash keeps any part of what was written since the last sync
//! ```
//!
//! A node counts in numbers of its own, which ascend through every log that it follows, so that a
//! copy's sequence needs no log's identity. A log is replaced without a word: entries are cut off
//! as by a backup put back, and others take their numbers. The acknowledgement may arrive long
//! after. Publishing and writing are one step; `tiers` takes them apart.
//!
//! Bounds: one node, 3 purges, hard and soft, of 1 url (2 for folding: the table has room for the
//! rules of one), 1 fetch and 1 acknowledgement on the way. 2 crashes, or 1 with one backup put
//! back, or none with retention or folding; 2 purges and 1 crash where rules are dropped.
//!
//! What the search taught:
//! - An acknowledgement needs the hash as much as a resume does. Its number alone is counted for
//!   another purge where a log was put back under the same identity, by a node that has not
//!   resumed.
//! - The hash of a position is needed after the entry is gone: a snapshot does not show that the
//!   node followed this log so far. A control plane that no longer has it answers "foreign".
//! - A copy's sequence is the position *journaled* when its fetch began: what was only published
//!   may be forgotten, and the node's next entry, of another log, gets the same number.
//! - With the hash proven everywhere, the log's identity is needed between tiers only, where
//!   numbers carry no hash.

mod world;

use stateright::{Model, Property};

use crate::words::{COMPLETES, HIT_AFTER, Kind, PROMISE};
use world::{Acknowledgement, Log, Purge, Purged, Stored, Table, World};

/// That foreign logs are found out.
const FOREIGN: &str = "a node finds that the log is not the one it followed";

rules! {
    Journal:
    /// Rules and position are synced before they are acknowledged.
    JournalBeforeAcknowledge, journal_before_acknowledge in CRASHES: PROMISE;
    /// A response's sequence is the position journaled when its fetch began, not only published.
    SequenceJournaled, sequence_journaled in RESTORED: PROMISE;
    /// A store whose journal is lost is void.
    StoreNeedsJournal, store_needs_journal in CRASHES: PROMISE;
    /// A node resumes, and takes an entry, only after the hash of the prefix that it applied.
    PrefixProven, prefix_proven in RESTORED: PROMISE;
    /// An acknowledgement carries that hash too: the number alone may be another purge's by now.
    AcknowledgementProven, acknowledgement_proven in RESTORED: PROMISE;
    /// In a log that is not the one it followed, a node holds everything for possibly purged.
    ForeignIsPossibly, foreign_is_possibly in RESTORED: PROMISE;
    /// A gap between the node's position and what the log still has is a foreign log.
    GapIsForeign, gap_is_foreign in RETENTION: PROMISE;
    /// A snapshot needs the same proof, of a position whose entry is gone.
    SnapshotProven, snapshot_proven in RESTORED_SNAPSHOT: PROMISE;
    /// A snapshot has the hard and the soft number of each rule.
    SnapshotKeepsKinds, snapshot_keeps_kinds in RETENTION: PROMISE;
    /// A rule keeps its hard and its soft number apart.
    KindsApart, kinds_apart in FOLDING: PROMISE;
    /// Overflow folds the oldest rule into the site's own, and loses none.
    OverflowFolds, overflow_folds in FOLDING: PROMISE;
    /// Folding keeps the kinds apart.
    FoldKeepsKinds, fold_keeps_kinds in FOLDING: PROMISE;
    /// The horizon rises before rules are dropped: what is older counts as hard-purged.
    HorizonBeforeDrop, horizon_before_drop in DROPPING: PROMISE;
    /// The horizon is journaled before that.
    HorizonJournaled, horizon_journaled in DROPPING: PROMISE;
}

/// What a search covers.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    /// Urls of one site, each with one copy.
    urls: usize,
    kinds: &'static [Kind],
    purges: usize,
    crashes: u8,
    /// How often an older copy of the log is put back.
    restores: u8,
    /// Whether the control plane drops old entries: with a snapshot, without.
    retains: &'static [bool],
    /// Whether the node drops rules below a horizon.
    drops: bool,
}

/// Torn writes, and a journal that is lost.
const CRASHES: Scope = Scope {
    urls: 1,
    kinds: &[Kind::Hard],
    purges: 3,
    crashes: 2,
    restores: 0,
    retains: &[],
    drops: false,
};
/// A backup of the log is put back.
const RESTORED: Scope = Scope { kinds: BOTH, crashes: 1, restores: 1, ..CRASHES };
/// The same, and old entries are only in a snapshot.
const RESTORED_SNAPSHOT: Scope = Scope { crashes: 0, retains: &[true], ..RESTORED };
/// Old entries are in a snapshot or gone.
const RETENTION: Scope = Scope { kinds: BOTH, crashes: 0, retains: &[true, false], ..CRASHES };
/// The rules table overflows.
const FOLDING: Scope = Scope { urls: 2, kinds: BOTH, crashes: 0, ..CRASHES };
/// Rules are dropped below a horizon.
const DROPPING: Scope = Scope { drops: true, crashes: 1, purges: 2, ..CRASHES };
const BOTH: &[Kind] = &[Kind::Hard, Kind::Soft];

impl Scope {
    /// For the longer run.
    fn enlarged(self) -> Self {
        Self { crashes: self.crashes + 1, ..self }
    }
}

scopes! {
    Journal:
    CRASHES, crashes;
    RESTORED, a_restored_log;
    RESTORED_SNAPSHOT, a_restored_log_and_its_snapshot;
    RETENTION, retention;
    FOLDING, folding;
    DROPPING, dropping;
}

/// A log, and a node that follows it.
pub(crate) struct Journal {
    scope: Scope,
    without: Option<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// A purge is asked and appended.
    Purge(Purge),
    /// A backup of so many entries is put back.
    Restore(usize),
    /// Entries are dropped, into a snapshot or not.
    Retain(bool),
    /// The node resumes: it takes an entry, a snapshot, or finds the log foreign.
    Follow,
    /// Everything older counts as hard-purged from now on.
    RaiseHorizon,
    /// Rules below the horizon go.
    DropRules,
    /// What was written is durable.
    Sync,
    /// The node sends how far it is.
    Acknowledge,
    /// The acknowledgement arrives.
    Count,
    /// The origin is asked, and sends what it has then.
    Fetch(usize),
    /// What was fetched is stored.
    Commit,
    /// A crash keeps so many of the records that were written since the last sync.
    Crash(usize),
    /// A crash after which the journal is gone.
    LoseJournal,
}

impl Model for Journal {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            purges: Vec::new(),
            completed: Vec::new(),
            log: Log { entries: Vec::new(), dropped: 0, snapshot: true },
            durable: Table::default(),
            written: Vec::new(),
            store: [None; 2],
            fill: None,
            acknowledgement: None,
            found_foreign: false,
            crashes: 0,
            restores: 0,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.log_actions(world, actions);
        let table = world.table();
        if table.number != world.log.entries.len() || !self.follows(world) {
            actions.push(Action::Follow);
        }
        if self.scope.drops && table.horizon < table.local {
            actions.push(Action::RaiseHorizon);
        }
        if self.scope.drops && self.may_drop(world) {
            actions.push(Action::DropRules);
        }
        if !world.written.is_empty() {
            actions.push(Action::Sync);
        }
        actions.push(Action::Acknowledge);
        if world.acknowledgement.is_some() {
            actions.push(Action::Count);
        }
        match world.fill {
            Some(_) => actions.push(Action::Commit),
            None => actions.extend((0..self.scope.urls).map(Action::Fetch)),
        }
        if world.crashes < self.scope.crashes {
            actions.extend((0..=world.written.len()).map(Action::Crash));
            actions.push(Action::LoseJournal);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Purge(purge) => {
                next.log.entries.push(next.purges.len());
                next.purges.push(purge);
            }
            Action::Restore(length) => next.restore(length),
            Action::Retain(snapshot) => {
                next.log.dropped = next.log.entries.len();
                next.log.snapshot = snapshot;
            }
            Action::Follow => self.follow(&mut next),
            Action::RaiseHorizon => next.write(|table| table.horizon = table.local),
            Action::DropRules => next.write(|table| {
                (table.urls, table.site, table.possibly) = Default::default();
            }),
            Action::Sync => next.sync(),
            Action::Acknowledge => self.acknowledge(&mut next),
            Action::Count => self.count(&mut next),
            Action::Fetch(url) => self.fetch(&mut next, url),
            Action::Commit => {
                if let Some((url, stored)) = next.fill.take() {
                    next.store[url] = Some(stored);
                }
            }
            Action::Crash(kept) => self.crash(&mut next, kept),
            Action::LoseJournal => self.lose_journal(&mut next),
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PROMISE, |_, world: &World| {
                (0..2).all(|url| !world.serves(url) || !world.purged(url))
            }),
            Property::sometimes(COMPLETES, |_, world: &World| !world.completed.is_empty()),
            Property::sometimes(HIT_AFTER, |_, world: &World| {
                !world.completed.is_empty() && (0..2).any(|url| world.serves(url))
            }),
            Property::sometimes(FOREIGN, |model: &Self, world: &World| {
                let may = model.scope.restores > 0 || model.scope.retains.contains(&false);
                !may || world.found_foreign
            }),
        ]
    }
}

impl Journal {
    fn log_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let length = world.log.entries.len();
        if world.purges.len() < self.scope.purges {
            // The urls are alike: call the one that is purged first the first.
            let urls = if world.purges.is_empty() { 1 } else { self.scope.urls };
            let purges = (0..urls)
                .flat_map(|url| self.scope.kinds.iter().map(move |&kind| Purge { url, kind }));
            actions.extend(purges.map(Action::Purge));
        }
        if world.restores < self.scope.restores {
            actions.extend((0..length).map(Action::Restore));
        }
        if world.log.dropped < length {
            actions.extend(self.scope.retains.iter().map(|&snapshot| Action::Retain(snapshot)));
        }
    }

    /// Whether the log is one that the node followed so far, with nothing missing.
    fn follows(&self, world: &World) -> bool {
        let (table, log) = (world.table(), &world.log);
        let gap = table.number < log.dropped;
        let proven = match gap {
            false => !self.keeps(Rule::PrefixProven),
            true => !self.keeps(Rule::SnapshotProven),
        };
        let missing = gap && !log.snapshot && self.keeps(Rule::GapIsForeign);
        !missing && (proven || log.hash(table.number) == Some(table.hash))
    }

    fn follow(&self, world: &mut World) {
        let log = world.log.clone();
        let number = world.table().number;
        if !self.follows(world) {
            world.found_foreign = true;
            world.write(|table| table.start_over(&log));
            if !self.keeps(Rule::ForeignIsPossibly) {
                world.written.last_mut().expect("just written").possibly = 0;
            }
        } else if number < log.dropped {
            self.take_snapshot(world, &log);
        } else if let Some(&entry) = log.entries.get(number) {
            let purge = world.purges[entry];
            world.write(|table| {
                table.advance(&log, number + 1);
                self.add(table, purge);
            });
        }
    }

    /// What was dropped from the log comes as the last number of each rule.
    fn take_snapshot(&self, world: &mut World, log: &Log) {
        let number = world.table().number;
        let purges: Vec<Purge> = log.entries.iter().map(|&entry| world.purges[entry]).collect();
        world.write(|table| {
            let local = table.local;
            table.advance(log, log.dropped);
            if !log.snapshot {
                return;
            }
            for (purge, at) in purges[number..log.dropped].iter().zip(local + 1..) {
                let rule = &mut table.urls[purge.url];
                let kinds = self.keeps(Rule::SnapshotKeepsKinds);
                rule.raise(purge.kind, at, kinds);
            }
        });
    }

    /// One url's rule fits into the table.
    fn add(&self, table: &mut Table, purge: Purge) {
        let local = table.local;
        table.urls[purge.url].raise(purge.kind, local, self.keeps(Rule::KindsApart));
        let other = std::mem::take(&mut table.urls[1 - purge.url]);
        if !self.keeps(Rule::OverflowFolds) {
            return;
        }
        let kinds = self.keeps(Rule::FoldKeepsKinds);
        let (first, second) = match other.hard < other.soft {
            true => ((Kind::Hard, other.hard), (Kind::Soft, other.soft)),
            false => ((Kind::Soft, other.soft), (Kind::Hard, other.hard)),
        };
        for (kind, number) in [first, second] {
            if number > 0 {
                table.site.raise(kind, number, kinds);
            }
        }
    }

    fn may_drop(&self, world: &World) -> bool {
        let table = world.table();
        let rules = table.urls != [Purged::default(); 2] || table.site != Purged::default();
        let journaled = match self.keeps(Rule::HorizonJournaled) {
            true => world.durable.horizon,
            false => table.horizon,
        };
        rules && (journaled == table.local || !self.keeps(Rule::HorizonBeforeDrop))
    }

    fn acknowledge(&self, world: &mut World) {
        let synced = self.keeps(Rule::JournalBeforeAcknowledge);
        let table = if synced { &world.durable } else { world.table() };
        let Table { number, hash, .. } = *table;
        world.acknowledgement = Some(Acknowledgement { number, hash });
    }

    fn count(&self, world: &mut World) {
        let Some(Acknowledgement { number, hash }) = world.acknowledgement.take() else { return };
        if world.log.hash(number) != Some(hash) && self.keeps(Rule::AcknowledgementProven) {
            return;
        }
        for &entry in world.log.entries.iter().take(number) {
            if !world.completed.contains(&entry) {
                world.completed.push(entry);
            }
        }
        world.completed.sort_unstable();
    }

    fn fetch(&self, world: &mut World, url: usize) {
        let journaled = self.keeps(Rule::SequenceJournaled);
        let sequence = if journaled { world.durable.local } else { world.table().local };
        world.fill = Some((url, Stored { sequence, fetched: world.purges.len() }));
    }

    fn crash(&self, world: &mut World, kept: usize) {
        world.crashes += 1;
        world.written.truncate(kept);
        world.sync();
        if !self.keeps(Rule::HorizonJournaled) {
            world.durable.horizon = 0;
        }
        world.fill = None;
    }

    fn lose_journal(&self, world: &mut World) {
        world.crashes += 1;
        (world.durable, world.written) = Default::default();
        world.fill = None;
        if self.keeps(Rule::StoreNeedsJournal) {
            world.store = [None; 2];
        }
    }
}
