//! What goes to a server and what comes back, in words of no library.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};

use crate::message::{Body, OnInterim, Protocol};

/// A request to a server.
#[derive(Debug)]
pub struct OutgoingRequest {
    /// The method.
    pub method: Method,
    /// Path and query, sent as they are.
    pub target: Bytes,
    /// The fields. `Host` is the server's own where it is missing; `Connection`, `Content-Length`
    /// and `Transfer-Encoding` are the pool's and taken out, as with HTTP/2 is all that is of one
    /// connection only. HTTP/1.1 sends trailers if `Trailer` names them; with `Upgrade` it asks for
    /// another protocol, on a connection of its own that serves no other request.
    pub headers: HeaderMap,
    /// The content.
    pub body: Body,
    /// Bytes of the content where they are known; else HTTP/1.1 sends it in chunks, as it does
    /// where trailers are announced.
    pub content_length: Option<u64>,
    /// Who is told of interim responses (RFC 9110 section 15.2).
    pub on_interim: Option<OnInterim>,
}

/// The response of a server, its body still to come.
#[derive(Debug)]
pub struct IncomingResponse {
    /// The final status.
    pub status: StatusCode,
    /// The fields as they came, hop-by-hop fields included.
    pub headers: HeaderMap,
    /// The body. Reading it to the end gives the connection back; dropping it before closes it, or
    /// with HTTP/2 resets its stream. A [`Body::Tunnel`] has status 101, and only then.
    pub body: Body,
    /// `Content-Length` as sent. For HEAD and 304 it tells of a body that is not there.
    pub content_length: Option<u64>,
    /// The body ends where the connection does: its completeness cannot be known
    /// (RFC 9112 section 8).
    pub until_close: bool,
    /// Whether the connection had served another request before.
    pub reused: bool,
    /// The version of HTTP that the server speaks.
    pub protocol: Protocol,
}

/// `Content-Length` where it frames the message. Several that are equal are one (RFC 9112 section
/// 6.3); hyper has refused others, where they frame anything.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let mut told = None;
    for line in headers.get_all(CONTENT_LENGTH) {
        for number in line.to_str().ok()?.split(',') {
            let number = number.trim().parse().ok()?;
            if told.replace(number).is_some_and(|before: u64| before != number) {
                return None;
            }
        }
    }
    told
}

/// Whether `Transfer-Encoding`, if there is one, is exactly `chunked`: no other coding is asked
/// for, and what another frames may be cut without anybody knowing (RFC 9112 section 6.3).
pub(super) fn is_framed(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(line), None) => line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}
