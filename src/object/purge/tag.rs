//! Surrogate keys, which Fastly sends in `Surrogate-Key` and others in `Cache-Tag`: names by which
//! a purge finds the responses that the origin gave them.

use std::fmt;

/// What a rule calls a tag: 64 bits of BLAKE3. Two tags that meet purge each other's responses,
/// which costs a fetch and no more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TagKey(u64);

impl TagKey {
    /// The key of a tag. Case counts.
    pub fn new(tag: &[u8]) -> Self {
        Self(super::site::digest(b"tag\n", tag))
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

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagKey({:016x})", self.0)
    }
}

/// The tags in the lines `fields` (names in lower case): separated by spaces in `surrogate-key`, by
/// commas in `cache-tag`.
pub(crate) fn tags_of<'h>(
    fields: impl Iterator<Item = (&'h str, &'h [u8])>,
) -> impl Iterator<Item = &'h [u8]> {
    let lines = fields.filter_map(|(name, value)| match name {
        "surrogate-key" => Some((value, b' ')),
        "cache-tag" => Some((value, b',')),
        _ => None,
    });
    let tags = lines.flat_map(|(value, separator)| {
        value.split(move |&byte| byte == separator || byte == b'\t').map(<[u8]>::trim_ascii)
    });
    tags.filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_both_fields() {
        let fields = [
            ("surrogate-key", &b"p42  front-page\tx"[..]),
            ("etag", b"\"p43\""),
            ("cache-tag", b"a, b c ,,d"),
            ("surrogate-key", b""),
        ];
        let tags: Vec<_> = tags_of(fields.into_iter()).collect();
        assert_eq!(tags, [&b"p42"[..], b"front-page", b"x", b"a", b"b c", b"d"]);
        assert_ne!(TagKey::new(b"a"), TagKey::new(b"A"));
    }
}
