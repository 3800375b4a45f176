//! Requests on which servers may fail, though their resources are well. Pure.
//!
//! Nothing of what makes a request odd is in its key. So what it brings but a success is nobody
//! else's; a success says that the server did not mind.

use crate::semantics::syntax::{is_token, members, quoted_len, trim};
use crate::semantics::vary::{preference, thousandths};

/// Bytes and number of fields that all servers take, with room for what is added on the way.
const USUAL_BYTES: usize = 4096;
const USUAL_FIELDS: usize = 64;

/// Whether servers may fail on a request with these fields (name in any case, value): they are too
/// many or too large, hold bytes that no field should (RFC 9110 section 5.5), tell of content that
/// there is none of, or are none by the grammar of a field that servers read.
pub fn is_odd<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
    let (mut bytes, mut number) = (0, 0);
    for (name, value) in fields {
        bytes += name.len() + value.len();
        number += 1;
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        if !value.iter().all(is_plain) || !is_well_formed(name, value) {
            return true;
        }
    }
    bytes > USUAL_BYTES || number > USUAL_FIELDS
}

/// Whether the line of this field (name in any case) is one by its grammar, where that is known.
fn is_well_formed(name: &[u8], value: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    // The lengths spare nearly all comparisons.
    match name.len() {
        6 if is("accept") => members(value).all(is_media_range),
        6 if is("cookie") => is_cookie(value),
        6 if is("origin") => value == b"null" || is_uri(value),
        6 if is("pragma") => members(value).all(is_directive),
        7 if is("referer") => value.is_empty() || is_uri(value),
        10 if is("user-agent") => !trim(value).is_empty(),
        12 if is("content-type") => false,
        13 if is("cache-control") => members(value).all(is_directive),
        13 if is("authorization") => {
            is_token(value.split(|it| *it == b' ').next().unwrap_or(value))
        }
        14 if is("accept-charset") => members(value).all(|member| weighted(member, is_token)),
        15 if is("accept-encoding") => members(value).all(|member| weighted(member, is_token)),
        15 if is("accept-language") => members(value).all(|member| weighted(member, is_language)),
        16 if is("content-encoding") => false,
        _ => true,
    }
}

/// RFC 9110 section 12.4.2: a weight may stand behind.
fn weighted(member: &[u8], is_name: fn(&[u8]) -> bool) -> bool {
    is_name(preference(member).0)
}

/// RFC 9110 section 12.5.1, with its parameters.
fn is_media_range(range: &[u8]) -> bool {
    let mut parts = range.split(|byte| *byte == b';').map(trim);
    let is_type = |kind: &[u8]| {
        let slash = memchr::memchr(b'/', kind);
        slash.is_some_and(|at| is_token(&kind[..at]) && is_token(&kind[at + 1..]))
    };
    parts.next().is_some_and(is_type) && parts.all(is_parameter)
}

/// RFC 9110 sections 5.6.6 and 12.4.2; an empty one is let by.
fn is_parameter(parameter: &[u8]) -> bool {
    match parameter {
        [] => true,
        [b'q' | b'Q', b'=', weight @ ..] => thousandths(weight).is_some(),
        _ => parameter.contains(&b'=') && is_directive(parameter),
    }
}

/// RFC 9111 section 5.2: a name, perhaps with an argument.
fn is_directive(directive: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'=', directive) else { return is_token(directive) };
    let (name, argument) = (&directive[..at], &directive[at + 1..]);
    let is_quoted = argument.starts_with(b"\"") && quoted_len(argument) == Some(argument.len());
    is_token(name) && (is_token(argument) || is_quoted)
}

/// RFC 9110 section 12.5.4.
fn is_language(range: &[u8]) -> bool {
    let is_subtag = |tag: &[u8]| (1..=8).contains(&tag.len()) && is_word(tag);
    range == b"*" || range.split(|byte| *byte == b'-').all(|tag| tag == b"*" || is_subtag(tag))
}

fn is_word(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}

/// RFC 6265 section 4.2.1, with a semicolon at the end let by. Servers also undo escapes.
fn is_cookie(value: &[u8]) -> bool {
    let is_octet = |byte: &u8| byte.is_ascii_graphic() && !b"\",\\".contains(byte);
    value.split(|byte| *byte == b';').map(trim).all(|pair| {
        let Some(at) = memchr::memchr(b'=', pair) else { return pair.is_empty() };
        let (name, value) = (&pair[..at], &pair[at + 1..]);
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        is_token(name)
            && quoted.unwrap_or(value).iter().all(is_octet)
            && are_escapes_whole(name)
            && are_escapes_whole(value)
    })
}

/// RFC 3986 section 4.3, as browsers write them.
fn is_uri(value: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b':', value) else { return false };
    let (scheme, rest) = (&value[..at], &value[at + 1..]);
    let is_of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let is_of_uri = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{}".contains(byte);
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(is_of_scheme)
        && !rest.is_empty()
        && rest.iter().all(is_of_uri)
        && are_escapes_whole(rest)
}

/// Whether two hexadecimal digits stand behind each percent sign (RFC 3986 section 2.1).
fn are_escapes_whole(text: &[u8]) -> bool {
    let digits = |at: usize| text.get(at + 1..at + 3).unwrap_or_default();
    memchr::memchr_iter(b'%', text)
        .all(|at| digits(at).len() == 2 && digits(at).iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(fields: &[(&str, &str)]) -> bool {
        is_odd(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn browsers_are_not_odd() {
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)";
        let fields = [
            ("host", "shop.example"),
            ("user-agent", agent),
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8,\
                 application/signed-exchange;v=b3;q=0.7",
            ),
            ("accept", "*/*"),
            ("accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"),
            ("accept-language", "en-GB,en;q=0.5,zh-Hant-TW;q=0.3,*;q=0.1"),
            ("accept-encoding", "gzip, deflate, br, zstd, identity;q=0, *;q=0"),
            ("accept-charset", "utf-8, iso-8859-1;q=0.5"),
            ("cookie", "session=0123456789; theme=\"dark\"; u=a%20b; _ga=GA1.2.3; empty="),
            ("referer", "https://shop.example/a?b=c&d=%C3%A9#"),
            ("referer", "android-app://com.example/"),
            ("referer", ""),
            ("origin", "null"),
            ("origin", "https://shop.example:8443"),
            ("cache-control", "no-cache, max-age=0, x=\"a, b\""),
            ("pragma", "no-cache"),
            ("authorization", "Basic eDp5"),
            ("if-none-match", "\"1\""),
            ("x-own", "@@@"),
        ];
        for field in fields {
            let java = field.1.contains("*; q=.2");
            assert_eq!(odd(&[field]), java, "{field:?}");
        }
    }

    #[test]
    fn what_is_large_or_no_text_is_odd() {
        let long = "x".repeat(4000);
        assert!(!odd(&[]) && !odd(&[("x-long", &long), ("x-tab", "a\tb")]));
        assert!(odd(&[("x-long", &long), ("x-more", &long[..100])]));
        let many = [("a", "b"); 65];
        assert!(!odd(&many[..64]) && odd(&many));
        for value in ["\u{7}", "a\u{7f}", "caf\u{e9}"] {
            assert!(odd(&[("x-meta", value)]), "{value:?}");
        }
        assert!(odd(&[("Content-Type", "text/plain")]) && odd(&[("content-encoding", "gzip")]));
    }

    #[test]
    fn what_no_grammar_knows_is_odd() {
        let names = [
            "Accept",
            "accept-language",
            "Accept-Encoding",
            "accept-charset",
            "cookie",
            "Referer",
            "origin",
            "cache-control",
            "pragma",
            "authorization",
        ];
        for name in names {
            assert!(odd(&[(name, "@@@")]), "{name}");
            assert!(odd(&[("x", "1"), (name, "@ b c")]), "{name}");
        }
        for field in [
            ("accept", "text"),
            ("accept", "text/html;q=high"),
            ("accept", "text/html;charset"),
            ("accept-language", "en_GB"),
            ("accept-language", "de;q=2"),
            ("accept-encoding", "gzip;q="),
            ("cookie", "a=%"),
            ("cookie", "a=%zz"),
            ("cookie", "a=1; b"),
            ("cookie", "a=\"1"),
            ("cookie", "=1"),
            ("referer", "https://shop.example/<script>"),
            ("referer", "https://shop.example/%"),
            ("referer", "//shop.example/"),
            ("cache-control", "max-age=\"1"),
            ("user-agent", ""),
            ("content-type", "text/plain"),
        ] {
            assert!(odd(&[field]), "{field:?}");
        }
    }
}
