//! What a node knows and holds: rules, the stored copy, flights.

use crate::words::Kind;

/// What a purge covers of the one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Range {
    Url,
    Tag(Tag),
}

/// A surrogate key; the key has one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tag {
    A,
    B,
}

impl Tag {
    pub(crate) fn other(self) -> Self {
        match self {
            Tag::A => Tag::B,
            Tag::B => Tag::A,
        }
    }
}

impl Range {
    pub(crate) fn covers(self, tag: Tag) -> bool {
        self == Range::Url || self == Range::Tag(tag)
    }
}

/// A log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Purge {
    pub(crate) kind: Kind,
    pub(crate) range: Range,
    /// The origin's version when the purge was asked: what is older must go.
    pub(crate) version: u8,
}

/// What a body is, as nobody in the protocol knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Content {
    pub(crate) version: u8,
    /// The tag that the origin last gave.
    pub(crate) tag: Tag,
    /// The head of the log when the origin last sent or confirmed it.
    pub(crate) confirmed: u8,
    /// Bits of the tag purges that covered the copy where it lay; it may have lost the tag since.
    pub(crate) marked: u8,
}

/// A stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stored {
    pub(crate) content: Content,
    /// The tag in the record.
    pub(crate) tag: Tag,
    pub(crate) sequence: u8,
}

/// What the published rules say of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Clean,
    Soft,
    Hard,
}

/// 200 or 304.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Answer {
    Full(Content),
    NotModified { tag: Tag, confirmed: u8 },
}

/// Where a flight's request or answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// On the way up.
    Asked,
    /// At the shield, waiting for the shield's flight in this slot.
    Waiting(usize),
    /// On the way back, stamped with a sequence.
    Answered(Answer, u8),
}

/// A fetch under way; its leader's client waits as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flight {
    /// The position when it began; an edge's floor.
    pub(crate) sequence: u8,
    /// Whether that is of a log since replaced, which is to say 0 of this one.
    pub(crate) foreign: bool,
    /// The copy whose validator was sent.
    pub(crate) held: Option<Stored>,
    /// A follower, and what was published when it joined.
    pub(crate) follower: Option<u8>,
    pub(crate) stage: Stage,
}

/// An edge or the shield.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node {
    /// Whether it still follows a log that has been replaced.
    pub(crate) foreign: bool,
    /// The highest number that its hits see.
    pub(crate) published: u8,
    /// The highest number in its journal.
    pub(crate) journaled: u8,
    /// The highest number that the control plane knows it to have applied.
    pub(crate) acknowledged: u8,
    /// The one key's copy, on disk.
    pub(crate) stored: Option<Stored>,
    pub(crate) slots: [Option<Flight>; 2],
}

impl Node {
    pub(crate) fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.slots.iter().flatten()
    }

    pub(crate) fn free_slot(&self) -> usize {
        self.slots.iter().position(Option::is_none).expect("a free slot")
    }

    /// Applied and journaled.
    pub(crate) fn position(&self) -> u8 {
        self.published.min(self.journaled)
    }
}
