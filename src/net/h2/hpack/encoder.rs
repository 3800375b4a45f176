//! The fields of a response to a field block, without state.

use bytes::{BufMut, BytesMut};
use http::StatusCode;

use super::DEFAULT_SIZE;
use crate::net::prefix_integer;

/// The encoder of one connection. It never adds to the peer's dynamic table.
#[derive(Debug, Default)]
pub(in crate::net::h2) struct Encoder {
    /// The peer made its table smaller: the next block has to say that we follow.
    owes_update: bool,
    updated: bool,
}

impl Encoder {
    /// The peer's SETTINGS_HEADER_TABLE_SIZE. A lower size has to be acknowledged at the beginning
    /// of the next block (RFC 7541 section 4.2); nothing is in the table, so size 0 settles it.
    pub(in crate::net::h2) fn peer_table_size(&mut self, size: u32) {
        if (size as usize) < DEFAULT_SIZE && !self.updated {
            self.owes_update = true;
        }
    }

    /// Begins a block.
    pub(in crate::net::h2) fn begin(&mut self, out: &mut BytesMut) {
        if std::mem::take(&mut self.owes_update) {
            self.updated = true;
            out.put_u8(0x20);
        }
    }
}

/// Appends `:status`.
pub(in crate::net::h2) fn put_status(out: &mut BytesMut, status: StatusCode) {
    let index = match status.as_u16() {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            // Literal without indexing; the name is that of index 8.
            out.put_slice(&[8, 3]);
            out.put_slice(status.as_str().as_bytes());
            return;
        }
    };
    out.put_u8(0x80 | index);
}

/// Appends a field; `name` is lower-case.
pub(in crate::net::h2) fn put_field(out: &mut BytesMut, name: &str, value: &[u8]) {
    match static_name(name) {
        Some(index) => prefix_integer::put(out, 0, 4, index),
        None => {
            out.put_u8(0);
            prefix_integer::put(out, 0, 7, name.len());
            out.put_slice(name.as_bytes());
        }
    }
    prefix_integer::put(out, 0, 7, value.len());
    out.put_slice(value);
}

/// The index of a name that responses have in the static table.
fn static_name(name: &str) -> Option<usize> {
    Some(match name {
        "accept-ranges" => 18,
        "access-control-allow-origin" => 20,
        "age" => 21,
        "allow" => 22,
        "cache-control" => 24,
        "content-disposition" => 25,
        "content-encoding" => 26,
        "content-language" => 27,
        "content-length" => 28,
        "content-location" => 29,
        "content-range" => 30,
        "content-type" => 31,
        "date" => 33,
        "etag" => 34,
        "expires" => 36,
        "last-modified" => 44,
        "link" => 45,
        "location" => 46,
        "proxy-authenticate" => 48,
        "refresh" => 52,
        "retry-after" => 53,
        "server" => 54,
        "set-cookie" => 55,
        "strict-transport-security" => 56,
        "vary" => 59,
        "via" => 60,
        "www-authenticate" => 61,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::STATIC;
    use super::*;

    #[test]
    fn names_stand_where_the_static_table_has_them() {
        for (place, (name, _)) in STATIC.iter().enumerate() {
            if let Some(index) = static_name(name) {
                assert_eq!(index, place + 1, "{name}");
            }
        }
        assert_eq!(STATIC.iter().filter(|(name, _)| static_name(name).is_some()).count(), 27);
    }

    #[test]
    fn a_smaller_table_is_acknowledged_once() {
        let mut encoder = Encoder::default();
        let mut out = BytesMut::new();
        encoder.peer_table_size(4096);
        encoder.begin(&mut out);
        assert!(out.is_empty());
        encoder.peer_table_size(0);
        encoder.begin(&mut out);
        encoder.peer_table_size(100);
        encoder.begin(&mut out);
        assert_eq!(&out[..], [0x20]);
    }
}
