//! A request as HTTP/1.1 frames it.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri, Version};

use super::outgoing::OutgoingBody;
use crate::message::{Body, Protocol};
use crate::net::client::{ClientError, ClientErrorKind, OutgoingRequest, Server};

/// The request as hyper takes it.
pub(super) type Prepared = http::Request<OutgoingBody>;

pub(super) fn prepare(request: OutgoingRequest, server: &Server) -> Result<Prepared, ClientError> {
    let OutgoingRequest { method, target, mut headers, body, content_length, on_interim } = request;
    let target = PathAndQuery::from_maybe_shared(target)
        .map_err(|error| ClientError::unsent(ClientErrorKind::InvalidRequest, error))?;
    for framing in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(framing);
    }
    // RFC 9110 section 7.8: it is of this connection.
    if headers.contains_key(UPGRADE) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
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
    if let Some(on_interim) = on_interim {
        hyper::ext::on_informational(&mut prepared, move |interim| {
            on_interim.tell(interim.status(), interim.headers());
        });
    }
    Ok(prepared)
}

/// The same request once more, where that is safe (RFC 9110 section 9.2.2) and its body is at hand.
pub(super) fn spare(prepared: &Prepared) -> Option<Prepared> {
    let body = prepared.body().replay().filter(|_| prepared.method().is_idempotent())?;
    let mut spare = http::Request::new(body);
    *spare.method_mut() = prepared.method().clone();
    *spare.uri_mut() = prepared.uri().clone();
    *spare.headers_mut() = prepared.headers().clone();
    *spare.extensions_mut() = prepared.extensions().clone();
    Some(spare)
}

pub(super) fn protocol(version: Version) -> Protocol {
    Protocol::Http1 { minor: u8::from(version != Version::HTTP_10) }
}
