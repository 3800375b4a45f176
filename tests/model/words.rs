//! Words that more than one model uses.

/// What every model is about. A purge is complete when its receipt is: every node registered at
/// the append has applied it durably or is fenced.
pub(crate) const PROMISE: &str =
    "no response begins from a copy that a hard purge covers whose receipt is complete";

/// That the promise is not kept by never completing a purge ...
pub(crate) const COMPLETES: &str = "a purge completes";

/// ... nor by never serving from the store.
pub(crate) const HIT_AFTER: &str = "a hit begins after a purge completed";

/// What a purge asks for: hard forbids the copy, soft lets it be served stale and revalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Hard,
    Soft,
}
