//! What goes to a server and what comes back, in words of no library.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use super::outgoing::OutgoingBody;
use super::{ClientError, ClientErrorKind, Server};
use crate::message::Body;

/// A request to a server.
#[derive(Debug)]
pub struct OutgoingRequest {
    /// The method.
    pub method: Method,
    /// Path and query, sent as they are.
    pub target: Bytes,
    /// The fields. `Host` is the server's own where it is missing; `Connection`, `Content-Length`
    /// and `Transfer-Encoding` are the pool's and taken out. Trailers are sent if `Trailer` names
    /// them.
    pub headers: HeaderMap,
    /// The content.
    pub body: Body,
    /// Bytes of the content where they are known; else it is sent in chunks, as it is where
    /// trailers are announced.
    pub content_length: Option<u64>,
}

/// The response of a server, its body still to come.
#[derive(Debug)]
pub struct IncomingResponse {
    /// The final status.
    pub status: StatusCode,
    /// The fields as they came, hop-by-hop fields included.
    pub headers: HeaderMap,
    /// The body. Reading it to the end gives the connection back; dropping it before closes it.
    pub body: Body,
    /// `Content-Length` as sent. For HEAD and 304 it tells of a body that is not there.
    pub content_length: Option<u64>,
    /// The body ends where the connection does: its completeness cannot be known
    /// (RFC 9112 section 8).
    pub until_close: bool,
    /// Whether the connection had served another request before.
    pub reused: bool,
    /// The minor version of HTTP/1 that the server speaks.
    pub http_minor: u8,
}

/// The request as hyper takes it.
pub(super) type Prepared = http::Request<OutgoingBody>;

pub(super) fn prepare(request: OutgoingRequest, server: &Server) -> Result<Prepared, ClientError> {
    let OutgoingRequest { method, target, mut headers, body, content_length } = request;
    let target = PathAndQuery::from_maybe_shared(target)
        .map_err(|error| ClientError::unsent(ClientErrorKind::InvalidRequest, error))?;
    for framing in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(framing);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, server.authority.clone());
    }
    if !matches!(body, Body::Stream(_)) {
        headers.remove(TRAILER);
    }
    // RFC 9112 section 7.1.2: trailers come behind chunks.
    let announced = headers.contains_key(TRAILER);
    let content_length = body.known_length().or(content_length).filter(|_| !announced);
    // RFC 9110 section 8.6: a method that gives content a meaning says so even of none.
    if content_length == Some(0) && matches!(method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut prepared = http::Request::new(OutgoingBody::new(body, content_length));
    *prepared.method_mut() = method;
    *prepared.uri_mut() = Uri::from(target);
    *prepared.headers_mut() = headers;
    Ok(prepared)
}

/// The same request once more, where that is safe (RFC 9110 section 9.2.2) and its body is at hand.
pub(super) fn spare(prepared: &Prepared) -> Option<Prepared> {
    let body = prepared.body().replay().filter(|_| prepared.method().is_idempotent())?;
    let mut spare = http::Request::new(body);
    *spare.method_mut() = prepared.method().clone();
    *spare.uri_mut() = prepared.uri().clone();
    *spare.headers_mut() = prepared.headers().clone();
    Some(spare)
}

pub(super) fn http_minor(version: Version) -> u8 {
    u8::from(version != Version::HTTP_10)
}

/// `Content-Length` where it frames the message; hyper has refused one that is no number.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
