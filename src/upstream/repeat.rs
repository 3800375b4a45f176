//! What is kept of a request while a server has it, so that another can be asked.
//!
//! Invariant: a request is given again only if that is safe: no server saw any of it, or its method
//! is idempotent (RFC 9110 section 9.2.2); and only whole: its content was at hand, or none of it
//! was read.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method};
use parking_lot::Mutex;

use super::error::classify;
use crate::message::{Body, BodyError, BodyErrorKind, BodyStream, FilePart, Piece};
use crate::net::client::{ClientError, OutgoingRequest, Retry};

/// A request as it was before it was sent.
pub(super) struct Kept {
    request: OutgoingRequest,
    /// Content that arrives, as long as nobody has read of it.
    lent: Option<Lent>,
}

/// Content that arrives; `None` once somebody has read of it.
type Lent = Arc<Mutex<Option<Box<dyn BodyStream>>>>;

/// A request to send, and what is kept of it.
pub(super) fn keep(request: OutgoingRequest) -> (OutgoingRequest, Kept) {
    let (body, kept, lent) = match request.body {
        Body::Empty | Body::Tunnel(_) => (Body::Empty, Body::Empty, None),
        Body::Full(bytes) => (Body::Full(bytes.clone()), Body::Full(bytes), None),
        Body::Stream(stream) => {
            let lent = Arc::new(Mutex::new(Some(stream)));
            let reader = Reader { lent: lent.clone(), taken: None };
            (Body::Stream(Box::new(reader)), Body::Empty, Some(lent))
        }
    };
    let sent = OutgoingRequest {
        method: Method::clone(&request.method),
        target: request.target.clone(),
        headers: HeaderMap::clone(&request.headers),
        body,
        content_length: request.content_length,
        on_interim: request.on_interim.clone(),
    };
    (sent, Kept { request: OutgoingRequest { body: kept, ..request }, lent })
}

impl Kept {
    /// The request for another server, if that is safe after `error`.
    pub(super) fn after(self, error: &ClientError) -> Option<OutgoingRequest> {
        let is_clients = classify(error.kind).0.is_clients();
        let unsent = error.retry() == Retry::Yes;
        if is_clients { None } else { self.again(unsent) }
    }

    /// The request for another server, if that is safe after an answer that is not taken.
    pub(super) fn after_answer(self) -> Option<OutgoingRequest> {
        self.again(false)
    }

    /// The request for another server, after one that did nothing with it.
    pub(super) fn unsent(self) -> Option<OutgoingRequest> {
        self.again(true)
    }

    /// The request for a second server beside the first. It may have no content that arrives.
    pub(super) fn into_request(self) -> OutgoingRequest {
        debug_assert!(self.lent.is_none(), "two servers cannot read the same content");
        self.request
    }

    fn again(mut self, unsent: bool) -> Option<OutgoingRequest> {
        if !unsent && !self.request.method.is_idempotent() {
            return None;
        }
        if let Some(lent) = self.lent {
            self.request.body = Body::Stream(lent.lock().take()?);
        }
        Some(self.request)
    }
}

/// Said to a request that has ended, and that nobody reads for any more.
const GIVEN_AWAY: BodyError =
    BodyError::new(BodyErrorKind::Aborted, "the content went to another server");

/// Takes the content for itself as soon as it is read.
struct Reader {
    lent: Lent,
    taken: Option<Box<dyn BodyStream>>,
}

impl BodyStream for Reader {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        if self.taken.is_none() {
            self.taken = self.lent.lock().take();
        }
        match &mut self.taken {
            Some(stream) => stream.poll_piece(cx),
            None => Poll::Ready(Some(Err(GIVEN_AWAY))),
        }
    }

    fn file(&self, piece: &Bytes) -> Option<FilePart> {
        self.taken.as_ref()?.file(piece)
    }
}
