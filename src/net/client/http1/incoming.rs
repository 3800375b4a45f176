//! The body of a response as it comes from hyper, and the connection given back at its end.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;

use super::idle::Lease;
use crate::message::{BodyError, BodyErrorKind, BodyStream, Piece};

/// The body of a response, together with the connection that brings it.
pub(super) struct IncomingBody {
    incoming: Incoming,
    /// Gone once the body has ended, well or not.
    lease: Option<Lease>,
    read_timeout: Duration,
}

impl IncomingBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, read_timeout: Duration) -> Self {
        Self { incoming, lease: Some(lease), read_timeout }
    }

    /// The body has ended well.
    fn end(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        let mut frame = at_hand(&mut self.incoming);
        let Some(lease) = &mut self.lease else { return Poll::Ready(Ok(None)) };
        let live = lease.live();
        if frame.is_pending() {
            let closed = live.poll_drive(cx).is_ready();
            frame = at_hand(&mut self.incoming);
            if frame.is_pending() && closed {
                return Poll::Ready(Err(TRUNCATED));
            }
        }
        match frame {
            Poll::Ready(frame) => {
                live.progressed();
                Poll::Ready(frame.transpose().map_err(|error| broken(&error)))
            }
            Poll::Pending => live.poll_overdue(cx, self.read_timeout).map(|()| Err(TIMEOUT)),
        }
    }
}

impl BodyStream for IncomingBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        while self.lease.is_some() {
            let piece = match ready!(self.poll_frame(cx)) {
                Ok(Some(frame)) => piece(frame),
                Ok(None) => break,
                Err(error) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            // Whoever counts bytes may never ask for more than the last of them.
            if matches!(piece, Some(Piece::Trailers(_))) || self.incoming.is_end_stream() {
                self.end();
            }
            if let Some(piece) = piece {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
        self.end();
        Poll::Ready(None)
    }
}

/// What hyper's side has at hand. The connection is driven by this very task right before, so
/// nothing arrives that would have to wake it.
fn at_hand(incoming: &mut Incoming) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
}

const TIMEOUT: BodyError =
    BodyError::new(BodyErrorKind::Timeout, "no bytes from the server in time");
const TRUNCATED: BodyError =
    BodyError::new(BodyErrorKind::Truncated, "the server closed before the end of the body");

/// `None` for a frame that carries nothing.
fn piece(frame: Frame<Bytes>) -> Option<Piece> {
    match frame.into_data() {
        Ok(data) => (!data.is_empty()).then_some(Piece::Data(data)),
        Err(frame) => frame.into_trailers().ok().map(Piece::Trailers),
    }
}

fn broken(error: &hyper::Error) -> BodyError {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            BodyError::new(BodyErrorKind::Malformed, "the server broke the chunked coding")
        }
        _ => TRUNCATED,
    }
}
