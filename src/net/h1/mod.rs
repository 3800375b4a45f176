//! The HTTP/1.1 server (RFC 9112): one connection, all of its requests.
//!
//! ```text
//!           ┌────────────────────────── next_head ◀─────────────────────────────┐
//!   socket ─┤ input: buffer ─ scan ─ parse                                       │
//!           │    │                     ▼                                         │
//!           │    │                  Handler::serve ── Now ───▶ begin ─▶ stream ─▶ settle
//!           │    └─ upload ─ slot ──▶  │  └──────── Later ─▶ wait ──▲
//!           └──────────────────────────┘
//!   socket ◀─ out: lines and shared bodies, one vectored write
//! ```
//!
//! One future does it all: while it waits for the handler, or for the client to take a response, it
//! moves bytes in both directions, so that neither needs a task of its own. A cached hit is one
//! read, one call of the handler, one write; it sets no timer and allocates one block, for what is
//! known of the request: the head's bytes are a slice of the read buffer, which is reclaimed once
//! the request is dropped.
//!
//! A client that shuts its write side down still gets what is at hand. Once only the handler is
//! waited for, it counts as gone, as with nginx, hyper and Go: to the node it looks no different
//! from one that closed, and a place held for a client that left is the dearer error. With
//! `half_close` it is waited for; then only an error of the transport says that nobody listens.
//!
//! After a 101 the connection is a [`Tunnel`] until it ends.
//!
//! Invariants:
//! - responses leave in the order of the requests, and nothing of a request is read as another;
//! - a body that broke off never ends as if it were whole;
//! - what is buffered is bounded: input by `header_bytes` and one read, output by
//!   `connection_buffer` and one piece.

mod close;
mod decode;
mod encode;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod head;
mod input;
mod out;
mod patience;
mod target;
mod transfer;
mod tunnel;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use self::decode::Decoder;
use self::encode::{Asked, Delimiter};
use self::input::Input;
use self::out::Outgoing;
use self::patience::Patience;
use self::transfer::Sender;
use self::upload::Upload;
use super::{Answer, DrainWatch, Fault, Handler, Limits, Outcome, Reply};
use crate::message::{Body, Peer, Request, Tunnel};

/// Serves the requests of one connection until it is over.
///
/// `first` are bytes already read; `alt_svc` is a field line for every response. Gives the
/// transport back if a response broke off: to be reset rather than closed, because a close is how
/// the body of a response to HTTP/1.0 ends well. In all other cases the connection is closed.
pub(crate) async fn serve<IO, H>(
    io: IO,
    first: BytesMut,
    peer: Peer,
    handler: Arc<H>,
    limits: Arc<Limits>,
    alt_svc: Option<Bytes>,
    drain: DrainWatch,
) -> Option<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let now = Instant::now();
    let mut connection = Connection {
        io,
        peer,
        alt_svc,
        drain,
        now,
        patience: Patience::new(now + limits.idle_timeout, limits.clone()),
        limits,
        input: Input::new(first),
        out: Outgoing::new(handler),
        upload: None,
        requests: 0,
    };
    let end = loop {
        if let Err(end) = connection.turn().await {
            break end;
        }
    };
    connection.close(end).await
}

struct Connection<IO, H: Handler> {
    io: IO,
    peer: Peer,
    limits: Arc<Limits>,
    alt_svc: Option<Bytes>,
    drain: DrainWatch,
    input: Input,
    out: Outgoing<H>,
    /// The content of the current request, if it has any.
    upload: Option<Box<Upload>>,
    patience: Patience,
    /// When the last request was read, or the last wait for its answer or its client ended.
    now: Instant,
    requests: u64,
}

/// Why no further request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides are done.
    Done,
    /// The client may still send.
    Linger,
    /// The response broke off.
    Cut,
    /// What waits cannot be written: the transport failed, stored bytes were lost, or the handler
    /// wants it cut.
    Broken,
    /// The client is gone, or is cut off.
    Gone,
    /// A request is refused.
    Refused(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

/// A response whose head is queued.
struct Begun {
    persistent: bool,
    rest: Rest,
}

/// What of a response is still to come.
enum Rest {
    Stream(Sender),
    Tunnel(Box<Tunnel>),
    Ended(Outcome),
}

impl<IO, H> Connection<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    /// One request and its response. The response may still wait to be written.
    async fn turn(&mut self) -> Result<(), End> {
        let head = self.next_head().await?;
        let (answer, asked) = self.ask(&head)?;
        // The request holds the read buffer; what is left of it must not outlive the request.
        drop(head);
        let begun = match answer {
            Answer::Now(reply) => self.begin(reply, asked),
            Answer::Later(future) => {
                let reply = self.wait(future, asked).await?;
                self.begin(reply, asked)
            }
        };
        let outcome = match begun.rest {
            Rest::Ended(outcome) => outcome,
            Rest::Stream(sender) => self.stream(sender).await?,
            // Boxed: few connections come to that.
            Rest::Tunnel(tunnel) => return Err(Box::pin(self.tunnel(*tunnel)).await),
        };
        self.out.finish(outcome);
        if outcome != Outcome::Complete {
            return Err(End::Cut);
        }
        if self.upload.is_some() {
            self.settle(begun.persistent).await?;
        }
        if !begun.persistent {
            // A client that said that it is done sends nothing that could reset the connection.
            return Err(if asked.persistent { End::Linger } else { End::Done });
        }
        if self.out.waiting() >= self.limits.connection_buffer as u64 {
            self.flush().await?;
        }
        Ok(())
    }

    /// Parses a head and hands the request on.
    fn ask(&mut self, head: &Bytes) -> Result<(Answer<H::Exchange>, Asked), Fault> {
        self.requests += 1;
        self.out.mark();
        let head = head::parse(head, &self.limits, self.peer)?;
        let content_max = self.limits.request_body;
        if content_max > 0 && head.request.content_length.is_some_and(|length| length > content_max)
        {
            return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "content too large"));
        }
        self.peer = head.request.peer;
        let asked = Asked {
            head: head.request.method == http::Method::HEAD,
            minor: head.minor,
            persistent: head.persistent,
            takes_trailers: head.takes_trailers,
        };
        let body = if head.framing.has_content() {
            let decoder = Decoder::new(head.framing, content_max, self.limits.header_bytes);
            let (upload, content) = Upload::new(decoder, head.expects_continue);
            self.upload = Some(Box::new(upload));
            Body::Stream(Box::new(content))
        } else {
            Body::Empty
        };
        let answer = self.out.handler().serve(Request { head: head.request, body });
        Ok((answer, asked))
    }

    /// Queues the head of a response, and its body as far as it is at hand.
    fn begin(&mut self, reply: Reply<H::Exchange>, asked: Asked) -> Begun {
        let Reply { response, exchange } = reply;
        let delimiter = Delimiter::of(&response, asked);
        let persistent = self.may_persist(asked) && delimiter != Delimiter::Close;
        self.out.open(exchange);
        let alt_svc = self.alt_svc.as_ref();
        self.out.lines(|out| {
            encode::head(out, &response, delimiter, asked, persistent, alt_svc);
        });
        let bytes = match response.body {
            Body::Tunnel(tunnel) => return Begun { persistent, rest: Rest::Tunnel(tunnel) },
            _ if delimiter == Delimiter::Nothing => Bytes::new(),
            Body::Empty => Bytes::new(),
            Body::Full(bytes) => bytes,
            Body::Stream(body) => {
                let sender = Sender::new(body, delimiter, asked.takes_trailers);
                return Begun { persistent, rest: Rest::Stream(sender) };
            }
        };
        let declared = if let Delimiter::Length(length) = delimiter { length } else { 0 };
        let length = bytes.len() as u64;
        // Of a body that is too long nothing is sent, so that the client sees a truncation.
        if length <= declared {
            self.out.body(bytes);
        }
        let outcome = if length == declared { Outcome::Complete } else { Outcome::Truncated };
        Begun { persistent, rest: Rest::Ended(outcome) }
    }

    /// Whether the connection goes on after the response that begins now.
    fn may_persist(&mut self, asked: Asked) -> bool {
        let most = self.limits.requests_per_connection;
        let used_up = most > 0 && self.requests >= most;
        let may_be_followed = self.upload.as_mut().is_none_or(|upload| {
            upload.response_begins();
            upload.may_be_followed()
        });
        asked.persistent
            && may_be_followed
            && !used_up
            && !self.input.is_exhausted()
            && !self.drain.is_draining()
    }

    /// Ends the request's content once the response is sent.
    async fn settle(&mut self, persistent: bool) -> Result<(), End> {
        // The handler may read on while the response goes out.
        self.flush().await?;
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        upload.close();
        self.patience.stop_sending();
        self.patience.wait_for(self.limits.header_timeout);
        loop {
            match upload.discard(&mut self.input.buffer) {
                Some(true) => return Ok(()),
                Some(false) if persistent && !self.input.closed => self.read_more().await?,
                _ => return Err(End::Linger),
            }
        }
    }
}
