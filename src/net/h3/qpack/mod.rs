//! QPACK without a dynamic table (RFC 9204): the static table and literals.
//!
//! The dynamic table saves a few hundred bytes of a long connection and costs state, head-of-line
//! blocking and memory that the client decides on. SETTINGS leave its capacity at zero, so a client
//! cannot refer to it, and no encoder or decoder stream is opened.

mod table;

use bytes::BufMut;

use crate::net::{huffman, prefix_integer};

/// A field section that cannot be decoded (`QPACK_DECOMPRESSION_FAILED`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadSection;

/// Decodes field sections; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// Hands each field line of `section` to `each`, in order.
    pub(super) fn decode(
        &mut self,
        section: &[u8],
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), BadSection> {
        let input = &mut &section[..];
        // RFC 9204 section 4.5.1: with no dynamic table both are zero.
        if [integer(input, 8)?, integer(input, 7)?] != [0, 0] {
            return Err(BadSection);
        }
        while let Some(&first) = input.first() {
            // RFC 9204 sections 4.5.2 to 4.5.6, told apart by the leading bits.
            if first & 0x80 != 0 {
                let (name, value) = static_line(first & 0x40, integer(input, 6)?)?;
                each(name.as_bytes(), value.as_bytes());
            } else if first & 0x40 != 0 {
                let (name, _) = static_line(first & 0x10, integer(input, 4)?)?;
                each(name.as_bytes(), string(input, 7, &mut self.value)?);
            } else if first & 0x20 != 0 {
                let name = string(input, 3, &mut self.name)?;
                each(name, string(input, 7, &mut self.value)?);
            } else {
                return Err(BadSection);
            }
        }
        Ok(())
    }
}

fn static_line(static_bit: u8, index: usize) -> Result<(&'static str, &'static str), BadSection> {
    if static_bit == 0 {
        return Err(BadSection);
    }
    table::TABLE.get(index).copied().ok_or(BadSection)
}

fn integer(input: &mut &[u8], prefix: u32) -> Result<usize, BadSection> {
    prefix_integer::take(input, prefix).ok_or(BadSection)
}

/// A string whose length has `prefix` bits after the Huffman bit; decoded into `buffer` if need be.
fn string<'a: 'b, 'b>(
    input: &mut &'a [u8],
    prefix: u32,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], BadSection> {
    let packed = input.first().is_some_and(|first| first & (1 << prefix) != 0);
    let length = integer(input, prefix)?;
    let (text, rest) = input.split_at_checked(length).ok_or(BadSection)?;
    *input = rest;
    if !packed {
        return Ok(text);
    }
    buffer.clear();
    huffman::decode(text, buffer).map_err(|huffman::Invalid| BadSection)?;
    Ok(buffer)
}

/// Begins a field section: no dynamic table entry is required.
pub(super) fn begin(out: &mut impl BufMut) {
    out.put_slice(&[0, 0]);
}

/// Appends `:status`.
pub(super) fn put_status(out: &mut impl BufMut, status: http::StatusCode) {
    match status.as_u16() {
        103 => put_indexed(out, 24),
        200 => put_indexed(out, 25),
        304 => put_indexed(out, 26),
        404 => put_indexed(out, 27),
        503 => put_indexed(out, 28),
        100 => put_indexed(out, 63),
        204 => put_indexed(out, 64),
        206 => put_indexed(out, 65),
        302 => put_indexed(out, 66),
        400 => put_indexed(out, 67),
        403 => put_indexed(out, 68),
        421 => put_indexed(out, 69),
        425 => put_indexed(out, 70),
        500 => put_indexed(out, 71),
        _ => put_named(out, 24, status.as_str().as_bytes()),
    }
}

/// Appends every field line.
pub(super) fn put_lines<'a>(
    out: &mut impl BufMut,
    lines: impl Iterator<Item = (&'a str, &'a [u8])>,
) {
    for (name, value) in lines {
        put_field(out, name, value);
    }
}

/// Appends one field; the name is lower-case. Values stand as they are: a Huffman code would save a
/// quarter of them at several times the work.
pub(super) fn put_field(out: &mut impl BufMut, name: &str, value: &[u8]) {
    match static_name(name) {
        Some(index) => put_named(out, index, value),
        None => {
            prefix_integer::put(out, 0x20, 3, name.len());
            out.put_slice(name.as_bytes());
            prefix_integer::put(out, 0, 7, value.len());
            out.put_slice(value);
        }
    }
}

fn put_indexed(out: &mut impl BufMut, index: usize) {
    prefix_integer::put(out, 0xc0, 6, index);
}

fn put_named(out: &mut impl BufMut, index: usize, value: &[u8]) {
    prefix_integer::put(out, 0x50, 4, index);
    prefix_integer::put(out, 0, 7, value.len());
    out.put_slice(value);
}

/// The first entry of the static table with this name.
fn static_name(name: &str) -> Option<usize> {
    Some(match name {
        ":authority" => 0,
        ":path" => 1,
        "age" => 2,
        "content-disposition" => 3,
        "content-length" => 4,
        "date" => 6,
        "etag" => 7,
        "last-modified" => 10,
        "link" => 11,
        "location" => 12,
        "set-cookie" => 14,
        ":method" => 15,
        ":scheme" => 22,
        "accept" => 29,
        "accept-encoding" => 31,
        "accept-ranges" => 32,
        "access-control-allow-headers" => 33,
        "access-control-allow-origin" => 35,
        "cache-control" => 36,
        "content-encoding" => 42,
        "content-type" => 44,
        "strict-transport-security" => 56,
        "vary" => 59,
        "x-content-type-options" => 61,
        "x-xss-protection" => 62,
        "access-control-allow-credentials" => 73,
        "access-control-allow-methods" => 76,
        "access-control-expose-headers" => 79,
        "alt-svc" => 83,
        "content-security-policy" => 85,
        "server" => 92,
        "timing-allow-origin" => 93,
        "user-agent" => 95,
        "x-frame-options" => 97,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn decode(section: &[u8]) -> Result<Vec<(String, String)>, BadSection> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Decoder::default()
            .decode(section, |name, value| fields.push((text(name), text(value))))
            .map(|()| fields)
    }

    #[test]
    fn what_is_put_comes_back() {
        let long = "v".repeat(70_000);
        let fields = [("content-type", "text/html"), ("x-own", ""), ("etag", &long), (&long, "1")];
        let mut out = Vec::new();
        begin(&mut out);
        put_status(&mut out, StatusCode::OK);
        fields.iter().for_each(|(name, value)| put_field(&mut out, name, value.as_bytes()));
        let decoded = decode(&out).unwrap();
        assert_eq!(decoded[0], (":status".to_owned(), "200".to_owned()));
        let decoded = decoded[1..].iter().map(|(name, value)| (&name[..], &value[..]));
        assert!(decoded.eq(fields));
    }

    #[test]
    fn every_status_comes_back() {
        for code in 100..1000 {
            let mut out = Vec::new();
            begin(&mut out);
            put_status(&mut out, StatusCode::from_u16(code).unwrap());
            assert_eq!(decode(&out).unwrap(), [(":status".to_owned(), code.to_string())]);
        }
    }

    #[test]
    fn known_names_are_those_of_the_table() {
        for (index, (name, _)) in table::TABLE.iter().enumerate() {
            if let Some(known) = static_name(name) {
                assert!(known <= index);
                assert_eq!(table::TABLE[known].0, *name);
            }
        }
    }

    #[test]
    fn example_of_rfc_9204_appendix_b() {
        let section = b"\x00\x00\x51\x0b/index.html";
        assert_eq!(decode(section).unwrap(), [(":path".to_owned(), "/index.html".to_owned())]);
    }

    #[test]
    fn sections_that_cannot_be_are_refused() {
        let bad: [&[u8]; 10] = [
            b"",
            b"\x00",
            b"\x01\x00",
            b"\x00\x00\x80",
            b"\x00\x00\xff\x7f",
            b"\x00\x00\x40\x00",
            b"\x00\x00\x10",
            b"\x00\x00\x51\x05abc",
            b"\x00\x00\x51\x82\xff\xff",
            b"\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ];
        for section in bad {
            assert_eq!(decode(section), Err(BadSection), "{section:?}");
        }
    }
}
