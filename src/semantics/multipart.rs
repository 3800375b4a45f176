//! Framing of `multipart/byteranges` (RFC 9110 section 14.6).
//!
//! ```text
//!         --BOUNDARY CRLF  fields CRLF CRLF  bytes        first part
//!   CRLF  --BOUNDARY CRLF  fields CRLF CRLF  bytes        each further part
//!   CRLF  --BOUNDARY-- CRLF                               end
//! ```

use super::range::{ByteRange, write_content_range};
use super::sink::{Count, Sink};

/// How the parts of one response are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multipart<'a> {
    /// Delimiter: a token that does not occur in the content, at most 70 bytes.
    pub boundary: &'a str,
    /// Content-Type of the whole, repeated in each part.
    pub content_type: Option<&'a [u8]>,
    /// Length of the whole.
    pub total: u64,
}

impl Multipart<'_> {
    /// Writes the value of the response's Content-Type.
    pub fn write_content_type(&self, out: &mut impl Sink) {
        out.put(b"multipart/byteranges; boundary=");
        out.put(self.boundary.as_bytes());
    }

    /// Writes what stands before the bytes of part number `index`, counted from zero.
    pub fn write_part_head(&self, index: usize, range: ByteRange, out: &mut impl Sink) {
        if index > 0 {
            out.put(b"\r\n");
        }
        out.put(b"--");
        out.put(self.boundary.as_bytes());
        if let Some(content_type) = self.content_type {
            out.put(b"\r\nContent-Type: ");
            out.put(content_type);
        }
        out.put(b"\r\nContent-Range: ");
        write_content_range(range, self.total, out);
        out.put(b"\r\n\r\n");
    }

    /// Writes what stands after the bytes of the last part.
    pub fn write_end(&self, out: &mut impl Sink) {
        out.put(b"\r\n--");
        out.put(self.boundary.as_bytes());
        out.put(b"--\r\n");
    }

    /// Content-Length of the response with these parts.
    pub fn content_length(&self, ranges: &[ByteRange]) -> u64 {
        let mut count = Count::default();
        for (index, range) in ranges.iter().enumerate() {
            self.write_part_head(index, *range, &mut count);
            count.0 += range.len();
        }
        self.write_end(&mut count);
        count.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Multipart<'_> =
        Multipart { boundary: "B", content_type: Some(b"text/plain"), total: 10 };

    #[test]
    fn frames_two_parts() {
        let ranges = [ByteRange { start: 0, end: 2 }, ByteRange { start: 5, end: 10 }];
        let body = b"0123456789";
        let mut out = Vec::new();
        for (index, range) in ranges.iter().enumerate() {
            PARTS.write_part_head(index, *range, &mut out);
            out.put(&body[range.start as usize..range.end as usize]);
        }
        PARTS.write_end(&mut out);
        let wanted = "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
            \r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-9/10\r\n\r\n56789\
            \r\n--B--\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        assert_eq!(PARTS.content_length(&ranges), wanted.len() as u64);
    }

    #[test]
    fn the_type_may_be_unknown() {
        let mut out = Vec::new();
        let parts = Multipart { content_type: None, ..PARTS };
        parts.write_part_head(0, ByteRange { start: 3, end: 4 }, &mut out);
        assert_eq!(out, b"--B\r\nContent-Range: bytes 3-3/10\r\n\r\n");
        out.clear();
        parts.write_content_type(&mut out);
        assert_eq!(out, b"multipart/byteranges; boundary=B");
    }
}
