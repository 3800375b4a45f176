//! HTTP/2: frame by frame where the order of frames matters, else over the engine's own server.

mod bodies;
mod endings;
mod interim;
mod links;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::*;
use super::{fed, get, listen, post, quick, text};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const NO_ERROR: [u8; 4] = [0; 4];
const REFUSED: [u8; 4] = [0, 0, 0, 7];
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn config() -> PoolConfig {
    PoolConfig { protocol: Protocol::Http2, ..PoolConfig::default() }
}

fn with(http2: Http2Config) -> PoolConfig {
    PoolConfig { http2, ..config() }
}

fn with_streams(streams: usize) -> PoolConfig {
    with(Http2Config { streams, ..Http2Config::default() })
}

/// A frame as it came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// The origin's end of a connection, frame by frame.
struct Wire {
    io: TcpStream,
    /// What the client's SETTINGS say, by their identifiers.
    settings: Vec<(u16, u32)>,
}

impl Wire {
    /// Reads the client's preface, and sends one with `settings`.
    async fn start(mut io: TcpStream, settings: &[(u16, u32)]) -> Self {
        let mut preface = [0; 24];
        io.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut wire = Self { io, settings: Vec::new() };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        wire.send(SETTINGS, 0, 0, &payload).await;
        wire
    }

    /// The next frame but SETTINGS, which are acknowledged; `None` once the client has closed.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.io.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, id @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.io.read_exact(&mut payload).await.ok()?;
            if kind != SETTINGS {
                return Some(Frame { kind, flags, stream: u32::from_be_bytes(id), payload });
            }
            if flags & ACK == 0 {
                self.settings.extend(payload.chunks(6).map(|pair| {
                    let value = [pair[2], pair[3], pair[4], pair[5]];
                    (u16::from_be_bytes([pair[0], pair[1]]), u32::from_be_bytes(value))
                }));
                self.send(SETTINGS, ACK, 0, &[]).await;
            }
        }
    }

    /// The next frame of a kind.
    async fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the client hung up");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads until the client hangs up.
    async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // The client may have hung up, as some scripts mean it to.
        let _ = self.io.write_all(&frame).await;
    }

    /// A head with the status 200, and no body if `end`.
    async fn head(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) {
        let block = [&[0x88], &literals(fields)[..]].concat();
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.send(HEADERS, flags, stream, &block).await;
    }

    /// The head of an interim response.
    async fn interim(&mut self, stream: u32, status: &str, fields: &[(&str, &str)]) {
        // RFC 7541 appendix A: the eighth name of the static table is `:status`.
        let block = [b"\x08\x03", status.as_bytes(), &literals(fields)].concat();
        self.send(HEADERS, END_HEADERS, stream, &block).await;
    }

    async fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.send(DATA, if end { END_STREAM } else { 0 }, stream, bytes).await;
    }

    /// Answers a request with "hello".
    async fn hello(&mut self, stream: u32) {
        self.head(stream, &[], false).await;
        self.data(stream, b"hello", true).await;
    }

    /// Answers every request with "hello" until the client closes.
    async fn always(mut self) {
        while let Some(frame) = self.next().await {
            if frame.kind == HEADERS {
                self.hello(frame.stream).await;
            }
        }
    }

    async fn go_away(&mut self, last: u32) {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR].concat()).await;
    }

    /// Everything the client has sent until it answered this PING.
    async fn sync(&mut self) -> Vec<Frame> {
        self.send(PING, 0, 0, b"in order").await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.expect("the client hung up");
            if frame.kind == PING && frame.payload == b"in order" {
                return frames;
            }
            frames.push(frame);
        }
    }
}

/// Fields as literals without indexing.
fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        for text in [&b""[..], name.as_bytes(), value.as_bytes()] {
            block.push(text.len() as u8);
            block.extend(text);
        }
    }
    block
}

/// Runs `script` on every connection, told its number from 0, and counts them.
async fn wired<F, Fut>(script: F) -> (Server, Arc<AtomicUsize>)
where
    F: Fn(Wire, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    listen(move |stream, number| {
        let script = script.clone();
        async move {
            let wire = Wire::start(stream, &[]).await;
            script(wire, number).await;
        }
    })
    .await
}

/// Answers every request of a connection by `handler`, each in a task of its own.
async fn serve<IO, F, Fut>(io: IO, handler: F)
where
    IO: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok((request, response))) = connection.accept().await {
        tokio::spawn(handler(request, response));
    }
}

/// Sends a whole body, at the pace of the client.
async fn send_all(mut response: SendResponse<Bytes>, mut body: Bytes, trailers: Option<HeaderMap>) {
    let mut stream = response.send_response(Response::new(()), false).unwrap();
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        let part = body.split_to(room.min(body.len()));
        stream.send_data(part, false).unwrap();
    }
    match trailers {
        Some(trailers) => stream.send_trailers(trailers).unwrap(),
        None => stream.send_data(Bytes::new(), true).unwrap(),
    }
}
