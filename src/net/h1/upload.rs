//! The content of a request on its way to the handler.
//!
//! ```text
//!  socket ── buffer ── Upload (the connection) ── slot: one piece ── Content (the handler)
//! ```
//!
//! The connection itself fills the slot while it waits for the handler or writes the response, and
//! only once the handler has begun to read and has emptied the slot. So the handler's pace is the
//! client's, what waits is bounded by the read buffer and one piece, and no task stands between.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use parking_lot::Mutex;

use super::decode::{Decoded, Decoder};
use crate::message::{BodyError, BodyErrorKind, BodyStream, Piece};

/// Bytes that are read and thrown away so that a connection can go on after content that the
/// handler did not want.
const DISCARD_MAX: u64 = 64 * 1024;

/// The connection's end.
pub(super) struct Upload {
    slot: Arc<Mutex<Slot>>,
    decoder: Decoder,
    /// Whether the client still waits for `100 Continue`.
    expects_continue: bool,
    broken: bool,
    discarded: u64,
}

/// The handler's end.
pub(super) struct Content(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    piece: Option<Result<Piece, BodyError>>,
    /// Nothing follows what is in the slot.
    ended: bool,
    /// The handler has begun to read.
    started: bool,
    /// The handler has dropped its end.
    dropped: bool,
    handler: Option<Waker>,
    connection: Option<Waker>,
}

impl Upload {
    /// Both ends of the content that `decoder` reads.
    pub(super) fn new(decoder: Decoder, expects_continue: bool) -> (Self, Content) {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let content = Content(Arc::clone(&slot));
        (Self { slot, decoder, expects_continue, broken: false, discarded: 0 }, content)
    }

    /// Whether the handler waits for more. The connection is woken when that changes.
    pub(super) fn is_wanted(&self, cx: &Context<'_>) -> bool {
        let mut slot = self.slot.lock();
        if !slot.connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.connection = Some(cx.waker().clone());
        }
        slot.started && slot.piece.is_none() && !slot.ended && !slot.dropped
    }

    /// True once, if the client is to be told that its content is wanted.
    pub(super) fn take_expectation(&mut self) -> bool {
        std::mem::take(&mut self.expects_continue)
    }

    /// The final response goes out. After it no `100 Continue` can be sent, so that a client that
    /// waits for one sends nothing.
    pub(super) fn response_begins(&mut self) {
        if self.expects_continue {
            self.break_off(BodyError::new(BodyErrorKind::Aborted, "answered without reading"));
        }
    }

    /// Hands the next piece over; false if `input` does not hold it yet.
    pub(super) fn fill(&mut self, input: &mut BytesMut) -> bool {
        let piece = match self.decoder.decode(input) {
            Ok(Decoded::More) => return false,
            Ok(Decoded::Data(data)) => Some(Ok(Piece::Data(data))),
            Ok(Decoded::Trailers(trailers)) => Some(Ok(Piece::Trailers(trailers))),
            Ok(Decoded::End) => None,
            Err(error) => {
                self.break_off(error);
                return true;
            }
        };
        // RFC 9110 section 10.1.1: a client that already sends needs no 100.
        self.expects_continue = false;
        self.hand_over(piece);
        true
    }

    /// The content ends here, before its end.
    pub(super) fn break_off(&mut self, error: BodyError) {
        self.broken = true;
        self.hand_over(Some(Err(error)));
    }

    /// Whether the content was read to its end.
    pub(super) fn at_end(&self) -> bool {
        self.decoder.at_end()
    }

    /// Whether another request can follow on the connection, as far as can be told now.
    pub(super) fn may_be_followed(&self) -> bool {
        if self.at_end() {
            return true;
        }
        // RFC 9110 section 10.1.1: a client that got no 100 may or may not send its content now.
        if self.broken {
            return false;
        }
        let reading = !self.slot.lock().dropped;
        reading || self.decoder.outstanding().is_some_and(|left| left <= DISCARD_MAX)
    }

    /// The response is sent: whoever still reads the content gets no more of it.
    pub(super) fn close(&mut self) {
        if !self.at_end() && !self.broken {
            let error = BodyError::new(BodyErrorKind::Aborted, "the response has ended");
            self.hand_over(Some(Err(error)));
        }
    }

    /// Throws away what is left: true at the end, false if more is to be read, `None` if the
    /// connection cannot go on.
    pub(super) fn discard(&mut self, input: &mut BytesMut) -> Option<bool> {
        if !self.may_be_followed() {
            return None;
        }
        loop {
            match self.decoder.decode(input) {
                Ok(Decoded::Data(data)) => self.discarded += data.len() as u64,
                Ok(Decoded::More) => return Some(false),
                Ok(Decoded::Trailers(_) | Decoded::End) => return Some(true),
                Err(_) => return None,
            }
            if self.discarded > DISCARD_MAX {
                return None;
            }
        }
    }

    fn hand_over(&mut self, piece: Option<Result<Piece, BodyError>>) {
        let ended = self.decoder.at_end() || matches!(piece, None | Some(Err(_)));
        let mut slot = self.slot.lock();
        slot.ended = ended;
        if !slot.dropped {
            slot.piece = piece;
        }
        let waker = slot.handler.take();
        drop(slot);
        waker.inspect(Waker::wake_by_ref);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.at_end() && !self.broken {
            self.break_off(BodyError::new(BodyErrorKind::Truncated, "the connection was closed"));
        }
    }
}

impl BodyStream for Content {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let mut slot = self.0.lock();
        // Else the connection knows that more is wanted: as it polls the handler itself, its own
        // look would wake it for ever.
        let is_news = !std::mem::replace(&mut slot.started, true) || slot.piece.is_some();
        let polled = match slot.piece.take() {
            Some(piece) => Poll::Ready(Some(piece)),
            None if slot.ended => Poll::Ready(None),
            None => {
                slot.handler = Some(cx.waker().clone());
                Poll::Pending
            }
        };
        let waker = if is_news { slot.connection.take() } else { None };
        drop(slot);
        waker.inspect(Waker::wake_by_ref);
        polled
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        slot.dropped = true;
        slot.piece = None;
        let waker = slot.connection.take();
        drop(slot);
        waker.inspect(Waker::wake_by_ref);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use super::*;
    use crate::net::h1::head::Framing;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_handler_that_waits_on_the_connections_own_task_does_not_wake_it_for_ever() {
        let (upload, mut content) = Upload::new(Decoder::new(Framing::Length(5), 9, 9), false);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(!upload.is_wanted(&cx));
        assert!(content.poll_piece(&mut cx).is_pending());
        assert_eq!(count.0.load(SeqCst), 1, "it begins to read");
        for _ in 0..3 {
            assert!(upload.is_wanted(&cx));
            assert!(content.poll_piece(&mut cx).is_pending());
        }
        assert_eq!(count.0.load(SeqCst), 1, "nothing has changed since");
    }
}
