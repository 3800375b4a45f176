//! Purges: what is asked, what it covers, and its place in the ordered log.
//!
//! ```text
//!  PurgeCommand   as the user said it; travels raw, from node to node and through the log
//!       │ each node resolves it by its own sites
//!       ▼
//!  PurgeRule      what it covers here, in normal form; judged against a TargetUri and its tags
//! ```

mod command;
mod entry;
mod fault;
mod numbers;
mod rule;
mod site;
mod subject;
mod tag;
mod target;
mod url;

pub use command::{PurgeCommand, PurgeTarget};
pub use entry::{Entry, EntryFault, EntryHash, LogId, NotHex, Position};
pub use fault::CommandFault;
pub use numbers::{LogNumbers, LogSequence};
pub use rule::{Coverage, PurgeRule, UrlWildcard};
pub use site::SiteKey;
pub use subject::Subject;
pub use tag::TagKey;
pub(crate) use tag::tags_of;
pub use target::TargetUri;
pub use url::{PurgeUrl, PurgeUrlError};

/// Purges in one request, and in one entry of the log, at most.
pub const BATCH_MAX: usize = 1000;

/// A place in the ordered log of purges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    /// The entry's number; 0 is before the first.
    pub number: u64,
}

/// How hard a purge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeKind {
    /// What it covers is gone.
    Hard,
    /// What it covers is stale.
    Soft,
}

/// The highest sequences that cover something, of each kind; 0 where none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// By a hard purge.
    pub hard: u64,
    /// By a soft purge.
    pub soft: u64,
    /// By purges that are not known: the log went on elsewhere.
    pub possibly: u64,
}

impl Purged {
    /// The purge `number` of `kind` alone.
    pub fn by(kind: PurgeKind, number: u64) -> Self {
        match kind {
            PurgeKind::Hard => Self { hard: number, ..Self::default() },
            PurgeKind::Soft => Self { soft: number, ..Self::default() },
        }
    }

    /// The later of both, each kind by itself.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            hard: self.hard.max(other.hard),
            soft: self.soft.max(other.soft),
            possibly: self.possibly.max(other.possibly),
        }
    }

    /// The last of all kinds.
    pub fn last(self) -> u64 {
        self.hard.max(self.soft).max(self.possibly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_kept_apart() {
        let both = Purged::by(PurgeKind::Hard, 3).or(Purged::by(PurgeKind::Soft, 7));
        assert_eq!(both, Purged { hard: 3, soft: 7, possibly: 0 });
        assert_eq!((both.or(Purged::by(PurgeKind::Hard, 2)), both.last()), (both, 7));
    }
}
