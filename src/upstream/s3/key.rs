//! From a path to the key of an object, and to how a request writes it. Pure.
//!
//! ```text
//!  /caf%C3%A9/a%2Bb ──► café/a+b ──► public/café/a+b ──► /public/caf%C3%A9/a%2Bb
//!     path, normal       decoded       with prefix          as a signature counts it
//! ```
//!
//! Invariants: no path leads to the bucket itself, which would list it, nor out of the prefix: a
//! segment `.` or `..` that comes out of an escape may be followed by a server of files.

use crate::semantics::uri::{escape, hex_value, is_unreserved};

/// Which keys the paths of a bucket's origin lead to.
#[derive(Debug)]
pub(super) struct Keys {
    /// Empty, or ends with a slash.
    prefix: String,
    /// What is served for a folder; empty for nothing.
    index: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, index: &str) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        Self { prefix, index: index.to_owned() }
    }

    /// The key of a path in normal form; `None` if no object can have it.
    pub(super) fn of_path(&self, path: &str) -> Option<String> {
        let mut key = decode(path.strip_prefix('/')?)?;
        if key.is_empty() || key.ends_with('/') {
            key.push_str(&self.index);
        }
        let is_dotted = key.split('/').any(|segment| matches!(segment, "." | ".."));
        (!key.is_empty() && !is_dotted).then(|| self.below(&key))
    }

    /// The key of an object below the prefix.
    pub(super) fn below(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// Writes a key as AWS does in what is signed: all but unreserved characters and the slash escaped
/// (Amazon S3 API Reference, "UriEncode").
pub(super) fn encode(key: &str) -> String {
    escape(key, |byte| is_unreserved(byte) || byte == b'/')
}

/// `None` for what is no text in UTF-8, or has a broken escape.
fn decode(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex_value(bytes.next()?)? << 4 | hex_value(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_keys() {
        let keys = Keys::new("", "index.html");
        for (path, key) in [
            ("/a.css", Some("a.css")),
            ("/", Some("index.html")),
            ("/dir/", Some("dir/index.html")),
            ("/dir", Some("dir")),
            ("/a%20b+c", Some("a b+c")),
            ("/a%2Bb%25", Some("a+b%")),
            ("/caf%C3%A9", Some("café")),
            ("/a%2Fb", Some("a/b")),
            ("/a//b", Some("a//b")),
            ("//a", Some("/a")),
            ("/%2F", Some("/index.html")),
            ("/.well-known/..a/b..", Some(".well-known/..a/b..")),
            ("/a%3Facl%26x", Some("a?acl&x")),
            ("/..%2Fother", None),
            ("/a/%2E%2E/%2e", None),
            ("/a%2F..", None),
            ("/..", None),
            ("/a%", None),
            ("/a%2", None),
            ("/a%+1", None),
            ("/a%FF", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(keys.of_path(path).as_deref(), key, "{path}");
        }
    }

    #[test]
    fn a_bucket_is_never_asked_for_itself() {
        let keys = Keys::new("", "");
        assert_eq!((keys.of_path("/"), keys.of_path("")), (None, None));
        assert_eq!(keys.of_path("/dir/").as_deref(), Some("dir/"));
        let keys = Keys::new("/public/site/", "");
        assert_eq!(keys.of_path("/"), None);
        assert_eq!(keys.of_path("/a").as_deref(), Some("public/site/a"));
        assert_eq!(keys.below("404.html"), "public/site/404.html");
    }

    #[test]
    fn keys_are_written_as_signatures_count_them() {
        for (key, written) in [
            ("a/b-c_d.e~f", "a/b-c_d.e~f"),
            ("a b+c%d", "a%20b%2Bc%25d"),
            ("é€", "%C3%A9%E2%82%AC"),
            (
                "!$&'()*,:;=@?#[]\\\"<>|^`{}\n",
                "%21%24%26%27%28%29%2A%2C%3A%3B%3D%40%3F%23%5B%5D%5C%22%3C%3E%7C%5E%60%7B%7D%0A",
            ),
            ("/a//b/", "/a//b/"),
        ] {
            assert_eq!(encode(key), written);
        }
    }
}
