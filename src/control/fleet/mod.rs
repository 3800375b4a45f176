//! The fleet: who is registered, whose lease lives, and which purges every node reflects. Pure:
//! `now` is handed in, of a clock that never goes back and counts suspension.
//!
//! ```text
//!            admit                 (made durable)           beat
//!  heartbeat ─┬─► known ───────────────────────────────────► acknowledged up to its position,
//!             ├─► new: claimed ──► register ───────────────► granted a lease, with its `since`
//!             └─► refused: the name is another process's
//!
//!  append ──► Receipt, a row for every node registered now
//!                      └─► applied | fenced | left | removed: complete
//! ```
//!
//! A node is *fenced* while it takes all it has stored for possibly purged. By itself it becomes so
//! when its lease has run out, unless it is one that serves on (`on_control_loss = "serve"`); and
//! it stays so until it has applied everything up to the `since` that its next grant carries: the
//! head at which receipts began, or began again, to wait for it. What comes later waits for it, so
//! a log that is busy fences nobody.
//!
//! Invariants:
//! - a lease ends here later than at the node: it is counted from the answer and not from the
//!   question, and a margin is added for clocks that run apart; that holds for one of before a
//!   restart with another `fleet.lease`, too;
//! - a node that serves on never counts as fenced: it leaves by its own word or an operator's,
//!   which the receipts record;
//! - of two processes with one name the second is refused while the first may serve: while its
//!   lease lives, or ever if it serves on; unless the second shows that it succeeds the first,
//!   whose identity file it holds, so that the first has ended;
//! - what waits for nodes that nobody knows any more waits for each of them that is heard;
//! - while a name passes from one process to another, neither gets a lease;
//! - what a node acknowledged of another log counts as nothing.

mod beat;
mod node;
mod receipt;
pub mod registrations;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use beat::{BeatFault, ConfigReport, Heartbeat};
pub use node::{Node, Standing};
pub use receipt::{Receipt, Row, State};

use self::receipt::{NodeId, Roster};
use super::log::Logged;
use crate::object::{LogId, Position};

/// How much a fleet may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetBounds {
    /// How long a node may take what it has stored for clean after it was heard.
    pub lease: Duration,
    /// How long a node that is fenced stays registered.
    pub forget: Duration,
    /// Nodes that may be registered.
    pub nodes: usize,
    /// Receipts that are remembered.
    pub receipts: usize,
}

/// How long a lease is held live here: longer than at the node, for clocks that run apart far more
/// than any two do.
fn held(lease: Duration) -> Duration {
    lease + lease / 10
}

/// What of a node is made durable before it gets a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Unlike any other node's.
    pub name: Arc<str>,
    /// Random, of the process.
    pub incarnation: u64,
    /// Whether it serves on without a lease.
    pub serves_on: bool,
    /// The longest lease that it was ever granted, or may be next.
    pub lease: Duration,
}

/// Name of a registration that stands for nodes which nobody knows any more.
const UNKNOWN: &str = "nodes-not-known";

impl Registration {
    /// Stands for nodes that were registered after a backup was taken, or whose registrations were
    /// lost, with leases of up to `lease`. Nobody is ever heard by that name, so it is held for one
    /// lease from each take-up on, as every node is, and no receipt is complete before. Nodes that
    /// serve on are heard meanwhile.
    pub fn unknown(lease: Duration) -> Self {
        Self { name: UNKNOWN.into(), incarnation: 0, serves_on: false, lease }
    }

    /// Whether it is that.
    pub fn is_unknown(&self) -> bool {
        *self.name == *UNKNOWN && self.incarnation == 0
    }
}

/// What is to be done with a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The node is registered.
    Known,
    /// It is to be registered first.
    New(Registration),
}

/// Why a node is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another process of that name has a lease, or may have, so long yet.
    Taken(Duration),
    /// The name is of a process that serves on whether it is heard or not.
    Serves {
        /// Which.
        incarnation: u64,
        /// How long ago it was heard, if ever by this control plane.
        heard: Option<Duration>,
    },
    /// As many nodes are registered as may be.
    Full,
}

/// The registry, the leases and the receipts.
#[derive(Debug)]
pub struct Fleet {
    bounds: FleetBounds,
    log: LogId,
    /// The last purge that has a receipt.
    seen: u64,
    nodes: BTreeMap<Arc<str>, Node>,
    /// Names that are being registered, and for which process.
    claims: BTreeMap<Arc<str>, u64>,
    next_id: NodeId,
    /// The nodes registered now; made anew when they are others.
    roster: Option<Arc<Roster>>,
    /// In the order of the log.
    receipts: VecDeque<Receipt>,
    /// Receipts that became complete, ever.
    completed: u64,
}

impl Fleet {
    /// A fleet that begins at `head` with the nodes that are known from before. As this process
    /// does not know when they were granted, it holds all their leases live for one whole lease,
    /// the longest that each may have; as it does not know who was fenced, none of them is trusted
    /// before it has applied `head`.
    pub fn new(
        bounds: FleetBounds,
        head: Position,
        known: Vec<Registration>,
        now: Duration,
    ) -> Self {
        let mut fleet = Self {
            bounds,
            log: head.log,
            seen: head.number,
            nodes: BTreeMap::new(),
            claims: BTreeMap::new(),
            next_id: 0,
            roster: None,
            receipts: VecDeque::new(),
            completed: 0,
        };
        for registration in known {
            let (name, lease) = (registration.name.clone(), registration.lease);
            fleet.insert(registration, now);
            if let Some(node) = fleet.nodes.get_mut(&name) {
                node.lease_until = now + held(lease.max(bounds.lease));
                node.since = Some(head.number);
            }
        }
        fleet
    }

    /// The log, and its last purge that has a receipt.
    pub fn seen(&self) -> (LogId, u64) {
        (self.log, self.seen)
    }

    /// Receipts that became complete, ever.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// Every node, in the order of the names.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.values()
    }

    /// What is to be made durable.
    pub fn registrations(&self) -> Vec<Registration> {
        self.nodes().map(|node| node.registration.clone()).collect()
    }

    /// Whether a heartbeat is one of a node that is registered, or may be. Who may be has the name
    /// claimed until it is [registered](Self::register) or [given up](Self::give_up).
    ///
    /// # Errors
    /// Why it may not.
    pub fn admit(
        &mut self,
        name: &str,
        beat: &Heartbeat,
        now: Duration,
    ) -> Result<Admission, Refusal> {
        if self.is_claimed_by_other(name, beat.incarnation) {
            return Err(Refusal::Taken(self.bounds.lease));
        }
        let (incarnation, serves_on) = (beat.incarnation, beat.serves_on);
        let lease = self.bounds.lease;
        let mut registration = Registration { name: name.into(), incarnation, serves_on, lease };
        match self.nodes.get(name) {
            Some(node) => {
                let known = &node.registration;
                if known.incarnation == incarnation {
                    // A grant that is lost leaves it the one before.
                    registration.lease = lease.max(known.lease);
                }
                if *known == registration {
                    return Ok(Admission::Known);
                }
                node.yields_to(beat, now)?;
            }
            None if self.is_full() => return Err(Refusal::Full),
            None => {}
        }
        self.claims.insert(registration.name.clone(), incarnation);
        Ok(Admission::New(registration))
    }

    /// Registers a node that was admitted, once that is durable. It has no lease yet.
    pub fn register(&mut self, registration: Registration, now: Duration) {
        if self.give_up(&registration) {
            self.insert(registration, now);
        }
    }

    /// The name of a node that was admitted is free for others again; false if it was already.
    pub fn give_up(&mut self, registration: &Registration) -> bool {
        let Registration { name, incarnation, .. } = registration;
        let is_claimed = self.claims.get(name) == Some(incarnation);
        is_claimed && self.claims.remove(name).is_some()
    }

    fn insert(&mut self, registration: Registration, now: Duration) {
        if let Some(node) = self.nodes.get_mut(&registration.name) {
            // Of one that serves on every receipt has waited for the word, and waits on.
            if !node.registration.serves_on {
                node.since = None;
            }
            if node.registration.incarnation != registration.incarnation {
                (node.lease_until, node.applied, node.told) = (now, 0, None);
            }
            node.registration = registration;
            return;
        }
        self.roster = None;
        let id = self.next_id;
        self.next_id += 1;
        let name = registration.name.clone();
        let node = Node {
            id,
            registration,
            lease_until: now,
            applied: 0,
            fenced_to: 0,
            since: None,
            told: None,
        };
        self.nodes.insert(name.clone(), node);
        // It may have been one of those.
        if let Some(unknown) = self.nodes.get(UNKNOWN).filter(|_| *name != *UNKNOWN) {
            let waiting = self.receipts.iter_mut().filter(|it| it.waits_for(unknown.id));
            waiting.for_each(|receipt| receipt.waits_also_for(id, name.clone()));
        }
    }

    fn is_claimed_by_other(&self, name: &str, incarnation: u64) -> bool {
        self.claims.get(name).is_some_and(|claimed| *claimed != incarnation)
    }

    fn is_full(&self) -> bool {
        let new = || self.claims.keys().filter(|name| !self.nodes.contains_key(*name));
        // One that stands for nodes takes no node's place.
        let known = self.nodes.len() - usize::from(self.nodes.contains_key(UNKNOWN));
        let bound = self.bounds.nodes;
        known + self.claims.len() >= bound && known + new().count() >= bound
    }

    /// Takes the word of a registered node and grants it a lease from `now` on: returns the purge
    /// up to which it must have applied all before it trusts what it has stored. `None` if the
    /// name is not its own any more.
    ///
    /// # Panics
    /// If the head is behind a purge that has a receipt, which may count the node as fenced.
    pub fn beat(
        &mut self,
        name: &str,
        mut beat: Heartbeat,
        head: Position,
        now: Duration,
    ) -> Option<u64> {
        self.follow(head.log, head.number);
        assert!(head.number >= self.seen, "a grant carries every purge that has a receipt");
        if self.is_claimed_by_other(name, beat.incarnation) {
            return None;
        }
        let node = self.nodes.get_mut(name)?;
        if node.registration.incarnation != beat.incarnation {
            return None;
        }
        let fenced_before = node.fenced_to;
        // What is fenced now stays so until it has applied all that the grant carries. Its own word
        // counts for nothing: what was granted before may lift the fence while it is under way.
        if node.is_fenced(now) {
            (node.fenced_to, node.since) = (head.number, None);
        }
        let since = *node.since.get_or_insert(head.number);
        let position =
            beat.position.filter(|(log, number)| *log == head.log && *number <= head.number);
        let applied = position.map_or(0, |(_, number)| number).max(node.applied);
        let before = std::mem::replace(&mut node.applied, applied);
        // What was granted before may be longer, and what is granted now be lost.
        node.lease_until = node.lease_until.max(now + held(self.bounds.lease));
        let unmatched = std::mem::take(&mut beat.unmatched);
        node.told = Some((beat, now));
        let (id, fenced_to) = (node.id, node.fenced_to);
        self.settle(id, before, applied, |receipt| {
            receipt.names_nothing(id, &unmatched);
            State::Applied(receipt.took(now))
        });
        self.settle(id, fenced_before, fenced_to, |_| State::Fenced);
        // Where it stands in another history, it stands nowhere in this one.
        Some(if position.is_some() { since } else { head.number })
    }

    /// Goes on behind `head`, of which and before which nothing is known.
    pub fn begin(&mut self, head: Position) {
        self.follow(head.log, head.number);
        self.receipts.clear();
        self.seen = head.number;
    }

    /// Takes in an entry of the log, the one behind the last: every node that is registered now
    /// owes its acknowledgement.
    pub fn appended(&mut self, log: LogId, entry: Arc<Logged>, now: Duration) {
        self.owed(log, entry, now, Some(now));
    }

    /// The same of an entry from before this process began: of how long it takes nothing is known.
    pub fn recall(&mut self, log: LogId, entry: Arc<Logged>, now: Duration) {
        self.owed(log, entry, now, None);
    }

    fn owed(&mut self, log: LogId, entry: Arc<Logged>, now: Duration, since: Option<Duration>) {
        self.follow(log, entry.last());
        let roster = self.roster();
        let (last, mut states) = (entry.last(), vec![State::Pending; self.nodes.len()]);
        for node in self.nodes.values() {
            let Some(state) = roster.place(node.id).and_then(|at| states.get_mut(at)) else {
                continue;
            };
            if node.applied >= last {
                *state = State::Applied(since.map(|_| Duration::ZERO));
            } else if node.fenced_to >= last || node.is_fenced(now) {
                *state = State::Fenced;
            }
        }
        self.seen = last;
        let receipt = Receipt::new(log, entry, since, roster, states);
        self.completed += u64::from(receipt.is_complete());
        if self.receipts.len() >= self.bounds.receipts {
            self.receipts.pop_front();
        }
        self.receipts.push_back(receipt);
    }

    /// Lets time pass: whose lease has run out is fenced, and forgotten in the end.
    pub fn advance(&mut self, now: Duration) {
        let (seen, forget) = (self.seen, self.bounds.forget);
        let mut lapsed = Vec::new();
        for node in self.nodes.values_mut().filter(|node| node.is_fenced(now)) {
            let to = node.fenced_to.max(seen);
            lapsed.push((node.id, std::mem::replace(&mut node.fenced_to, to)));
        }
        for (id, before) in lapsed {
            self.settle(id, before, seen, |_| State::Fenced);
        }
        let known = self.nodes.len();
        self.nodes.retain(|_, node| !node.is_fenced(now) || now < node.lease_until + forget);
        if self.nodes.len() < known {
            self.roster = None;
        }
    }

    /// Strikes a node off by somebody's explicit word; false if it is not registered. What waits
    /// for it waits no longer, and says so.
    pub fn remove(&mut self, name: &str, by: &str) -> bool {
        self.strike(name, |receipt, id| receipt.removed(id, by))
    }

    /// Strikes a node off by its own word that it serves nothing any more; false if the name is
    /// not its own.
    pub fn leave(&mut self, name: &str, incarnation: u64) -> bool {
        let is_its_own =
            self.nodes.get(name).is_some_and(|node| node.registration.incarnation == incarnation);
        is_its_own && self.strike(name, |receipt, id| receipt.settle(id, State::Left))
    }

    fn strike(&mut self, name: &str, settle: impl Fn(&mut Receipt, NodeId) -> bool) -> bool {
        let Some(node) = self.nodes.remove(name) else { return false };
        self.roster = None;
        for receipt in &mut self.receipts {
            self.completed += u64::from(settle(receipt, node.id));
        }
        true
    }

    /// The receipt of the purge `number`, among those that are remembered.
    pub fn receipt(&self, number: u64) -> Option<&Receipt> {
        let at = self.receipts.partition_point(|receipt| receipt.entry.last() < number);
        self.receipts.get(at).filter(|receipt| receipt.entry.first <= number)
    }

    /// Receipts from the one of the purge below `before` on, the newest first.
    pub fn receipts(&self, before: u64) -> impl Iterator<Item = &Receipt> {
        let end = self.receipts.partition_point(|receipt| receipt.entry.first < before);
        self.receipts.range(..end).rev()
    }

    /// Receipts that some node owes its word to.
    pub fn pending(&self) -> usize {
        self.receipts.iter().filter(|receipt| !receipt.is_complete()).count()
    }

    /// Another log, which goes as far as `head`: nothing that was acknowledged is of it.
    fn follow(&mut self, log: LogId, head: u64) {
        if std::mem::replace(&mut self.log, log) != log {
            self.receipts.clear();
            self.seen = 0;
            for node in self.nodes.values_mut() {
                (node.applied, node.fenced_to, node.since) = (0, 0, Some(head));
            }
        }
    }

    /// Marks what a node owes from behind the purge `from` up to the purge `to`.
    fn settle(&mut self, id: NodeId, from: u64, to: u64, state: impl Fn(&mut Receipt) -> State) {
        let start = self.receipts.partition_point(|receipt| receipt.entry.last() <= from);
        let owed = self.receipts.range_mut(start..);
        for receipt in owed.take_while(|receipt| receipt.entry.last() <= to) {
            let state = state(receipt);
            self.completed += u64::from(receipt.settle(id, state));
        }
    }

    fn roster(&mut self) -> Arc<Roster> {
        let nodes = &self.nodes;
        let roster = self.roster.get_or_insert_with(|| {
            Arc::new(Roster::new(
                nodes.values().map(|node| (node.id, node.registration.name.clone())),
            ))
        });
        roster.clone()
    }
}
