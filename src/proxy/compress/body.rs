//! A body as it leaves: that of the origin, piece by piece through the threads that compress.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::encoder::{Encoder, Then};
use super::pool::{Place, Stepped};
use crate::message::losses::Mark;
use crate::message::{Body, BodyError, BodyErrorKind, BodyStream, Piece};

/// Bytes of input that one step takes at most, and a piece more.
const STEP: usize = 256 * 1024;

/// A body that is compressed while it is read. What it is made of is read no faster than it is.
pub(super) struct CodedBody {
    source: Body,
    place: Place,
    state: State,
    /// What the next step takes.
    input: Vec<Bytes>,
    bytes: usize,
    /// Taken before the first of it was asked for.
    mark: Mark,
    /// Input has gone into the encoder that whoever decodes may not have yet.
    holds_back: bool,
}

enum State {
    Ready(Box<Encoder>),
    Working(oneshot::Receiver<Stepped>),
    Over,
}

const FAILED: BodyError = BodyError::new(BodyErrorKind::Aborted, "it could not be compressed");

impl CodedBody {
    /// The trailers of `source` are left out.
    pub(super) fn new(source: Body, encoder: Box<Encoder>, place: Place) -> Self {
        let (state, input) = (State::Ready(encoder), Vec::new());
        Self { source, place, state, input, bytes: 0, mark: Mark::now(), holds_back: false }
    }

    /// Gathers what there is, and tells what comes behind it; pending if there is nothing to do.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<Then, BodyError>> {
        if self.input.is_empty() {
            self.mark = Mark::now();
        }
        while self.bytes < STEP {
            match self.source.poll_piece(cx) {
                Poll::Ready(Some(Ok(Piece::Data(data)))) => {
                    self.bytes += data.len();
                    self.input.push(data);
                }
                Poll::Ready(Some(Ok(Piece::Trailers(_))) | None) => {
                    return Poll::Ready(Ok(Then::End));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Pending if self.bytes > 0 || self.holds_back => {
                    return Poll::Ready(Ok(Then::Wait));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(Then::More))
    }

    fn over(&mut self, error: BodyError) -> Poll<Option<Result<Piece, BodyError>>> {
        self.state = State::Over;
        Poll::Ready(Some(Err(error)))
    }
}

impl BodyStream for CodedBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        loop {
            if let State::Working(stepped) = &mut self.state {
                let Ok(Some((output, rest))) = ready!(Pin::new(stepped).poll(cx)) else {
                    return self.over(FAILED);
                };
                self.state = rest.map_or(State::Over, State::Ready);
                if !output.is_empty() {
                    return Poll::Ready(Some(Ok(Piece::Data(output))));
                }
            }
            if matches!(self.state, State::Over) {
                return Poll::Ready(None);
            }
            let then = match ready!(self.gather(cx)) {
                Ok(then) => then,
                Err(error) => return self.over(error),
            };
            self.holds_back = then == Then::More;
            self.bytes = 0;
            if let State::Ready(encoder) = std::mem::replace(&mut self.state, State::Over) {
                let input = std::mem::take(&mut self.input);
                self.state = State::Working(self.place.step(encoder, input, then, self.mark));
            }
        }
    }
}

impl Drop for CodedBody {
    fn drop(&mut self) {
        // An encoder may end what it has begun when it is dropped: not on an event loop.
        if let State::Ready(encoder) = std::mem::replace(&mut self.state, State::Over) {
            drop(self.place.step(encoder, Vec::new(), Then::More, self.mark));
        }
    }
}
