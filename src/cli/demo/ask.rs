//! The tour's clients: one request over each protocol.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::message::{Body, Piece};
use crate::net::client::{
    IncomingResponse, OutgoingRequest, Pool, PoolConfig, Protocol, Server, tls_config,
};
use crate::net::h3;

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) took: Duration,
}

/// Any error on the way, for the table.
pub(super) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A GET.
#[derive(Clone, Copy, Debug)]
pub(super) struct Get<'a> {
    pub(super) path: &'a str,
    pub(super) fields: &'a [(&'static str, &'a str)],
}

impl Seen {
    /// A field's value, empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.field("cache-status"))
    }
}

/// Over HTTP/1.1, in clear.
pub(super) fn http1(address: SocketAddr) -> Pool {
    Pool::new(Server::http(&address.ip().to_string(), address.port()), PoolConfig::default())
}

/// Asks over HTTP/1.1.
pub(super) async fn over_http1(pool: &Pool, get: Get<'_>) -> Result<Seen, Failed> {
    let started = Instant::now();
    whole(pool.send(get.request("localhost")?).await?, started).await
}

/// Posts JSON over HTTP/1.1.
pub(super) async fn post(pool: &Pool, path: &str, json: String) -> Result<Seen, Failed> {
    let started = Instant::now();
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = OutgoingRequest {
        method: Method::POST,
        target: path.to_owned().into(),
        headers,
        content_length: Some(json.len() as u64),
        body: Body::Full(json.into()),
    };
    whole(pool.send(request).await?, started).await
}

/// Asks over HTTP/2, with TLS.
pub(super) async fn over_http2(
    address: SocketAddr,
    ca_file: &Path,
    get: Get<'_>,
) -> Result<Seen, Failed> {
    let started = Instant::now();
    let server = Server::https(
        &address.ip().to_string(),
        address.port(),
        Some("localhost"),
        tls_config(Some(ca_file))?,
    )?;
    let authority = format!("localhost:{}", address.port());
    let config = PoolConfig { protocol: Protocol::Http2, ..PoolConfig::default() };
    let pool = Pool::new(server, config);
    whole(pool.send(get.request(&authority)?).await?, started).await
}

/// Asks over HTTP/3.
pub(super) async fn over_http3(
    address: SocketAddr,
    ca_file: &Path,
    get: Get<'_>,
) -> Result<Seen, Failed> {
    let started = Instant::now();
    let tls = Arc::unwrap_or_clone(tls_config(Some(ca_file))?);
    let client = h3::client::Client::connect(address, "localhost", tls).await?;
    let authority = format!("localhost:{}", address.port());
    let fields = get.headers(&authority)?;
    let head = h3::client::Head {
        method: Method::GET,
        authority: &authority,
        target: get.path,
        fields: &fields,
    };
    let mut response = client.send(&head, Bytes::new()).await?;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    let (status, headers, took) =
        (response.status.as_u16(), response.fields.clone(), started.elapsed());
    client.close().await;
    Ok(Seen { status, headers, body: body.freeze(), took })
}

async fn whole(response: IncomingResponse, started: Instant) -> Result<Seen, Failed> {
    let IncomingResponse { status, headers, body: mut pieces, .. } = response;
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        if let Piece::Data(data) = piece? {
            body.extend_from_slice(&data);
        }
    }
    let status = status.as_u16();
    Ok(Seen { status, headers, body: body.freeze(), took: started.elapsed() })
}

impl Get<'_> {
    fn request(&self, authority: &str) -> Result<OutgoingRequest, Failed> {
        Ok(OutgoingRequest {
            method: Method::GET,
            target: self.path.to_owned().into(),
            headers: self.headers(authority)?,
            body: Body::Empty,
            content_length: None,
        })
    }

    fn headers(&self, authority: &str) -> Result<HeaderMap, Failed> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::HOST, authority.parse()?);
        for (name, value) in self.fields {
            headers.insert(HeaderName::from_static(name), value.parse()?);
        }
        Ok(headers)
    }
}
