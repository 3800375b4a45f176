//! One connection, driven by whoever waits for it.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::outgoing::{OutgoingBody, Progress};
use super::request::Prepared;
use crate::message::{BodyError, BodyErrorKind};
use crate::net::client::connect::{Counted, Transport};
use crate::net::client::error::describe;
use crate::net::client::request::is_framed;
use crate::net::client::{ClientError, ClientErrorKind};
use crate::net::timer::Timer;

/// A connection to a server. Dropping it closes the socket.
pub(super) struct Live {
    sender: http1::SendRequest<OutgoingBody>,
    connection: http1::Connection<TokioIo<Transport>, OutgoingBody>,
    timer: Timer,
    /// The timer runs: only the time in which the server is waited for counts.
    waiting: bool,
    progress: Option<Arc<Progress>>,
    closed: bool,
    exchanges: u64,
    /// It serves no other request.
    retired: bool,
    _counted: Counted,
}

/// A failed exchange, with the request where none of it was sent.
pub(super) struct Failed {
    pub(super) error: ClientError,
    pub(super) unsent: Option<Prepared>,
}

impl Live {
    /// Makes a fresh transport speak HTTP/1.1; a response head may have `header_bytes`.
    pub(super) async fn new(
        transport: Transport,
        header_bytes: usize,
        counted: Counted,
    ) -> hyper::Result<Box<Self>> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(header_bytes.max(LEAST_BUFFER))
            .handshake(TokioIo::new(transport))
            .await?;
        let timer = Timer::new(Instant::now());
        Ok(Box::new(Self {
            sender,
            connection,
            timer,
            waiting: false,
            progress: None,
            closed: false,
            exchanges: 0,
            retired: false,
            _counted: counted,
        }))
    }

    /// Whether the exchange is not the first of this connection.
    pub(super) fn is_reused(&self) -> bool {
        self.exchanges > 1
    }

    /// Moves bytes both ways. Ready once the connection has ended.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // hyper hands its errors to the response or body that they end.
        self.closed = self.closed || Pin::new(&mut self.connection).poll(cx).is_ready();
        if self.closed { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the connection is open and at rest between two requests.
    pub(super) fn is_at_rest(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        !self.retired && self.poll_drive(&mut nobody).is_pending() && self.sender.is_ready()
    }

    /// The connection is not to be used again.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    /// The transport and what has been read of it, after a 101; `None` where the request has not
    /// gone out whole.
    pub(super) fn leave_http(mut self) -> Option<(Transport, Bytes)> {
        let mut nobody = Context::from_waker(Waker::noop());
        if self.poll_drive(&mut nobody).is_pending() {
            return None;
        }
        let parts = self.connection.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }

    /// Ready once the server has been waited for longer than `limit`, until it
    /// [`progressed`](Self::progressed).
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let excused = self.progress.as_deref().is_some_and(Progress::server_is_excused);
        if !self.waiting || excused {
            self.waiting = true;
            self.timer.set(Instant::now() + limit);
        }
        self.timer.poll_expired(cx)
    }

    /// The server has sent something.
    pub(super) fn progressed(&mut self) {
        self.waiting = false;
    }

    /// Sends a request and waits for the response head.
    ///
    /// Not cancel safe: the request may have been sent, so the connection is of no use any more and
    /// has to be dropped.
    pub(super) async fn exchange(
        &mut self,
        request: Prepared,
        response_timeout: Duration,
    ) -> Result<Response<Incoming>, Failed> {
        self.exchanges += 1;
        self.progress = request.body().progress();
        self.progressed();
        let mut response = pin!(self.sender.try_send_request(request));
        let outcome = poll_fn(|cx| {
            let closed = self.poll_drive(cx).is_ready();
            // What answers is the connection just driven, so nothing else has to wake this task.
            let mut nobody = Context::from_waker(Waker::noop());
            match response.as_mut().poll(&mut nobody) {
                Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
                Poll::Pending if closed => Poll::Ready(Err(ClientErrorKind::Reset)),
                Poll::Pending => self
                    .poll_overdue(cx, response_timeout)
                    .map(|()| Err(ClientErrorKind::ResponseTimeout)),
            }
        })
        .await;
        self.progressed();
        let reused = self.is_reused();
        let failed = |kind, detail: &str| {
            let error = ClientError { kind, sent: true, reused, detail: detail.to_owned() };
            Failed { error, unsent: None }
        };
        match outcome {
            Ok(Ok(response)) if is_framed(response.headers()) => Ok(response),
            Ok(Ok(_)) => {
                Err(failed(ClientErrorKind::Malformed, "a transfer coding other than chunked"))
            }
            Ok(Err(mut refused)) => {
                let unsent = refused.take_message();
                let error = failure(refused.error(), unsent.is_none(), reused);
                Err(Failed { error, unsent })
            }
            Err(kind) => Err(failed(kind, "no response head")),
        }
    }
}

/// hyper takes no smaller buffer.
const LEAST_BUFFER: usize = 8 * 1024;

fn failure(error: &hyper::Error, sent: bool, reused: bool) -> ClientError {
    let kind = if error.is_parse() {
        ClientErrorKind::Malformed
    } else if error.is_user() {
        body_failure(error)
    } else {
        ClientErrorKind::Reset
    };
    ClientError { kind, sent, reused, detail: describe(error) }
}

/// Why the request's body broke off.
fn body_failure(error: &hyper::Error) -> ClientErrorKind {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<BodyError>());
    match cause.map(|cause| cause.kind) {
        Some(BodyErrorKind::Timeout) => ClientErrorKind::BodyTimeout,
        Some(BodyErrorKind::TooLarge) => ClientErrorKind::BodyTooLarge,
        _ => ClientErrorKind::BodyFailed,
    }
}
