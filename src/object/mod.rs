//! The stored thing: its key, its head, its body; and the purge command, rule and sequence.
//!
//! May use `semantics` and `message`. Knows no tier: memory and disk hold the same objects.
//!
//! ```text
//! PrimaryKey ──► Stored                                           no Vary
//!            └─► VaryIndex ──► CacheKey of the variant ──► Stored
//!  a large one: Stored with its Slices ──► CacheKey of each slice ──► Stored
//! ```

mod block;
mod encoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod head;
mod key;
mod large;
mod purge;
mod slices;
mod source;
mod stored;
mod variant;
mod vary_index;

pub use head::ObjectHead;
pub use key::{CacheKey, KeyHasher, PrimaryKey, UrlKey};
pub(crate) use purge::tags_of;
pub use purge::{
    BATCH_MAX, CommandFault, Coverage, Entry, EntryFault, EntryHash, LogId, LogNumbers,
    LogSequence, NotHex, Position, PurgeCommand, PurgeKind, PurgeRule, PurgeTarget, PurgeUrl,
    PurgeUrlError, Purged, Sequence, SiteKey, Subject, TagKey, TargetUri, UrlWildcard,
};
pub use slices::Slices;
pub use source::BodySource;
pub use stored::Stored;
pub use variant::{Selection, Variant};
pub use vary_index::VaryIndex;

/// The fields that select a variant, as a stored response names them.
pub use crate::semantics::vary::VarySpec;
/// How far purges cover a stored response, as the verdict asks it.
pub use crate::semantics::verdict::PurgeState;

#[cfg(test)]
pub(crate) mod tests {
    //! What tests of heads everywhere are about.

    use super::{SiteKey, TargetUri};

    /// The URL of `path` on the host `h` of the site `s`.
    pub(crate) fn target(path: &str) -> TargetUri<'_> {
        let site = SiteKey::new("s");
        TargetUri { site, host: "h", path, query: None, query_as_sent: true }
    }
}
