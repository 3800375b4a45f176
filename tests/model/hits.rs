//! The hit path: how event loops judge a stored copy while rules arrive, without a lock.
//!
//! ```text
//! the node      publish the rule ─► publish the head ─► every loop idle once ─► acknowledge
//! an event loop load the head ─► equal to `checked`? hit
//!                               └► scan the rules since `checked` ─► clean: `checked` = head, hit
//! ```
//!
//! Bounds: two event loops that share one copy, two purges that both cover it. Every load and store
//! is a step of its own; memory is as strong as release and acquire make it here.

use stateright::{Model, Property};

use crate::words::{COMPLETES, HIT_AFTER, PROMISE};

/// Beside the promise: nothing is let go for nothing.
const KEEPS: &str = "a copy fetched since the last rule is never held for purged";

rules! {
    Hits:
    /// The rule is published before the head: who sees the head finds the rule.
    PublishedBeforeHead, published_before_head in LOOPS: PROMISE;
    /// A copy is checked up to the head that was loaded before the scan, not after it.
    HeadBeforeScan, head_before_scan in LOOPS: PROMISE;
    /// `checked` is never lowered: the copy may be a later one by now.
    CheckedNeverLowered, checked_never_lowered in LOOPS: KEEPS;
    /// A rule is acknowledged after every event loop has seen the head.
    AcknowledgeAfterLoops, acknowledge_after_loops in LOOPS: PROMISE;
}

/// What a search covers.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    purges: u8,
}

const LOOPS: Scope = Scope { purges: 2 };

impl Scope {
    /// For the longer run.
    fn enlarged(self) -> Self {
        Self { purges: self.purges + 2 }
    }
}

scopes! {
    Hits:
    LOOPS, two_event_loops;
}

/// Two event loops of a node.
pub(crate) struct Hits {
    scope: Scope,
    without: Option<Rule>,
}

/// Where an event loop is with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Loop {
    Idle,
    /// The head is loaded.
    Loaded(u8),
    /// No rule since `checked` was found; the copy was fetched at the second number.
    Clean(u8, u8),
    /// The next thing is the first byte, of a copy fetched then.
    Begins(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// Rules in the table, the head, and how far they are acknowledged.
    rules: u8,
    head: u8,
    acknowledged: u8,
    /// Bits of the loops that were idle since the head rose.
    seen: u8,
    /// The position at which the copy was fetched, and up to which it is known to be clean.
    sequence: u8,
    checked: u8,
    loops: [Loop; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    PublishRule,
    PublishHead,
    Acknowledge,
    /// A loop is between two requests and looks at the head.
    Look(usize),
    /// A loop takes the next step of its request.
    Step(usize),
    /// The copy is fetched anew.
    Refetch,
}

impl Model for Hits {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let loops = [Loop::Idle; 2];
        let (sequence, checked) = (0, 0);
        vec![World { rules: 0, head: 0, acknowledged: 0, seen: 0b11, sequence, checked, loops }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let ordered = self.keeps(Rule::PublishedBeforeHead);
        let (first, second) =
            if ordered { (world.rules, world.head) } else { (world.head, world.rules) };
        if first < self.scope.purges && first == second {
            actions.push(if ordered { Action::PublishRule } else { Action::PublishHead });
        }
        if second < first {
            actions.push(if ordered { Action::PublishHead } else { Action::PublishRule });
        }
        let seen = world.seen == 0b11 || !self.keeps(Rule::AcknowledgeAfterLoops);
        if world.acknowledged < world.head.min(world.rules) && seen {
            actions.push(Action::Acknowledge);
        }
        for (at, event_loop) in world.loops.iter().enumerate() {
            if *event_loop == Loop::Idle && world.seen & 1 << at == 0 {
                actions.push(Action::Look(at));
            }
            actions.push(Action::Step(at));
        }
        if world.sequence < world.head {
            actions.push(Action::Refetch);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = *world;
        match action {
            Action::PublishRule => next.rules += 1,
            Action::PublishHead => (next.head, next.seen) = (world.head + 1, 0),
            Action::Acknowledge => next.acknowledged = world.head.min(world.rules),
            Action::Look(at) => next.seen |= 1 << at,
            Action::Step(at) => self.step(&mut next, at),
            Action::Refetch => (next.sequence, next.checked) = (world.head, world.head),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PROMISE, |_, world: &World| {
                let known = world.acknowledged;
                let old = |stage: &Loop| matches!(*stage, Loop::Begins(at) if at < known);
                !world.loops.iter().any(old)
            }),
            Property::always(KEEPS, |_, world: &World| world.checked >= world.sequence),
            Property::sometimes(COMPLETES, |_, world: &World| world.acknowledged > 0),
            Property::sometimes(HIT_AFTER, |_, world: &World| {
                let begins = |stage: &Loop| matches!(stage, Loop::Begins(_));
                world.acknowledged > 0 && world.loops.iter().any(begins)
            }),
        ]
    }
}

impl Hits {
    fn step(&self, world: &mut World, at: usize) {
        let next = match world.loops[at] {
            Loop::Idle => Loop::Loaded(world.head),
            Loop::Loaded(head) if head == world.checked => Loop::Begins(world.sequence),
            // Covered: a miss, and the copy is let go.
            Loop::Loaded(_) if world.checked < world.rules => Loop::Idle,
            Loop::Loaded(head) => Loop::Clean(head, world.sequence),
            Loop::Clean(head, fetched) => {
                let head = if self.keeps(Rule::HeadBeforeScan) { head } else { world.head };
                let least = if self.keeps(Rule::CheckedNeverLowered) { world.checked } else { 0 };
                world.checked = head.max(least);
                Loop::Begins(fetched)
            }
            Loop::Begins(_) => Loop::Idle,
        };
        world.loops[at] = next;
    }
}
