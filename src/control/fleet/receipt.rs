//! What becomes of the purges of one entry: a row for each node that was registered.

use std::sync::Arc;
use std::time::Duration;

use crate::control::log::Logged;
use crate::object::LogId;

/// Which node, whatever its name and process are.
pub(super) type NodeId = u32;

/// The nodes that were registered at some moment, shared by the receipts of that time.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    /// In the order of the numbers.
    nodes: Vec<(NodeId, Arc<str>)>,
}

impl Roster {
    pub(super) fn new(nodes: impl Iterator<Item = (NodeId, Arc<str>)>) -> Self {
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort_by_key(|(id, _)| *id);
        Self { nodes }
    }

    pub(super) fn place(&self, id: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}

/// How a node stands to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not been heard of.
    Pending,
    /// It has applied and journaled it, so long after the entry was durable; `None` where that was
    /// before this process began.
    Applied(Option<Duration>),
    /// It serves nothing unjudged that it stored before.
    Fenced,
    /// It said that it serves nothing any more.
    Left,
    /// It was struck off.
    Removed,
}

impl State {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied(_) => "applied",
            Self::Fenced => "fenced",
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }
}

/// One node of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its name.
    pub name: &'a str,
    /// How it stands.
    pub state: State,
    /// Who struck it off.
    pub removed_by: Option<&'a str>,
}

/// What became of an entry.
#[derive(Debug)]
pub struct Receipt {
    /// Of which log.
    pub log: LogId,
    /// What was asked, by whom and when.
    pub entry: Arc<Logged>,
    /// When it was durable, if that is known.
    since: Option<Duration>,
    roster: Arc<Roster>,
    states: Vec<State>,
    pending: usize,
    removed: Vec<(NodeId, Box<str>)>,
    /// By each purge, the nodes that applied it and serve nothing that it names; empty where there
    /// is none.
    unmatched: Vec<usize>,
}

impl Receipt {
    pub(super) fn new(
        log: LogId,
        entry: Arc<Logged>,
        since: Option<Duration>,
        roster: Arc<Roster>,
        states: Vec<State>,
    ) -> Self {
        let pending = states.iter().filter(|state| **state == State::Pending).count();
        Self {
            log,
            entry,
            since,
            roster,
            states,
            pending,
            removed: Vec::new(),
            unmatched: Vec::new(),
        }
    }

    /// Whether every node has applied it, is fenced, left, or was struck off.
    pub fn is_complete(&self) -> bool {
        self.pending == 0
    }

    /// Every node that was registered, in the order in which they first were.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.roster.nodes.iter().zip(&self.states).map(|((id, name), state)| {
            let removed = self.removed.iter().find(|(removed, _)| removed == id);
            Row { name, state: *state, removed_by: removed.map(|(_, by)| &**by) }
        })
    }

    /// How many of the nodes that have applied a purge serve something that it names, as far as
    /// they said; `None` where none has, or nothing is known of how they did. Nor is it known that
    /// nobody does while one is fenced or was struck off, which may serve it again.
    pub fn matched(&self, number: u64) -> Option<usize> {
        self.since?;
        let applied = self.states.iter().filter(|state| matches!(state, State::Applied(_))).count();
        let at = usize::try_from(number.checked_sub(self.entry.first)?).ok()?;
        let unmatched = self.unmatched.get(at).copied().unwrap_or_default();
        let silent = |state: &State| matches!(state, State::Fenced | State::Removed);
        match applied.saturating_sub(unmatched) {
            0 if applied == 0 || self.states.iter().any(silent) => None,
            matched => Some(matched),
        }
    }

    /// Takes a node's word for which purges name nothing that it serves. To be told before it is
    /// marked as one that has applied them, so that it counts once.
    pub(super) fn names_nothing(&mut self, id: NodeId, rows: &[(u64, u64)]) {
        let state = self.roster.place(id).and_then(|at| self.states.get(at));
        if !matches!(state, Some(State::Pending | State::Fenced)) {
            return;
        }
        let (begin, end) = (self.entry.first, self.entry.last());
        for number in rows.iter().flat_map(|&(from, to)| from.max(begin)..=to.min(end)) {
            self.unmatched.resize(self.entry.commands.len(), 0);
            let at = usize::try_from(number - begin).ok();
            if let Some(count) = at.and_then(|at| self.unmatched.get_mut(at)) {
                *count += 1;
            }
        }
    }

    /// Whether a node owes its word.
    pub(super) fn waits_for(&self, id: NodeId) -> bool {
        let at = self.roster.place(id);
        at.and_then(|at| self.states.get(at)) == Some(&State::Pending)
    }

    /// Waits for one more node, of a higher number than all others.
    pub(super) fn waits_also_for(&mut self, id: NodeId, name: Arc<str>) {
        Arc::make_mut(&mut self.roster).nodes.push((id, name));
        self.states.push(State::Pending);
        self.pending += 1;
    }

    /// How long it is since the entry was durable.
    pub(super) fn took(&self, now: Duration) -> Option<Duration> {
        Some(now.saturating_sub(self.since?))
    }

    /// Marks a node, unless it is marked better; true if that completes the receipt.
    pub(super) fn settle(&mut self, id: NodeId, to: State) -> bool {
        let Some(state) = self.roster.place(id).and_then(|at| self.states.get_mut(at)) else {
            return false;
        };
        let is_better = match (*state, to) {
            (State::Pending, _) => true,
            (State::Fenced, State::Applied(_)) => true,
            (State::Applied(_) | State::Fenced | State::Left | State::Removed, _) => false,
        };
        if !is_better {
            return false;
        }
        let was_pending = std::mem::replace(state, to) == State::Pending;
        self.pending -= usize::from(was_pending);
        was_pending && self.pending == 0
    }

    /// Waits for a node no longer; true if that completes the receipt.
    pub(super) fn removed(&mut self, id: NodeId, by: &str) -> bool {
        let was_pending = self.pending;
        let complete = self.settle(id, State::Removed);
        if self.pending < was_pending {
            self.removed.push((id, by.into()));
        }
        complete
    }
}
