//! Frames of RFC 9113 section 4 and 6: heads and payloads to bytes and back. Pure.
//!
//! ```text
//! | length 24 | type 8 | flags 8 | R 1, stream 31 | payload … |
//! ```

use bytes::{BufMut, BytesMut};

/// What every client sends first (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame head.
pub(super) const HEAD: usize = 9;

/// The largest payload we take: the initial SETTINGS_MAX_FRAME_SIZE, never raised, so that a frame
/// of one stream cannot hold up the others for long.
pub(super) const MAX_PAYLOAD: usize = 16_384;

/// The largest window and the largest stream identifier.
pub(super) const MAX_31_BITS: u32 = 0x7fff_ffff;

/// Frame types (RFC 9113 section 6).
pub(super) mod kind {
    pub(in crate::net::h2) const DATA: u8 = 0;
    pub(in crate::net::h2) const HEADERS: u8 = 1;
    pub(in crate::net::h2) const PRIORITY: u8 = 2;
    pub(in crate::net::h2) const RST_STREAM: u8 = 3;
    pub(in crate::net::h2) const SETTINGS: u8 = 4;
    pub(in crate::net::h2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::net::h2) const PING: u8 = 6;
    pub(in crate::net::h2) const GOAWAY: u8 = 7;
    pub(in crate::net::h2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::net::h2) const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub(super) mod flag {
    pub(in crate::net::h2) const ACK: u8 = 0x1;
    pub(in crate::net::h2) const END_STREAM: u8 = 0x1;
    pub(in crate::net::h2) const END_HEADERS: u8 = 0x4;
    pub(in crate::net::h2) const PADDED: u8 = 0x8;
    pub(in crate::net::h2) const PRIORITY: u8 = 0x20;
}

/// Settings (RFC 9113 section 6.5.2, RFC 9218 section 2.1).
pub(super) mod setting {
    pub(in crate::net::h2) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in crate::net::h2) const ENABLE_PUSH: u16 = 2;
    pub(in crate::net::h2) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in crate::net::h2) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in crate::net::h2) const MAX_FRAME_SIZE: u16 = 5;
    pub(in crate::net::h2) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(in crate::net::h2) const NO_RFC7540_PRIORITIES: u16 = 9;
}

/// An error code (RFC 9113 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) u32);

impl Code {
    pub(super) const NO_ERROR: Self = Self(0);
    pub(super) const PROTOCOL_ERROR: Self = Self(1);
    pub(super) const INTERNAL_ERROR: Self = Self(2);
    pub(super) const FLOW_CONTROL_ERROR: Self = Self(3);
    pub(super) const SETTINGS_TIMEOUT: Self = Self(4);
    pub(super) const STREAM_CLOSED: Self = Self(5);
    pub(super) const FRAME_SIZE_ERROR: Self = Self(6);
    pub(super) const REFUSED_STREAM: Self = Self(7);
    pub(super) const CANCEL: Self = Self(8);
    pub(super) const COMPRESSION_ERROR: Self = Self(9);
    pub(super) const ENHANCE_YOUR_CALM: Self = Self(11);
}

/// The nine bytes before every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Bytes of payload; 24 bits.
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 0: the connection.
    pub(super) stream: u32,
}

impl FrameHead {
    pub(super) fn parse(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            // The reserved bit is ignored when received (RFC 9113 section 4.1).
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_31_BITS,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; HEAD] {
        let [_, a, b, c] = (self.length as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, s0, s1, s2, s3]
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The content of a DATA or HEADERS payload without its padding (RFC 9113 section 6.1); `None` if
/// the padding is longer than the frame.
pub(super) fn unpadded(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(padding.into())?)
}

/// The field block fragment of a HEADERS payload: padding and the deprecated priority taken off
/// (RFC 9113 section 6.2).
pub(super) fn fragment(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    let content = unpadded(head, payload)?;
    if head.has(flag::PRIORITY) { content.get(5..) } else { Some(content) }
}

/// Identifier and value of every setting of a payload whose length is a multiple of six.
pub(super) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload.as_chunks::<6>().0.iter().map(|&[i0, i1, v0, v1, v2, v3]| {
        (u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))
    })
}

/// The number that a RST_STREAM or WINDOW_UPDATE payload of four bytes holds.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.try_into().ok()?))
}

/// Appends a frame.
pub(super) fn put(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_slice(&FrameHead { length: payload.len(), kind, flags, stream }.to_bytes());
    out.put_slice(payload);
}

/// Appends a SETTINGS frame.
pub(super) fn put_settings(out: &mut BytesMut, settings: &[(u16, u32)]) {
    let head = FrameHead { length: settings.len() * 6, kind: kind::SETTINGS, flags: 0, stream: 0 };
    out.put_slice(&head.to_bytes());
    for &(setting, value) in settings {
        out.put_u16(setting);
        out.put_u32(value);
    }
}

/// Appends a RST_STREAM frame.
pub(super) fn put_reset(out: &mut BytesMut, stream: u32, code: Code) {
    put(out, kind::RST_STREAM, 0, stream, &code.0.to_be_bytes());
}

/// Appends a WINDOW_UPDATE frame.
pub(super) fn put_window_update(out: &mut BytesMut, stream: u32, increment: u32) {
    put(out, kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
}

/// Appends a GOAWAY frame.
pub(super) fn put_goaway(out: &mut BytesMut, last: u32, code: Code, detail: &str) {
    let head = FrameHead { length: 8 + detail.len(), kind: kind::GOAWAY, flags: 0, stream: 0 };
    out.put_slice(&head.to_bytes());
    out.put_u32(last);
    out.put_u32(code.0);
    out.put_slice(detail.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_as_written() {
        let head = FrameHead { length: 0x01_02_03, kind: 7, flags: 0x29, stream: MAX_31_BITS };
        let bytes = head.to_bytes();
        assert_eq!(bytes, [1, 2, 3, 7, 0x29, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(FrameHead::parse(&bytes), head);
        let mut reserved = bytes;
        reserved[5] |= 0x80;
        assert_eq!(FrameHead::parse(&reserved), head, "the reserved bit is ignored");
    }

    #[test]
    fn padding_and_priority_come_off() {
        let head = |flags| FrameHead { length: 0, kind: kind::HEADERS, flags, stream: 1 };
        type Case = (u8, &'static [u8], Option<&'static [u8]>);
        let table: &[Case] = &[
            (0, b"abc", Some(b"abc")),
            (flag::PADDED, b"\x02abc\0\0", Some(b"abc")),
            (flag::PADDED, b"\0", Some(b"")),
            (flag::PADDED, b"\x01", None),
            (flag::PADDED, b"", None),
            (flag::PRIORITY, b"12345abc", Some(b"abc")),
            (flag::PRIORITY, b"1234", None),
            (flag::PADDED | flag::PRIORITY, b"\x0112345abc\0", Some(b"abc")),
            (flag::PADDED | flag::PRIORITY, b"\x0412345abc", None),
        ];
        for (flags, payload, expected) in table {
            assert_eq!(fragment(head(*flags), payload), *expected, "{flags} {payload:?}");
        }
    }

    #[test]
    fn frames_are_laid_out_as_the_rfc_draws_them() {
        let mut out = BytesMut::new();
        put_settings(&mut out, &[(setting::MAX_CONCURRENT_STREAMS, 256)]);
        put_reset(&mut out, 3, Code::CANCEL);
        put_window_update(&mut out, 0, 65_536);
        put_goaway(&mut out, 5, Code::NO_ERROR, "x");
        let expected = [
            &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 1, 0][..],
            &[0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8],
            &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 1, 0, 0],
            &[0, 0, 9, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, b'x'],
        ];
        assert_eq!(out, expected.concat());
        let payload = [0, 3, 0, 0, 1, 0, 0, 4, 0, 0, 0, 9];
        assert_eq!(settings(&payload).collect::<Vec<_>>(), [(3, 256), (4, 9)]);
        assert_eq!(number(&[0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0, 0, 1]), None);
    }
}
