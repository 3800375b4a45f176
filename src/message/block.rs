//! A prepared list of fields: `name: value\r\n` lines with lower-case names, made once.
//!
//! HTTP/1.1 copies the lines as they are; HTTP/2 and 3 walk them, and their values become slices of
//! the same allocation.

use bytes::Bytes;
use http::HeaderMap;

/// Shared, immutable field lines.
///
/// ```text
/// content-type: text/html\r\netag: "a"\r\n
/// ```
///
/// Every line was written by [`push_field`], so names are lower-case, values hold no CR, LF or NUL,
/// and `": "` ends the name.
#[derive(Clone, Debug, Default)]
pub struct FieldBlock(Bytes);

impl FieldBlock {
    /// The block of all fields of `map`, in its order.
    pub fn from_map(map: &HeaderMap) -> Self {
        let size = map.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let mut lines = Vec::with_capacity(size);
        for (name, value) in map {
            push_field(&mut lines, name.as_str(), value.as_bytes());
        }
        Self(lines.into())
    }

    /// Takes lines that [`push_field`] wrote, or a slice of such.
    pub fn from_lines(lines: Bytes) -> Self {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        Self(lines)
    }

    /// The lines as HTTP/1.1 sends them, without the empty line that ends a head.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The shared lines, so that a value can be handed on as a slice of them.
    pub fn shared(&self) -> &Bytes {
        &self.0
    }

    /// Name and value of every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        field_lines(&self.0)
    }

    /// The lines whose names `left_out` does not name.
    #[must_use]
    pub fn without(&self, left_out: impl Fn(&str) -> bool) -> Self {
        let mut lines = Vec::with_capacity(self.0.len());
        for (name, value) in self.iter().filter(|(name, _)| !left_out(name)) {
            push_field(&mut lines, name, value);
        }
        Self(lines.into())
    }

    /// The value of the first line named `name` (lower-case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find_map(|(found, value)| (found == name).then_some(value))
    }
}

/// Appends one line. The value's bytes that would end the line early (CR, LF, NUL) become spaces,
/// so no caller can split a head (RFC 9110 section 5.5).
pub fn push_field(out: &mut impl Extend<u8>, name: &str, value: &[u8]) {
    out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
    out.extend(*b": ");
    out.extend(value.iter().map(
        |&byte| {
            if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }
        },
    ));
    out.extend(*b"\r\n");
}

/// Walks lines as [`push_field`] writes them; stops at the first that is none.
pub fn field_lines(mut rest: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = rest[..end].strip_suffix(b"\r")?;
        rest = &rest[end + 1..];
        let colon = memchr::memchr(b':', line)?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        Some((name, line.get(colon + 2..)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_written() {
        let mut out = Vec::new();
        push_field(&mut out, "Content-Type", b"text/html");
        push_field(&mut out, "x-empty", b"");
        let block = FieldBlock::from_lines(out.into());
        let fields: Vec<_> = block.iter().collect();
        assert_eq!(fields, [("content-type", &b"text/html"[..]), ("x-empty", b"")]);
        assert_eq!(block.get("x-empty"), Some(&b""[..]));
        assert_eq!(block.get("etag"), None);
    }

    #[test]
    fn a_value_cannot_split_the_head() {
        let mut out = Vec::new();
        push_field(&mut out, "x", b"a\r\nset-cookie: b\0");
        assert_eq!(out, b"x: a  set-cookie: b \r\n");
    }
}
