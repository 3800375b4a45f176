//! What waits to be written, and the exchanges it belongs to.
//!
//! ```text
//! lines   HTTP/1.1 200 OK…HTTP/1.1 200 OK…          one buffer of the connection, reused
//! parts   Lines(214) Body(…) Lines(214) Body(…)     what leaves, in order
//! open    [exchange, ends at byte 1238] [exchange, ends at byte 2476]
//! ```
//!
//! Heads and chunk lines are copied into `lines`; bodies stay the shared bytes they are. One
//! vectored write takes as many parts as there are, so a small response is one system call, and so
//! are several responses to pipelined requests.
//!
//! Invariants:
//! - [`Handler::ended`] is called exactly once for every exchange opened here, at the latest when
//!   this is dropped, with the bytes of body that the transport took;
//! - after a loss of stored bytes nothing leaves that may have been read since;
//! - once one of the responses is to be cut nothing more leaves of any: they share one stream of
//!   bytes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::message::FilePart;
use crate::message::losses::Mark;
use crate::net::send_file::{poll_send_file, socket_of};
use crate::net::{Ended, Handler, Outcome};

/// Parts of one vectored write.
const SLICES_MAX: usize = 32;

/// The write side of a connection.
pub(super) struct Outgoing<H: Handler> {
    handler: Arc<H>,
    lines: Vec<u8>,
    lines_written: usize,
    parts: VecDeque<Part>,
    open: VecDeque<Open<H::Exchange>>,
    /// Bytes queued and written since the connection began: all, and those of bodies.
    queued: Total,
    written: Total,
    unflushed: bool,
    /// Set before the first of the requests whose responses are open.
    mark: Mark,
    /// The handler wants one of them cut.
    is_cut: bool,
}

/// A piece of what waits.
enum Part {
    /// So many bytes of `lines`.
    Lines(usize),
    /// Bytes of a body.
    Body(Bytes),
    /// Bytes of a body that stand in a file, too.
    File(Bytes, FilePart),
}

#[derive(Clone, Copy, Default)]
struct Total {
    all: u64,
    body: u64,
}

/// An exchange whose response is not yet wholly written.
struct Open<X> {
    exchange: X,
    /// Total of body bytes queued before its own.
    body_start: u64,
    /// Total queued with its last byte, and how it ended; `None` while its body still comes.
    end: Option<(Total, Outcome)>,
}

impl<X> Open<X> {
    /// Whether bytes of its body come behind so many of all bodies.
    fn has_body_after(&self, body: u64) -> bool {
        self.end.is_none_or(|(end, _)| end.body > self.body_start.max(body))
    }
}

impl<H: Handler> Outgoing<H> {
    pub(super) fn new(handler: Arc<H>) -> Self {
        Self {
            handler,
            lines: Vec::new(),
            lines_written: 0,
            parts: VecDeque::new(),
            open: VecDeque::new(),
            queued: Total::default(),
            written: Total::default(),
            unflushed: false,
            mark: Mark::now(),
            is_cut: false,
        }
    }

    pub(super) fn handler(&self) -> &Arc<H> {
        &self.handler
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.queued.all - self.written.all
    }

    /// Whether the transport has taken and passed on all that was queued.
    pub(super) fn is_written(&self) -> bool {
        self.parts.is_empty() && !self.unflushed
    }

    /// Bytes that the transport took since the connection began.
    pub(super) fn written(&self) -> u64 {
        self.written.all
    }

    /// A request is handed on next: what is stored is vouched for from here on, unless an earlier
    /// response still waits.
    pub(super) fn mark(&mut self) {
        if self.parts.is_empty() && self.open.is_empty() && !self.unflushed {
            self.mark = Mark::now();
        }
    }

    /// Whether a response is on its way.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Asks whether the responses on their way may run on, those of whose bodies some is still to
    /// leave. Returns by when to ask again; `None` where there is none, or one is to be
    /// [cut](Self::is_cut).
    pub(super) fn may_run_until(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let written = self.written.body;
        for open in self.open.iter_mut().filter(|open| open.has_body_after(written)) {
            let until = self.handler.may_run_until(&mut open.exchange, now.into_std());
            self.is_cut |= until.is_none();
            next = next.into_iter().chain(until.map(Instant::from)).min();
        }
        next.filter(|_| !self.is_cut)
    }

    /// Whether the handler wants one of the responses on their way cut.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Begins the response of an exchange.
    pub(super) fn open(&mut self, exchange: H::Exchange) {
        let body_start = self.queued.body;
        self.open.push_back(Open { exchange, body_start, end: None });
    }

    /// Queues what `write` appends.
    pub(super) fn lines(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.lines.len();
        write(&mut self.lines);
        let length = self.lines.len() - before;
        self.queued.all += length as u64;
        match self.parts.back_mut() {
            Some(Part::Lines(last)) => *last += length,
            _ => self.parts.push_back(Part::Lines(length)),
        }
    }

    /// Queues bytes of the body of the exchange opened last.
    pub(super) fn body(&mut self, bytes: Bytes) {
        self.queued.all += bytes.len() as u64;
        self.queued.body += bytes.len() as u64;
        if !bytes.is_empty() {
            self.parts.push_back(Part::Body(bytes));
        }
    }

    /// The same, of bytes that may be sent from `file`.
    pub(super) fn file(&mut self, bytes: Bytes, file: FilePart) {
        self.queued.all += bytes.len() as u64;
        self.queued.body += bytes.len() as u64;
        if !bytes.is_empty() {
            self.parts.push_back(Part::File(bytes, file));
        }
    }

    /// Bytes of the exchange opened last went to the transport by another way, after all else.
    pub(super) fn passed(&mut self, bytes: u64) {
        for total in [&mut self.queued, &mut self.written] {
            total.all += bytes;
            total.body += bytes;
        }
    }

    /// Nothing more comes for the exchange opened last.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        if let Some(open) = self.open.back_mut() {
            open.end = Some((self.queued, outcome));
        }
        // Its last byte may be written already.
        self.end_written();
    }

    /// Writes until nothing waits.
    pub(super) fn poll_write<IO>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        IO: AsyncWrite + Unpin + 'static,
    {
        while !self.parts.is_empty() {
            self.check_mark()?;
            let written = match (self.parts.front(), socket_of(io)) {
                (Some(Part::File(bytes, file)), Some(socket)) => {
                    ready!(poll_send_file(socket, cx, file, bytes.len()))?
                }
                _ => {
                    let slices: SmallVec<[IoSlice<'_>; SLICES_MAX]> = self.slices().collect();
                    ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        if self.unflushed {
            self.check_mark()?;
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Looks at the mark, which over TLS is after the transport has read the bytes of the last
    /// write, and before it sends them.
    fn check_mark(&self) -> io::Result<()> {
        if self.mark.holds() { Ok(()) } else { Err(io::Error::other("stored bytes were lost")) }
    }

    /// Gives memory back. Only while nothing waits.
    pub(super) fn release(&mut self) {
        debug_assert!(self.parts.is_empty() && self.open.is_empty());
        self.lines = Vec::new();
        self.parts = VecDeque::new();
        self.open = VecDeque::new();
    }

    fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        let mut lines = &self.lines[self.lines_written..];
        // What can leave from a file leaves alone, unless it stands first: then it has to be
        // copied.
        let mut place = 0..;
        let together =
            move |part: &&Part| place.next() == Some(0) || !matches!(part, Part::File(..));
        self.parts.iter().take(SLICES_MAX).take_while(together).map(move |part| match part {
            Part::Lines(length) => {
                let (these, rest) = lines.split_at(*length);
                lines = rest;
                IoSlice::new(these)
            }
            Part::Body(bytes) | Part::File(bytes, _) => IoSlice::new(bytes),
        })
    }

    fn advance(&mut self, mut count: usize) {
        self.written.all += count as u64;
        while count > 0 {
            let Some(part) = self.parts.front_mut() else { break };
            let (taken, left) = match part {
                Part::Lines(length) => {
                    let taken = count.min(*length);
                    *length -= taken;
                    self.lines_written += taken;
                    (taken, *length)
                }
                Part::File(bytes, file) => {
                    let taken = count.min(bytes.len());
                    bytes.advance(taken);
                    file.offset += taken as u64;
                    self.written.body += taken as u64;
                    (taken, bytes.len())
                }
                Part::Body(bytes) => {
                    let taken = count.min(bytes.len());
                    bytes.advance(taken);
                    self.written.body += taken as u64;
                    (taken, bytes.len())
                }
            };
            count -= taken;
            if left == 0 {
                self.parts.pop_front();
            }
        }
        if self.parts.is_empty() {
            self.lines.clear();
            self.lines_written = 0;
        }
        self.end_written();
    }

    /// Ends the exchanges whose last byte was written.
    fn end_written(&mut self) {
        while let Some(Open { end: Some((end, outcome)), body_start, .. }) = self.open.front() {
            if end.all > self.written.all {
                break;
            }
            let ended = Ended { body_bytes: end.body - body_start, outcome: *outcome };
            if let Some(open) = self.open.pop_front() {
                self.handler.ended(open.exchange, ended);
            }
        }
    }
}

impl<H: Handler> Drop for Outgoing<H> {
    fn drop(&mut self) {
        for Open { exchange, body_start, end } in self.open.drain(..) {
            let body_end = end.map_or(self.queued.body, |(end, _)| end.body);
            let body_bytes = self.written.body.min(body_end).saturating_sub(body_start);
            let outcome = match end {
                Some((_, Outcome::Truncated)) => Outcome::Truncated,
                _ if self.is_cut || !self.mark.holds() => Outcome::Truncated,
                _ => Outcome::ClientGone,
            };
            self.handler.ended(exchange, Ended { body_bytes, outcome });
        }
    }
}
