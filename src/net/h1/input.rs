//! The read side: the buffer, the next head, and the wait between requests.
//!
//! The buffer is there only while a client is busy. A connection that has been idle for a moment
//! gives it back, and waits with nothing but its future and one timer.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::head::Scan;
use super::{Connection, End};
use crate::net::drain::DRAIN_GRACE;
use crate::net::{Fault, Handler, Limits};

/// Bytes of a read buffer. A head that does not fit makes it grow.
pub(super) const BUFFER: usize = 8 * 1024;
/// Bytes of a read buffer while content is read.
pub(super) const CONTENT_BUFFER: usize = 64 * 1024;
/// A connection that is idle for longer gives its buffers back.
const WARM: Duration = Duration::from_millis(100);
/// Bytes of the first read after that, on the stack.
const FIRST_READ: usize = 2 * 1024;
/// What a request line holds beside its target, with a long method.
const REQUEST_LINE_REST: usize = 64;

/// Bytes that the client sent and nobody has taken.
pub(super) struct Input {
    pub(super) buffer: BytesMut,
    scan: Scan,
    /// The client has shut its write side.
    pub(super) closed: bool,
    /// Whether the last head was that of a HEAD request.
    pub(super) asks_head: bool,
}

impl Input {
    pub(super) fn new(first: BytesMut) -> Self {
        Self { buffer: first, scan: Scan::default(), closed: false, asks_head: false }
    }

    /// Whether nothing more can come.
    pub(super) fn is_exhausted(&self) -> bool {
        self.closed && self.buffer.is_empty()
    }

    /// The next head, once it is complete.
    fn take_head(&mut self, limits: &Limits) -> Result<Option<Bytes>, Fault> {
        // RFC 9112 section 2.2: empty lines before a request line are ignored.
        while self.scan.in_first_line() && self.buffer.starts_with(b"\r\n") {
            self.buffer.advance(2);
        }
        if self.buffer.first().is_some_and(|byte| !byte.is_ascii_graphic() && *byte != b'\r') {
            return Err(Fault::bad_request("request line: expected method, target and version"));
        }
        let end = self
            .scan
            .end(&self.buffer)
            .map_err(|_| Fault::bad_request("line end: expected CR LF"))?;
        if end.unwrap_or(self.buffer.len()) > limits.header_bytes {
            return Err(Fault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head too large"));
        }
        if self.scan.in_first_line()
            && end.is_none()
            && self.buffer.len() > limits.url + REQUEST_LINE_REST
        {
            return Err(Fault::new(StatusCode::URI_TOO_LONG, "request target too long"));
        }
        let head = end.map(|end| self.buffer.split_to(end).freeze());
        if let Some(head) = &head {
            self.asks_head = head.starts_with(b"HEAD ");
        }
        Ok(head)
    }

    /// Reads once into a buffer of `size`, or what is there of one; 0 bytes at the end.
    pub(super) fn poll_fill<IO>(
        &mut self,
        io: &mut IO,
        size: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        IO: AsyncRead + Unpin,
    {
        // Nothing is allocated if all requests that were cut from this buffer are dropped.
        let room = self.buffer.capacity() - self.buffer.len();
        if room < size / 2 && !self.buffer.try_reclaim(size) {
            self.buffer.reserve(size);
        }
        let read = ready!(pin!(io.read_buf(&mut self.buffer)).poll(cx))?;
        self.closed |= read == 0;
        Poll::Ready(Ok(read))
    }

    /// Reads once after an idle time, when there is no buffer.
    fn poll_first<IO>(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        IO: AsyncRead + Unpin,
    {
        let mut bytes = [const { MaybeUninit::uninit() }; FIRST_READ];
        let mut read = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(io).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            self.closed = true;
        } else {
            self.buffer.reserve(BUFFER);
            self.buffer.extend_from_slice(read.filled());
        }
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Gives memory back. Only while nothing is buffered.
    fn release(&mut self) {
        debug_assert!(self.buffer.is_empty());
        self.buffer = BytesMut::new();
    }
}

impl<IO, H> Connection<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    /// The next head; waits for it as long as it may take.
    pub(super) async fn next_head(&mut self) -> Result<Bytes, End> {
        let mut begun = None;
        loop {
            if let Some(head) = self.input.take_head(&self.limits)? {
                self.now = Instant::now();
                let begun = begun.unwrap_or(self.now);
                self.patience.wait_until(begun + self.limits.request_timeout);
                return Ok(head);
            }
            // All that was answered so far leaves before the wait for more.
            self.flush().await?;
            if self.input.closed {
                return Err(End::Done);
            }
            if self.input.buffer.is_empty() && begun.is_none() {
                self.idle().await?;
                continue;
            }
            let since = *begun.get_or_insert_with(Instant::now);
            self.patience.wait_until(since + self.limits.header_timeout);
            self.read_more().await.map_err(|end| match end {
                End::Linger => {
                    Fault::new(StatusCode::REQUEST_TIMEOUT, "head not complete in time").into()
                }
                end => end,
            })?;
        }
    }

    /// Waits for bytes, or for the end of the client's side; [`End::Linger`] past the deadline.
    pub(super) async fn read_more(&mut self) -> Result<(), End> {
        let Self { input, io, patience, .. } = self;
        poll_fn(|cx| match input.poll_fill(io, BUFFER, cx) {
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(End::Gone)),
            Poll::Pending => patience.poll(cx).map(|_| Err(End::Linger)),
        })
        .await
    }

    /// Waits for the first bytes of a request.
    async fn idle(&mut self) -> Result<(), End> {
        let deadline = self.now + self.limits.idle_timeout;
        if self.input.buffer.capacity() > 0 {
            self.patience.wait_until(deadline.min(self.now + WARM));
            match self.read_more().await {
                Err(End::Linger) => {}
                done => return done,
            }
            self.input.release();
            self.out.release();
        }
        self.patience.wait_until(deadline);
        self.sleep().await
    }

    /// Waits with no buffer. A drain ends it soon: no response has told the client yet that there
    /// is one, so that its next request may be on its way.
    async fn sleep(&mut self) -> Result<(), End> {
        let Self { input, io, patience, drain, .. } = self;
        let mut draining = pin!(drain.draining());
        let mut told = false;
        poll_fn(|cx| {
            if let Poll::Ready(read) = input.poll_first(io, cx) {
                return Poll::Ready(read.map(drop).map_err(|_| End::Gone));
            }
            if !told && draining.as_mut().poll(cx).is_ready() {
                told = true;
                patience.wait_no_longer_than(Instant::now() + DRAIN_GRACE);
            }
            patience.poll(cx).map(|_| Err(End::Done))
        })
        .await
    }
}
