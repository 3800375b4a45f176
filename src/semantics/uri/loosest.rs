//! A path as the loosest of servers reads it.
//!
//! A normal form keeps apart what servers may tell apart, so `/a%2fb`, `//a` and `/x;y` are paths
//! of their own here. An origin may take them for others all the same: nginx merges slashes and
//! unescapes `%2F`, browsers' parsers take `\` for `/`, servlets drop what stands behind `;`, and
//! some unescape twice. Whoever grants access by a path has to hold with both readings.

use std::borrow::Cow;

use super::{decode_unreserved, hex_value, remove_dot_segments};

/// The path that an origin may take `path`, in normal form, for; `None` where there is no doubt.
pub fn loosest_path(path: &str) -> Option<String> {
    if !path.starts_with('/') || !is_doubtful(path.as_bytes()) {
        return None;
    }
    let mut loosest = looser(path);
    loop {
        let next = looser(&loosest);
        if next == loosest {
            return (loosest != path).then_some(loosest);
        }
        loosest = next;
    }
}

/// A path with what is escaped unescaped once, and merged.
fn looser(path: &str) -> String {
    let open = unescaped(path);
    let segments = open.split(['/', '\\']).map(|segment| segment.split(';').next());
    let segments: Vec<&str> = segments.flatten().filter(|segment| !segment.is_empty()).collect();
    let is_folder = open.ends_with(['/', '\\']) && !segments.is_empty();
    let merged = format!("/{}{}", segments.join("/"), if is_folder { "/" } else { "" });
    remove_dot_segments(&merged)
}

/// Whether anything in a path is read in more ways than one.
fn is_doubtful(path: &[u8]) -> bool {
    let mut before = 0;
    path.iter().any(|&byte| {
        let doubles = byte == b'/' && before == b'/';
        before = byte;
        doubles || matches!(byte, b'%' | b'\\' | b';')
    })
}

/// A path of which what is escaped and tells segments apart, or makes another escape, is unescaped.
fn unescaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let escape = rest.as_bytes().get(at + 1..at + 3);
        let byte = escape.and_then(|pair| Some(hex_value(pair[0])? << 4 | hex_value(pair[1])?));
        let behind = || rest.as_bytes().get(at + 3..at + 5).unwrap_or_default();
        let makes_escape = || behind().len() == 2 && behind().iter().all(u8::is_ascii_hexdigit);
        let plain = match byte {
            Some(byte @ (b'/' | b'\\' | b'.' | b';')) => Some(char::from(byte)),
            Some(b'%') if makes_escape() => Some('%'),
            _ => None,
        };
        match plain {
            Some(plain) => {
                out.push_str(&rest[..at]);
                out.push(plain);
                rest = &rest[at + 3..];
            }
            None => {
                out.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    // What an escape of an escape has set free is unescaped as any other.
    decode_unreserved(&out).map(Cow::into_owned).unwrap_or(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::uri::normalize_path;

    #[test]
    fn what_is_read_in_two_ways() {
        let cases = [
            ("/", None),
            ("/a/b.txt", None),
            ("*", None),
            ("/my%20files/%C3%A9", None),
            ("/100%25/x", None),
            ("/a%2", None),
            ("//private/film", Some("/private/film")),
            ("/private//", Some("/private/")),
            ("//", Some("/")),
            ("/private%2Ffilm", Some("/private/film")),
            ("/x/..%2Fprivate/film", Some("/private/film")),
            ("/x%5C..%5Cprivate", Some("/private")),
            (r"/x\..\private\film", Some("/private/film")),
            ("/%/../private/film", Some("/private/film")),
            ("/%zz/../private", Some("/private")),
            ("/x/..;/private", Some("/private")),
            ("/private;v=1/film", Some("/private/film")),
            ("/private%3Bv=1/film", Some("/private/film")),
            ("/private%252ffilm", Some("/private/film")),
            ("/%2570rivate/film", Some("/private/film")),
            ("/%25252e%25252e/private", Some("/private")),
            ("/a%2F", Some("/a/")),
        ];
        for (path, loosest) in cases {
            assert_eq!(normalize_path(path), path, "a normal form");
            assert_eq!(loosest_path(path).as_deref(), loosest, "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_left_in_doubt(path in r"/[a./\\;%25fFcC]{0,16}") {
            if let Some(loosest) = loosest_path(&normalize_path(&path)) {
                prop_assert_eq!(loosest_path(&loosest), None, "of {}", path);
            }
        }
    }
}
