//! The body of a response as it comes, and the stream given back at its end.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::HeaderMap;

use super::clock::Clock;
use super::links::Slot;
use super::upload::Upload;
use crate::message::{BodyError, BodyErrorKind, BodyStream, Piece};

/// The body of a response. Dropping it resets the stream (CANCEL) unless it has ended.
pub(super) struct IncomingBody(Option<Open>);

/// A stream that has not ended. The slot goes back behind the stream: fields drop in their order.
struct Open {
    stream: RecvStream,
    /// What the server still wants of the request's content.
    upload: Option<Upload>,
    clock: Clock,
    _slot: Slot,
}

impl IncomingBody {
    pub(super) fn new(
        stream: RecvStream,
        upload: Option<Upload>,
        clock: Clock,
        slot: Slot,
    ) -> Self {
        Self(Some(Open { stream, upload, clock, _slot: slot }))
    }
}

impl BodyStream for IncomingBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let Some(open) = &mut self.0 else { return Poll::Ready(None) };
        let piece = ready!(open.poll_piece(cx));
        // Whoever counts bytes may never ask for more than the last of them.
        let ended = !matches!(piece, Some(Ok(Piece::Data(_)))) || open.stream.is_end_stream();
        if ended {
            self.0 = None;
        }
        Poll::Ready(piece)
    }
}

impl Open {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(sent) = upload.poll(cx)
        {
            self.upload = None;
            if let Err(error) = sent {
                return Poll::Ready(Some(Err(error)));
            }
        }
        match self.poll_frame(cx) {
            Poll::Ready(piece) => {
                self.clock.stop();
                Poll::Ready(piece)
            }
            Poll::Pending => self.clock.poll_overdue(cx).map(|()| Some(Err(TIMEOUT))),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        while let Some(data) = ready!(self.stream.poll_data(cx)) {
            match data.and_then(|data| self.taken(data)) {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Piece::Data(data)))),
                Err(error) => return Poll::Ready(Some(Err(broken(&error)))),
            }
        }
        let trailers: Result<Option<HeaderMap>, _> = ready!(self.stream.poll_trailers(cx));
        Poll::Ready(match trailers {
            Ok(fields) => fields.map(|fields| Ok(Piece::Trailers(fields))),
            Err(error) => Some(Err(broken(&error))),
        })
    }

    /// Only what was taken makes room for more: a body that nobody reads stays within its window.
    fn taken(&mut self, data: Bytes) -> Result<Bytes, h2::Error> {
        self.stream.flow_control().release_capacity(data.len())?;
        Ok(data)
    }
}

const TIMEOUT: BodyError =
    BodyError::new(BodyErrorKind::Timeout, "no bytes from the server in time");
const TRUNCATED: BodyError =
    BodyError::new(BodyErrorKind::Truncated, "the connection ended before the body");
const RESET: BodyError =
    BodyError::new(BodyErrorKind::Truncated, "the server reset the stream before its end");
const MALFORMED: BodyError =
    BodyError::new(BodyErrorKind::Malformed, "the server broke the framing");

/// Also a reset that reports no error is an early end (RFC 9113 section 8.1 allows it only behind
/// a complete response, which the engine knows).
fn broken(error: &h2::Error) -> BodyError {
    let library = error.is_library() && error.reason() != Some(Reason::NO_ERROR);
    match (library, error.is_reset()) {
        (true, _) => MALFORMED,
        (false, true) => RESET,
        (false, false) => TRUNCATED,
    }
}
