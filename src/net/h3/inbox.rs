//! The content of a request on its way from the stream to the handler.
//!
//! The session fills it while it holds less than [`ENOUGH`]; beyond that the client is stopped by
//! QUIC's flow control. The handler's side wakes the stream when it has taken some.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

use crate::message::{BodyError, BodyStream, Piece};

/// Bytes kept ahead of the reader.
const ENOUGH: usize = 64 * 1024;
/// What a piece costs beyond its bytes, so that many small ones are bounded too.
const PIECE_OVERHEAD: usize = 64;

/// The session's side.
#[derive(Debug)]
pub(super) struct Inbox(Arc<Mutex<State>>);

/// The handler's side.
#[derive(Debug)]
struct Content(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    end: Option<End>,
    /// Woken when there is something to read.
    reader: Option<Waker>,
    /// Woken when there is room, or the reader begins to wait for a `100 (Continue)`.
    stream: Waker,
    wants_continue: bool,
    expects_continue: bool,
    dropped: bool,
}

#[derive(Debug)]
enum End {
    Whole(Option<HeaderMap>),
    Broken(BodyError),
    Told,
}

impl Inbox {
    /// An empty inbox and its reader. `stream` wakes the stream it belongs to.
    pub(super) fn new(stream: Waker, expects_continue: bool) -> (Self, Box<dyn BodyStream>) {
        let state = Arc::new(Mutex::new(State {
            pieces: VecDeque::new(),
            bytes: 0,
            end: None,
            reader: None,
            stream,
            wants_continue: false,
            expects_continue,
            dropped: false,
        }));
        (Self(Arc::clone(&state)), Box::new(Content(state)))
    }

    /// Whether more content is to be read from the stream.
    pub(super) fn has_room(&self) -> bool {
        let state = self.0.lock();
        state.bytes < ENOUGH && !state.dropped
    }

    /// Whether nobody will read on.
    pub(super) fn is_dropped(&self) -> bool {
        self.0.lock().dropped
    }

    /// Whether the reader waits for the client.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.lock().reader.is_some()
    }

    /// Whether a `100 (Continue)` is due; true once.
    pub(super) fn take_continue(&self) -> bool {
        std::mem::take(&mut self.0.lock().wants_continue)
    }

    /// A piece has come.
    pub(super) fn push(&self, piece: Bytes) {
        let mut state = self.0.lock();
        if state.dropped {
            return;
        }
        state.expects_continue = false;
        state.bytes += piece.len() + PIECE_OVERHEAD;
        state.pieces.push_back(piece);
        wake(state.reader.take());
    }

    /// The content is whole.
    pub(super) fn finish(&self, trailers: Option<HeaderMap>) {
        self.end(End::Whole(trailers));
    }

    /// The content broke off.
    pub(super) fn fail(&self, error: BodyError) {
        self.end(End::Broken(error));
    }

    fn end(&self, end: End) {
        let mut state = self.0.lock();
        state.end.get_or_insert(end);
        wake(state.reader.take());
    }
}

impl BodyStream for Content {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let mut state = self.0.lock();
        if let Some(piece) = state.pieces.pop_front() {
            let was_full = state.bytes >= ENOUGH;
            state.bytes -= piece.len() + PIECE_OVERHEAD;
            if was_full && state.bytes < ENOUGH {
                state.stream.wake_by_ref();
            }
            return Poll::Ready(Some(Ok(Piece::Data(piece))));
        }
        match state.end.replace(End::Told) {
            Some(End::Whole(trailers)) => {
                Poll::Ready(trailers.map(|trailers| Ok(Piece::Trailers(trailers))))
            }
            Some(End::Broken(error)) => Poll::Ready(Some(Err(error))),
            Some(End::Told) => Poll::Ready(None),
            None => {
                state.end = None;
                state.reader = Some(cx.waker().clone());
                if std::mem::take(&mut state.expects_continue) {
                    state.wants_continue = true;
                    state.stream.wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.dropped = true;
        state.pieces.clear();
        state.bytes = 0;
        state.stream.wake_by_ref();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
