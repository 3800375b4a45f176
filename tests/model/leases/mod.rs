//! Which nodes a receipt waits for: registration, leases, and who has a name.
//!
//! ```text
//! node                               control plane
//!  │── heartbeat: position, mode ───────►│ registers the name durably; lease and margin begin
//!  │◄── grant: mode, since ──────────────│
//!  │ lease from sending; unfenced once   │ a receipt is complete when the node registered at the
//!  │ `since` is journaled                │ append has acknowledged, or its lease has run out
//! ```
//!
//! Every node holds copies older than every purge, so it serves wrongly as soon as it runs unfenced
//! below a completed purge. Applying a rule is one step here (`journal` and `tiers` take it apart).
//! A receipt waits for each name apart, so one name is enough; several nodes may claim it, each
//! with a journal of its own. Heartbeats may arrive long after their process has gone.
//!
//! Bounds: leases of 2 ticks, a margin of 1 and as much drift, 2 messages on the way. A node that
//! revalidates: 2 purges, 1 crash, 1 restart of the control plane. A node whose mode changes: 1
//! purge, 2 crashes, 1 restart. Two nodes of a name, and an expelled one: 1 purge, 1 crash.
//!
//! What the search taught:
//! - A restarted control plane holds leases for a whole lease *and the margin*.
//! - The name and a random incarnation do not tell a restarted node from another node, nor a late
//!   heartbeat from a new process. A journal needs an identity of its own, and its starts must be
//!   counted, in the journal, before the first heartbeat: a name that serves passes only to a later
//!   start of the same journal, which need not wait for the lease of its own predecessor either.
//! - Changing `serve` to `revalidate` is journaled before the first heartbeat that says so; or else
//!   that heartbeat, late, ends the wait for a node that was changed back and serves.
//! - What fences a node (a refusal, a registration later than its position) is journaled: its next
//!   start would be unfenced by the grant before.
//! - A name that is registered anew, after the operator's word or out of a registry that lost it,
//!   was not waited for meanwhile. The grant says since which head it is; said once, it may be
//!   lost. The same head is all that a fenced node must journal before it is trusted, if it rises
//!   when the lease of one that revalidates runs out, and when a restart forgets whose has.
//! - A node that leaves strikes `serve` from its journal before it says so.
//! - A node hears the answer to its last heartbeat alone, and its saying that it is fenced ends no
//!   wait: either may be overtaken by a grant.

mod world;

use stateright::{Model, Property};

use crate::words::PROMISE;
use world::{
    Control, Letter, Message, Mode, Node, Registration, World, crash, expel, hang_up, leave, sort,
    tick,
};

/// That receipts complete, either way, and that names are refused.
const APPLIED: &str = "a receipt completes because a serving node applied the purge";
const FENCED: &str = "a receipt completes because a running node is fenced";
const REFUSED: &str = "a node is refused";

rules! {
    Leases:
    /// A grant carries the head since which receipts wait, and a fenced node stays so until it has
    /// journaled that far.
    GrantCarriesSince, grant_carries_since in LEASE: PROMISE;
    /// That is a later head once a lease has run out: receipts were complete without the node.
    LapseRaisesSince, lapse_raises_since in LEASE: PROMISE;
    /// So it is after a restart, which does not know whose lease had run out.
    RestartRaisesSince, restart_raises_since in LEASE: PROMISE;
    /// The node counts its lease from sending the heartbeat, not from receiving the grant.
    LeaseFromSending, lease_from_sending in LEASE: PROMISE;
    /// The control plane adds a margin for clocks that drift apart.
    DriftMargin, drift_margin in LEASE: PROMISE;
    /// Both clocks count suspension.
    ClockCountsSuspension, clock_counts_suspension in LEASE: PROMISE;
    /// A node that said it was fenced may have been granted since: only the lease counts.
    FencedByLeaseAlone, fenced_by_lease_alone in LEASE: PROMISE;
    /// A restarted control plane holds all leases live for one whole lease and the margin.
    RestartHoldsLeases, restart_holds_leases in LEASE: PROMISE;
    /// The margin too: what was granted just before may be counted by a slow clock.
    RestartHoldsMargin, restart_holds_margin in LEASE: PROMISE;
    /// A registration is durable before it is granted.
    RegistrationDurable, registration_durable in LEASE: PROMISE;
    /// Every start is fenced unless the last journaled grant says `serve`.
    StartFenced, start_fenced in LEASE: PROMISE;
    /// A node configured to revalidate strikes that `serve` from its journal before it asks.
    RevalidateJournaledFirst, revalidate_journaled_first in MODES: PROMISE;
    /// A node that serves without the control plane never counts as fenced.
    ServeNeverFenced, serve_never_fenced in MODES: PROMISE;
    /// A node that leaves strikes `serve` from its journal before it says so.
    LeaveJournaledFirst, leave_journaled_first in MODES: PROMISE;
    /// A late heartbeat of an older process changes nothing.
    OlderProcessRefused, older_process_refused in MODES: PROMISE;
    /// While a lease is live, no other node has the name.
    LiveLeaseRefuses, live_lease_refuses in TWINS: PROMISE;
    /// A name that serves passes only to a later process with the same journal.
    ServeNameInherited, serve_name_inherited in TWINS: PROMISE;
    /// A node has one heartbeat on the way: it hears the answer to its last alone.
    LastAnswerAlone, last_answer_alone in EXPELLED: PROMISE;
    /// A node that is refused fences itself.
    RefusedFencesItself, refused_fences_itself in EXPELLED: PROMISE;
    /// What fences it is journaled, so that its next start is fenced.
    FencingJournaled, fencing_journaled in EXPELLED: PROMISE;
    /// A node that serves below what a grant carries fences itself.
    RegistrationFences, registration_fences in EXPELLED: PROMISE;
}

/// Ticks of a lease.
pub(crate) const LEASE_TICKS: u8 = 2;
/// Ticks by which a node's clock may fall behind in a lease.
const MARGIN_TICKS: u8 = 1;

/// What a search covers.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    /// Nodes, each with its journal; all of one name.
    nodes: usize,
    modes: &'static [Mode],
    purges: u8,
    /// Kills of nodes, in all.
    crashes: u8,
    /// Restarts of the control plane.
    restarts: u8,
    /// Removals by the operator.
    expulsions: u8,
    /// Whether a node's clock may fall behind.
    drifts: bool,
    /// Messages on the way at a time.
    messages: usize,
}

/// Leases and the drift of clocks.
const LEASE: Scope = Scope {
    nodes: 1,
    modes: &[Mode::Revalidate],
    purges: 2,
    crashes: 1,
    restarts: 1,
    expulsions: 0,
    drifts: true,
    messages: 2,
};
/// A node that is started now with the one, now with the other `on_control_loss`.
const MODES: Scope = Scope { modes: BOTH, purges: 1, crashes: 2, ..LEASE };
/// Two nodes claim the name; both may serve without the control plane.
const TWINS: Scope =
    Scope { nodes: 2, restarts: 0, purges: 1, modes: BOTH, drifts: false, ..LEASE };
/// The operator says that receipts need not wait for a node, which goes on.
const EXPELLED: Scope = Scope { modes: &[Mode::Serve], expulsions: 1, ..TWINS };
const BOTH: &[Mode] = &[Mode::Serve, Mode::Revalidate];

impl Scope {
    /// For the longer run.
    fn enlarged(self) -> Self {
        let nodes = self.nodes == 1;
        Self { purges: self.purges + u8::from(nodes), crashes: self.crashes + 1, ..self }
    }
}

scopes! {
    Leases:
    LEASE, a_lease;
    MODES, a_change_of_mode;
    TWINS, two_nodes_of_a_name;
    EXPELLED, an_expelled_node;
}

/// A control plane, and the nodes that claim one name.
pub(crate) struct Leases {
    scope: Scope,
    without: Option<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// A purge is appended to the log.
    Purge,
    /// The control plane completes the next receipt.
    Complete,
    /// The control plane forgets what is not durable.
    RestartControl,
    /// The operator removes whoever has the name.
    Expel,
    /// Time passes; the clock of one node may miss it.
    Tick(Option<usize>),
    /// A process is started on a node's journal, so configured.
    Start(usize, Mode),
    /// A process is killed.
    Crash(usize),
    /// A process ends, and says so.
    Leave(usize),
    /// A node applies the next rule and journals it.
    Apply(usize),
    /// A node sends a heartbeat, and gives up the one before.
    Heartbeat(usize),
    /// A message arrives, after whichever others.
    Deliver(Letter),
    /// A message is lost.
    Lose(Letter),
}

impl Model for Leases {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let node = Node {
            position: 0,
            granted: None,
            starts: 0,
            running: None,
            fenced: true,
            lease: 0,
            excused: false,
        };
        let control = Control { head: 0, registered: None, lease: 0, awaiting: 0, completed: 0 };
        let nodes = vec![node; self.scope.nodes];
        let letters = Vec::new();
        vec![World {
            control,
            nodes,
            letters,
            slipped: false,
            crashes: 0,
            restarts: 0,
            expulsions: 0,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let (control, scope) = (&world.control, &self.scope);
        let mut offer = |possible: bool, action: Action| {
            if possible {
                actions.push(action);
            }
        };
        offer(control.head < scope.purges, Action::Purge);
        offer(self.may_complete(control), Action::Complete);
        offer(world.restarts < scope.restarts, Action::RestartControl);
        let expels = world.expulsions < scope.expulsions && control.registered.is_some();
        offer(expels, Action::Expel);
        offer(true, Action::Tick(None));
        let slips = scope.drifts && !world.slipped || !self.keeps(Rule::ClockCountsSuspension);
        for (at, node) in world.nodes.iter().enumerate() {
            let runs = node.running.is_some();
            for &mode in scope.modes {
                offer(!runs, Action::Start(at, mode));
            }
            offer(runs && slips, Action::Tick(Some(at)));
            let ends = runs && world.crashes < scope.crashes;
            let sends = runs && world.letters.len() < scope.messages;
            offer(ends, Action::Crash(at));
            offer(ends && sends, Action::Leave(at));
            offer(runs && node.position < control.head, Action::Apply(at));
            offer(sends, Action::Heartbeat(at));
        }
        for &letter in &world.letters {
            offer(self.may_deliver(world, &letter), Action::Deliver(letter));
            offer(true, Action::Lose(letter));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Purge => next.control.append(),
            Action::Complete => next.control.completed += 1,
            Action::RestartControl => self.restart(&mut next),
            Action::Expel => expel(&mut next),
            Action::Tick(slow) => tick(&mut next, slow),
            Action::Start(at, mode) => self.start(&mut next.nodes[at], mode),
            Action::Crash(at) => crash(&mut next, at),
            Action::Leave(at) => leave(&mut next, at, self.keeps(Rule::LeaveJournaledFirst)),
            Action::Apply(at) => next.nodes[at].position += 1,
            Action::Heartbeat(at) => self.heartbeat(&mut next, at),
            Action::Deliver(letter) => self.deliver(&mut next, letter),
            Action::Lose(letter) => next.letters.retain(|other| *other != letter),
        }
        sort(&mut next);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PROMISE, |_, world: &World| {
                let begins = |node: &Node| node.serves() && !node.excused;
                let completed = world.control.completed;
                !world.nodes.iter().any(|node| begins(node) && node.position < completed)
            }),
            Property::sometimes(APPLIED, |_, world: &World| {
                world.control.completed > 0 && world.nodes.iter().any(Node::serves)
            }),
            Property::sometimes(FENCED, |model: &Self, world: &World| {
                let fenced = |node: &Node| {
                    node.running.is_some()
                        && node.granted == Some(Mode::Revalidate)
                        && node.position < world.control.completed
                };
                !model.scope.modes.contains(&Mode::Revalidate) || world.nodes.iter().any(fenced)
            }),
            Property::sometimes(REFUSED, |model: &Self, world: &World| {
                let refusal = |letter: &Letter| letter.message == Message::Refusal;
                model.scope.nodes == 1 || world.letters.iter().any(refusal)
            }),
        ]
    }
}

impl Leases {
    /// A receipt is complete when the node registered at the append is applied or fenced.
    fn may_complete(&self, control: &Control) -> bool {
        let awaits = control.awaiting & 1 << control.completed != 0;
        control.completed < control.head
            && (!awaits
                || control.registered.is_some_and(|registered| {
                    registered.acknowledged > control.completed
                        || self.counts_as_fenced(control, &registered)
                }))
    }

    fn counts_as_fenced(&self, control: &Control, registered: &Registration) -> bool {
        let lapsed = control.lease == 0 || registered.said_fenced;
        lapsed && (registered.mode == Mode::Revalidate || !self.keeps(Rule::ServeNeverFenced))
    }

    fn whole_lease(&self) -> u8 {
        LEASE_TICKS + if self.keeps(Rule::DriftMargin) { MARGIN_TICKS } else { 0 }
    }

    fn restart(&self, world: &mut World) {
        world.restarts += 1;
        let control = &mut world.control;
        let holds = self.keeps(Rule::RestartHoldsLeases);
        let margin = self.keeps(Rule::RestartHoldsMargin);
        let lease = if margin { self.whole_lease() } else { LEASE_TICKS };
        control.lease = if holds { lease } else { 0 };
        if !self.keeps(Rule::RegistrationDurable) {
            (control.registered, control.lease) = (None, 0);
        }
        match &mut control.registered {
            Some(registered) if self.keeps(Rule::RestartRaisesSince) => {
                registered.since = control.head;
            }
            Some(_) => {}
            None => control.lease = 0,
        }
    }

    fn start(&self, node: &mut Node, mode: Mode) {
        if mode == Mode::Revalidate && self.keeps(Rule::RevalidateJournaledFirst) {
            node.granted = None;
        }
        let served = node.granted == Some(Mode::Serve);
        let unfenced = served || !self.keeps(Rule::StartFenced);
        node.starts += 1;
        node.running = Some(mode);
        node.fenced = !unfenced;
        node.lease = if unfenced { LEASE_TICKS } else { 0 };
    }

    fn heartbeat(&self, world: &mut World, at: usize) {
        if self.keeps(Rule::LastAnswerAlone) {
            hang_up(world, at);
        }
        let Node { running, position, fenced, starts, .. } = world.nodes[at];
        let mode = running.expect("it runs");
        let message = Message::Heartbeat { mode, position, fenced };
        world.letters.push(Letter { node: at, starts, age: 0, awaited: true, message });
    }

    /// A grant waits until what it demands is journaled.
    fn may_deliver(&self, world: &World, letter: &Letter) -> bool {
        let node = &world.nodes[letter.node];
        match letter.message {
            Message::Grant { mode, since } => {
                let late = mode == Mode::Revalidate && self.lease_of(letter) == 0;
                let journaled = node.position >= since || !self.keeps(Rule::GrantCarriesSince);
                !late && (!node.fenced || journaled)
            }
            Message::Heartbeat { .. } | Message::Leave | Message::Refusal => true,
        }
    }

    fn lease_of(&self, letter: &Letter) -> u8 {
        if self.keeps(Rule::LeaseFromSending) { LEASE_TICKS - letter.age } else { LEASE_TICKS }
    }

    fn deliver(&self, world: &mut World, letter: Letter) {
        world.letters.retain(|other| *other != letter);
        let node = &mut world.nodes[letter.node];
        match letter.message {
            Message::Heartbeat { mode, position, fenced } => {
                let claim = Registration {
                    node: letter.node,
                    starts: letter.starts,
                    mode,
                    acknowledged: position,
                    since: world.control.head,
                    said_fenced: fenced && !self.keeps(Rule::FencedByLeaseAlone),
                };
                let message = self.answer(&mut world.control, claim);
                // Whatever is appended from now on waits for it again.
                node.excused &=
                    !matches!(message, Message::Grant { since, .. } if since <= position);
                if letter.awaited {
                    world.letters.push(Letter { message, ..letter });
                }
            }
            Message::Leave => {
                let of_it =
                    |it: &Registration| (it.node, it.starts) == (letter.node, letter.starts);
                if world.control.registered.as_ref().is_some_and(of_it) {
                    world.control.strike();
                }
            }
            Message::Grant { mode, since } => {
                let missed = !node.fenced && node.position < since;
                node.excused &= node.position >= since;
                if missed && self.keeps(Rule::RegistrationFences) {
                    return self.fence(node);
                }
                node.granted = Some(mode);
                node.lease = self.lease_of(&letter);
                node.fenced = false;
            }
            Message::Refusal => {
                if self.keeps(Rule::RefusedFencesItself) {
                    self.fence(node);
                }
                node.excused = false;
            }
        }
    }

    fn fence(&self, node: &mut Node) {
        (node.fenced, node.lease) = (true, 0);
        if self.keeps(Rule::FencingJournaled) {
            node.granted = None;
        }
    }

    fn answer(&self, control: &mut Control, mut claim: Registration) -> Message {
        if let Some(registered) = &control.registered {
            if !self.may_take(control.lease, registered, &claim) {
                return Message::Refusal;
            }
            let validates = registered.mode == Mode::Revalidate;
            let lapsed = validates && control.lease == 0 && self.keeps(Rule::LapseRaisesSince);
            // Its start was fenced, and the process before it has ended.
            let fenced = claim.mode == Mode::Revalidate && claim.starts > registered.starts;
            if registered.node == claim.node {
                claim.acknowledged = claim.acknowledged.max(registered.acknowledged);
                if fenced {
                    control.awaiting = 0;
                } else if !lapsed {
                    claim.since = registered.since;
                }
            }
        }
        control.registered = Some(claim);
        control.lease = self.whole_lease();
        Message::Grant { mode: claim.mode, since: claim.since }
    }

    /// Whether the process may have the name, or keep it.
    fn may_take(&self, lease: u8, registered: &Registration, claim: &Registration) -> bool {
        if registered.node == claim.node {
            return claim.starts >= registered.starts || !self.keeps(Rule::OlderProcessRefused);
        }
        let live = lease > 0 && self.keeps(Rule::LiveLeaseRefuses);
        let serves = registered.mode == Mode::Serve && self.keeps(Rule::ServeNameInherited);
        !live && !serves
    }
}
