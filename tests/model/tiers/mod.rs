//! Edges before a shield before the origin, one key: how a purge goes through flights and tiers.
//!
//! ```text
//! client ─► edge ── floor ──► shield ── validator ──► origin   a flight: Asked ─► Answered,
//!            ▲                  │                              an edge's in between: Waiting
//!            └──── sequence ────┘                   every node follows the one ordered log
//! ```
//!
//! A copy's lifetime may be over at any moment, so a clean copy is a hit or is revalidated. The
//! origin changes its body before a purge is asked, never because of it. Weak validators notice no
//! change at all. A node reads the log in order, as late as it likes. The control plane hears an
//! acknowledgement at once, which binds the promise the sooner. Clients are not counted: whether
//! one could be served wrongly is asked in every state ([`Tiers::beginnings`]).
//!
//! Bounds: one change of the body, one crash (none with two edges or a replaced log); a change of
//! tags where tags matter. An edge alone: 2 purges, 2 flights, a follower each; publishing,
//! journaling and acknowledging are steps apart. With a shield: 1 purge, 1 flight of each edge, 2
//! of the shield, the three steps in one. Each with strong and with weak validators.
//!
//! What the search taught:
//! - The leader's response begins as late as a follower's, so it is judged again as well: without
//!   that, an answer that was slow to come begins after a receipt that completed meanwhile.
//! - Old tags must be judged by every rule published since the fetch began, new tags are judged of
//!   themselves once the freshened copy has the sequence of that begin.
//! - Floors are obeyed for progress: with honest stamps the refusal of what is below the floor
//!   keeps the promise alone, and it keeps it against a shield that knows no floors.
//! - A floor rises with every purge of any key. So a shield's copy that is past its lifetime, but
//!   under no rule, is stamped with the shield's position: with its own sequence, stale-if-error
//!   through a shield would end with the next purge of anything. Only a soft-purged copy has its
//!   own, and is refused where the edge knows the rule: which is no sign of a shield's ill health.
//! - Numbers of two logs must never be compared, and a log put back under its old identity is two
//!   logs: an edge that follows the one takes a shield's word that still stands in the other.

mod node;
mod step;

use stateright::{Model, Property};

use crate::words::{COMPLETES, HIT_AFTER, Kind, PROMISE};
use node::{Answer, Flight, Node, Purge, Range, Stage, Stored, Tag, Verdict};

/// Beside the promise: a soft purge, too, ends the freshness of what it covers.
const SOFT: &str = "no hit begins from a copy that a completed soft purge covers";
const FRESHENED: &str = "a copy is freshened";
const CATCHES_UP: &str = "a shield behind the floor answers";

rules! {
    Tiers:
    /// A rule is published before it is acknowledged, so that no hit misses it.
    PublishBeforeAcknowledge, publish_before_acknowledge in PLAIN: PROMISE;
    /// A rule is journaled before it is acknowledged, so that no crash forgets it.
    JournalBeforeAcknowledge, journal_before_acknowledge in PLAIN: PROMISE;
    /// A response's sequence is the position when its fetch began, not when it ended.
    SequenceOfBegin, sequence_of_begin in PLAIN: PROMISE;
    /// A freshened copy has the sequence of the fetch that freshened it, from its begin.
    FreshenedKeepsSequence, freshened_keeps_sequence in TAGS: PROMISE;
    /// A hard-purged copy sends no validator: the origin's may not have noticed the change.
    HardSendsNoValidator, hard_sends_no_validator in PLAIN: PROMISE;
    /// Neither stale-while-revalidate nor stale-if-error serves what is hard-purged.
    NoStaleAfterHard, no_stale_after_hard in PLAIN: PROMISE;
    /// A request joins an older flight only if no rule since the flight's sequence covers the key.
    JoinOnlyIfUncovered, join_only_if_uncovered in PLAIN: PROMISE;
    /// A request that joined is judged by the flight's tags once they are known.
    JoinJudgesTags, join_judges_tags in TAGS: PROMISE;
    /// The verdict is taken again at the first body byte for a follower that waited.
    FollowerJudgedAgain, follower_judged_again in PLAIN: PROMISE;
    /// The same for the leader: its client waited as long.
    LeaderJudgedAgain, leader_judged_again in PLAIN: PROMISE;
    /// A 304 is judged under the old tags for the rules since its fetch began.
    FreshenUnderOldTags, freshen_under_old_tags in TAGS: PROMISE;
    /// A 304 is judged under the new tags, which the copy then has.
    FreshenUnderNewTags, freshen_under_new_tags in TAGS: PROMISE;
    /// A shield behind the floor treats its copies as possibly purged, and its flights as too old.
    FloorObeyed, floor_obeyed in TIERS: CATCHES_UP;
    /// The flights of a shield have the larger of its own position and the floor.
    FlightUsesFloor, flight_uses_floor in TIERS: CATCHES_UP;
    /// A copy only possibly purged sends no validator but a strong one.
    PossiblySendsStrongOnly, possibly_sends_strong_only in TWO_EDGES: PROMISE;
    /// An answer below the floor is refused.
    RefuseBelowFloor, refuse_below_floor in DEAF: PROMISE;
    /// An answer is stamped with the position read before look-up.
    StampBeforeLookup, stamp_before_lookup in DEAF: PROMISE;
    /// A number of another log counts as older than every rule, in a floor as in an answer.
    ForeignIsOldest, foreign_is_oldest in REPLACED: PROMISE;
    /// A soft-purged copy served stale is stamped with its own sequence.
    SoftStampedWithOwn, soft_stamped_with_own in SOFT_TIERS: SOFT;
}

/// What a search covers.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    edges: usize,
    shield: bool,
    /// Purges that may be asked, at most so many in all.
    purges: &'static [(Kind, Range)],
    purges_max: usize,
    /// How often the origin changes the body.
    changes: u8,
    /// Whether the origin may change the tags alone.
    retags: bool,
    crashes: u8,
    /// Flights at a time, of an edge and of the shield.
    flights: [usize; 2],
    /// Whether the origin's validators are strong; several are searched each.
    strong: &'static [bool],
    /// A rule is published, journaled and acknowledged in one step: the promise binds the sooner.
    at_once: bool,
    /// The shield is of a make that knows no floors.
    deaf: bool,
    /// The log has just been replaced: every node stands at [`OLD_NUMBER`] of the old one.
    replaced: bool,
}

const HARD_URL: (Kind, Range) = (Kind::Hard, Range::Url);
const HARD_TAG: (Kind, Range) = (Kind::Hard, Range::Tag(Tag::A));
const SOFT_URL: (Kind, Range) = (Kind::Soft, Range::Url);

/// Flights and crashes of a node that asks the origin itself.
const PLAIN: Scope = Scope {
    edges: 1,
    shield: false,
    purges: &[HARD_URL],
    purges_max: 2,
    changes: 1,
    retags: false,
    crashes: 1,
    flights: [2, 0],
    strong: &[true, false],
    at_once: false,
    deaf: false,
    replaced: false,
};
/// Purges by tag, while the origin moves the key from one tag to the other.
const TAGS: Scope = Scope { purges: &[HARD_TAG], purges_max: 1, retags: true, ..PLAIN };
/// Floors and sequences.
const TIERS: Scope = Scope { shield: true, purges_max: 1, flights: [1, 2], at_once: true, ..PLAIN };
/// Two edges with different positions before a shield.
const TWO_EDGES: Scope = Scope { edges: 2, crashes: 0, ..TIERS };
/// Either kind of purge.
const SOFT_TIERS: Scope = Scope { purges: &[HARD_URL, SOFT_URL], ..TIERS };
/// A shield of an older make.
const DEAF: Scope = Scope { deaf: true, ..TIERS };
/// Tiers that find out one after the other that they follow another log.
const REPLACED: Scope = Scope { crashes: 0, replaced: true, ..TIERS };

/// Where nodes stand in a log that has been replaced.
const OLD_NUMBER: u8 = 1;

impl Scope {
    /// For the longer run.
    fn enlarged(self) -> Self {
        let crashes = self.crashes + 1;
        let purges_max = self.purges_max + usize::from(self.edges == 1);
        Self { crashes, purges_max, ..self }
    }
}

scopes! {
    Tiers:
    PLAIN, an_edge_alone;
    TAGS, tags;
    TIERS, a_shield;
    SOFT_TIERS, a_shield_and_soft_purges;
    TWO_EDGES, two_edges;
    DEAF, a_deaf_shield;
    REPLACED, a_replaced_log;
}

/// Edges before at most one shield before the origin, one key.
pub(crate) struct Tiers {
    scope: Scope,
    without: Option<Rule>,
}

/// The world: what is durable, what is in memory, what is on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    origin: Origin,
    /// The ordered log; a purge's number is its index and one.
    log: Vec<Purge>,
    /// Edges, then the shield.
    nodes: Vec<Node>,
    crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    version: u8,
    tag: Tag,
    retagged: bool,
    strong: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// The body changes at the origin.
    Change,
    /// The tags change at the origin, the body does not.
    Retag,
    /// A purge is asked and appended to the log.
    Purge(Kind, Range),
    /// A node finds that the log is another; nothing of it is applied yet.
    Switch(usize),
    /// A node's event loops see the next rule.
    Publish(usize),
    /// A node syncs the next rule to its journal.
    Journal(usize),
    /// A node acknowledges what it may.
    Acknowledge(usize),
    /// A client's request leads a flight.
    Lead(usize),
    /// A client's request joins the flight in this slot.
    Join(usize, usize),
    /// The shield answers an edge's flight from a copy under no rule, past its lifetime or not.
    AnswerClean(usize, usize),
    /// The shield answers an edge's flight from a soft-purged copy, stale.
    AnswerSoft(usize, usize),
    /// The shield lets an edge's flight wait for its own flight in the last slot.
    Await(usize, usize, usize),
    /// The shield leads a flight for an edge's.
    Forward(usize, usize),
    /// The origin answers.
    Originate(usize, usize),
    /// An answer arrives.
    Arrive(usize, usize),
    /// A request or its answer is lost.
    Lose(usize, usize),
    /// A node is killed and started again.
    Crash(usize),
}

/// A response that could begin now.
pub(crate) struct Beginning {
    content: node::Content,
    /// From a stored copy, as fresh.
    hit: bool,
}

impl Model for Tiers {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let tags: &[Tag] = if self.scope.retags { &[Tag::A, Tag::B] } else { &[Tag::A] };
        let count = self.scope.edges + usize::from(self.scope.shield);
        let mut states = Vec::new();
        for &strong in self.scope.strong {
            for &tag in tags {
                let origin = Origin { version: 0, tag, retagged: false, strong };
                let node = Node { foreign: self.scope.replaced, ..Node::default() };
                let nodes = vec![node; count];
                states.push(World { origin, log: Vec::new(), nodes, crashes: 0 });
            }
        }
        states
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.log_actions(world, actions);
        for node in 0..world.nodes.len() {
            self.node_actions(world, node, actions);
        }
        if let Some(shield) = self.shield() {
            self.shield_actions(world, shield, actions);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.step(&mut next, action);
        self.sort(&mut next);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PROMISE, Self::nothing_purged_begins),
            Property::always(SOFT, Self::nothing_softened_is_a_hit),
            Property::sometimes(COMPLETES, |_, world: &World| world.completed() > 0),
            Property::sometimes(HIT_AFTER, Self::hit_after_purge),
            Property::sometimes(FRESHENED, Self::freshened),
            Property::sometimes(CATCHES_UP, Self::shield_catches_up),
        ]
    }
}

impl Tiers {
    fn shield(&self) -> Option<usize> {
        self.scope.shield.then_some(self.scope.edges)
    }

    fn is_edge(&self, node: usize) -> bool {
        node < self.scope.edges
    }

    fn nothing_purged_begins(&self, world: &World) -> bool {
        self.beginnings(world).iter().all(|begun| !world.purged(&begun.content))
    }

    fn nothing_softened_is_a_hit(&self, world: &World) -> bool {
        let begun = self.beginnings(world);
        begun.iter().all(|begun| !begun.hit || !world.softened(&begun.content))
    }

    fn hit_after_purge(&self, world: &World) -> bool {
        world.completed() > 0 && self.beginnings(world).iter().any(|begun| begun.hit)
    }

    fn freshened(&self, world: &World) -> bool {
        let not_modified = |flight: &Flight| {
            matches!(flight.stage, Stage::Answered(Answer::NotModified { .. }, _))
        };
        world.nodes.iter().flat_map(Node::flights).any(not_modified)
    }

    fn shield_catches_up(&self, world: &World) -> bool {
        let Some(shield) = self.shield().filter(|_| !self.scope.deaf) else { return true };
        let behind = world.nodes[shield].published;
        let answered = |flight: &Flight| {
            matches!(flight.stage, Stage::Answered(_, stamp)
                if stamp >= flight.sequence && stamp > behind)
        };
        world.nodes[..shield].iter().flat_map(Node::flights).any(answered)
    }

    /// Every response that could begin in this state, were a client to ask or an answer to arrive.
    fn beginnings(&self, world: &World) -> Vec<Beginning> {
        let mut begun = Vec::new();
        for node in &world.nodes[..self.scope.edges] {
            if let Some(stored) = &node.stored {
                match self.verdict(world, node, stored) {
                    Verdict::Clean => begun.push(Beginning { content: stored.content, hit: true }),
                    Verdict::Hard if self.keeps(Rule::NoStaleAfterHard) => {}
                    Verdict::Soft | Verdict::Hard => {
                        begun.push(Beginning { content: stored.content, hit: false });
                    }
                }
            }
            for flight in node.flights() {
                if let Some(stored) = self.arrival(world, node, flight)
                    && self.first_byte(world, node, flight, &stored)
                {
                    begun.push(Beginning { content: stored.content, hit: false });
                }
            }
        }
        begun
    }

    /// Whether the leader's or a follower's response begins with what the flight brought.
    fn first_byte(&self, world: &World, node: &Node, flight: &Flight, stored: &Stored) -> bool {
        let hard = |since, until| world.covers(Kind::Hard, since, until, stored.tag);
        let tagged =
            |purge: &Purge| purge.kind == Kind::Hard && purge.range == Range::Tag(stored.tag);
        let led = !self.keeps(Rule::LeaderJudgedAgain) || !hard(flight.sequence, node.published);
        let followed = flight.follower.is_some_and(|joined| {
            let joins = !self.keeps(Rule::JoinJudgesTags)
                || !world.rules(flight.sequence, joined).any(tagged);
            let waited = !self.keeps(Rule::FollowerJudgedAgain) || !hard(joined, node.published);
            joins && waited
        });
        led || followed
    }

    fn verdict(&self, world: &World, node: &Node, stored: &Stored) -> Verdict {
        let covers = |kind| world.covers(kind, stored.sequence, node.published, stored.tag);
        match (covers(Kind::Hard), covers(Kind::Soft)) {
            (true, _) => Verdict::Hard,
            (false, true) => Verdict::Soft,
            (false, false) => Verdict::Clean,
        }
    }
}

impl World {
    /// Whether a rule numbered in (since, until] covers the key under this tag.
    fn covers(&self, kind: Kind, since: u8, until: u8, tag: Tag) -> bool {
        self.rules(since, until).any(|purge| purge.kind == kind && purge.range.covers(tag))
    }

    fn rules(&self, since: u8, until: u8) -> impl Iterator<Item = &Purge> {
        self.log.iter().take(until.into()).skip(since.into())
    }

    /// Up to which number every receipt is complete.
    fn completed(&self) -> u8 {
        self.nodes.iter().map(|node| node.acknowledged).min().unwrap_or(0)
    }

    /// Whether a completed hard purge covers the content, by what really happened.
    fn purged(&self, content: &node::Content) -> bool {
        self.rules(0, self.completed()).enumerate().any(|(index, purge)| {
            let tagged = purge.range.covers(content.tag) && usize::from(content.confirmed) <= index;
            let named = purge.range == Range::Url || tagged || content.marked & 1 << index != 0;
            purge.kind == Kind::Hard && content.version < purge.version && named
        })
    }

    /// Whether a completed soft purge covers the content, by what really happened.
    fn softened(&self, content: &node::Content) -> bool {
        self.rules(0, self.completed())
            .zip(1..)
            .any(|(purge, number)| purge.kind == Kind::Soft && content.confirmed < number)
    }
}
