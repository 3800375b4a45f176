//! A node on loopback whose handler answers by the path, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Notify};

use crate::message::losses::alone::LosingBody;
use crate::message::{
    Body, BodyError, BodyErrorKind, BodyStream, Extra, FieldBlock, Peer, Piece, Request, Response,
    push_field,
};
use crate::net::h3::client::{self, Client, ClientError};
use crate::net::h3::frame::{self, Frame, FrameReader, kind};
use crate::net::h3::{Front, control, qpack, serve};
use crate::net::quic::Quic;
use crate::net::{Answer, Drain, Ended, Fault, Handler, Later, Limits, Reply};

/// Answers by the path of the request.
struct Paths {
    ended: UnboundedSender<Ended>,
    begun: Arc<Notify>,
    dropped: Arc<Notify>,
    release: Arc<Notify>,
    looks: Arc<Looks>,
}

/// How often the handler was asked about responses on their way, and whether they are to be cut.
#[derive(Default)]
pub(super) struct Looks {
    pub(super) count: AtomicUsize,
    pub(super) are_cut: AtomicBool,
}

/// A node under test.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    roots: rustls::RootCertStore,
    ended: Mutex<UnboundedReceiver<Ended>>,
    begun: Arc<Notify>,
    dropped: Arc<Notify>,
    release: Arc<Notify>,
    pub(super) looks: Arc<Looks>,
    drain: Drain,
    task: tokio::task::AbortHandle,
}

/// Runs `test` against a node with `limits`, in one event loop.
pub(super) fn serve_test<F: Future<Output = ()>>(limits: Limits, test: impl FnOnce(Node) -> F) {
    serve_admitting(limits, |_| Some(()), test);
}

/// The same, with a say in who may connect.
pub(super) fn serve_admitting<F: Future<Output = ()>>(
    limits: Limits,
    admit: impl FnMut(SocketAddr) -> Option<()> + 'static,
    test: impl FnOnce(Node) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = vec![certified.cert.der().clone()];
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let quic = Quic::new(server_tls(chain.clone(), key), &limits).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (sender, ended) = unbounded_channel();
        let (begun, dropped, release) = Default::default();
        let looks = Arc::<Looks>::default();
        let handler = Paths {
            ended: sender,
            begun: Arc::clone(&begun),
            dropped: Arc::clone(&dropped),
            release: Arc::clone(&release),
            looks: Arc::clone(&looks),
        };
        let front = Front { handler: Arc::new(handler), limits: Arc::new(limits), admit };
        let (drain, watch) = Drain::new();
        let task = tokio::task::spawn_local(serve(socket, quic, (0, 1), front, watch));
        let task = task.abort_handle();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let ended = Mutex::new(ended);
        test(Node { address, roots, ended, begun, dropped, release, looks, drain, task }).await;
    });
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server_tls(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Arc<rustls::ServerConfig> {
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    Arc::new(tls)
}

impl Node {
    pub(super) async fn client(&self) -> Client {
        self.try_client().await.unwrap()
    }

    pub(super) async fn try_client(&self) -> Result<Client, ClientError> {
        let tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        Client::connect(self.address, "localhost", tls).await
    }

    /// A client whose streams are written by the byte.
    pub(super) async fn raw(&self) -> Raw {
        Raw(self.client().await)
    }

    pub(super) async fn get(
        &self,
        client: &Client,
        target: &str,
    ) -> Result<client::Response, ClientError> {
        self.send(client, Method::GET, target, &[], b"").await
    }

    pub(super) async fn send(
        &self,
        client: &Client,
        method: Method,
        target: &str,
        fields: &[(&'static str, &str)],
        content: &[u8],
    ) -> Result<client::Response, ClientError> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let head = client::Head { method, authority: "localhost", target, fields: &map };
        client.send(&head, Bytes::copy_from_slice(content)).await
    }

    /// How the next exchange ended.
    pub(super) async fn ended(&self) -> Ended {
        self.ended.lock().await.recv().await.unwrap()
    }

    /// A request for `/never` has reached the handler.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// The future of a request for `/never` was dropped.
    pub(super) async fn dropped(&self) {
        self.dropped.notified().await;
    }

    /// Lets `/held` go on.
    pub(super) fn release(&self) {
        self.release.notify_one();
    }

    pub(super) fn drain(&self) {
        self.drain.begin();
    }

    /// Drops the endpoint, as after a drain that took too long.
    pub(super) fn cut(&self) {
        self.task.abort();
    }

    /// The endpoint is done.
    pub(super) async fn stopped(&self) {
        self.drain.done().await;
    }
}

impl Handler for Paths {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        let target = String::from_utf8(request.head.target.to_vec()).unwrap();
        let (name, rest) = target[1..].split_once('/').unwrap_or((&target[1..], ""));
        let full = |size: usize| Body::Full(vec![b'x'; size].into());
        let now = |body, length| Answer::Now(reply(200, length, body));
        match name {
            "bytes" => {
                let size = rest.parse().unwrap();
                now(full(size), Some(size as u64))
            }
            "later" => {
                let size: usize = rest.parse().unwrap();
                Answer::Later(Later::new(async move {
                    tokio::task::yield_now().await;
                    reply(200, Some(size as u64), full(size))
                }))
            }
            "hints" => Answer::Later(super::hints(rest.parse().unwrap())),
            "status" => Answer::Now(reply(rest.parse().unwrap(), None, full(9))),
            "echo" => now(Body::Stream(Box::new(Echo { body: request.body, taken: 0 })), None),
            "count" => Answer::Later(Later::new(count(request.body))),
            "short" => now(full(9), Some(10)),
            "long" => now(full(11), Some(10)),
            "broken" => now(pieces([Step::Data(b"some"), Step::Break]), None),
            "panic-in-body" => now(pieces([Step::Data(b"some"), Step::Panic]), None),
            "lost" => now(Body::Stream(Box::new(LosingBody::default())), None),
            "endless" => now(Body::Stream(Box::new(Endless)), None),
            "held" => {
                let held = Step::Wait(Arc::clone(&self.release));
                now(pieces([Step::Data(b"first"), held, Step::Data(b"last")]), None)
            }
            "never" => {
                self.begun.notify_one();
                let guard = NotifyOnDrop(Arc::clone(&self.dropped));
                Answer::Later(Later::new(async move {
                    let _guard = guard;
                    std::future::pending().await
                }))
            }
            "panic" => panic!("asked for"),
            _ => Answer::Now(reply(404, Some(0), Body::Empty)),
        }
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<()> {
        reply(fault.status.as_u16(), Some(0), Body::Empty)
    }

    fn may_run_until(&self, (): &mut (), now: Instant) -> Option<Instant> {
        self.looks.count.fetch_add(1, Ordering::SeqCst);
        let is_cut = self.looks.are_cut.load(Ordering::SeqCst);
        (!is_cut).then(|| now + Duration::from_millis(10))
    }

    fn ended(&self, (): (), ended: Ended) {
        let _gone = self.ended.send(ended);
    }
}

pub(super) fn reply(status: u16, content_length: Option<u64>, body: Body) -> Reply<()> {
    let line = |name, value: &[u8]| {
        let mut out = Vec::new();
        push_field(&mut out, name, value);
        out
    };
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        content_length,
        block: FieldBlock::from_lines(line("x-block", b"1").into()),
        extra: Extra::from_vec(line("x-extra", b"2")),
        body,
    };
    Reply { response, exchange: () }
}

/// As many bytes as the content has.
async fn count(mut body: Body) -> Reply<()> {
    let mut size = 0;
    while let Some(Ok(Piece::Data(data))) = body.next().await {
        size += data.len();
    }
    reply(200, None, Body::Full(vec![b'x'; size].into()))
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// What a scripted body does next.
enum Step {
    Data(&'static [u8]),
    Wait(Arc<Notify>),
    Break,
    Panic,
}

fn pieces<const N: usize>(steps: [Step; N]) -> Body {
    let (sender, receiver) = unbounded_channel();
    tokio::task::spawn_local(async move {
        for step in steps {
            if let Step::Wait(notify) = &step {
                notify.notified().await;
            }
            let _gone = sender.send(step);
        }
    });
    Body::Stream(Box::new(Scripted(receiver)))
}

struct Scripted(UnboundedReceiver<Step>);

impl BodyStream for Scripted {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        loop {
            return match std::task::ready!(self.0.poll_recv(cx)) {
                Some(Step::Data(data)) => {
                    Poll::Ready(Some(Ok(Piece::Data(Bytes::from_static(data)))))
                }
                Some(Step::Wait(_)) => continue,
                Some(Step::Break) => {
                    let error = BodyError::new(BodyErrorKind::Truncated, "asked for");
                    Poll::Ready(Some(Err(error)))
                }
                Some(Step::Panic) => panic!("asked for"),
                None => Poll::Ready(None),
            };
        }
    }
}

struct Endless;

impl BodyStream for Endless {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        Poll::Ready(Some(Ok(Piece::Data(Bytes::from_static(&[b'e'; 4096])))))
    }
}

/// Gives the content back, and its length in a trailer.
struct Echo {
    body: Body,
    taken: usize,
}

impl BodyStream for Echo {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let piece = std::task::ready!(self.body.poll_piece(cx));
        Poll::Ready(match piece {
            Some(Ok(Piece::Data(data))) => {
                self.taken += data.len();
                Some(Ok(Piece::Data(data)))
            }
            None if self.taken > 0 => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", std::mem::take(&mut self.taken).into());
                Some(Ok(Piece::Trailers(trailers)))
            }
            other => other,
        })
    }
}

/// A client that breaks rules.
pub(super) struct Raw(pub(super) Client);

impl Raw {
    /// Opens a request stream and sends a head, without FIN.
    pub(super) async fn request(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> (quinn::SendStream, quinn::RecvStream) {
        let pseudo = [
            (":method", method),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", target),
        ];
        self.stream(&headers(&[&pseudo, fields].concat())).await
    }

    /// Opens a request stream and sends `bytes`, without FIN.
    pub(super) async fn stream(&self, bytes: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
        let (mut send, recv) = self.0.connection().open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        (send, recv)
    }

    /// The code that the server closes the connection with.
    pub(super) async fn closed(&self) -> u64 {
        close_code(&self.0.connection().closed().await)
    }
}

/// A HEADERS frame.
pub(super) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::put_headers(&mut out, |out| {
        qpack::begin(out);
        for (name, value) in fields {
            qpack::put_field(out, name, value.as_bytes());
        }
    });
    out.to_vec()
}

pub(super) fn close_code(error: &quinn::ConnectionError) -> u64 {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other}"),
    }
}

/// The frames of a response.
pub(super) struct Frames {
    recv: quinn::RecvStream,
    reader: FrameReader,
    input: Bytes,
}

impl Frames {
    pub(super) fn new(recv: quinn::RecvStream) -> Self {
        Self { recv, reader: FrameReader::new(65536), input: Bytes::new() }
    }

    /// The next frame; the code of a reset as an error.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, u64> {
        loop {
            if let Some(frame) = self.reader.read(&mut self.input) {
                return Ok(Some(frame));
            }
            match self.recv.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => self.input = chunk.bytes,
                Ok(None) => return Ok(None),
                Err(quinn::ReadError::Reset(code)) => return Err(code.into_inner()),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The status of the head that comes next.
    pub(super) async fn head(&mut self) -> u16 {
        let Ok(Some(Frame::Whole(kind::HEADERS, section))) = self.next().await else {
            panic!("no head");
        };
        let mut status = 0;
        qpack::Decoder::default()
            .decode(&section, |name, value| {
                if name == b":status" {
                    status = std::str::from_utf8(value).unwrap().parse().unwrap();
                }
            })
            .unwrap();
        status
    }

    /// All data up to the end, or the code of the reset.
    pub(super) async fn data(&mut self) -> Result<Vec<u8>, u64> {
        let mut all = Vec::new();
        while let Some(frame) = self.next().await? {
            if let Frame::Data(data) = frame {
                all.extend_from_slice(&data);
            }
        }
        Ok(all)
    }
}

/// The server's control stream.
pub(super) struct Control(Frames);

impl Control {
    /// Checks how it begins.
    pub(super) async fn new(mut recv: quinn::RecvStream) -> Self {
        let mut opening = Vec::new();
        control::put_opening(&mut opening, Limits::default().header_bytes as u64);
        let mut came = vec![0; opening.len()];
        recv.read_exact(&mut came).await.unwrap();
        assert_eq!(came, opening);
        Self(Frames::new(recv))
    }

    pub(super) async fn goaway(&mut self) -> u64 {
        match self.0.next().await {
            Ok(Some(Frame::Whole(kind::GOAWAY, payload))) => {
                frame::varint(&mut &payload[..]).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }
}
