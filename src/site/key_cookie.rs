//! The cookie of a key, read so that no origin can read another value. Pure.
//!
//! Servers differ in what they make of a `Cookie` that RFC 6265 section 4.2.1 does not know: which
//! of two wins, whether blanks, quotes, commas and escapes belong to a name, where they give up. A
//! client who knows that could have the response to one value stored for those with another.
//! Rewriting the field would leave as many ways open as there are servers; so a response is shared
//! only where all of them read the same, and whatever else is passed on reaches its sender alone.

/// What a request has in a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie<'f> {
    /// No such cookie, whoever reads.
    Absent,
    /// This value, whoever reads.
    Value(&'f [u8]),
    /// One or another.
    Ambiguous,
}

/// Reads the cookie of this name from the lines of `Cookie`.
pub(super) fn read<'f>(lines: &[&'f [u8]], name: &str) -> Cookie<'f> {
    let (mut found, mut is_plain) = (None, lines.len() < 2);
    for pair in lines.iter().flat_map(|line| line.split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii_start();
        let exact = pair.strip_prefix(name.as_bytes()).and_then(|it| it.strip_prefix(b"="));
        let others = exact.unwrap_or(pair);
        if mentions(others, name) || (exact.is_some() && found.is_some()) {
            return Cookie::Ambiguous;
        }
        if exact.is_none() && is_called(pair, name) {
            return Cookie::Ambiguous;
        }
        found = found.or(exact);
        is_plain &= is_pair(pair);
    }
    match found {
        None => Cookie::Absent,
        Some(value) if is_plain => Cookie::Value(value),
        Some(_) => Cookie::Ambiguous,
    }
}

/// A cookie-pair by RFC 6265 section 4.1.1, commas in values let by; nothing at all is none.
fn is_pair(pair: &[u8]) -> bool {
    let is_octet = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let Some(at) = memchr::memchr(b'=', pair) else { return pair.is_empty() };
    let (name, value) = (&pair[..at], &pair[at + 1..]);
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    !name.is_empty()
        && name.iter().copied().all(is_of_name)
        && quoted.unwrap_or(value).iter().all(is_octet)
}

/// Whether `name`, in any case and as a word of its own, has an `=` behind it somewhere.
fn mentions(text: &[u8], name: &str) -> bool {
    let ends = |at: usize| {
        let (before, behind) = (&text[..at], &text[at + name.len()..]);
        before.last().is_none_or(|byte| !is_of_name(*byte))
            && behind.trim_ascii_start().starts_with(b"=")
    };
    let is_here = |part: &[u8]| part.eq_ignore_ascii_case(name.as_bytes());
    text.windows(name.len().max(1)).enumerate().any(|(at, part)| is_here(part) && ends(at))
}

/// Whether what stands before the `=` may be taken for `name`: by servers that know no case, undo
/// escapes (where one stands, it may be any), or make variables of names and lists of those with
/// brackets.
fn is_called(pair: &[u8], name: &str) -> bool {
    let called = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    let folded = |byte: &u8| match byte {
        b'.' | b'[' | b' ' | b'+' => b'_',
        byte => byte.to_ascii_lowercase(),
    };
    let is_same = |called: &[u8]| called.iter().map(folded).eq(name.as_bytes().iter().map(folded));
    let list = called.split(|byte| *byte == b'[').next().unwrap_or_default();
    called.contains(&b'%') || is_same(called) || is_same(list)
}

/// RFC 9110 section 5.6.2: of what tokens are made.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier<'f>(lines: &[&'f str]) -> Cookie<'f> {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        read(&lines, "tier")
    }

    #[test]
    fn a_cookie_that_all_read_alike_is_read() {
        for (line, value) in [
            ("tier=gold", "gold"),
            ("a=1; tier=gold; b=2", "gold"),
            ("a=1;tier=gold;", "gold"),
            ("tier=", ""),
            ("tier=\"gold\"", "\"gold\""),
            ("xtier=1; tier=a=b; tiers=2; my-tier=3; sub.tier=4", "a=b"),
            ("a={x:1,y:2}; tier=gold", "gold"),
            ("u=/login?tier-x=1&tiers=2; tier=gold", "gold"),
        ] {
            assert_eq!(tier(&[line]), Cookie::Value(value.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_cookie_that_nobody_reads_is_absent() {
        for line in
            ["", "a=1; b=2", "a=\"x; b", "atier=gold; tiers=1", "a=tier", "a b; c", "{\"a\": 1}"]
        {
            assert_eq!(tier(&[line]), Cookie::Absent, "{line}");
        }
        assert_eq!(tier(&[]), Cookie::Absent);
        assert_eq!(tier(&["a=1", "b=2"]), Cookie::Absent);
    }

    #[test]
    fn a_cookie_that_others_may_read_otherwise_is_ambiguous() {
        for line in [
            "tier=basic; tier=gold",
            "tier=basic;tier=basic",
            "tier =gold",
            "tier= gold",
            "tier=basic; tier =gold",
            "tier=basic; TIER=gold",
            "Tier=gold",
            "tier",
            "tier; a=1",
            "a=b, tier=gold",
            "a=b tier=gold",
            "tier=basic, tier=gold",
            "a=\"; tier=gold; b=\"",
            "a=\"x\\\"; tier=gold",
            "a=\"x\"y\"; tier=gold",
            "\"; tier=gold",
            "a b=1; tier=gold",
            "flag; tier=gold",
            "a=1 2; tier=gold",
            "a=caf\u{e9}; tier=gold",
            "tier=caf\u{e9}",
            "ti%65r=gold",
            "%74ier=gold; tier=basic",
            "tier[]=gold",
            "tier[x=gold",
            "=1; tier=gold",
        ] {
            assert_eq!(tier(&[line]), Cookie::Ambiguous, "{line}");
        }
        // RFC 6265 section 5.4 knows one line; which of several counts is up to the server.
        assert_eq!(tier(&["a=1", "tier=gold"]), Cookie::Ambiguous);
        // Names become names of variables.
        for line in ["my.tier=gold", "my[tier=gold", "my+tier=gold", "my tier=gold"] {
            assert_eq!(read(&[line.as_bytes()], "my_tier"), Cookie::Ambiguous, "{line}");
        }
    }
}
