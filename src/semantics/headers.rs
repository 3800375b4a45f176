//! Fields that end at this hop, and those that every hop adds to: Via and CDN-Loop.

use super::sink::Sink;
use super::syntax::{is_token, members, trim};

/// Whether the field of this lower-case name concerns one connection only and is neither forwarded
/// nor stored: RFC 9110 sections 7.6.1 and 11.7, RFC 9111 section 3.1. `Trailer` is none of them:
/// it tells of a part of the message that goes on (RFC 9110 section 6.6.2).
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a 304 or HEAD response replaces the field of this lower-case name in the stored response
/// (RFC 9111 section 3.2). What the stored bytes can only be read by stays, for they stay;
/// `Trailer` and the digests of content tell of the message that came.
pub fn is_refreshed(name: &str) -> bool {
    !is_hop_by_hop(name)
        && !matches!(
            name,
            "content-digest"
                | "content-encoding"
                | "content-length"
                | "content-md5"
                | "content-range"
                | "trailer"
        )
}

/// The fields that the lines of Connection name, to be removed with it; compare in any case.
///
/// A field that is meant for all recipients is no connection option (RFC 9110 section 7.6.1). A
/// peer that names one of those on which routing, caching or the loop check rests is not obeyed:
/// it would have the next hop see another message than the one judged here.
pub fn connection_names<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a [u8]> {
    lines
        .into_iter()
        .flat_map(members)
        .filter(|name| is_token(name) && !END_TO_END.iter().any(|end| equal(name, end)))
}

/// Fields that Connection cannot take away.
const END_TO_END: [&str; 21] = [
    "age",
    "authorization",
    "cache-control",
    "cdn-cache-control",
    "cdn-loop",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "forwarded",
    "host",
    "last-modified",
    "pragma",
    "range",
    "set-cookie",
    "vary",
    "via",
];

/// Writes Via: what the lines say, and this hop (RFC 9110 section 7.6.3). `protocol` is the version
/// of the message received, e.g. `1.1`, `2` or `3`; `name` is a pseudonym.
pub fn write_via<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    protocol: &str,
    name: &str,
    out: &mut impl Sink,
) {
    write_list(lines, out);
    out.put(protocol.as_bytes());
    out.put(b" ");
    out.put(name.as_bytes());
}

/// Writes CDN-Loop: what the lines say, and `id` (RFC 8586 section 2).
pub fn write_cdn_loop<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    id: &str,
    out: &mut impl Sink,
) {
    write_list(lines, out);
    out.put(id.as_bytes());
}

/// How often `id` stands in the lines of CDN-Loop, parameters and case aside (RFC 8586 section 2).
pub fn cdn_loop_seen<'a>(lines: impl IntoIterator<Item = &'a [u8]>, id: &str) -> usize {
    lines
        .into_iter()
        .flat_map(members)
        .filter(|member| {
            let end = memchr::memchr(b';', member).unwrap_or(member.len());
            equal(trim(&member[..end]), id)
        })
        .count()
}

/// Writes the lines as one list, open for a further member.
fn write_list<'a>(lines: impl IntoIterator<Item = &'a [u8]>, out: &mut impl Sink) {
    for line in lines {
        let line = trim(line);
        if !line.is_empty() {
            out.put(line);
            out.put(b", ");
        }
    }
}

fn equal(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_names() {
        for name in ["connection", "te", "transfer-encoding", "upgrade", "keep-alive"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["proxy-connection", "proxy-authorization", "http2-settings"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["", "via", "content-length", "trailer", "trailers", "date"] {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }

    #[test]
    fn what_a_304_replaces() {
        for name in ["cache-control", "content-type", "date", "etag", "expires", "age", "x-a"] {
            assert!(is_refreshed(name), "{name}");
        }
        for name in
            ["content-length", "content-encoding", "content-range", "content-md5", "te", "trailer"]
        {
            assert!(!is_refreshed(name), "{name}");
        }
    }

    #[test]
    fn connection_options() {
        let lines: [&[u8]; 3] = [b"close, X-Private", b" ,x-other ,, Host", b"bad name, Cookie"];
        let names: Vec<&[u8]> = connection_names(lines).collect();
        assert_eq!(names, [&b"close"[..], b"X-Private", b"x-other"]);
    }

    #[test]
    fn end_to_end_names_are_sorted() {
        assert!(END_TO_END.is_sorted());
    }

    #[test]
    fn via_is_appended() {
        let cases: [(&[&[u8]], &str); 3] = [
            (&[], "2 fra-1"),
            (&[b"1.0 fred"], "1.0 fred, 2 fra-1"),
            (&[b"1.0 fred, 1.1 p", b"  ", b"3 q "], "1.0 fred, 1.1 p, 3 q, 2 fra-1"),
        ];
        for (lines, wanted) in cases {
            let mut out = Vec::new();
            write_via(lines.iter().copied(), "2", "fra-1", &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn loops_are_counted() {
        let cases: [(&[&[u8]], usize); 8] = [
            (&[], 0),
            (&[b"headland"], 1),
            (&[b"Headland"], 1),
            (&[b"foo, headland;v=1 , bar"], 1),
            (&[b"headland ; a=\"x, headland\"", b"headland"], 2),
            (&[b"headland2, xheadland"], 0),
            (&[b"foo; id=headland"], 0),
            (&[b"\"headland"], 0),
        ];
        for (lines, wanted) in cases {
            assert_eq!(cdn_loop_seen(lines.iter().copied(), "headland"), wanted, "{lines:?}");
        }
        let mut out = Vec::new();
        write_cdn_loop([&b"foo; v=1"[..]], "headland", &mut out);
        assert_eq!(out, b"foo; v=1, headland");
    }
}
