//! The log, the rules table as the journal has it, the store, and what really happened.

use crate::words::Kind;

/// A purge of one url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Purge {
    pub(crate) url: usize,
    pub(crate) kind: Kind,
}

/// The purge log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    /// Each entry is a purge, by its place among all that were ever asked.
    pub(crate) entries: Vec<usize>,
    /// So many of them are gone ...
    pub(crate) dropped: usize,
    /// ... and stand in a snapshot, or nowhere.
    pub(crate) snapshot: bool,
}

/// The hash chain: a number that tells each prefix of each log from all others.
pub(crate) type Hash = u32;

/// The highest number of either kind; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Purged {
    pub(crate) hard: u8,
    pub(crate) soft: u8,
}

/// The rules table as the journal has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    /// The position in the node's own numbers, which ascend through every log.
    pub(crate) local: u8,
    /// The position in the log that it follows, and the hash of that prefix.
    pub(crate) number: usize,
    pub(crate) hash: Hash,
    pub(crate) urls: [Purged; 2],
    pub(crate) site: Purged,
    pub(crate) possibly: u8,
    pub(crate) horizon: u8,
}

/// A copy of a url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stored {
    pub(crate) sequence: u8,
    /// How many purges had been asked when the origin sent it.
    pub(crate) fetched: usize,
}

/// How far a node has applied and journaled, and of which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Acknowledgement {
    pub(crate) number: usize,
    pub(crate) hash: Hash,
}

/// What is durable, in memory, and on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// Every purge ever asked, in order.
    pub(crate) purges: Vec<Purge>,
    /// Which of them are complete.
    pub(crate) completed: Vec<usize>,
    pub(crate) log: Log,
    /// On the node's disk.
    pub(crate) durable: Table,
    /// Published and written, oldest first; a crash keeps as many as it likes.
    pub(crate) written: Vec<Table>,
    pub(crate) store: [Option<Stored>; 2],
    /// The fetch under way.
    pub(crate) fill: Option<(usize, Stored)>,
    /// On the way to the control plane.
    pub(crate) acknowledgement: Option<Acknowledgement>,
    /// Whether the node ever found the log foreign.
    pub(crate) found_foreign: bool,
    pub(crate) crashes: u8,
    pub(crate) restores: u8,
}

impl World {
    /// As published: what hits are judged by.
    pub(crate) fn table(&self) -> &Table {
        self.written.last().unwrap_or(&self.durable)
    }

    pub(crate) fn write(&mut self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table().clone();
        change(&mut table);
        self.written.push(table);
    }

    pub(crate) fn sync(&mut self) {
        if let Some(last) = self.written.pop() {
            self.durable = last;
        }
        self.written.clear();
    }

    pub(crate) fn restore(&mut self, length: usize) {
        self.restores += 1;
        self.log.entries.truncate(length);
        self.log.dropped = self.log.dropped.min(length);
    }

    /// Whether a response could begin from the stored copy without asking anyone.
    pub(crate) fn serves(&self, url: usize) -> bool {
        let table = self.table();
        let below = |stored: Stored| {
            let numbers = [table.urls[url].hard, table.site.hard, table.possibly, table.horizon];
            numbers.iter().any(|&number| number > stored.sequence)
        };
        self.store[url].is_some_and(|stored| !below(stored))
    }

    /// Whether a completed hard purge covers the stored copy, by what really happened.
    pub(crate) fn purged(&self, url: usize) -> bool {
        self.store[url].is_some_and(|stored| {
            let hard = Purge { url, kind: Kind::Hard };
            self.completed.iter().any(|&at| at >= stored.fetched && self.purges[at] == hard)
        })
    }
}

impl Log {
    /// The hash of the prefix of so many entries; none where there are fewer.
    pub(crate) fn hash(&self, number: usize) -> Option<Hash> {
        let chain = |hash, &entry: &usize| hash * 8 + 1 + entry as Hash;
        Some(self.entries.get(..number)?.iter().fold(0, chain))
    }
}

impl Table {
    /// Goes to this number of the log.
    pub(crate) fn advance(&mut self, log: &Log, number: usize) {
        self.local += (number - self.number) as u8;
        (self.number, self.hash) = (number, log.hash(number).unwrap_or_default());
    }

    /// Goes to the head of a log that it has not followed.
    pub(crate) fn start_over(&mut self, log: &Log) {
        self.local += 1;
        self.number = log.entries.len();
        self.hash = log.hash(self.number).unwrap_or_default();
        self.possibly = self.local;
    }
}

impl Purged {
    pub(crate) fn raise(&mut self, kind: Kind, number: u8, apart: bool) {
        if !apart {
            *self = Self::default();
        }
        match kind {
            Kind::Hard => self.hard = number,
            Kind::Soft => self.soft = number,
        }
    }
}
