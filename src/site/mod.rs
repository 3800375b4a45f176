//! Host and path to site and route; request to cache key.
//!
//! May use `object`, `semantics` and its section of `config`. The table is swapped whole at reload;
//! a request keeps the one it began with.
//!
//! ```text
//!  host ──► SiteTable ──► Site ── path ──► Route ── KeyPolicy ──► ResourceUrl ──► CacheKey
//!                                            └─ EdgeRules ──► admit, refuse or answer
//!  purge ─► SiteTable ──► PurgeRule
//!  why? ──► SiteTable ──► Said
//! ```

mod access;
mod build;
mod countries;
mod device;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod generations;
mod header_rules;
mod key_cookie;
mod key_policy;
mod purges;
mod said;
mod table;

pub use access::{
    Access, Asked, Canned, Denial, EdgeRules, Foreseen, Grant, Limiters, Page, RuleFault,
    SiteRules, SiteRulesFault, Unsignable, sign_url,
};
pub use countries::Countries;
pub use generations::Generations;
pub use header_rules::HeaderRules;
pub use key_policy::{KeyPolicy, ResourceUrl};
pub use purges::{Resolved, Unresolved};
pub use said::Said;
pub use table::{Route, Site, SiteLabel, SiteTable};
