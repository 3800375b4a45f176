//! Request collapsing: one flight a key; the first asker leads, the rest follow and read the body
//! while it arrives.
//!
//! May use `object` and `telemetry`.
//!
//! Invariants:
//! - a flight lands exactly once; a leader that is dropped before lands as failed, so nobody waits
//!   for ever;
//! - a request joins a flight only if no purge since the flight's sequence covers it: the caller
//!   judges, under the flights' lock, before it is let in;
//! - what a flight brings is stored under the same lock by which an unsafe request abandons it, so
//!   it is stored before and removed, or not at all.
//!
//! ```text
//!  join ─► Leader ── land(Landing) ──┬─ Arriving: all read the relay
//!      └─► Follower ── landing() ◄───┼─ Sliced: the head; each slice has a flight of its own
//!                                    ├─ Validated: what is stored still holds
//!                                    ├─ StandIn: what is stored, though stale
//!                                    ├─ Released: not to be shared, everybody by himself
//!                                    └─ Failed: one of the waiting leads once more
//! ```

mod flight;
mod relay;
mod remembered;

pub use flight::{Arriving, Flights, Follower, Join, Landing, Leader, Sliced};
pub use relay::{Relay, RelayWriter};
pub use remembered::RememberedKeys;
