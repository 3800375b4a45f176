//! One GET over HTTP/2, for trying a node out. Its connection goes with it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::connect::connect;
use super::error::describe;
use super::{ClientError, ClientErrorKind, IncomingResponse, Server};
use crate::message::Body;

/// For name resolution, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks `server` for `target` of `authority` over HTTP/2 and reads the whole response.
///
/// Cancel safe: dropping the future closes the connection.
pub async fn get_over_http2(
    server: &Server,
    authority: &str,
    target: &str,
    mut headers: HeaderMap,
) -> Result<IncomingResponse, ClientError> {
    let invalid = |error: http::Error| ClientError::unsent(ClientErrorKind::InvalidRequest, error);
    let malformed =
        |error: hyper::Error| ClientError::unsent(ClientErrorKind::Malformed, describe(&error));
    let transport = connect(&server.with_alpn(b"h2"), CONNECT_TIMEOUT).await?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(transport)).await.map_err(malformed)?;
    let driver = tokio::spawn(connection);
    headers.remove(http::header::HOST);
    let mut request = Request::builder()
        .version(Version::HTTP_2)
        .uri(format!("https://{authority}{target}"))
        .body(Empty::<Bytes>::new())
        .map_err(invalid)?;
    request.headers_mut().extend(headers);
    let response = sender.send_request(request).await.map_err(malformed)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(malformed)?.to_bytes();
    driver.abort();
    Ok(IncomingResponse {
        status: head.status,
        headers: head.headers,
        content_length: Some(body.len() as u64),
        body: Body::Full(body),
        until_close: false,
        reused: false,
        http_minor: 1,
    })
}
