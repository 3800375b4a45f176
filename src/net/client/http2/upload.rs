//! The content of a request on its way out.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;

use crate::message::{Body, BodyError, Piece};

/// The content of a request, sent by whoever waits for the response.
pub(super) struct Upload {
    body: Body,
    stream: SendStream<Bytes>,
    /// Of the last piece, what the server has given no room for as yet.
    rest: Bytes,
    /// Whether something was sent since last asked.
    sent: bool,
    /// The body's writer is waited for, not the server.
    starved: bool,
}

impl Upload {
    pub(super) fn new(body: Body, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, rest: Bytes::new(), sent: false, starved: false }
    }

    /// Sends what there is and the server has room for. Ready at the end of the content, also if
    /// the server wants no more of it: what it says of that is its response.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        self.starved = false;
        loop {
            while !self.rest.is_empty() {
                let Some(room) = ready!(self.poll_room(cx)) else { return Poll::Ready(Ok(())) };
                let part = self.rest.split_to(room.min(self.rest.len()));
                let end = self.rest.is_empty() && matches!(self.body, Body::Empty);
                self.sent = true;
                if self.stream.send_data(part, end).is_err() || end {
                    return Poll::Ready(Ok(()));
                }
            }
            let Poll::Ready(piece) = self.body.poll_piece(cx) else {
                self.starved = true;
                return Poll::Pending;
            };
            // Sending fails only where the server wants no more.
            match piece {
                Some(Ok(Piece::Data(data))) => self.rest = data,
                Some(Ok(Piece::Trailers(fields))) => {
                    let _ = self.stream.send_trailers(fields);
                    return Poll::Ready(Ok(()));
                }
                // The stream is reset (CANCEL) when its exchange is dropped for this.
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Whether the server's time starts anew: it took something, or is not the one waited for.
    pub(super) fn server_is_excused(&mut self) -> bool {
        std::mem::take(&mut self.sent) || self.starved
    }

    /// Bytes that the server takes; `None` if it takes none any more. Room is asked for only with
    /// content at hand, so that no stream holds what another needs.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.stream.reserve_capacity(self.rest.len());
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(self.stream.capacity()))
    }
}
