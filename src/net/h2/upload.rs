//! The content of a request on its way from the connection to the handler.
//!
//! ```text
//! DATA ─▶ Receiving::push ─▶ Inbox ─▶ Upload::poll_piece ─▶ handler
//!                              │
//!         WINDOW_UPDATE ◀── taken
//! ```
//!
//! The inbox never holds more than the stream's window, since the peer gets as much window back as
//! the handler has taken. Bytes are copied into it, so that no small frame can pin a large buffer.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use http::HeaderMap;
use parking_lot::Mutex;

use super::flow::ReceiveWindow;
use crate::message::{BodyError, BodyErrorKind, BodyStream, Piece};

/// The connection's end.
#[derive(Debug)]
pub(super) struct Receiving {
    inbox: Arc<Mutex<Inbox>>,
    pub(super) window: ReceiveWindow,
    /// What `content-length` said, less what came.
    pub(super) expected: Option<u64>,
    /// Bytes of content so far.
    pub(super) received: u64,
    /// The client waits for a 100 (RFC 9110 section 10.1.1).
    pub(super) continue_owed: bool,
}

/// The handler's end.
struct Upload {
    inbox: Arc<Mutex<Inbox>>,
    /// Wakes the connection for this stream.
    stream: Waker,
}

#[derive(Debug, Default)]
struct Inbox {
    bytes: BytesMut,
    trailers: Option<HeaderMap>,
    end: Option<Result<(), BodyError>>,
    reader: Option<Waker>,
    /// Bytes handed out since the connection looked.
    taken: usize,
    /// The handler has begun to read.
    begun: bool,
    /// The handler reads no more.
    gone: bool,
}

/// What the handler did since the connection looked last.
pub(super) struct Progress {
    /// Bytes to give back to the windows.
    pub(super) taken: usize,
    /// Whether it has begun to read.
    pub(super) begun: bool,
}

/// Both ends for one request. `stream` wakes the connection when the handler has read.
pub(super) fn channel(
    window: u32,
    content_length: Option<u64>,
    continue_owed: bool,
    stream: Waker,
) -> (Receiving, Box<dyn BodyStream>) {
    let inbox = Arc::new(Mutex::new(Inbox::default()));
    let receiving = Receiving {
        inbox: Arc::clone(&inbox),
        window: ReceiveWindow::new(window),
        expected: content_length,
        received: 0,
        continue_owed,
    };
    (receiving, Box::new(Upload { inbox, stream }))
}

impl Receiving {
    /// Adds content. Returns the bytes that nobody will read, to be given back at once.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        self.received += bytes.len() as u64;
        self.continue_owed = false;
        let mut inbox = self.inbox.lock();
        if inbox.gone {
            return bytes.len();
        }
        inbox.bytes.extend_from_slice(bytes);
        inbox.wake();
        0
    }

    /// The content is complete, or breaks off.
    pub(super) fn end(&mut self, end: Result<Option<HeaderMap>, BodyError>) {
        let mut inbox = self.inbox.lock();
        if inbox.end.is_none() {
            match end {
                Ok(trailers) => {
                    inbox.trailers = trailers;
                    inbox.end = Some(Ok(()));
                }
                Err(error) => inbox.end = Some(Err(error)),
            }
            inbox.wake();
        }
    }

    /// Takes what the handler did. A reader that is gone has taken everything.
    pub(super) fn progress(&mut self) -> Progress {
        let mut inbox = self.inbox.lock();
        let mut taken = std::mem::take(&mut inbox.taken);
        if inbox.gone {
            taken += std::mem::take(&mut inbox.bytes).len();
        }
        Progress { taken, begun: inbox.begun }
    }

    /// Whether the handler waits for content that the client has not sent.
    pub(super) fn waits_for_client(&self) -> bool {
        let inbox = self.inbox.lock();
        inbox.end.is_none() && inbox.reader.is_some() && self.window.is_open()
    }

    /// The stream is over: the handler reads nothing more unless the content had come whole.
    /// Returns the bytes to give back to the connection's window.
    pub(super) fn close(mut self) -> usize {
        self.end(Err(BodyError::new(BodyErrorKind::Truncated, "the stream was reset")));
        let mut inbox = self.inbox.lock();
        if matches!(inbox.end, Some(Err(_))) {
            inbox.taken += std::mem::take(&mut inbox.bytes).len();
        }
        inbox.taken + inbox.bytes.len()
    }
}

impl Inbox {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl BodyStream for Upload {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let mut inbox = self.inbox.lock();
        if !std::mem::replace(&mut inbox.begun, true) {
            self.stream.wake_by_ref();
        }
        if !inbox.bytes.is_empty() {
            let piece = std::mem::take(&mut inbox.bytes).freeze();
            inbox.taken += piece.len();
            self.stream.wake_by_ref();
            return Poll::Ready(Some(Ok(Piece::Data(piece))));
        }
        if let Some(trailers) = inbox.trailers.take() {
            return Poll::Ready(Some(Ok(Piece::Trailers(trailers))));
        }
        match &inbox.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                inbox.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.inbox.lock().gone = true;
        self.stream.wake_by_ref();
    }
}
