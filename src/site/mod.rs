//! Host and path to site and route; request to cache key.
//!
//! May use `object`, `semantics` and its section of `config`. The table is swapped whole at reload;
//! a request keeps the one it began with.
//!
//! ```text
//!  host ──► SiteTable ──► Site ── path ──► Route ── KeyPolicy ──► ResourceUrl ──► CacheKey
//!  purge ─► SiteTable ──► PurgeRule
//!  why? ──► SiteTable ──► Said
//! ```

mod build;
mod generations;
mod key_policy;
mod purges;
mod said;
mod table;

pub use generations::Generations;
pub use key_policy::{KeyPolicy, ResourceUrl};
pub use purges::{Resolved, Unresolved};
pub use said::Said;
pub use table::{HeaderRules, Route, Site, SiteLabel, SiteTable};
