//! Frames (RFC 9114 section 7.1), read as bytes arrive and never copied where they come whole.
//!
//! ```text
//!   type (varint)  length (varint)  payload
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Frame types (RFC 9114 section 11.2.1).
pub(super) mod kind {
    pub(in crate::net::h3) const DATA: u64 = 0x0;
    pub(in crate::net::h3) const HEADERS: u64 = 0x1;
    pub(in crate::net::h3) const CANCEL_PUSH: u64 = 0x3;
    pub(in crate::net::h3) const SETTINGS: u64 = 0x4;
    pub(in crate::net::h3) const PUSH_PROMISE: u64 = 0x5;
    pub(in crate::net::h3) const GOAWAY: u64 = 0x7;
    pub(in crate::net::h3) const MAX_PUSH_ID: u64 = 0xd;
    /// Types of HTTP/2 that HTTP/3 forbids (RFC 9114 section 7.2.8).
    pub(in crate::net::h3) const OF_HTTP2: [u64; 4] = [0x2, 0x6, 0x8, 0x9];
}

/// The longest frame header: two varints.
const HEADER: usize = 16;

/// Takes a stream of frames apart.
#[derive(Debug)]
pub(super) struct FrameReader {
    state: State,
    /// What has come of a header or payload that is not whole yet.
    partial: BytesMut,
    /// Payloads longer than this are not gathered.
    longest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    /// Bytes of DATA to come.
    Data(u64),
    /// A payload to be gathered.
    Whole {
        kind: u64,
        length: usize,
    },
    /// Bytes of a frame of an unknown type to come.
    Skip(u64),
}

/// What a reader found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A piece of the payload of a DATA frame, at least one byte.
    Data(Bytes),
    /// A whole frame of another known type.
    Whole(u64, Bytes),
    /// The header of a frame whose payload is longer than the reader gathers.
    TooLong(u64),
}

impl FrameReader {
    /// A reader that gathers payloads of up to `longest` bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self { state: State::Header, partial: BytesMut::new(), longest }
    }

    /// Whether the stream may end here.
    pub(super) fn is_between_frames(&self) -> bool {
        self.state == State::Header && self.partial.is_empty()
    }

    /// Takes the next frame, or piece of one, off the front of `input`; `None` once it is used up.
    pub(super) fn read(&mut self, input: &mut Bytes) -> Option<Frame> {
        loop {
            match self.state {
                State::Header => {
                    let (kind, length) = self.read_header(input)?;
                    self.state = match kind {
                        kind::DATA => State::Data(length),
                        _ if !is_known(kind) => State::Skip(length),
                        _ if length > self.longest as u64 => {
                            self.state = State::Skip(length);
                            return Some(Frame::TooLong(kind));
                        }
                        _ => State::Whole { kind, length: length as usize },
                    };
                }
                State::Data(0) | State::Skip(0) => self.state = State::Header,
                State::Data(left) => {
                    let piece = take_up_to(input, left)?;
                    self.state = State::Data(left - piece.len() as u64);
                    return Some(Frame::Data(piece));
                }
                State::Skip(left) => {
                    let piece = take_up_to(input, left)?;
                    self.state = State::Skip(left - piece.len() as u64);
                }
                State::Whole { kind, length } => {
                    let payload = self.gather(input, length)?;
                    self.state = State::Header;
                    return Some(Frame::Whole(kind, payload));
                }
            }
        }
    }

    fn read_header(&mut self, input: &mut Bytes) -> Option<(u64, u64)> {
        if self.partial.is_empty() {
            let mut rest = &input[..];
            if let Some(header) = parse_header(&mut rest) {
                input.advance(input.len() - rest.len());
                return Some(header);
            }
        }
        let had = self.partial.len();
        self.partial.extend_from_slice(&input[..input.len().min(HEADER - had)]);
        let mut rest = &self.partial[..];
        let header = parse_header(&mut rest);
        let used = self.partial.len() - rest.len();
        if header.is_some() {
            input.advance(used - had);
            self.partial.clear();
        } else {
            input.clear();
        }
        header
    }

    fn gather(&mut self, input: &mut Bytes, length: usize) -> Option<Bytes> {
        if self.partial.is_empty() && input.len() >= length {
            return Some(input.split_to(length));
        }
        let take = input.len().min(length - self.partial.len());
        self.partial.extend_from_slice(&input.split_to(take));
        (self.partial.len() == length).then(|| self.partial.split().freeze())
    }
}

fn is_known(kind: u64) -> bool {
    matches!(
        kind,
        kind::HEADERS
            | kind::CANCEL_PUSH
            | kind::SETTINGS
            | kind::PUSH_PROMISE
            | kind::GOAWAY
            | kind::MAX_PUSH_ID
    ) || kind::OF_HTTP2.contains(&kind)
}

fn take_up_to(input: &mut Bytes, most: u64) -> Option<Bytes> {
    let take = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    (take > 0).then(|| input.split_to(take))
}

fn parse_header(input: &mut &[u8]) -> Option<(u64, u64)> {
    Some((varint(input)?, varint(input)?))
}

/// Takes a variable-length integer off the front (RFC 9000 section 16); `None` if it is not whole.
pub(super) fn varint(input: &mut &[u8]) -> Option<u64> {
    let first = *input.first()?;
    let length = 1 << (first >> 6);
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    let value = bytes[1..]
        .iter()
        .fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte));
    Some(value)
}

/// Appends a variable-length integer; `value` is below 2^62.
pub(super) fn put_varint(out: &mut impl BufMut, value: u64) {
    match value {
        0..0x40 => out.put_u8(value as u8),
        0x40..0x4000 => out.put_u16(value as u16 | 0x4000),
        0x4000..0x4000_0000 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// Appends a frame's header.
pub(super) fn put_header(out: &mut impl BufMut, kind: u64, length: u64) {
    put_varint(out, kind);
    put_varint(out, length);
}

/// Appends a HEADERS frame whose field section `write` appends.
pub(super) fn put_headers(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    /// Room for the length, in its four-byte form: it is known only afterwards.
    const LENGTH: usize = 4;
    put_varint(out, kind::HEADERS);
    let start = out.len() + LENGTH;
    out.put_bytes(0, LENGTH);
    write(out);
    let length = (out.len() - start) as u32 | 0x8000_0000;
    out[start - LENGTH..start].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(reader: &mut FrameReader, pieces: &[&[u8]]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for piece in pieces {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(frame) = reader.read(&mut input) {
                frames.push(frame);
            }
            assert!(input.is_empty());
        }
        frames
    }

    #[test]
    fn varints_come_back() {
        for value in [0, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(varint(&mut &out[..]), Some(value));
            assert_eq!(varint(&mut &out[..out.len() - 1]), None);
        }
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let mut out = BytesMut::new();
        put_headers(&mut out, |out| out.put_slice(b"section"));
        put_header(&mut out, 0x21, 5);
        out.put_slice(b"grease");
        out.truncate(out.len() - 1);
        put_header(&mut out, kind::DATA, 70);
        out.put_slice(&[b'd'; 70]);
        put_header(&mut out, kind::DATA, 0);
        for size in 1..=out.len() {
            let mut reader = FrameReader::new(100);
            let frames = read_all(&mut reader, &out.chunks(size).collect::<Vec<_>>());
            assert_eq!(frames[0], Frame::Whole(kind::HEADERS, Bytes::from_static(b"section")));
            let data = frames[1..].iter().map(|frame| match frame {
                Frame::Data(piece) => piece.len(),
                other => panic!("{other:?}"),
            });
            assert_eq!(data.sum::<usize>(), 70);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_skipped() {
        let mut out = Vec::new();
        put_header(&mut out, kind::HEADERS, 11);
        out.extend([0; 11]);
        put_header(&mut out, kind::SETTINGS, 0);
        let mut reader = FrameReader::new(10);
        let frames = read_all(&mut reader, &[&out]);
        let settings = Frame::Whole(kind::SETTINGS, Bytes::new());
        assert_eq!(frames, [Frame::TooLong(kind::HEADERS), settings]);
        assert!(reader.is_between_frames());
    }

    #[test]
    fn a_cut_frame_is_seen() {
        let mut reader = FrameReader::new(10);
        assert!(reader.is_between_frames());
        read_all(&mut reader, &[b"\x00\x05ab"]);
        assert!(!reader.is_between_frames());
    }
}
