//! The content of a request as hyper takes it, and who is waited for while it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::message::{Body, BodyError, Piece};

/// The content of a request.
pub(super) struct OutgoingBody {
    body: Body,
    content_length: Option<u64>,
    progress: Option<Arc<Progress>>,
}

/// Who is waited for while the content of a request is sent.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

/// The server: it has to take what it was offered, or to answer.
const SERVER: u8 = 0;
/// The server, which has just taken a piece.
const SERVER_TOOK: u8 = 1;
/// Whoever writes the content.
const WRITER: u8 = 2;

impl Progress {
    /// Whether the server's time starts anew.
    pub(super) fn server_is_excused(&self) -> bool {
        match self.0.load(Relaxed) {
            SERVER => false,
            SERVER_TOOK => {
                self.0.store(SERVER, Relaxed);
                true
            }
            _ => true,
        }
    }
}

impl OutgoingBody {
    pub(super) fn new(body: Body, content_length: Option<u64>) -> Self {
        let progress = matches!(body, Body::Stream(_)).then(Arc::default);
        Self { body, content_length, progress }
    }

    /// The same content again, unless it arrives only once.
    pub(super) fn replay(&self) -> Option<Self> {
        let body = match &self.body {
            Body::Empty => Body::Empty,
            Body::Full(bytes) => Body::Full(bytes.clone()),
            Body::Stream(_) | Body::Tunnel(_) => return None,
        };
        Some(Self { body, content_length: self.content_length, progress: None })
    }

    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }
}

impl http_body::Body for OutgoingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = self.body.poll_piece(cx);
        if let Some(progress) = &self.progress {
            progress.0.store(if piece.is_ready() { SERVER_TOOK } else { WRITER }, Relaxed);
        }
        piece.map_ok(|piece| match piece {
            Piece::Data(bytes) => Frame::data(bytes),
            Piece::Trailers(fields) => Frame::trailers(fields),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.body, Body::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.content_length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
