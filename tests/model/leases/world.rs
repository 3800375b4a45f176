//! What the control plane and the nodes know, what is on the way, and the clocks.

use super::LEASE_TICKS;

/// `on_control_loss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Mode {
    Serve,
    Revalidate,
}

/// A journal, and the process that runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node {
    /// Journaled: rules up to here are applied. Its copies are as old as can be.
    pub(crate) position: u8,
    /// Journaled: the mode of the last grant; none after a refusal.
    pub(crate) granted: Option<Mode>,
    /// Journaled: how often it was started, the incarnation.
    pub(crate) starts: u8,
    /// As configured; none while no process runs.
    pub(crate) running: Option<Mode>,
    pub(crate) fenced: bool,
    /// Ticks left, by the node's clock.
    pub(crate) lease: u8,
    /// The operator has said that receipts need not wait for it, and it has not heard so yet.
    pub(crate) excused: bool,
}

/// Who has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Registration {
    pub(crate) node: usize,
    pub(crate) starts: u8,
    pub(crate) mode: Mode,
    pub(crate) acknowledged: u8,
    /// Receipts up to here may be complete without it. In memory: a restart takes the head.
    pub(crate) since: u8,
    pub(crate) said_fenced: bool,
}

/// The control plane; its log is always durable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Control {
    pub(crate) head: u8,
    /// Durable: who has the name.
    pub(crate) registered: Option<Registration>,
    /// In memory: ticks until the lease has run out, margin included.
    pub(crate) lease: u8,
    /// Durable: bits of the purges whose receipts wait for the name.
    pub(crate) awaiting: u8,
    /// Receipts up to this number are complete.
    pub(crate) completed: u8,
}

/// A heartbeat, or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Message {
    Heartbeat {
        mode: Mode,
        position: u8,
        fenced: bool,
    },
    /// The last of a process, which serves nothing any more.
    Leave,
    Grant {
        mode: Mode,
        since: u8,
    },
    Refusal,
}

/// A message from or to one process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Letter {
    pub(crate) node: usize,
    pub(crate) starts: u8,
    /// Ticks since the heartbeat was sent, by the node's clock.
    pub(crate) age: u8,
    /// Whether the process still waits for the answer.
    pub(crate) awaited: bool,
    pub(crate) message: Message,
}

/// What is durable, in memory, and on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) control: Control,
    pub(crate) nodes: Vec<Node>,
    pub(crate) letters: Vec<Letter>,
    /// Whether a clock has fallen behind already.
    pub(crate) slipped: bool,
    pub(crate) crashes: u8,
    pub(crate) restarts: u8,
    pub(crate) expulsions: u8,
}

impl Control {
    /// Nobody has the name, and nothing waits for whoever had it.
    pub(crate) fn strike(&mut self) {
        (self.registered, self.lease, self.awaiting) = (None, 0, 0);
    }

    /// The receipt of a purge waits for whoever is registered now.
    pub(crate) fn append(&mut self) {
        if self.registered.is_some() {
            self.awaiting |= 1 << self.head;
        }
        self.head += 1;
    }
}

impl Node {
    /// Whether a hit may begin from a copy that no journaled rule covers.
    pub(crate) fn serves(&self) -> bool {
        self.running.is_some() && !self.fenced
    }

    /// A tick of the node's own clock.
    pub(crate) fn tick(&mut self) {
        if self.lease > 0 {
            self.lease -= 1;
            self.fenced |= self.lease == 0 && self.granted != Some(Mode::Serve);
        }
    }
}

pub(crate) fn tick(world: &mut World, slow: Option<usize>) {
    world.slipped |= slow.is_some();
    world.control.lease = world.control.lease.saturating_sub(1);
    for (at, node) in world.nodes.iter_mut().enumerate() {
        if slow != Some(at) {
            node.tick();
        }
    }
    for letter in &mut world.letters {
        if letter.awaited && slow != Some(letter.node) {
            letter.age = LEASE_TICKS.min(letter.age + 1);
        }
    }
}

pub(crate) fn crash(world: &mut World, at: usize) {
    world.crashes += 1;
    let node = &mut world.nodes[at];
    (node.running, node.fenced, node.lease) = (None, true, 0);
    hang_up(world, at);
}

/// A process ends, and says so.
pub(crate) fn leave(world: &mut World, at: usize, strikes: bool) {
    crash(world, at);
    let node = &mut world.nodes[at];
    if strikes {
        node.granted = None;
    }
    let (starts, message) = (node.starts, Message::Leave);
    world.letters.push(Letter { node: at, starts, age: 0, awaited: false, message });
}

/// Nobody waits for the answers any more; the heartbeats may still arrive.
pub(crate) fn hang_up(world: &mut World, at: usize) {
    let asks =
        |letter: &Letter| matches!(letter.message, Message::Heartbeat { .. } | Message::Leave);
    world.letters.retain(|letter| letter.node != at || asks(letter));
    for letter in world.letters.iter_mut().filter(|letter| letter.node == at) {
        letter.awaited = false;
        letter.age = 0;
    }
}

/// The receipts record that they no longer wait for the node.
pub(crate) fn expel(world: &mut World) {
    world.expulsions += 1;
    if let Some(registered) = world.control.registered {
        world.nodes[registered.node].excused = true;
    }
    world.control.strike();
}

/// Nodes are alike, and messages come in any order: one order stands for all.
pub(crate) fn sort(world: &mut World) {
    if let [first, second] = &mut world.nodes[..]
        && first > second
    {
        std::mem::swap(first, second);
        let swapped = world.letters.iter_mut().map(|letter| &mut letter.node);
        let name = world.control.registered.iter_mut().map(|registered| &mut registered.node);
        for node in swapped.chain(name) {
            *node = 1 - *node;
        }
    }
    world.letters.sort_unstable();
    world.letters.dedup();
}
