//! What stored responses and purges are found by: 128 bits of BLAKE3.
//!
//! A key is a digest and nothing else, so that an index entry has one size whatever the URL's
//! length. At 128 bits two URLs of one node meet once in 2^64 attempts: a collision is not guarded
//! against.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use smallvec::SmallVec;

/// The key of one stored response, or of what leads to some.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CacheKey(u128);

/// The primary cache key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryKey {
    /// That of its URL, whatever else the site keys by: an unsafe request invalidates all that
    /// stands under it (RFC 9111 section 4.4).
    pub url: CacheKey,
    /// That of its URL and whatever else the site keys by; the same where that is nothing.
    pub own: CacheKey,
}

/// What a url purge names: a path with every query, or one exact URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlKey(CacheKey);

/// A map hasher for keys: they are digests already.
pub type KeyHasher = BuildHasherDefault<KeyHash>;

impl CacheKey {
    /// The key of `host`, `path` and `query` (normalised by the caller) under the site's key
    /// generation, with `extra` for whatever else the site keys by.
    pub fn new(
        generation: u64,
        host: &[u8],
        path: &[u8],
        query: Option<&[u8]>,
        extra: &[u8],
    ) -> Self {
        // No part but the last can hold the separator, and each kind of key begins differently.
        let mut input = SmallVec::<[u8; 512]>::new();
        input.extend_from_slice(&generation.to_le_bytes());
        for part in [host, path] {
            input.extend_from_slice(part);
            input.push(b'\n');
        }
        input.push(if query.is_some() { b'?' } else { b'-' });
        input.extend_from_slice(query.unwrap_or_default());
        input.push(b'\n');
        input.extend_from_slice(extra);
        Self::digest(&input)
    }

    /// The key of the variant that `selection` (the normalised selecting fields) chooses.
    pub fn variant(self, selection: &[u8]) -> Self {
        let mut input = SmallVec::<[u8; 256]>::new();
        input.extend_from_slice(&self.0.to_le_bytes());
        input.extend_from_slice(selection);
        Self::digest(&input)
    }

    /// The key of a digest that was written down.
    pub fn from_u128(digest: u128) -> Self {
        Self(digest)
    }

    /// The key of slice `number` of a representation of this object.
    pub(super) fn slice(self, generation: u64, number: u64) -> Self {
        let mut input = SmallVec::<[u8; 64]>::from_slice(b"slice\n");
        for part in [generation, number] {
            input.extend_from_slice(&part.to_le_bytes());
        }
        input.extend_from_slice(&self.0.to_le_bytes());
        Self::digest(&input)
    }

    /// The digest as a number, for an index or a shard.
    pub fn as_u128(self) -> u128 {
        self.0
    }

    fn digest(input: &[u8]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(input).as_bytes()[..16]);
        Self(u128::from_le_bytes(half))
    }
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<CacheKey> for PrimaryKey {
    fn from(key: CacheKey) -> Self {
        Self { url: key, own: key }
    }
}

impl UrlKey {
    /// Every URL of `path`, whatever its query.
    pub fn any_query(host: &[u8], path: &[u8]) -> Self {
        Self(CacheKey::new(u64::MAX, host, path, None, b"any query"))
    }

    /// One URL, its query as the client sends it.
    pub fn exact(host: &[u8], path: &[u8], query: Option<&[u8]>) -> Self {
        Self(CacheKey::new(u64::MAX, host, path, query, b"exact"))
    }

    /// The key of a digest that was [`Self::as_u128`].
    pub fn from_u128(digest: u128) -> Self {
        Self(CacheKey(digest))
    }

    /// The digest as a number, for a journal.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl Hash for UrlKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Takes the digest's low half for the hash.
#[derive(Debug, Default)]
pub struct KeyHash(u64);

impl Hasher for KeyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not taken by keys; kept sound for any other use.
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_part_is_told_apart() {
        let keys = [
            CacheKey::new(1, b"a", b"/x", None, b""),
            CacheKey::new(2, b"a", b"/x", None, b""),
            CacheKey::new(1, b"b", b"/x", None, b""),
            CacheKey::new(1, b"a", b"/y", None, b""),
            CacheKey::new(1, b"a", b"/x", Some(b""), b""),
            CacheKey::new(1, b"a", b"/x", Some(b"q"), b""),
            CacheKey::new(1, b"a", b"/x", None, b"q"),
            CacheKey::new(1, b"a", b"/x", None, b"").variant(b""),
            CacheKey::new(1, b"a", b"/x", None, b"").variant(b"gzip"),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key), "{place}");
        }
    }

    proptest! {
        #[test]
        fn moving_bytes_between_parts_makes_another_key(
            host in "[a-z.]{1,9}",
            path in "/[a-z/]{0,9}",
            query in "[a-z=&]{1,9}",
            cut in 0usize..9,
        ) {
            let (host, path, query) = (host.as_bytes(), path.as_bytes(), query.as_bytes());
            let key = CacheKey::new(1, host, path, Some(query), b"");
            let cut = cut.min(query.len());
            let (head, tail) = query.split_at(cut);
            let moved = [path, head].concat();
            prop_assert!(
                cut == 0 || key != CacheKey::new(1, host, &moved, Some(tail), b"")
            );
            prop_assert!(
                tail.is_empty()
                    || key != CacheKey::new(1, host, path, Some(head), tail)
            );
        }
    }
}
