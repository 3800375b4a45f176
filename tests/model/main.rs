//! The purge protocol as four models, searched exhaustively (`stateright`).
//!
//! The models are the protocol's specification in small: a state is what is durable, in memory and
//! on the way; an action is one step that any party may take next. Delay is an action not taken
//! yet, loss an action of its own, reorder any order of taking them, a crash keeps what was synced.
//!
//! - [`tiers`]: origin, shield and edges. Flights that are joined, 304s that freshen, floors and
//!   sequences between tiers, hard and soft purges, crashes of nodes.
//! - [`hits`]: event loops that judge one copy without a lock while rules arrive.
//! - [`leases`]: the control plane's registry, and the nodes that claim one name in it. Heartbeats,
//!   grants and refusals, clocks that drift, restarts of either side, the operator's word.
//! - [`journal`]: what a node has on disk. Torn writes, a log put back from a backup, entries
//!   dropped into a snapshot, rules folded and dropped, a journal that is lost.
//!
//! Each model asserts the one promise, *no response begins from a copy that a hard purge covers
//! whose receipt is complete*, against what really happened, which the state remembers beside what
//! the parties know. `sometimes` properties show that a model does not keep it by doing nothing.
//! Each rule of the protocol stands in a model's table with the scope in which taking it out breaks
//! the promise (or, where the other rules still keep it, stops the tiers from getting anywhere).
//!
//! The bounds are a [`Scope`](tiers::Scope) each, with what it has found in its model's head. `make
//! model` searches larger ones. A trace is printed with `-- --nocapture`.

#[macro_use]
mod checking;
mod hits;
mod journal;
mod leases;
mod tiers;
mod words;
