//! How an exchange goes: the answer to a request, what an engine refused, and how it ended.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use super::{FieldBlock, Response};

/// A reply now, or the future of one.
#[expect(clippy::large_enum_variant, reason = "a hit must not allocate for it")]
pub enum Answer<X> {
    /// The response is at hand.
    Now(Reply<X>),
    /// The response has to be waited for.
    Later(Later<X>),
}

/// A reply that is waited for, and the interim responses that come before it. Whoever awaits it as
/// a future gets the reply alone.
pub struct Later<X> {
    reply: Pin<Box<dyn Future<Output = Reply<X>> + Send>>,
    interim: Option<mpsc::Receiver<Interim>>,
    /// The reply, where it came together with an interim response.
    come: Option<Box<Reply<X>>>,
}

/// An interim response (RFC 9110 section 15.2).
#[derive(Clone, Debug)]
pub struct Interim {
    /// A status below 200, neither 100 nor 101: those belong to one connection.
    pub status: StatusCode,
    /// Its fields.
    pub block: FieldBlock,
}

/// What a wait brings.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub enum Waited<X> {
    /// Something to send before the reply.
    Interim(Interim),
    /// The reply.
    Reply(Reply<X>),
}

impl<X> Later<X> {
    /// Waits for `reply`.
    pub fn new(reply: impl Future<Output = Reply<X>> + Send + 'static) -> Self {
        Self { reply: Box::pin(reply), interim: None, come: None }
    }

    /// The same, with what comes before it.
    #[must_use]
    pub fn after(self, interim: mpsc::Receiver<Interim>) -> Self {
        Self { interim: Some(interim), ..self }
    }

    /// Polls for what comes next. Not to be polled again after the reply.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Waited<X>> {
        if let Some(interim) = &mut self.interim
            && let Poll::Ready(Some(interim)) = interim.poll_recv(cx)
        {
            return Poll::Ready(Waited::Interim(interim));
        }
        if let Some(reply) = self.come.take() {
            return Poll::Ready(Waited::Reply(*reply));
        }
        let Poll::Ready(reply) = self.reply.as_mut().poll(cx) else { return Poll::Pending };
        Poll::Ready(match self.interim.as_mut().and_then(|interim| interim.try_recv().ok()) {
            Some(interim) => {
                self.come = Some(Box::new(reply));
                Waited::Interim(interim)
            }
            None => Waited::Reply(reply),
        })
    }
}

impl<X> Future for Later<X> {
    type Output = Reply<X>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply<X>> {
        loop {
            match self.poll_next(cx) {
                Poll::Ready(Waited::Interim(_)) => {}
                Poll::Ready(Waited::Reply(reply)) => return Poll::Ready(reply),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Takes the interim responses of a server: status and fields as they came.
#[derive(Clone)]
pub struct OnInterim(Arc<Tell>);

type Tell = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

impl OnInterim {
    /// Calls `tell` for each, on the event loop that reads the response.
    pub fn new(tell: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Tells of one.
    pub fn tell(&self, status: StatusCode, headers: &HeaderMap) {
        (self.0)(status, headers);
    }
}

impl fmt::Debug for OnInterim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnInterim")
    }
}

/// A response and what the handler wants back when it is done.
pub struct Reply<X> {
    /// What to send.
    pub response: Response,
    /// Handed back to the handler.
    pub exchange: X,
}

/// A request that never reached the handler: malformed, or over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The status that the RFCs name: 400, 408, 413, 414, 417, 421, 431, 501, 503, 505.
    pub status: StatusCode,
    /// A fixed phrase that names the line, field or limit.
    pub detail: &'static str,
}

impl Fault {
    /// A fault with its status and phrase.
    pub const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail }
    }

    /// A client error with the status 400.
    pub const fn bad_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Bytes of body handed to the transport.
    pub body_bytes: u64,
    /// What became of the response.
    pub outcome: Outcome,
}

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was handed to the transport.
    Complete,
    /// The client went away, or was cut off by a limit.
    ClientGone,
    /// The body broke off on our side and was cut visibly.
    Truncated,
}
