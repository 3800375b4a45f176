//! HTTP and caching rules as pure functions.
//!
//! Every function here takes facts and gives a value: no socket, file, clock or task is known on
//! this floor, and whatever depends on the hour takes it as an argument. Field values arrive as
//! raw bytes, for what is found in the wild is not always text. Callers fill the input structs.
//!
//! ```text
//!   response fields ── freshness::ResponseFacts ──┐
//!   request facts ── cacheability::storage ───────┴─► Store(Freshness) | Refuse(why)
//!   Freshness + purge state ── verdict::verdict ────► serve, refresh, revalidate, fetch, pass, …
//! ```

pub mod cache_control;
pub mod cache_status;
pub mod cacheability;
pub mod coding;
pub mod conditional;
pub mod directives;
pub mod freshness;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod headers;
pub mod multipart;
pub mod onward;
pub mod range;
pub mod sink;
pub mod time;
pub mod trace;
pub mod upgrade;
pub mod uri;
pub mod vary;
pub mod verdict;

mod syntax;
