//! Which URL of which site a stored response answers: what purges judge it by.
//!
//! It stands behind the lines of a stored head, so that a response can be judged, counted and named
//! without the request that asks for it:
//!
//! ```text
//!  0      4      12      13     14
//!  │ size │ site │ flags │ host │ host … │ path?query … │
//! ```
//!
//! `size` is of all that follows it, `host` is the length of the host's name; little-endian.

use super::SiteKey;
use crate::object::UrlKey;

/// Bytes before the names.
const FIXED: usize = 14;

/// The query is as the client sent it.
const AS_SENT: u8 = 1;

/// The target URI (RFC 9110 section 7.1) that a response is stored for, without the scheme: both
/// doors serve the same site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetUri<'a> {
    /// The site that answers.
    pub site: SiteKey,
    /// Host in normal form.
    pub host: &'a str,
    /// Normalised path.
    pub path: &'a str,
    /// Query by the site's rules.
    pub query: Option<&'a str>,
    /// Whether those rules leave a query as it is sent: else a query that a purge names cannot be
    /// compared with this one.
    pub query_as_sent: bool,
}

impl<'a> TargetUri<'a> {
    /// What a rule calls its path with any query.
    pub fn any_query(&self) -> UrlKey {
        UrlKey::any_query(self.host.as_bytes(), self.path.as_bytes())
    }

    /// What a rule calls exactly this URL.
    pub fn exact(&self) -> UrlKey {
        UrlKey::exact(self.host.as_bytes(), self.path.as_bytes(), self.query.map(str::as_bytes))
    }

    /// Appends it as one line of text: host, path and query.
    pub fn write(&self, out: &mut String) {
        for part in [self.host, self.path] {
            out.push_str(part);
        }
        if let Some(query) = self.query {
            out.push('?');
            out.push_str(query);
        }
    }

    /// Bytes of what [`Self::encode`] writes.
    pub(crate) fn encoded_len(&self) -> usize {
        let query = self.query.map_or(0, |query| query.len() + 1);
        FIXED + self.host.len() + self.path.len() + query
    }

    /// Appends the bytes that stand behind a head. A host is at most 253 bytes long.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let size = (self.encoded_len() - size_of::<u32>()) as u32;
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&self.site.as_u64().to_le_bytes());
        out.push(if self.query_as_sent { AS_SENT } else { 0 });
        out.push(self.host.len() as u8);
        for part in [self.host, self.path] {
            out.extend_from_slice(part.as_bytes());
        }
        if let Some(query) = self.query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }

    /// Bytes that are taken at the front of `bytes`; `None` where fewer stand there.
    pub(crate) fn len_in(bytes: &[u8]) -> Option<usize> {
        let size = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let end = size.checked_add(size_of::<u32>())?;
        (end >= FIXED && end <= bytes.len()).then_some(end)
    }

    /// Reads what stands at the front of `bytes`.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let bytes = &bytes[..Self::len_in(bytes)?];
        let names = std::str::from_utf8(&bytes[FIXED..]).ok()?;
        let (host, target) = names.split_at_checked(bytes[13].into())?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let site = SiteKey::from_u64(u64::from_le_bytes(*bytes[4..].first_chunk()?));
        Some(Self { site, host, path, query, query_as_sent: bytes[12] & AS_SENT != 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            site in any::<u64>(),
            host in "[a-z.]{0,253}",
            path in "(/[a-zé]{0,9}){0,3}",
            query in proptest::option::of("[a-z=?&]{0,9}"),
            query_as_sent in any::<bool>(),
            behind in any::<[u8; 3]>(),
        ) {
            let site = SiteKey::from_u64(site);
            let query = query.as_deref();
            let target = TargetUri { site, host: &host, path: &path, query, query_as_sent };
            let mut bytes = Vec::new();
            target.encode(&mut bytes);
            let length = bytes.len();
            bytes.extend_from_slice(&behind);
            prop_assert_eq!(target.encoded_len(), length);
            prop_assert_eq!(TargetUri::len_in(&bytes), Some(length));
            prop_assert_eq!(TargetUri::decode(&bytes), Some(target));
            for cut in 0..length {
                prop_assert_eq!(TargetUri::decode(&bytes[..cut]), None);
            }
        }
    }
}
