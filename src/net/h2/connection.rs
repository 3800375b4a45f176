//! One connection: a session and its socket, in one task.
//!
//! ```text
//! loop: read once ─▶ serve every request of it ─▶ let bodies send ─▶ write all in few calls
//! ```
//!
//! Reading pauses while the output is long, so a client that takes nothing is given nothing to do.

use std::future::Future;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

use super::deadlines::DRAIN_ROUND_TRIP;
use super::frame::{Code, HEAD, MAX_PAYLOAD};
use super::session::{Error, Session};
use crate::message::Peer;
use crate::net::pace::Pace;
use crate::net::timer::Timer;
use crate::net::{Handler, Limits};

/// Room for reading: two of the largest frames.
const READ: usize = 2 * (MAX_PAYLOAD + HEAD);

/// Pieces of one vectored write.
const PIECES: usize = 64;

/// How long a connection is quiet before its buffers are given back.
const REST: Duration = Duration::from_secs(1);

/// How long the client has to take the last bytes, and to close its side, after the end.
const LINGER: Duration = Duration::from_secs(2);

/// A session on its socket.
pub(super) struct Connection<IO, H: Handler> {
    io: IO,
    input: BytesMut,
    session: Session<H>,
    timer: Timer,
    /// Since when the client is waited for.
    pace: Option<Pace>,
    phase: Phase,
    /// Whether what was written may still stand in the transport's own buffer.
    unflushed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing more is served: the output leaves, then our side closes.
    Closing,
    /// Closed on our side. What the client still sends is thrown away, lest the kernel answer it
    /// with a reset that destroys our last bytes on their way.
    Lingering,
}

/// The socket is of no more use.
struct Gone;

impl<IO, H> Connection<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    /// A connection that begins at `now` with the bytes already read.
    pub(super) fn new(
        io: IO,
        first: BytesMut,
        peer: Peer,
        handler: Arc<H>,
        limits: Arc<Limits>,
        alt_svc: Option<Bytes>,
        now: Instant,
    ) -> Self {
        let timer = Timer::new(now + limits.handshake_timeout);
        Self {
            io,
            input: first,
            session: Session::new(handler, limits, peer, alt_svc, now),
            timer,
            pace: None,
            phase: Phase::Open,
            unflushed: false,
        }
    }

    /// Runs until the connection is over. Cancel safe.
    pub(super) async fn run(&mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    /// Lets the client finish what it has begun, and nothing more.
    pub(super) fn drain(&mut self) {
        self.session.begin_drain(Instant::now() + DRAIN_ROUND_TRIP);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.now = Instant::now();
        self.session.ready.set_parent(cx.waker());
        loop {
            let progress = match self.phase {
                Phase::Open => self.serve(cx),
                Phase::Closing => self.finish(cx),
                Phase::Lingering => self.linger(cx),
            };
            match progress {
                Ok(true) => {}
                Ok(false) => match self.poll_time(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(Gone)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                },
                Err(Gone) => return Poll::Ready(()),
            }
            if self.phase == Phase::Open && self.session.is_over() {
                self.close();
            }
        }
    }

    /// One round. False if there is nothing to do but wait.
    fn serve(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        if !self.unflushed {
            self.session.mark();
        }
        let mut progress = self.read(cx)?;
        if let Err(Error::Connection(code, detail)) = self.session.receive(&mut self.input) {
            self.session.fail(code, detail);
            return Ok(true);
        }
        progress |= self.session.work();
        self.session.pump();
        Ok(progress | self.write(cx)?)
    }

    /// Reads once, if there is room for what it may bring.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        if self.session.output.queued() >= self.session.limits.connection_buffer {
            return Ok(false);
        }
        if self.input.capacity() - self.input.len() < HEAD + MAX_PAYLOAD {
            self.input.reserve(READ - self.input.len().min(READ));
        }
        match poll_read(&mut self.io, &mut self.input, cx) {
            Poll::Ready(Ok(0) | Err(_)) => Err(Gone),
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Pending => Ok(false),
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        let mut progress = false;
        // A stream that was reset may have ended without a byte to write.
        self.session.written(0);
        while !self.session.output.is_empty() {
            self.check()?;
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = self.session.output.slices(&mut slices);
            let io = Pin::new(&mut self.io);
            match io.poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(Ok(0) | Err(_)) => return Err(Gone),
                Poll::Ready(Ok(written)) => {
                    self.session.written(written);
                    if let Some(pace) = &mut self.pace {
                        pace.moved(written, self.session.now);
                    }
                    progress = true;
                    self.unflushed = true;
                }
                Poll::Pending => return Ok(progress),
            }
        }
        if self.unflushed {
            self.check()?;
            if Pin::new(&mut self.io).poll_flush(cx).map_err(|_| Gone)?.is_ready() {
                self.unflushed = false;
            }
        }
        Ok(progress)
    }

    /// Stored bytes that were lost must not leave, nor a response that is to be cut. Over TLS this
    /// looks after the transport has read the bytes of the last write, and before it sends them.
    fn check(&self) -> Result<(), Gone> {
        if self.session.is_intact() { Ok(()) } else { Err(Gone) }
    }

    fn close(&mut self) {
        self.phase = Phase::Closing;
        self.timer.set(self.session.now + LINGER);
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        self.write(cx)?;
        if !self.session.output.is_empty() || self.unflushed {
            return Ok(false);
        }
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Ready(Ok(())) => {
                self.phase = Phase::Lingering;
                Ok(true)
            }
            Poll::Ready(Err(_)) => Err(Gone),
            Poll::Pending => Ok(false),
        }
    }

    fn linger(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        self.input.clear();
        self.input.reserve(READ);
        match poll_read(&mut self.io, &mut self.input, cx) {
            Poll::Ready(Ok(0) | Err(_)) => Err(Gone),
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Pending => Ok(false),
        }
    }

    /// Sets the timer for what is waited for. Ready if something was due, and done.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let now = self.session.now;
        if self.phase != Phase::Open {
            ready!(self.timer.poll_expired(cx));
            return Poll::Ready(Err(Gone));
        }
        if self.session.review() {
            return Poll::Ready(Ok(()));
        }
        self.session.note_partial(&self.input);
        self.note_pace(now);
        let mut deadline = self.session.deadline();
        if let Some(pace) = &self.pace {
            deadline = deadline.min(pace.next_judgement());
        }
        if self.session.is_idle() && self.input.is_empty() {
            let rest = self.session.active + REST;
            if now < rest {
                deadline = deadline.min(rest);
            } else {
                self.input = BytesMut::new();
                self.session.shrink();
            }
        }
        self.timer.set(deadline);
        ready!(self.timer.poll_expired(cx));
        self.session.now = Instant::now();
        let now = self.session.now;
        if self.pace.as_mut().is_some_and(|pace| !pace.judge(now)) {
            self.session.fail(Code::ENHANCE_YOUR_CALM, "too slow");
        }
        self.session.expire();
        Poll::Ready(Ok(()))
    }

    /// Judges the client's pace from the moment that it is waited for.
    fn note_pace(&mut self, now: Instant) {
        let received = std::mem::take(&mut self.session.content_received);
        if !self.session.waits_for_client() {
            self.pace = None;
            return;
        }
        let limits = &self.session.limits;
        let pace = self.pace.get_or_insert_with(|| Pace::new(limits, now));
        pace.moved(received, now);
    }
}

/// Reads once into the room that `input` has.
fn poll_read<IO: AsyncRead + Unpin>(
    io: &mut IO,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    // The future keeps nothing between polls, so it need not live on.
    pin!(io.read_buf(input)).poll(cx)
}
