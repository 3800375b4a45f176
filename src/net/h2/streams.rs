//! The two halves of a stream that is not over yet.
//!
//! A request that is answered at once and whole never gets this far: it has no state.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::flow::SendWindow;
use super::output::Output;
use super::upload::Receiving;
use crate::message::{Body, Piece};
use crate::net::Later;
use crate::net::ready::Ready;

/// An open stream.
pub(super) struct Stream<X> {
    pub(super) request: RequestSide,
    pub(super) response: ResponseSide<X>,
    /// Whether the stream stands in the schedule.
    pub(super) scheduled: bool,
}

/// What is known of a stream from its request.
pub(super) struct RequestSide {
    pub(super) id: u32,
    pub(super) began: Instant,
    /// RFC 9218 section 4.1.
    pub(super) urgency: u8,
    /// The response has no content whatever its head says (RFC 9110 section 9.3.2).
    pub(super) is_head: bool,
    /// The client has not ended its side.
    pub(super) is_open: bool,
    /// Where content goes; `None` if there is none, or the request was refused.
    pub(super) content: Option<Receiving>,
    /// What the client lets us send.
    pub(super) window: SendWindow,
    /// Made when something has to be waited for.
    pub(super) waker: Option<Waker>,
}

/// How far the response is.
pub(super) enum ResponseSide<X> {
    /// The handler is at work.
    Waiting(Later<X>),
    /// The head is sent.
    Sending(Sending<X>),
}

/// A body on its way.
pub(super) struct Sending<X> {
    pub(super) exchange: X,
    pub(super) body: Body,
    /// What `content-length` promised, less what was taken from the body.
    pub(super) left: Option<u64>,
    pub(super) next: Next,
    /// Bytes of body framed so far.
    pub(super) framed: u64,
}

/// What comes next of a body.
pub(super) enum Next {
    /// These bytes; if there are none, the body has to be asked.
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// The body broke off, or was not as long as promised.
    Broken,
}

/// How a stream used its turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A frame was sent and there is more.
    More,
    /// The body or the stream's window has to be waited for.
    Waits,
    /// The connection's window is used up.
    Blocked,
    /// All but the trailers, if any, was sent.
    Ended(Option<HeaderMap>),
    /// The body broke off.
    Broken,
}

impl RequestSide {
    /// The waker for what is polled on behalf of this stream.
    pub(super) fn waker(&mut self, ready: &Arc<Ready<u32>>) -> &Waker {
        self.waker.get_or_insert_with(|| ready.waker(self.id))
    }
}

impl<X> Stream<X> {
    /// Sends at most one DATA frame.
    pub(super) fn turn(
        &mut self,
        connection: &mut SendWindow,
        max_payload: usize,
        ready: &Arc<Ready<u32>>,
        output: &mut Output<X>,
    ) -> Turn {
        let ResponseSide::Sending(sending) = &mut self.response else {
            return Turn::Waits;
        };
        let RequestSide { id, window, waker, .. } = &mut self.request;
        let mut cx = Context::from_waker(match sending.body {
            Body::Stream(_) => waker.get_or_insert_with(|| ready.waker(*id)),
            Body::Empty | Body::Full(_) | Body::Tunnel(_) => Waker::noop(),
        });
        if sending.load(&mut cx).is_pending() {
            return Turn::Waits;
        }
        let piece = match &mut sending.next {
            Next::Data(piece) => piece,
            Next::Trailers(trailers) => return Turn::Ended(Some(std::mem::take(trailers))),
            Next::End => {
                output.data(*id, Bytes::new(), true);
                return Turn::Ended(None);
            }
            Next::Broken => return Turn::Broken,
        };
        if connection.available() == 0 {
            return Turn::Blocked;
        }
        let room = max_payload.min(connection.available()).min(window.available());
        if room == 0 {
            return Turn::Waits;
        }
        let payload = piece.split_to(room.min(piece.len()));
        window.spend(payload.len());
        connection.spend(payload.len());
        sending.framed += payload.len() as u64;
        // A look ahead, so that END_STREAM can ride on the last frame.
        let more = sending.load(&mut cx);
        let end = matches!(sending.next, Next::End);
        output.data(*id, payload, end);
        match more {
            _ if end => Turn::Ended(None),
            Poll::Ready(()) => Turn::More,
            Poll::Pending => Turn::Waits,
        }
    }
}

impl<X> Sending<X> {
    /// Whether bytes are at hand that have not been framed.
    pub(super) fn has_data(&self) -> bool {
        matches!(&self.next, Next::Data(piece) if !piece.is_empty())
    }

    /// Asks the body for what comes next, if that is not known yet.
    fn load(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Next::Data(piece) = &self.next
            && piece.is_empty()
        {
            self.next = match std::task::ready!(self.body.poll_piece(cx)) {
                Some(Ok(Piece::Data(piece))) => match &mut self.left {
                    Some(left) if *left < piece.len() as u64 => Next::Broken,
                    Some(left) => {
                        *left -= piece.len() as u64;
                        Next::Data(piece)
                    }
                    None => Next::Data(piece),
                },
                Some(Err(_)) => Next::Broken,
                _ if self.left.is_some_and(|left| left > 0) => Next::Broken,
                Some(Ok(Piece::Trailers(trailers))) => Next::Trailers(trailers),
                None => Next::End,
            };
        }
        Poll::Ready(())
    }
}
