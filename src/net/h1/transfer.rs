//! Bytes in both directions at once: while the handler is waited for, and while its response goes
//! out piece by piece.

use std::future::poll_fn;
use std::task::{Context, Poll};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::encode::{self, Asked, Delimiter};
use super::input::{BUFFER, CONTENT_BUFFER};
use super::out::Outgoing;
use super::patience::Over;
use super::{Connection, End};
use crate::message::{BodyError, BodyErrorKind, BodyStream, Piece};
use crate::net::{Fault, Handler, Later, Outcome, Reply, Waited};

/// The body of a response that arrives in pieces.
pub(super) struct Sender {
    body: Box<dyn BodyStream>,
    delimiter: Delimiter,
    takes_trailers: bool,
    sent: u64,
}

impl Sender {
    pub(super) fn new(
        body: Box<dyn BodyStream>,
        delimiter: Delimiter,
        takes_trailers: bool,
    ) -> Self {
        Self { body, delimiter, takes_trailers, sent: 0 }
    }

    /// Queues one step of the body; its outcome if that was the last.
    fn queue<H: Handler>(
        &mut self,
        piece: Option<Result<Piece, BodyError>>,
        out: &mut Outgoing<H>,
    ) -> Option<Outcome> {
        let trailers = match piece {
            Some(Ok(Piece::Data(data))) => {
                self.sent += data.len() as u64;
                let file = self.body.file(&data);
                let body = |out: &mut Outgoing<H>, data| match file {
                    Some(file) => out.file(data, file),
                    None => out.body(data),
                };
                match self.delimiter {
                    Delimiter::Length(length) if self.sent > length => {
                        return Some(Outcome::Truncated);
                    }
                    Delimiter::Chunked if !data.is_empty() => {
                        out.lines(|out| encode::chunk_size(out, data.len()));
                        body(out, data);
                        out.lines(|out| out.extend_from_slice(b"\r\n"));
                    }
                    _ => body(out, data),
                }
                return None;
            }
            Some(Ok(Piece::Trailers(trailers))) => Some(trailers),
            Some(Err(_)) => return Some(Outcome::Truncated),
            None => None,
        };
        match self.delimiter {
            Delimiter::Length(length) if self.sent < length => return Some(Outcome::Truncated),
            Delimiter::Chunked => {
                let trailers = trailers.as_ref().filter(|_| self.takes_trailers);
                out.lines(|out| encode::last_chunk(out, trailers));
            }
            _ => {}
        }
        Some(Outcome::Complete)
    }
}

impl<IO, H> Connection<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    /// Waits for the handler, moving what it reads of the request.
    pub(super) async fn wait(
        &mut self,
        mut answer: Later<H::Exchange>,
        asked: Asked,
    ) -> Result<Reply<H::Exchange>, End> {
        let waited = poll_fn(|cx| {
            loop {
                match answer.poll_next(cx) {
                    Poll::Ready(Waited::Reply(reply)) => return Poll::Ready(Ok(reply)),
                    // RFC 9110 section 15.2: HTTP/1.0 knows of none.
                    Poll::Ready(Waited::Interim(_)) if asked.minor == 0 => {}
                    Poll::Ready(Waited::Interim(interim)) => {
                        self.out.lines(|out| encode::interim(out, &interim));
                    }
                    Poll::Pending => return self.poll_client(cx).map(Err),
                }
            }
        });
        let waited = waited.await;
        self.patience.stop_reviews();
        self.now = Instant::now();
        waited.map_err(|end| match end {
            // Nothing of a response is sent yet, so that it can be a refusal.
            End::Cut if self.upload.as_ref().is_some_and(|upload| !upload.at_end()) => {
                Fault::new(StatusCode::REQUEST_TIMEOUT, "content not complete in time").into()
            }
            End::Cut => Fault::new(StatusCode::SERVICE_UNAVAILABLE, "request timeout").into(),
            end => end,
        })
    }

    /// Sends a body as it arrives; its last bytes may still wait to be written.
    pub(super) async fn stream(&mut self, mut sender: Sender) -> Result<Outcome, End> {
        let outcome = poll_fn(|cx| self.poll_stream(&mut sender, cx)).await;
        self.patience.stop_reviews();
        self.now = Instant::now();
        outcome
    }

    /// Writes all that waits.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let mut has_waited = false;
        let written = poll_fn(|cx| match self.poll_write(cx) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => {
                has_waited = true;
                self.poll_io(cx).map(Err)
            }
        });
        let written = written.await;
        if has_waited {
            self.patience.stop_reviews();
            self.now = Instant::now();
        }
        written
    }

    fn poll_stream(
        &mut self,
        sender: &mut Sender,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Outcome, End>> {
        loop {
            // Pieces that are ready leave in one write; more are not asked for than may wait.
            let mut is_dry = false;
            while !is_dry && self.out.waiting() < self.limits.connection_buffer as u64 {
                match sender.body.poll_piece(cx) {
                    Poll::Pending => is_dry = true,
                    Poll::Ready(piece) => {
                        if let Some(outcome) = sender.queue(piece, &mut self.out) {
                            return Poll::Ready(Ok(outcome));
                        }
                    }
                }
            }
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) if !is_dry => {}
                Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                _ => return self.poll_client(cx).map(Err),
            }
        }
    }

    /// Moves what can be moved while the handler is waited for. Ready as [`poll_io`](Self::poll_io)
    /// is, and if the client has shut its side down and nothing is on its way to it: a client that
    /// left and one that only has no more to say look the same, and the former is the usual one.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_io(cx) {
            return Poll::Ready(end);
        }
        let has_left = self.input.closed && !self.limits.half_close && self.out.is_written();
        if has_left { Poll::Ready(End::Gone) } else { Poll::Pending }
    }

    /// Moves what can be moved. Ready if the connection cannot go on: [`End::Cut`] past the
    /// deadline, [`End::Gone`] if the client is to blame, [`End::Broken`] if writing fails or what
    /// is on its way may not go on.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.poll_input(cx).is_ready() {
            return Poll::Ready(End::Gone);
        }
        if let Poll::Ready(Err(end)) = self.poll_write(cx) {
            return Poll::Ready(end);
        }
        loop {
            if !self.patience.is_review_set() && !self.review() {
                return Poll::Ready(End::Broken);
            }
            match self.patience.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Over::Unreviewed) => {}
                Poll::Ready(Over::Deadline) => return Poll::Ready(End::Cut),
                Poll::Ready(Over::Taking) => return Poll::Ready(End::Gone),
                Poll::Ready(Over::Sending) => {
                    self.patience.stop_sending();
                    self.break_upload(BodyErrorKind::Timeout, "content too slow");
                }
            }
        }
    }

    /// Reads what the handler waits for, and ahead as far as that is bounded, so that a client that
    /// went away is noticed. Ready if it did.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let wanted = self.upload.as_ref().is_some_and(|upload| upload.is_wanted(cx));
            if let Some(upload) = self.upload.as_mut().filter(|_| wanted) {
                if upload.fill(&mut self.input.buffer) {
                    continue;
                }
                if upload.take_expectation() {
                    self.out.lines(|out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
                }
                if self.input.closed {
                    self.break_upload(BodyErrorKind::Truncated, "the client closed");
                    continue;
                }
            }
            if !wanted {
                self.patience.pause_sending();
                let is_full = self.input.buffer.len() >= self.limits.header_bytes;
                if is_full || self.input.closed {
                    return Poll::Pending;
                }
            }
            let size = if wanted { CONTENT_BUFFER } else { BUFFER };
            match self.input.poll_fill(&mut self.io, size, cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(bytes)) if wanted => self.patience.wait_for_sending(bytes),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if wanted => {
                    self.patience.wait_for_sending(0);
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Asks whether the responses on their way may go on; false if one is to be cut.
    fn review(&mut self) -> bool {
        if self.out.is_open()
            && let Some(at) = self.out.may_run_until(Instant::now())
        {
            self.patience.review_at(at);
        }
        !self.out.is_cut()
    }

    fn break_upload(&mut self, kind: BodyErrorKind, detail: &'static str) {
        if let Some(upload) = &mut self.upload {
            upload.break_off(BodyError::new(kind, detail));
        }
    }

    /// Writes what waits; the client's pace counts while it does not take all.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let before = self.out.written();
        match self.out.poll_write(&mut self.io, cx) {
            Poll::Ready(written) => {
                self.patience.stop_taking();
                Poll::Ready(written.map_err(|_| End::Broken))
            }
            Poll::Pending => {
                self.patience.wait_for_taking((self.out.written() - before) as usize);
                Poll::Pending
            }
        }
    }
}
