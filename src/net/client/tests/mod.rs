//! The pool against origins that say exactly what their script says.

mod http1;
mod http2;
mod upgrade;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::message::{Body, BodyError, BodyStream, Piece};

/// Runs `script` on every connection, told its number from 0, and counts them.
async fn listen<F, Fut>(script: F) -> (Server, Arc<AtomicUsize>)
where
    F: Fn(TcpStream, usize) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::http("127.0.0.1", listener.local_addr().unwrap().port());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream, count.fetch_add(1, SeqCst)));
        }
    });
    (server, accepted)
}

fn get(target: &'static str) -> OutgoingRequest {
    OutgoingRequest {
        method: Method::GET,
        target: Bytes::from_static(target.as_bytes()),
        headers: HeaderMap::new(),
        body: Body::Empty,
        content_length: None,
        on_interim: None,
    }
}

fn post(body: Body) -> OutgoingRequest {
    OutgoingRequest { method: Method::POST, body, ..get("/") }
}

async fn text(response: IncomingResponse) -> Result<String, BodyError> {
    let mut text = Vec::new();
    let mut body = response.body;
    while let Some(piece) = body.next().await {
        match piece? {
            Piece::Data(data) => text.extend(data),
            Piece::Trailers(fields) => {
                text.extend(fields.iter().flat_map(|(name, value)| {
                    format!("[{name}: {}]", value.to_str().unwrap()).into_bytes()
                }));
            }
        }
    }
    Ok(String::from_utf8(text).unwrap())
}

fn quick() -> PoolConfig {
    let moment = Duration::from_millis(30);
    PoolConfig {
        response_timeout: moment,
        read_timeout: moment,
        max_wait: moment,
        ..PoolConfig::default()
    }
}

/// A request body that is fed by the test.
struct Fed(mpsc::Receiver<Result<Piece, BodyError>>);

impl BodyStream for Fed {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        self.0.poll_recv(cx)
    }
}

fn fed() -> (mpsc::Sender<Result<Piece, BodyError>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::Stream(Box::new(Fed(receiver))))
}
