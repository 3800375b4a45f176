//! Bodies: nothing, one shared piece, or pieces that arrive; and what follows a 101 in their place.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;

use super::Tunnel;

/// The body of a message.
#[derive(Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// The whole body, resident and shared.
    Full(Bytes),
    /// Pieces that arrive; the reader's pace is the writer's (backpressure by not polling).
    Stream(Box<dyn BodyStream>),
    /// No content, but the bytes of another protocol, both ways: of a 101 to a request of HTTP/1.1
    /// alone.
    Tunnel(Box<Tunnel>),
}

impl Body {
    /// Bytes of the body, where they are known without reading it.
    pub fn known_length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Stream(_) | Self::Tunnel(_) => None,
        }
    }

    /// The next piece; `None` after the last.
    ///
    /// Cancel safe: a piece is lost only if a poll returned it.
    pub async fn next(&mut self) -> Option<Result<Piece, BodyError>> {
        std::future::poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// Polls for the next piece; `None` after the last.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        match self {
            Self::Empty | Self::Tunnel(_) => Poll::Ready(None),
            Self::Full(bytes) => {
                let piece = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!piece.is_empty()).then_some(Ok(Piece::Data(piece))))
            }
            Self::Stream(stream) => stream.poll_piece(cx),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Tunnel(_) => f.write_str("Tunnel"),
        }
    }
}

/// A body that arrives piece by piece. Dropping it tells the writer that nobody reads on.
pub trait BodyStream: Send {
    /// The next piece; `None` once the body ended well. After an error nothing more comes: the body
    /// is truncated and must be shown so to whoever receives it.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>>;

    /// The place in a file at which `piece`, the last that came, stands, where it does: a transport
    /// may send it from there without reading it.
    fn file(&self, _piece: &Bytes) -> Option<FilePart> {
        None
    }
}

/// A place in an open file.
#[derive(Clone)]
pub struct FilePart {
    /// The file, which stays open as long as this lives.
    pub file: Arc<dyn AsFd + Send + Sync>,
    /// Where the bytes begin.
    pub offset: u64,
}

/// One step of a body.
#[derive(Debug)]
pub enum Piece {
    /// Some bytes, at least one.
    Data(Bytes),
    /// The trailer section (RFC 9110 section 6.5); nothing follows it.
    Trailers(HeaderMap),
}

/// A resident body in several shared pieces, from `start` for `length` bytes: large stored bodies
/// and ranges of them.
#[derive(Clone, Debug)]
pub struct PieceList {
    pieces: Arc<[Bytes]>,
    next: usize,
    skip: usize,
    left: u64,
}

impl PieceList {
    /// Reads `length` bytes from `start` on; what the pieces do not hold is left out.
    pub fn new(pieces: Arc<[Bytes]>, start: u64, length: u64) -> Self {
        let (mut next, mut skip) = (0, start);
        while let Some(piece) = pieces.get(next).filter(|piece| piece.len() as u64 <= skip) {
            skip -= piece.len() as u64;
            next += 1;
        }
        Self { pieces, next, skip: usize::try_from(skip).unwrap_or(usize::MAX), left: length }
    }
}

impl Iterator for PieceList {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.pieces.get(self.next).filter(|_| self.left > 0)?;
        let start = std::mem::take(&mut self.skip).min(piece.len());
        let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len() - start);
        self.next += 1;
        self.left -= take as u64;
        Some(piece.slice(start..start + take))
    }
}

impl BodyStream for PieceList {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        Poll::Ready(self.next().map(|piece| Ok(Piece::Data(piece))))
    }
}

/// Bodies one behind the other.
#[derive(Debug)]
pub struct Chain(VecDeque<Body>);

impl Chain {
    /// All of `bodies`, in their order.
    pub fn new(bodies: impl IntoIterator<Item = Body>) -> Self {
        Self(bodies.into_iter().collect())
    }
}

impl BodyStream for Chain {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        while let Some(first) = self.0.front_mut() {
            match ready!(first.poll_piece(cx)) {
                // What ends one of several is not what ends them all.
                None | Some(Ok(Piece::Trailers(_))) => drop(self.0.pop_front()),
                Some(Err(error)) => {
                    self.0.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                piece => return Poll::Ready(piece),
            }
        }
        Poll::Ready(None)
    }

    fn file(&self, piece: &Bytes) -> Option<FilePart> {
        match self.0.front() {
            Some(Body::Stream(body)) => body.file(piece),
            _ => None,
        }
    }
}

/// Why a body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct BodyError {
    /// What went wrong.
    pub kind: BodyErrorKind,
    /// A fixed phrase for the log, never shown to a client.
    pub detail: &'static str,
}

impl BodyError {
    /// An error of `kind`, with a fixed phrase for the log.
    pub const fn new(kind: BodyErrorKind, detail: &'static str) -> Self {
        Self { kind, detail }
    }
}

/// What ended a body early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyErrorKind {
    /// The sender closed or reset before the end.
    #[error("truncated")]
    Truncated,
    /// The sender was too slow.
    #[error("timeout")]
    Timeout,
    /// More bytes than the limit allows.
    #[error("too large")]
    TooLarge,
    /// The framing was not that of the protocol.
    #[error("malformed")]
    Malformed,
    /// The body was given up on our side (purged, shut down, reader too far behind).
    #[error("aborted")]
    Aborted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(start: u64, length: u64) -> Vec<u8> {
        let pieces: Arc<[Bytes]> = [&b"abc"[..], b"d", b"efgh"].map(Bytes::from_static).into();
        PieceList::new(pieces, start, length).flatten().collect()
    }

    #[test]
    fn a_chain_is_what_its_bodies_are() {
        let list = PieceList::new([&b"cd"[..], b"e"].map(Bytes::from_static).into(), 0, 3);
        let bodies =
            [Body::Full(Bytes::from_static(b"ab")), Body::Empty, Body::Stream(Box::new(list))];
        let mut chain = Body::Stream(Box::new(Chain::new(bodies)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut bytes = Vec::new();
        while let Poll::Ready(Some(Ok(Piece::Data(data)))) = chain.poll_piece(&mut cx) {
            bytes.extend_from_slice(&data);
        }
        assert_eq!(bytes, b"abcde");
        assert!(matches!(chain.poll_piece(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn a_piece_list_reads_any_part() {
        let whole = b"abcdefgh";
        for start in 0..=8 {
            for length in 0..=9 {
                let end = (start + length).min(8);
                assert_eq!(read(start, length), whole[start as usize..end as usize]);
            }
        }
        assert_eq!(read(9, 1), b"");
    }
}
