//! A request as HTTP/2 says it.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::message::Body;
use crate::net::client::{ClientError, ClientErrorKind, OutgoingRequest, Server};

/// The request as the engine takes it, with its content.
pub(super) type Prepared = http::Request<Body>;

/// Fields of one connection and of no other (RFC 9113 section 8.2.2).
const OF_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

pub(super) fn prepare(request: OutgoingRequest, server: &Server) -> Result<Prepared, ClientError> {
    let OutgoingRequest { method, target, mut headers, body, content_length, .. } = request;
    let path = PathAndQuery::from_maybe_shared(target).map_err(invalid)?;
    strip(&mut headers);
    // RFC 9113 section 8.3.1: `:authority` stands in place of `Host`.
    let host = headers.remove(HOST);
    let authority = host.as_ref().unwrap_or(&server.authority).as_bytes();
    let uri = Uri::builder()
        .scheme(if server.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(Authority::try_from(authority).map_err(invalid)?)
        .path_and_query(path)
        .build()
        .map_err(invalid)?;
    if !matches!(body, Body::Stream(_)) {
        headers.remove(TRAILER);
    }
    if let Some(length) = body.known_length().or(content_length)
        && (length > 0 || gives_content_a_meaning(&method))
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut prepared = Prepared::new(body);
    *prepared.method_mut() = method;
    *prepared.uri_mut() = uri;
    *prepared.headers_mut() = headers;
    Ok(prepared)
}

/// The same request once more, if its content is at hand.
pub(super) fn spare(prepared: &Prepared) -> Option<Prepared> {
    let body = match prepared.body() {
        Body::Empty => Body::Empty,
        Body::Full(bytes) => Body::Full(bytes.clone()),
        Body::Stream(_) | Body::Tunnel(_) => return None,
    };
    let mut spare = Prepared::new(body);
    *spare.method_mut() = prepared.method().clone();
    *spare.uri_mut() = prepared.uri().clone();
    *spare.headers_mut() = prepared.headers().clone();
    Some(spare)
}

fn strip(headers: &mut HeaderMap) {
    // RFC 9110 section 7.6.1: `Connection` names more of its kind.
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_CONNECTION).chain([&CONTENT_LENGTH]) {
        headers.remove(name);
    }
    let trailers = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
    if headers.get_all(TE).iter().any(|value| !trailers(value)) {
        headers.remove(TE);
    }
}

/// RFC 9110 section 8.6: a method that gives content a meaning says so even of none.
fn gives_content_a_meaning(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn invalid(error: impl ToString) -> ClientError {
    ClientError::unsent(ClientErrorKind::InvalidRequest, error)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn prepared(fields: &[(&'static str, &'static str)]) -> Result<Prepared, ClientError> {
        let headers = fields
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let request = OutgoingRequest {
            method: Method::GET,
            target: Bytes::from_static(b"/a%20b|c?d=%7E&e"),
            headers,
            body: Body::Empty,
            content_length: None,
            on_interim: None,
        };
        prepare(request, &Server::http("origin.example", 8080))
    }

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let given = [
            ("connection", "x-hop, close"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "9"),
            ("x-hop", "1"),
            ("cookie", "a=1; b=2"),
            ("x-end", "2"),
        ];
        let prepared = prepared(&given).unwrap();
        let mut left: Vec<_> = prepared.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cookie", "x-end"]);
        assert_eq!(prepared.uri(), "http://origin.example:8080/a%20b|c?d=%7E&e");
    }

    #[test]
    fn te_may_say_trailers_and_host_becomes_the_authority() {
        let prepared = prepared(&[("te", "trailers"), ("host", "shop.example")]).unwrap();
        assert_eq!(prepared.headers().len(), 1);
        assert_eq!(prepared.headers()[TE], "trailers");
        assert_eq!(prepared.uri().authority().unwrap(), "shop.example");
    }

    #[test]
    fn a_host_that_is_none_is_not_sent() {
        let error = prepared(&[("host", "a b")]).unwrap_err();
        assert_eq!(error.kind, ClientErrorKind::InvalidRequest);
    }
}
