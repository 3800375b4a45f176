//! One member of Cache-Status (RFC 9211).

use super::sink::Sink;
use super::syntax::is_tchar;

/// The name of a cache as its member begins: written once, told with every response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheName(Box<[u8]>);

impl CacheName {
    /// The name of a node.
    pub fn new(name: &str) -> Self {
        let mut item = Vec::with_capacity(name.len());
        write_word(name, &mut item);
        Self(item.into())
    }
}

/// What this cache did for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// Name of this cache.
    pub cache: &'a CacheName,
    /// The response came from the store without going forward.
    pub hit: bool,
    /// Why the request went forward.
    pub fwd: Option<Forward>,
    /// The status of the next hop's answer.
    pub fwd_status: Option<u16>,
    /// Seconds of freshness left; negative once stale.
    pub ttl: Option<i64>,
    /// The response was stored.
    pub stored: bool,
    /// The request was joined with others.
    pub collapsed: bool,
    /// More, in words of our own: the name of a reason.
    pub detail: Option<&'a str>,
}

/// Why a request went forward (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was not to handle the request.
    Bypass,
    /// The method demands it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but for other values of the fields that Vary names.
    VaryMiss,
    /// Nothing that fits is stored.
    Miss,
    /// The request's directives demand it.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored is a part only.
    Partial,
}

impl Forward {
    /// The token of RFC 9211 section 2.2.
    pub const fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Miss => "miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

impl<'a> CacheStatus<'a> {
    /// Of a cache of which nothing else is said.
    pub fn of(cache: &'a CacheName) -> Self {
        Self {
            cache,
            hit: false,
            fwd: None,
            fwd_status: None,
            ttl: None,
            stored: false,
            collapsed: false,
            detail: None,
        }
    }

    /// Writes the member, e.g. `fra-1; hit; ttl=52`.
    pub fn write(&self, out: &mut impl Sink) {
        out.put(&self.cache.0);
        if self.hit {
            out.put(b"; hit");
        }
        if let Some(fwd) = self.fwd {
            out.put(b"; fwd=");
            out.put(fwd.as_str().as_bytes());
        }
        if let Some(status) = self.fwd_status {
            out.put(b"; fwd-status=");
            out.put_number(status);
        }
        if let Some(ttl) = self.ttl {
            out.put(b"; ttl=");
            out.put_number(ttl);
        }
        if self.stored {
            out.put(b"; stored");
        }
        if self.collapsed {
            out.put(b"; collapsed");
        }
        if let Some(detail) = self.detail {
            out.put(b"; detail=");
            write_word(detail, out);
        }
    }
}

/// Writes a token if `word` can be one, else a string (RFC 8941 sections 3.3.3 and 3.3.4). What a
/// string cannot hold becomes a question mark.
fn write_word(word: &str, out: &mut impl Sink) {
    let word = word.as_bytes();
    if is_sf_token(word) {
        out.put(word);
        return;
    }
    out.put(b"\"");
    for byte in word {
        match byte {
            b'"' | b'\\' => out.put(&[b'\\', *byte]),
            b' '..=b'~' => out.put(&[*byte]),
            _ => out.put(b"?"),
        }
    }
    out.put(b"\"");
}

fn is_sf_token(word: &[u8]) -> bool {
    let first = word.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'*');
    first && word.iter().all(|byte| is_tchar(*byte) || matches!(byte, b':' | b'/'))
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;

    fn written(status: CacheStatus<'_>) -> String {
        let mut out: SmallVec<[u8; 64]> = SmallVec::new();
        status.write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn members_as_documented() {
        let (fra, shield) = (CacheName::new("fra-1"), CacheName::new("shield-1"));
        let (edge, shield) = (CacheStatus::of(&fra), CacheStatus::of(&shield));
        let miss = Some(Forward::Miss);
        let cases = [
            (CacheStatus { hit: true, ttl: Some(52), ..edge }, "fra-1; hit; ttl=52"),
            (CacheStatus { hit: true, ttl: Some(-3), ..edge }, "fra-1; hit; ttl=-3"),
            (
                CacheStatus { fwd: miss, fwd_status: Some(200), stored: true, ..shield },
                "shield-1; fwd=miss; fwd-status=200; stored",
            ),
            (
                CacheStatus { fwd: miss, stored: true, collapsed: true, ..edge },
                "fra-1; fwd=miss; stored; collapsed",
            ),
            (
                CacheStatus { fwd: Some(Forward::UriMiss), detail: Some("set-cookie"), ..edge },
                "fra-1; fwd=uri-miss; detail=set-cookie",
            ),
        ];
        for (status, wanted) in cases {
            assert_eq!(written(status), wanted);
        }
    }

    #[test]
    fn names_that_are_no_token_are_strings() {
        let cases = [
            ("a", "a"),
            ("cdn.example:80/x", "cdn.example:80/x"),
            ("1edge", "\"1edge\""),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("say \"hi\\\"", "\"say \\\"hi\\\\\\\"\""),
            ("caf\u{e9}\r\n", "\"caf????\""),
        ];
        for (cache, wanted) in cases {
            assert_eq!(written(CacheStatus::of(&CacheName::new(cache))), wanted);
        }
    }
}
