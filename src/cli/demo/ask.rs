//! The tour's clients: one request over each protocol, and the JSON of the private doors.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::message::{Body, Piece};
use crate::net::client::{
    IncomingResponse, OutgoingRequest, Pool, PoolConfig, Protocol, Server, tls_config,
};
use crate::net::h3;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked for meanwhile.
const PERIOD: Duration = Duration::from_millis(5);

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

/// A GET without fields of its own.
pub(super) const fn get(path: &str) -> Get<'_> {
    Get { path, fields: &[] }
}

impl Seen {
    /// A field's value, empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// How every tier served it, the one next to the client last (RFC 9211 section 2).
    pub(super) fn cache_status(&self) -> String {
        let lines = self.headers.get_all("cache-status");
        let lines: Vec<_> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
        lines.join(", ")
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.cache_status())
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

/// Asks over HTTP/1.1 for what is known; whether it is that, and nothing of it is kept.
pub(super) async fn is_over_http1(
    pool: &Pool,
    get: Get<'_>,
    known: &[u8],
) -> Result<(Seen, bool), Failed> {
    let started = Instant::now();
    let IncomingResponse { status, headers, mut body, .. } =
        pool.send(get.request("localhost")?).await?;
    let (mut rest, mut is_known) = (known, true);
    while let Some(piece) = body.next().await {
        if let Piece::Data(data) = piece? {
            match rest.strip_prefix(&*data) {
                Some(behind) => rest = behind,
                None => is_known = false,
            }
        }
    }
    let (status, took) = (status.as_u16(), started.elapsed());
    let seen = Seen { status, headers, body: Bytes::new(), took };
    Ok((seen, is_known && rest.is_empty()))
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

/// A private door, over HTTP/1.1.
pub(super) struct Door {
    pool: Pool,
    authorization: HeaderValue,
}

impl Door {
    /// The door at `address`, for the holder of `token`.
    pub(super) fn new(address: SocketAddr, token: &str) -> Result<Self, Failed> {
        let authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
        Ok(Self { pool: http1(address), authorization })
    }

    /// The status and `data` of what `target` tells.
    pub(super) async fn get(&self, target: &str) -> Result<(u16, Value), Failed> {
        self.ask(Method::GET, target, None).await
    }

    /// Posts JSON; the status and `data` of the answer.
    pub(super) async fn post(&self, target: &str, json: &Value) -> Result<(u16, Value), Failed> {
        self.ask(Method::POST, target, Some(json)).await
    }

    async fn ask(
        &self,
        method: Method,
        target: &str,
        json: Option<&Value>,
    ) -> Result<(u16, Value), Failed> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = json.map_or(Body::Empty, |json| Body::Full(json.to_string().into()));
        let content_length = body.known_length();
        let target = target.to_owned().into();
        let on_interim = None;
        let request = OutgoingRequest { method, target, headers, body, content_length, on_interim };
        let seen = whole(self.pool.send(request).await?, Instant::now()).await?;
        let mut told: Value = serde_json::from_slice(&seen.body)?;
        Ok((seen.status, told["data"].take()))
    }
}

/// Waits until a node trusts what it stores; false if it does not come to that.
pub(super) async fn is_trusted(admin: SocketAddr) -> bool {
    let Ok(door) = Door::new(admin, "") else { return false };
    let trusts = async || {
        let told = door.get("/v1/status").await;
        told.is_ok_and(|(_, status)| status["fenced"] == false)
    };
    eventually(trusts).await
}

/// Asks again until it is so; false if it does not come to that.
pub(super) async fn eventually(mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.is_ok()
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
            on_interim: None,
        })
    }

    fn headers(&self, authority: &str) -> Result<HeaderMap, Failed> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, authority.parse()?);
        for (name, value) in self.fields {
            headers.insert(HeaderName::from_static(name), value.parse()?);
        }
        Ok(headers)
    }
}
