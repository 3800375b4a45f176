//! The head of a response and the framing of its body (RFC 9112 sections 4, 6 and 7). Pure.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::decode::may_be_trailer;
use crate::message::Interim;
use crate::message::{Body, Response, push_field};

/// What of a request decides over the form of its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) head: bool,
    pub(super) minor: u8,
    pub(super) persistent: bool,
    pub(super) takes_trailers: bool,
}

/// How a client learns where the body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// There is no body.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// The end of the connection: all that HTTP/1.0 knows for a body of unknown length.
    Close,
}

impl Delimiter {
    /// The delimiter of `response`.
    pub(super) fn of(response: &Response, asked: Asked) -> Self {
        if asked.head || forbids_body(response.status) {
            return Self::Nothing;
        }
        match response.content_length.or_else(|| response.body.known_length()) {
            Some(length) => Self::Length(length),
            None if asked.minor == 0 => Self::Close,
            None => Self::Chunked,
        }
    }
}

/// Appends the head of `response`, its empty line included.
pub(super) fn head(
    out: &mut Vec<u8>,
    response: &Response,
    delimiter: Delimiter,
    asked: Asked,
    persistent: bool,
    alt_svc: Option<&Bytes>,
) {
    status_line(out, response.status);
    out.extend_from_slice(response.block.as_bytes());
    out.extend_from_slice(&response.extra);
    if let Some(alt_svc) = alt_svc {
        out.extend_from_slice(alt_svc);
    }
    let length = match delimiter {
        Delimiter::Length(length) => Some(length),
        Delimiter::Nothing if may_tell_length(response.status) => length_of_get(response),
        _ => None,
    };
    if let Some(length) = length {
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if delimiter == Delimiter::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if let Body::Tunnel(tunnel) = &response.body {
        // RFC 9110 section 7.8.
        out.extend_from_slice(b"connection: upgrade\r\n");
        push_field(out, "upgrade", tunnel.protocol.as_bytes());
    } else if !persistent {
        out.extend_from_slice(b"connection: close\r\n");
    } else if asked.minor == 0 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The line before a chunk of `size` bytes.
pub(super) fn chunk_size(out: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    let digit = |place| b"0123456789abcdef"[(size >> (4 * place)) & 15];
    out.extend((0..digits).rev().map(digit));
    out.extend_from_slice(b"\r\n");
}

/// The last chunk, the trailers that may be sent, and the end of the body.
pub(super) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| may_be_trailer(name)) {
        push_field(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110 section 6.4.1.
fn forbids_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status.as_u16(), 204 | 304)
}

/// RFC 9110 section 8.6: no `Content-Length` in 1xx and 204.
fn may_tell_length(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NO_CONTENT
}

/// What a GET would have had. An empty body says nothing about it.
fn length_of_get(response: &Response) -> Option<u64> {
    response.content_length.or_else(|| match &response.body {
        Body::Full(bytes) if response.status != StatusCode::NOT_MODIFIED => {
            Some(bytes.len() as u64)
        }
        _ => None,
    })
}

/// An interim response, whole.
pub(super) fn interim(out: &mut Vec<u8>, interim: &Interim) {
    status_line(out, interim.status);
    out.extend_from_slice(interim.block.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    // RFC 9112 section 4: the space stands even if there is no phrase.
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_plain_hexadecimal() {
        for size in [1, 9, 15, 16, 255, 256, 4096, 65_535, 1 << 20] {
            let mut out = Vec::new();
            chunk_size(&mut out, size);
            assert_eq!(out, format!("{size:x}\r\n").into_bytes());
        }
    }
}
