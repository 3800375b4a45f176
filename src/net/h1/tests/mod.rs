//! The engine against a scripted handler.

mod curl;
mod cuts;
mod lifetime;
mod losses;
mod requests;
mod responses;
mod split;
mod tunnel;
mod uploads;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::serve;
use crate::message::{
    Body, BodyError, BodyErrorKind, BodyStream, Extra, FieldBlock, Peer, Piece, Protocol, Request,
    Response, Scheme,
};
use crate::net::{Answer, Drain, DrainWatch, Ended, Fault, Handler, Limits, Outcome, Reply};

type Script = dyn Fn(Request) -> Answer<String> + Send + Sync;

/// A handler that does as it is told and remembers what ended. The exchange is the target.
struct Scripted {
    script: Box<Script>,
    ended: Mutex<Vec<(String, Ended)>>,
    faults: Mutex<Vec<Fault>>,
    /// The targets whose responses are to be cut.
    cut: Mutex<Vec<&'static str>>,
    /// The targets asked about.
    looked_at: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(script: impl Fn(Request) -> Answer<String> + Send + Sync + 'static) -> Arc<Self> {
        let (ended, faults, cut, looked_at) = Default::default();
        Arc::new(Self { script: Box::new(script), ended, faults, cut, looked_at })
    }

    fn endings(&self) -> Vec<(String, u64, Outcome)> {
        let ended = self.ended.lock();
        ended.iter().map(|(name, end)| (name.clone(), end.body_bytes, end.outcome)).collect()
    }
}

impl Handler for Scripted {
    type Exchange = String;

    fn serve(&self, request: Request) -> Answer<String> {
        (self.script)(request)
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<String> {
        self.faults.lock().push(fault);
        let mut response = Response::empty(fault.status);
        response.body = Body::Full(Bytes::from_static(fault.detail.as_bytes()));
        Reply { response, exchange: "refused".into() }
    }

    fn may_run_until(&self, exchange: &mut String, now: Instant) -> Option<Instant> {
        self.looked_at.lock().push(exchange.clone());
        let is_cut = self.cut.lock().iter().any(|target| exchange == target);
        (!is_cut).then(|| now + Duration::from_secs(1))
    }

    fn ended(&self, exchange: String, ended: Ended) {
        self.ended.lock().push((exchange, ended));
    }
}

/// A body that follows a list: pieces, a pause (`None`) until the task is polled again, an error.
struct Listed(std::vec::IntoIter<Option<Result<Piece, BodyError>>>);

impl BodyStream for Listed {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        match self.0.next() {
            Some(Some(step)) => Poll::Ready(Some(step)),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

fn listed(steps: Vec<Option<Result<Piece, BodyError>>>) -> Body {
    Body::Stream(Box::new(Listed(steps.into_iter())))
}

fn data(bytes: &'static str) -> Option<Result<Piece, BodyError>> {
    Some(Ok(Piece::Data(Bytes::from_static(bytes.as_bytes()))))
}

fn broken() -> Option<Result<Piece, BodyError>> {
    Some(Err(BodyError::new(BodyErrorKind::Truncated, "scripted")))
}

fn reply(target: &Bytes, status: u16, length: Option<u64>, body: Body) -> Reply<String> {
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        content_length: length,
        block: FieldBlock::from_lines(Bytes::from_static(b"server: headland\r\n")),
        extra: Extra::from_slice(b"age: 1\r\n"),
        body,
    };
    Reply { response, exchange: String::from_utf8_lossy(target).into_owned() }
}

/// Answers every request at once with its method, host and target.
fn echo(request: Request) -> Answer<String> {
    let text = format!("{} {} ", request.head.method, String::from_utf8_lossy(&request.head.host))
        .into_bytes();
    let body = Body::Full([&text, &request.head.target[..]].concat().into());
    Answer::Now(reply(&request.head.target, 200, None, body))
}

fn peer() -> Peer {
    Peer {
        address: ([127, 0, 0, 1], 4000).into(),
        protocol: Protocol::Http1 { minor: 1 },
        scheme: Scheme::Http,
    }
}

/// A connection to `handler`, served by a task, and what can drain it.
fn connect(handler: &Arc<Scripted>, limits: Limits) -> (DuplexStream, JoinHandle<bool>, Drain) {
    let (client, server) = tokio::io::duplex(1 << 20);
    let (drain, watch) = Drain::new();
    (client, spawn(server, handler, limits, watch), drain)
}

/// Serves `io` by a task, which tells whether the transport was to be reset.
fn spawn<IO>(io: IO, handler: &Arc<Scripted>, limits: Limits, drain: DrainWatch) -> JoinHandle<bool>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (handler, limits) = (Arc::clone(handler), Arc::new(limits));
    let served = serve(io, BytesMut::new(), peer(), handler, limits, None, drain);
    assert!(size_of_val(&served) <= 2048, "{} bytes", size_of_val(&served));
    tokio::spawn(async move { served.await.is_some() })
}

/// Sends `wire`, shuts the write side down, and reads all that comes back.
async fn exchange(handler: &Arc<Scripted>, limits: Limits, wire: &[u8]) -> String {
    let limits = Limits { half_close: true, ..limits };
    let (mut client, served, _drain) = connect(handler, limits);
    client.write_all(wire).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    served.await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads until what came ends with `end`.
async fn read_until(client: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = client.read_u8().await;
        text.push(char::from(byte.unwrap_or_else(|error| panic!("{error} after {text:?}"))));
    }
    text
}
