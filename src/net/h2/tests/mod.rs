//! The engine as a client sees it.
//!
//! `Scripted` is the handler of all tests: the path says what to answer. `Raw` is a client that may
//! say anything. Time is paused wherever it matters, and the raw client's transport is a pipe.

mod abuse;
mod bodies;
mod clients;
mod cuts;
mod losses;
mod protocol;
mod split;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

use super::frame::{self, Code, FrameHead, HEAD, PREFACE, flag, kind, setting};
use super::hpack::{self, Decoder};
use crate::message::losses::alone::LosingBody;
use crate::message::{
    Body, BodyError, BodyErrorKind, BodyStream, FieldBlock, Peer, Piece, Protocol, Request,
    Response, Scheme, push_field,
};
use crate::net::{Answer, Drain, Ended, Fault, Handler, Later, Limits, Outcome, Reply};

const PEER: Peer = Peer {
    address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1),
    protocol: Protocol::Http2,
    scheme: Scheme::Http,
};

/// Answers by path, and remembers how each exchange ended.
#[derive(Default)]
struct Scripted {
    ended: Mutex<Vec<(String, Ended)>>,
    /// Tells of each end, and of each dropped `/never`.
    told: Notify,
    dropped: Arc<Mutex<usize>>,
    /// Lets a `/gate` go on.
    gate: Arc<Notify>,
    /// The paths whose responses are to be cut.
    cut: Mutex<Vec<&'static str>>,
    /// The paths asked about.
    looked_at: Mutex<Vec<String>>,
}

/// Counts a future that was dropped.
struct Guard(Arc<Mutex<usize>>);

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}

/// A body of prepared steps; pending for ever if they end without an end.
struct Steps(std::vec::IntoIter<Option<Result<Piece, BodyError>>>);

impl BodyStream for Steps {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        self.0.next().map_or(Poll::Pending, Poll::Ready)
    }
}

fn steps(list: Vec<Option<Result<Piece, BodyError>>>) -> Body {
    Body::Stream(Box::new(Steps(list.into_iter())))
}

fn data(bytes: &'static str) -> Option<Result<Piece, BodyError>> {
    Some(Ok(Piece::Data(Bytes::from_static(bytes.as_bytes()))))
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"t\""))])
}

fn response(content_length: Option<u64>, body: Body) -> Response {
    let mut lines = Vec::new();
    push_field(&mut lines, "content-type", b"text/plain");
    let block = FieldBlock::from_lines(lines.into());
    Response { content_length, block, body, ..Response::empty(StatusCode::OK) }
}

impl Scripted {
    fn now(path: &str) -> Response {
        let broken = || Some(Err(BodyError::new(BodyErrorKind::Truncated, "scripted")));
        match path {
            "/empty" => response(Some(0), Body::Empty),
            "/304" => Response { status: StatusCode::NOT_MODIFIED, ..response(None, Body::Empty) },
            "/stream" => response(None, steps(vec![data("abc"), data("def"), None])),
            "/trailers" => {
                let end = Some(Ok(Piece::Trailers(trailers())));
                response(None, steps(vec![data("abc"), end]))
            }
            "/broken" => response(None, steps(vec![data("abc"), broken()])),
            "/short" => response(Some(9), steps(vec![data("abc"), None])),
            "/long" => response(Some(4), steps(vec![data("abc"), data("def"), None])),
            "/lost" => response(None, Body::Stream(Box::new(LosingBody::default()))),
            "/stalled" => response(None, steps(vec![data("abc")])),
            _ => {
                let length = path.trim_start_matches('/').parse().unwrap_or(5);
                response(Some(length as u64), Body::Full(vec![b'x'; length].into()))
            }
        }
    }

    fn ended(&self) -> Vec<(String, u64, Outcome)> {
        let ended = self.ended.lock();
        ended.iter().map(|(path, end)| (path.clone(), end.body_bytes, end.outcome)).collect()
    }
}

/// Reads a request to its end and sends it back.
async fn echo(mut body: Body, path: String) -> Reply<String> {
    let mut bytes = BytesMut::new();
    let mut end = Vec::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(Piece::Data(piece)) => bytes.extend_from_slice(&piece),
            Ok(Piece::Trailers(map)) => end.push(Some(Ok(Piece::Trailers(map)))),
            Err(error) => {
                let mut response = Response::empty(StatusCode::BAD_GATEWAY);
                push_field(&mut response.extra, "x-error", error.to_string().as_bytes());
                return Reply { response, exchange: path };
            }
        }
    }
    end.insert(0, Some(Ok(Piece::Data(bytes.freeze()))));
    end.push(None);
    Reply { response: response(None, steps(end)), exchange: path }
}

impl Handler for Scripted {
    type Exchange = String;

    fn serve(&self, request: Request) -> Answer<String> {
        let path = String::from_utf8_lossy(&request.head.target).into_owned();
        match &path[..] {
            "/echo" => Answer::Later(Later::new(echo(request.body, path))),
            "/never" => {
                let guard = Guard(Arc::clone(&self.dropped));
                Answer::Later(Later::new(async move {
                    let _guard = (guard, request);
                    std::future::pending().await
                }))
            }
            "/gate" => {
                let gate = Arc::clone(&self.gate);
                Answer::Later(Later::new(async move {
                    gate.notified().await;
                    Reply { response: Self::now(&path), exchange: path }
                }))
            }
            _ => Answer::Now(Reply { response: Self::now(&path), exchange: path }),
        }
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<String> {
        let body = Body::Full(Bytes::from_static(fault.detail.as_bytes()));
        let response =
            Response { status: fault.status, ..response(Some(fault.detail.len() as u64), body) };
        Reply { response, exchange: fault.status.to_string() }
    }

    fn may_run_until(&self, exchange: &mut String, now: Instant) -> Option<Instant> {
        self.looked_at.lock().push(exchange.clone());
        let is_cut = self.cut.lock().iter().any(|path| exchange == path);
        (!is_cut).then(|| now + Duration::from_secs(1))
    }

    fn ended(&self, exchange: String, ended: Ended) {
        self.ended.lock().push((exchange, ended));
        self.told.notify_waiters();
    }
}

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn code(&self) -> Code {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        Code(frame::number(&self.payload[at..at + 4]).unwrap())
    }

    fn is_end(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }
}

/// A client that says what it is told to.
struct Raw {
    io: DuplexStream,
    decoder: Decoder,
    server: tokio::task::JoinHandle<()>,
    handler: Arc<Scripted>,
    drain: Drain,
}

impl Raw {
    /// A connection whose preface and settings are exchanged.
    async fn new(limits: Limits) -> Self {
        Self::silent(limits).greeted().await
    }

    async fn greeted(mut self) -> Self {
        let raw = &mut self;
        raw.send(PREFACE).await;
        raw.frame(kind::SETTINGS, 0, 0, &[]).await;
        assert_eq!(raw.next().await.unwrap().kind, kind::SETTINGS);
        self
    }

    /// A connection on which nothing was said.
    fn silent(limits: Limits) -> Self {
        Self::over(1 << 20, limits)
    }

    /// The same, over a transport that holds so many bytes.
    fn over(bytes: usize, limits: Limits) -> Self {
        let (io, server) = tokio::io::duplex(bytes);
        let handler = Arc::new(Scripted::default());
        let (drain, watch) = Drain::new();
        let (limits, served) = (Arc::new(limits), Arc::clone(&handler));
        let alt_svc = Some(Bytes::from_static(b"alt-svc: h3=\":1\"\r\n"));
        let server = tokio::spawn(async move {
            super::serve(server, BytesMut::new(), PEER, served, limits, alt_svc, watch).await;
        });
        Self { io, decoder: Decoder::new(4096), server, handler, drain }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The server may have closed: what it said before is what counts.
        let _closed = self.io.write_all(bytes).await.is_err();
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut out = BytesMut::new();
        frame::put(&mut out, kind, flags, stream, payload);
        self.send(&out).await;
    }

    /// A request without content.
    async fn get(&mut self, stream: u32, path: &str) {
        let flags = flag::END_HEADERS | flag::END_STREAM;
        self.frame(kind::HEADERS, flags, stream, &head("GET", path, &[])).await;
    }

    /// A request whose content follows.
    async fn post(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) {
        let block = head("POST", path, fields);
        self.frame(kind::HEADERS, flag::END_HEADERS, stream, &block).await;
    }

    /// The next frame; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        let mut bytes = [0; HEAD];
        self.io.read_exact(&mut bytes).await.ok()?;
        let FrameHead { length, kind, flags, stream } = FrameHead::parse(&bytes);
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream, payload })
    }

    /// The next frame that is not SETTINGS or its acknowledgement.
    async fn told(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if !matches!(frame.kind, kind::SETTINGS | kind::WINDOW_UPDATE) {
                return frame;
            }
        }
    }

    /// The status and fields of a HEADERS frame.
    fn fields(&mut self, frame: &Frame) -> Vec<(String, String)> {
        assert_eq!(frame.kind, kind::HEADERS, "{frame:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut out = Vec::new();
        self.decoder
            .decode(&frame.payload, |name, value| out.push((text(name), text(value))))
            .unwrap();
        out
    }

    /// A whole response: status and content.
    async fn response(&mut self, stream: u32) -> (String, Vec<u8>) {
        let head = self.told().await;
        assert_eq!(head.stream, stream);
        let status = self.fields(&head)[0].1.clone();
        let mut content = Vec::new();
        let mut end = head.is_end();
        while !end {
            let frame = self.told().await;
            assert_eq!((frame.stream, frame.kind), (stream, kind::DATA), "{frame:?}");
            end = frame.is_end();
            content.extend(frame.payload);
        }
        (status, content)
    }

    /// The stream is reset with `code`, and the connection goes on.
    async fn expect_reset(&mut self, stream: u32, code: Code) {
        let frame = self.told().await;
        assert_eq!((frame.kind, frame.stream), (kind::RST_STREAM, stream), "{frame:?}");
        assert_eq!(frame.code(), code);
    }

    /// The connection ends with `code`; frames of open streams may come before.
    async fn expect_goaway(&mut self, code: Code) {
        loop {
            let frame = self.told().await;
            if frame.kind == kind::GOAWAY {
                assert_eq!(frame.code(), code, "{}", String::from_utf8_lossy(&frame.payload));
                break;
            }
        }
        assert_eq!(self.next().await, None);
    }

    /// Hangs up, and hands out how all exchanges ended.
    async fn hang_up(self) -> Vec<(String, u64, Outcome)> {
        drop(self.io);
        self.server.await.unwrap();
        self.handler.ended()
    }
}

/// The field block of a request.
fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> BytesMut {
    let pseudo =
        [(":method", method), (":scheme", "http"), (":authority", "a.test"), (":path", path)];
    block(&[&pseudo, fields].concat())
}

fn block(fields: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    for (name, value) in fields {
        hpack::put_field(&mut out, name, value.as_bytes());
    }
    out
}
