//! What sites are called where their names are of no use.

use std::fmt;

/// What rules call a site: 64 bits of BLAKE3 of its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteKey(u64);

impl SiteKey {
    /// The key of the site of that name.
    pub fn new(name: &str) -> Self {
        Self(digest(b"site\n", name.as_bytes()))
    }

    /// The key of a digest that was [`Self::as_u64`].
    pub fn from_u64(digest: u64) -> Self {
        Self(digest)
    }

    /// The digest, for a journal.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteKey({:016x})", self.0)
    }
}

/// 64 bits of BLAKE3.
pub(super) fn digest(kind: &[u8], name: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind).update(name);
    hasher.finalize().as_bytes().first_chunk().map_or(0, |half| u64::from_le_bytes(*half))
}
