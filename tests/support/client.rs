//! Clients over each protocol that share no code with the node: hyper for HTTP/1.1 and 2, the `h3`
//! crate for HTTP/3.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::poll_fn;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::client::TlsStream;

use super::{HOST, TestNode, within};

/// What went wrong, for the message of a failing test.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 in clear.
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/3.
    H3,
}

/// A connection to a node.
#[derive(Clone)]
pub(crate) struct Client {
    place: Arc<Place>,
    link: Link,
}

/// Where a node is, and how it is known.
pub(crate) struct Place {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) tls: rustls::ClientConfig,
    /// Whether HTTP/1.1 is spoken over TLS, too.
    pub(crate) is_secure: bool,
}

/// HTTP/1.1 opens a connection for each request that finds none at rest.
#[derive(Clone)]
enum Link {
    H1(Arc<parking_lot::Mutex<Option<http1::SendRequest<Content>>>>),
    H2(http2::SendRequest<Content>),
    H3 { sender: H3Sender, _alive: Arc<oneshot::Sender<()>> },
}

type H3Sender = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;
type H3Stream = h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;
type H3Receiver = h3::client::RequestStream<h3_quinn::RecvStream, Bytes>;

/// A request.
#[derive(Debug)]
pub(crate) struct Ask {
    method: Method,
    host: String,
    target: String,
    fields: HeaderMap,
    content: Content,
}

/// The content of a request, piece by piece as the test gives it.
#[derive(Debug)]
pub(crate) struct Content {
    pieces: Option<mpsc::Receiver<Bytes>>,
    whole: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

/// A response whose body is still to be read. Dropping it leaves.
pub(crate) struct Opened {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    trailers: HeaderMap,
    body: Arriving,
    /// The HTTP/1.1 connection that is at rest again after the body.
    busy: Option<http1::SendRequest<Content>>,
    /// With its last sender an HTTP/3 connection ends.
    link: Link,
}

enum Arriving {
    Hyper(Incoming),
    H3(Box<H3Receiver>),
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Ask {
    /// Any method, without content.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.parse().unwrap(),
            host: HOST.to_owned(),
            target: target.to_owned(),
            fields: HeaderMap::new(),
            content: Content { pieces: None, whole: None, trailers: None },
        }
    }

    /// A GET.
    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Adds a field.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    /// Asks for another host.
    pub(crate) fn host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    /// With this content, and its length.
    pub(crate) fn content(self, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let length = content.len().to_string();
        Self { content: Content { whole: Some(content), ..self.content }, ..self }
            .field("content-length", &length)
    }

    /// With a trailer after the content, which is in chunks where the protocol has no other way.
    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        let trailers = self.content.trailers.get_or_insert_default();
        trailers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self.field("trailer", name)
    }

    /// With content that comes through the sender, of unknown length, and ends with it.
    pub(crate) fn streamed(self) -> (Self, mpsc::Sender<Bytes>) {
        let (sender, pieces) = mpsc::channel(1);
        (Self { content: Content { pieces: Some(pieces), ..self.content }, ..self }, sender)
    }

    fn into_request(self, protocol: Protocol) -> Request<Content> {
        let Self { method, host, target, fields, content } = self;
        let uri = match protocol {
            Protocol::H1 => target,
            Protocol::H2 | Protocol::H3 => format!("https://{host}{target}"),
        };
        let mut request = Request::builder().method(method).uri(uri).body(content).unwrap();
        *request.headers_mut() = fields;
        if protocol == Protocol::H1 {
            let host = HeaderValue::try_from(host).unwrap();
            request.headers_mut().insert(http::header::HOST, host);
        }
        request
    }
}

impl Client {
    /// Connects to `node`.
    pub(crate) async fn of(node: &TestNode, protocol: Protocol) -> Self {
        Self::to(Arc::new(Place::of(node)), protocol).await.unwrap()
    }

    /// Connects.
    pub(crate) async fn to(place: Arc<Place>, protocol: Protocol) -> Result<Self, Broken> {
        let link = match protocol {
            Protocol::H1 => Link::H1(Arc::default()),
            Protocol::H2 => Link::H2(connect_h2(&place).await?),
            Protocol::H3 => connect_h3(&place).await?,
        };
        Ok(Self { place, link })
    }

    /// So many clients, on few connections where the protocol has streams.
    pub(crate) async fn crowd(node: &TestNode, protocol: Protocol, count: usize) -> Vec<Self> {
        const STREAMS: usize = 100;
        let place = Arc::new(Place::of(node));
        let mut crowd: Vec<Self> = Vec::with_capacity(count);
        for index in 0..count {
            let client = match (protocol, index % STREAMS) {
                (Protocol::H2 | Protocol::H3, 1..) => crowd[index - 1].clone(),
                _ => Self::to(place.clone(), protocol).await.unwrap(),
            };
            crowd.push(client);
        }
        crowd
    }

    /// Asks, and waits for the head of the response.
    pub(crate) async fn open(&self, ask: Ask) -> Result<Opened, Broken> {
        let link = self.link.clone();
        match &self.link {
            Link::H1(rest) => {
                let mut at_rest = rest.lock().take();
                let usable = match &mut at_rest {
                    Some(sender) => sender.ready().await.is_ok(),
                    None => false,
                };
                let mut sender = match at_rest.filter(|_| usable) {
                    Some(sender) => sender,
                    None => connect_h1(&self.place).await?,
                };
                let response = sender.send_request(ask.into_request(Protocol::H1)).await?;
                Ok(Opened { busy: Some(sender), ..Opened::hyper(response, link) })
            }
            Link::H2(sender) => {
                let request = ask.into_request(Protocol::H2);
                let response = sender.clone().send_request(request).await?;
                Ok(Opened::hyper(response, link))
            }
            Link::H3 { sender, .. } => ask_h3(sender.clone(), ask, link).await,
        }
    }

    /// Asks, and reads the whole response.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Seen, Broken> {
        self.open(ask).await?.whole().await
    }

    /// Asks by GET, and reads a response that must come.
    pub(crate) async fn get(&self, target: &str) -> Seen {
        within(target, self.ask(Ask::get(target))).await.unwrap()
    }
}

impl Place {
    /// Of a node in this process.
    pub(crate) fn of(node: &TestNode) -> Self {
        Self::new(node.http(), node.https(), &node.ca_file())
    }

    /// Of any node.
    pub(crate) fn new(http: SocketAddr, https: SocketAddr, ca_file: &Path) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots);
        Self { http, https, tls: tls.with_no_client_auth(), is_secure: false }
    }
}

impl Opened {
    fn hyper(response: http::Response<Incoming>, link: Link) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            trailers: HeaderMap::new(),
            body: Arriving::Hyper(body),
            busy: None,
            link,
        }
    }

    /// The next piece of the body; `None` after its sound end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        match &mut self.body {
            Arriving::Hyper(body) => loop {
                let Some(frame) = body.frame().await else {
                    if let Link::H1(rest) = &self.link {
                        *rest.lock() = self.busy.take();
                    }
                    return Ok(None);
                };
                match frame?.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    Err(frame) => self.trailers = frame.into_trailers().unwrap_or_default(),
                }
            },
            Arriving::H3(stream) => match stream.recv_data().await? {
                Some(mut data) => Ok(Some(data.copy_to_bytes(data.remaining()))),
                None => {
                    self.trailers = stream.recv_trailers().await?.unwrap_or_default();
                    Ok(None)
                }
            },
        }
    }

    /// Reads until so many bytes have come, and gives them; more may have come with them.
    pub(crate) async fn at_least(&mut self, count: usize) -> Result<Bytes, Broken> {
        let mut bytes = BytesMut::new();
        while bytes.len() < count {
            let chunk = self.chunk().await?;
            bytes.extend_from_slice(&chunk.ok_or("the body ended early")?);
        }
        Ok(bytes.freeze())
    }

    /// Reads to the end.
    pub(crate) async fn whole(mut self) -> Result<Seen, Broken> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        let Self { status, headers, trailers, .. } = self;
        Ok(Seen { status, headers, body: body.freeze(), trailers })
    }
}

impl Seen {
    /// The values of a field, joined as RFC 9110 section 5.3 has it; empty where there is none.
    pub(crate) fn field(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ")
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// What the node did, from `Cache-Status`.
    pub(crate) fn cache_status(&self) -> String {
        self.field("cache-status")
    }

    /// A fresh hit of the node, which is the only tier.
    pub(crate) fn is_hit(&self) -> bool {
        let status = self.cache_status();
        status.split_once("; ").is_some_and(|(_, told)| told.starts_with("hit"))
    }
}

impl http_body::Body for Content {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let piece = match &mut self.pieces {
            None => self.whole.take(),
            Some(pieces) => std::task::ready!(pieces.poll_recv(cx)),
        };
        let data = piece.map(http_body::Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(http_body::Frame::trailers));
        std::task::Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none() && self.whole.is_none() && self.trailers.is_none()
    }
}

async fn connect_h1(place: &Place) -> Result<http1::SendRequest<Content>, Broken> {
    if place.is_secure {
        let stream = connect_tls(place, b"http/1.1").await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        return Ok(sender);
    }
    let stream = TcpStream::connect(place.http).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn connect_tls(place: &Place, protocol: &[u8]) -> Result<TlsStream<TcpStream>, Broken> {
    let mut tls = place.tls.clone();
    tls.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(place.https).await?;
    stream.set_nodelay(true)?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    Ok(connector.connect(ServerName::try_from(HOST)?, stream).await?)
}

async fn connect_h2(place: &Place) -> Result<http2::SendRequest<Content>, Broken> {
    let stream = connect_tls(place, b"h2").await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn connect_h3(place: &Place) -> Result<Link, Broken> {
    let mut tls = place.tls.clone();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into())?;
    let connection = endpoint.connect_with(config, place.https, HOST)?.await?;
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
    let (alive, gone) = oneshot::channel::<()>();
    tokio::spawn(async move {
        poll_fn(|cx| driver.poll_close(cx)).await;
        // After a GOAWAY responses may still come: with the driver the control stream would end.
        let _gone = gone.await.is_err();
        drop((driver, endpoint));
    });
    Ok(Link::H3 { sender, _alive: Arc::new(alive) })
}

async fn ask_h3(mut sender: H3Sender, ask: Ask, link: Link) -> Result<Opened, Broken> {
    let (head, mut content) = ask.into_request(Protocol::H3).into_parts();
    let stream: H3Stream = sender.send_request(Request::from_parts(head, ())).await?;
    let (mut send, mut receive) = stream.split();
    // A response may come, and the content be stopped, before all of it is sent.
    tokio::spawn(async move {
        while let Some(Ok(frame)) = content.frame().await {
            match frame.into_data() {
                Ok(data) => send.send_data(data).await?,
                Err(frame) => {
                    send.send_trailers(frame.into_trailers().unwrap_or_default()).await?;
                }
            }
        }
        send.finish().await
    });
    let (head, ()) = receive.recv_response().await?.into_parts();
    Ok(Opened {
        status: head.status.as_u16(),
        headers: head.headers,
        trailers: HeaderMap::new(),
        body: Arriving::H3(Box::new(receive)),
        busy: None,
        link,
    })
}
