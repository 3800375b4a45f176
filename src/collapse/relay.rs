//! The relay: one writer pours a body in while it arrives, any number of readers read it at their
//! own pace.
//!
//! ```text
//!           base                                  end
//!            │ piece │ piece │ piece │ piece │ piece │ ◄── writer
//!                ▲ slow reader            ▲ fast reader
//! ```
//!
//! While the body may still be stored, all pieces are kept: base is 0, and the bound is the largest
//! object that is stored. A body that turns out too large keeps a window behind its end: the writer
//! waits while even the fastest reader is a whole window behind, and a reader that falls out of the
//! window is cut off visibly. So a slow reader holds nobody back, and no unbounded memory.
//!
//! One lock guards it all; it is held for a few instructions at a time, never while waking.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

use crate::message::{Body, BodyError, BodyErrorKind, BodyStream, Piece};

/// A body on its way.
#[derive(Debug)]
pub struct Relay {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Pieces given up before the first in `pieces`, and their bytes.
    dropped: usize,
    base: u64,
    end: u64,
    /// Bytes kept behind the end; `None`: all.
    window: Option<u64>,
    finished: Option<Result<Option<Arc<HeaderMap>>, BodyError>>,
    readers: Vec<Option<ReaderSlot>>,
    writer: Option<Waker>,
}

#[derive(Debug, Default)]
struct ReaderSlot {
    position: u64,
    waker: Option<Waker>,
}

impl Relay {
    /// An empty relay, and its writer.
    pub fn new() -> (Arc<Self>, RelayWriter) {
        let relay = Arc::new(Self { state: Mutex::default() });
        let writer = RelayWriter { relay: relay.clone() };
        (relay, writer)
    }

    /// A body of `length` bytes from `start` on (all there are, if `None`); no body at all if what
    /// it begins with is given up already, or the writer has broken off. Trailers come only to
    /// those who read to the end.
    pub fn reader(self: &Arc<Self>, start: u64, length: Option<u64>) -> Option<Body> {
        let mut state = self.state.lock();
        if start < state.base || matches!(state.finished, Some(Err(_))) {
            return None;
        }
        let slot = ReaderSlot { position: start, waker: None };
        let place = state.readers.iter().position(Option::is_none).unwrap_or(state.readers.len());
        if place == state.readers.len() {
            state.readers.push(None);
        }
        state.readers[place] = Some(slot);
        let reader = Reader {
            relay: self.clone(),
            slot: place,
            piece: state.dropped,
            skip: start - state.base,
            position: start,
            left: length.unwrap_or(u64::MAX),
            over: false,
        };
        Some(Body::Stream(Box::new(reader)))
    }

    /// Bytes poured in so far.
    pub fn end(&self) -> u64 {
        self.state.lock().end
    }

    /// Whether the writer has broken off.
    pub fn is_broken(&self) -> bool {
        matches!(self.state.lock().finished, Some(Err(_)))
    }
}

impl State {
    fn take_wakers(&mut self) -> Vec<Waker> {
        self.readers.iter_mut().flatten().filter_map(|slot| slot.waker.take()).collect()
    }

    /// Gives up the pieces that lie outside of the window. True if there is room for more.
    fn slide(&mut self) -> bool {
        let Some(window) = self.window else { return true };
        let fastest = self.readers.iter().flatten().map(|slot| slot.position).max();
        if self.end - fastest.unwrap_or(self.end).min(self.end) >= window {
            return false;
        }
        while let Some(first) = self.pieces.front() {
            if self.end - self.base - (first.len() as u64) < window {
                break;
            }
            self.base += first.len() as u64;
            self.dropped += 1;
            self.pieces.pop_front();
        }
        true
    }
}

/// The one who pours in. Dropping it before [`finish`](Self::finish) fails the body.
#[derive(Debug)]
pub struct RelayWriter {
    relay: Arc<Relay>,
}

impl RelayWriter {
    /// Appends a piece.
    pub fn push(&self, piece: Bytes) {
        let mut state = self.relay.state.lock();
        state.end += piece.len() as u64;
        state.pieces.push_back(piece);
        state.slide();
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Keeps only `window` bytes behind the end from now on: the body will not be stored.
    pub fn keep_window(&self, window: u64) {
        self.relay.state.lock().window = Some(window);
    }

    /// Waits until there is room, if only a window is kept. Cancel safe.
    pub async fn room(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.relay.state.lock();
            if state.slide() {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits until nobody reads. Cancel safe.
    pub async fn deserted(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.relay.state.lock();
            if state.readers.iter().all(Option::is_none) {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Bytes poured in so far.
    pub fn written(&self) -> u64 {
        self.relay.end()
    }

    /// All pieces; `None` if only a window is kept.
    pub fn pieces(&self) -> Option<Vec<Bytes>> {
        let state = self.relay.state.lock();
        state.window.is_none().then(|| state.pieces.iter().cloned().collect())
    }

    /// The body is whole.
    pub fn finish(self, trailers: Option<HeaderMap>) {
        self.end(Ok(trailers.map(Arc::new)));
    }

    /// The body broke off.
    pub fn fail(self, error: BodyError) {
        self.end(Err(error));
    }

    fn end(&self, result: Result<Option<Arc<HeaderMap>>, BodyError>) {
        let mut state = self.relay.state.lock();
        state.finished.get_or_insert(result);
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for RelayWriter {
    fn drop(&mut self) {
        self.end(Err(BodyError::new(BodyErrorKind::Aborted, "the fill was given up")));
    }
}

/// One reader's place.
struct Reader {
    relay: Arc<Relay>,
    slot: usize,
    /// The next piece, counted from the body's first.
    piece: usize,
    /// Bytes to pass over from there.
    skip: u64,
    position: u64,
    left: u64,
    over: bool,
}

impl Reader {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let relay = self.relay.clone();
        let mut state = relay.state.lock();
        if self.piece < state.dropped && self.left > 0 {
            if self.position < state.base {
                let error = BodyError::new(BodyErrorKind::Aborted, "reader fell out of the window");
                return self.end(Some(Err(error)));
            }
            // What was given up lies before the part that this reader is to have.
            self.piece = state.dropped;
            self.skip = self.position - state.base;
        }
        while self.left > 0 {
            let Some(piece) = state.pieces.get(self.piece - state.dropped) else { break };
            self.piece += 1;
            let skip = self.skip.min(piece.len() as u64);
            self.skip -= skip;
            let take = self.left.min(piece.len() as u64 - skip);
            if take > 0 {
                let data = piece.slice(skip as usize..(skip + take) as usize);
                self.left -= take;
                self.position += take;
                return self.advance(&mut state, data);
            }
        }
        if self.left == 0 {
            return self.end(None);
        }
        match &state.finished {
            None => {
                if let Some(slot) = &mut state.readers[self.slot] {
                    slot.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            Some(Err(error)) => self.end(Some(Err(error.clone()))),
            Some(Ok(trailers)) => {
                let trailers = trailers.as_deref().cloned();
                self.end(trailers.map(|map| Ok(Piece::Trailers(map))))
            }
        }
    }

    fn advance(&self, state: &mut State, data: Bytes) -> Poll<Option<Result<Piece, BodyError>>> {
        if let Some(slot) = &mut state.readers[self.slot] {
            slot.position = self.position;
        }
        if state.window.is_some()
            && let Some(writer) = state.writer.take()
        {
            writer.wake();
        }
        Poll::Ready(Some(Ok(Piece::Data(data))))
    }

    fn end(
        &mut self,
        last: Option<Result<Piece, BodyError>>,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        self.over = true;
        Poll::Ready(last)
    }
}

impl BodyStream for Reader {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        if self.over { Poll::Ready(None) } else { self.poll(cx) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.relay.state.lock();
        state.readers[self.slot] = None;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests;
