//! Parts of a URI in the one spelling that a cache key holds.
//!
//! Normalising is idempotent, borrows where nothing changes, and never makes two URIs one that a
//! server may tell apart: `%2F` stays, and a path with a broken escape stays as it is. Whoever keys
//! by a normalised path must send that path upstream too.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::net::Ipv6Addr;

use smallvec::SmallVec;

pub use self::loosest::loosest_path;
pub use self::pattern::Pattern;
pub use self::reference::Reference;

mod loosest;
mod pattern;
mod reference;

/// Brings a path to its normal form (RFC 3986 section 6.2.2): unreserved characters unescaped, what
/// is no ASCII escaped, escapes in upper case, dot segments removed.
pub fn normalize_path(path: &str) -> Cow<'_, str> {
    if path.is_empty() {
        return Cow::Borrowed("/");
    }
    if !path.is_ascii() {
        return Cow::Owned(normalize_path(&in_ascii(path)).into_owned());
    }
    // `*` of OPTIONS, and whatever else is no path.
    if !path.starts_with('/') {
        return Cow::Borrowed(path);
    }
    let Some(decoded) = decode_unreserved(path) else {
        return Cow::Borrowed(path);
    };
    if !has_dot_segment(&decoded) {
        return decoded;
    }
    Cow::Owned(remove_dot_segments(&decoded))
}

/// Brings a pattern of paths to the form of what it is to match; its dot segments stay.
pub fn normalize_path_pattern(pattern: &str) -> String {
    let pattern = in_ascii(pattern);
    decode_unreserved(&pattern).map(Cow::into_owned).unwrap_or(pattern)
}

/// RFC 3987 section 3.1: what browsers send for characters that a URI cannot hold.
fn in_ascii(path: &str) -> String {
    escape(path, |byte| byte.is_ascii())
}

/// A text of which every byte is escaped that does not stay (RFC 3986 section 2.1).
pub fn escape(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match stays(byte) {
            true => out.push(char::from(byte)),
            // Writing to a string never fails.
            false => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// The path of an origin-form target in normal form, and its query as sent.
pub fn split_target(target: &str) -> (Cow<'_, str>, Option<&str>) {
    match memchr::memchr(b'?', target.as_bytes()) {
        Some(mark) => (normalize_path(&target[..mark]), Some(&target[mark + 1..])),
        None => (normalize_path(target), None),
    }
}

/// Drops the parameters whose names are not `kept`, and orders the others by name if `sort`;
/// parameters of one name keep their order, for it may matter.
pub fn normalize_query(query: &str, kept: impl Fn(&str) -> bool, sort: bool) -> Cow<'_, str> {
    let kept = |pair: &&str| kept(name_of(pair));
    let all_kept = query.split('&').all(|pair| kept(&pair));
    let in_order = !sort || query.split('&').map(name_of).is_sorted();
    if all_kept && in_order {
        return Cow::Borrowed(query);
    }
    let mut pairs: SmallVec<[&str; 16]> = query.split('&').filter(kept).collect();
    if sort {
        pairs.sort_by_key(|pair| name_of(pair));
    }
    Cow::Owned(pairs.join("&"))
}

/// Brings the value of Host or `:authority` to its normal form: lower case, without port and final
/// dot. `None` if it is not a host name, an IPv4 address or an IPv6 literal.
pub fn normalize_host(host: &str) -> Option<Cow<'_, str>> {
    if host.starts_with('[') {
        return normalize_ipv6(host);
    }
    let name = match memchr::memchr(b':', host.as_bytes()) {
        Some(colon) if is_port(&host[colon + 1..]) => &host[..colon],
        Some(_) => return None,
        None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    match case_of(name)? {
        Case::Lower => Some(Cow::Borrowed(name)),
        Case::Mixed => Some(Cow::Owned(name.to_ascii_lowercase())),
    }
}

/// How the letters of a host name are written.
#[derive(Clone, Copy)]
enum Case {
    Lower,
    Mixed,
}

/// Of a name in labels of letters, digits and hyphens; underscores too, for they are in use. `None`
/// if it is none. One pass: every request comes by here.
fn case_of(name: &str) -> Option<Case> {
    let (mut case, mut label) = (Case::Lower, 0);
    for byte in name.bytes() {
        match byte {
            b'.' if label > 0 => label = 0,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            b'A'..=b'Z' => (case, label) = (Case::Mixed, label + 1),
            _ => return None,
        }
        if label > LABEL_MAX {
            return None;
        }
    }
    (label > 0 && name.len() <= HOST_MAX).then_some(case)
}

/// RFC 1035 section 2.3.4, in the form without final dot.
const HOST_MAX: usize = 253;

/// RFC 1035 section 2.3.4.
const LABEL_MAX: usize = 63;

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// `None` if an escape is broken: the path is then nobody's but its sender's, and unescaping the
/// rest could complete the broken one.
fn decode_unreserved(path: &str) -> Option<Cow<'_, str>> {
    let bytes = path.as_bytes();
    let mut normal: Option<String> = None;
    let mut copied = 0;
    for at in memchr::memchr_iter(b'%', bytes) {
        let &[high, low] = bytes.get(at + 1..at + 3)? else {
            return None;
        };
        let byte = (hex_value(high)? << 4) | hex_value(low)?;
        let plain = is_unreserved(byte);
        if !plain && !high.is_ascii_lowercase() && !low.is_ascii_lowercase() {
            continue;
        }
        let out = normal.get_or_insert_with(|| String::with_capacity(path.len()));
        out.push_str(&path[copied..at]);
        copied = at + 3;
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(high.to_ascii_uppercase()));
            out.push(char::from(low.to_ascii_uppercase()));
        }
    }
    Some(match normal {
        Some(mut out) => {
            out.push_str(&path[copied..]);
            Cow::Owned(out)
        }
        None => Cow::Borrowed(path),
    })
}

fn has_dot_segment(path: &str) -> bool {
    memchr::memmem::find(path.as_bytes(), b"/.").is_some()
        && path.split('/').skip(1).any(|segment| matches!(segment, "." | ".."))
}

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn remove_dot_segments(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            _ => {
                out.push('/');
                out.push_str(segment);
                continue;
            }
        }
        if last {
            out.push('/');
        }
    }
    out
}

fn normalize_ipv6(host: &str) -> Option<Cow<'_, str>> {
    let close = host.find(']')?;
    let (literal, rest) = (&host[..=close], &host[close + 1..]);
    if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
        return None;
    }
    let address: Ipv6Addr = literal[1..close].parse().ok()?;
    // RFC 5952: one address, one spelling.
    let mut left = Compare(&literal[1..close]);
    if write!(left, "{address}").is_ok() && left.0.is_empty() {
        return Some(Cow::Borrowed(literal));
    }
    Some(Cow::Owned(format!("[{address}]")))
}

/// Compares what is written with a text, of which it holds the rest.
struct Compare<'a>(&'a str);

impl Write for Compare<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// RFC 3986 section 3.2.3: a port may be empty.
fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// RFC 3986 section 2.3: letters, digits and four signs.
pub const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a hexadecimal digit stands for.
pub fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests;
