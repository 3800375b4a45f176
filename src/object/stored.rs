//! A complete stored response.
//!
//! ```text
//!  small   head ─► │ lines that leave │ target │ body │     one allocation, see `block`
//!  large   head ─► │ lines that leave │ target │
//!          body ─► │ piece │ piece │ … │                    each at most LARGE_PIECE bytes
//!  sliced  head ─► │ lines that leave │ target │            the body in entries of their own
//!  on disk head ─► │ lines that leave │ target │
//!          body ─► source, which sends it from a mapped file
//! ```
//!
//! Book-keeping counts where objects are small: one allocation for head and body, and nothing kept
//! that the lines say already.

use std::mem::size_of;
use std::sync::Arc;

use bytes::Bytes;

use super::block;
use super::head::ObjectHead;
use super::large::Large;
use super::slices::Slices;
use super::source::BodySource;
use super::vary_index::VaryIndex;
use crate::message::losses::Mark;
use crate::message::{Body, PieceList};

/// A head and its whole body, or how the body is sliced.
#[derive(Debug)]
pub struct Stored {
    /// The head.
    pub head: ObjectHead,
}

// With the two counters of an `Arc` one of the size classes of common allocators: the next one up
// would cost every object 16 bytes.
const _: () = assert!(size_of::<Stored>() + COUNTERS == 96);

/// Bytes of the counters of an `Arc`.
const COUNTERS: usize = 2 * size_of::<usize>();

/// Bytes of the largest body that stands behind its head: at a 304 it is copied.
const SMALL_MAX: u64 = 32 * 1024;

/// Bytes of the largest body on disk that is copied to memory at a 304.
const COPIED_MAX: usize = 256 * 1024;

impl Stored {
    /// The response of `head` and a body of `pieces`, as they came. They are copied, so that it
    /// pins no read buffer that is larger than itself.
    pub fn new(head: &ObjectHead, pieces: &[Bytes]) -> Self {
        let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        if length <= SMALL_MAX {
            return Self { head: head.followed_by(pieces.iter().map(|piece| &piece[..])) };
        }
        Self { head: head.beside(Large::of(pieces, length)) }
    }

    /// The response of `head` and a body that stands elsewhere.
    pub fn mapped(head: &ObjectHead, body: Arc<dyn BodySource>) -> Self {
        Self { head: head.beside(Large::Elsewhere(body)) }
    }

    /// Whether the body stands elsewhere than in memory.
    pub fn is_mapped(&self) -> bool {
        matches!(self.head.large(), Some(Large::Elsewhere(_)))
    }

    /// BLAKE3 of a body that stands elsewhere, as it was stored.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        match self.head.large() {
            Some(Large::Elsewhere(body)) => Some(body.digest()),
            _ => None,
        }
    }

    /// The response of `head` whose body is stored in slices.
    pub fn sliced(head: &ObjectHead, slices: Slices) -> Self {
        Self { head: head.beside(Large::Sliced { slices, is_on_disk: false }) }
    }

    /// The same, found on disk.
    pub fn sliced_on_disk(head: &ObjectHead, slices: Slices) -> Self {
        Self { head: head.beside(Large::Sliced { slices, is_on_disk: true }) }
    }

    /// Whether the response was found on disk: its body stands there, or that of its slices.
    pub fn is_on_disk(&self) -> bool {
        let large = self.head.large();
        matches!(large, Some(Large::Elsewhere(_) | Large::Sliced { is_on_disk: true, .. }))
    }

    /// How the body is sliced; `None` if it is here.
    pub fn slices(&self) -> Option<Slices> {
        match self.head.large() {
            Some(Large::Sliced { slices, .. }) => Some(*slices),
            _ => None,
        }
    }

    /// No response, but the index of a resource's variants, kept where a response would be: a tier
    /// that holds either by the same pointer pays for no mark in every entry.
    pub fn leading_to(index: Arc<VaryIndex>) -> Self {
        Self { head: ObjectHead::leading_to(index) }
    }

    /// The index, where this is no response.
    pub fn varies(&self) -> Option<&Arc<VaryIndex>> {
        self.head.varies()
    }

    /// The same body under another head.
    pub fn under(&self, head: &ObjectHead) -> Self {
        match self.head.large() {
            // What stays in memory must not wait for a disk when it is sent.
            Some(Large::Elsewhere(body)) if body.bytes().len() <= COPIED_MAX && body.is_here() => {
                let mark = Mark::now();
                let copy = Self::new(head, &[body.bytes().clone()]);
                // Of lost bytes nothing is made that lasts: who sends the body finds it out.
                if mark.holds() { copy } else { Self::mapped(head, body.clone()) }
            }
            Some(Large::Sliced { slices, .. }) => Self::sliced(head, *slices),
            Some(large) => Self { head: head.beside(large.clone()) },
            None => Self::new(head, &[self.head.behind()]),
        }
    }

    /// Bytes of head and body.
    pub fn payload(&self) -> u64 {
        self.head.size() + self.len()
    }

    /// Bytes of this struct and of what is shared, payload and the tier's own left out: the
    /// counters of this struct's owners, and those of the owners of its bytes with their address
    /// and size.
    pub fn bookkeeping(&self) -> u64 {
        let large = self.head.large().map_or(0, |large| match large {
            Large::Pieces { pieces, .. } => {
                let piece = |piece: &Bytes| size_of::<Bytes>() + block::overhead(piece.len());
                COUNTERS + pieces.iter().map(piece).sum::<usize>()
            }
            Large::Elsewhere(_) => COUNTERS + size_of::<Bytes>(),
            Large::Sliced { .. } => 0,
        });
        (size_of::<Self>() + COUNTERS + self.head.bookkeeping() + large) as u64
    }

    /// Bytes of the body that are here: none of one in slices.
    pub fn len(&self) -> u64 {
        self.head.large().map_or_else(|| self.head.behind_len() as u64, Large::length)
    }

    /// Whether there is no body here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole body, to be sent.
    pub fn whole(&self) -> Body {
        self.part(0, self.len())
    }

    /// `length` bytes from `start` on, to be sent.
    pub fn part(&self, start: u64, length: u64) -> Body {
        let one = match self.head.large() {
            _ if length == 0 => return Body::Empty,
            None => self.head.behind(),
            Some(Large::Pieces { pieces, .. }) if pieces.len() == 1 => pieces[0].clone(),
            Some(Large::Pieces { .. } | Large::Sliced { .. }) => {
                return Body::Stream(Box::new(self.pieces(start, length)));
            }
            Some(Large::Elsewhere(body)) => {
                let whole = body.bytes().len() as u64;
                let part = start.min(whole)..start.saturating_add(length).min(whole);
                return body.clone().send(part.start as usize..part.end as usize);
            }
        };
        let from = start.min(one.len() as u64) as usize;
        let to = start.saturating_add(length).min(one.len() as u64) as usize;
        Body::Full(one.slice(from..to))
    }

    /// The pieces of `length` bytes from `start` on.
    pub fn pieces(&self, start: u64, length: u64) -> PieceList {
        let pieces = match self.head.large() {
            Some(Large::Sliced { .. }) => Arc::default(),
            None => Arc::from([self.head.behind()]),
            Some(Large::Pieces { pieces, .. }) => pieces.clone(),
            Some(Large::Elsewhere(body)) => Arc::from([body.bytes().clone()]),
        };
        PieceList::new(pieces, start, length)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::large::LARGE_PIECE;
    use super::*;
    use crate::message::FieldBlock;

    const LINES: &[u8] = b"etag: \"v\"\r\nx: 1\r\n";

    fn head() -> ObjectHead {
        let block = FieldBlock::from_lines(Bytes::from_static(LINES));
        let target = crate::object::tests::target("/");
        let (fresh, sequence) = Default::default();
        ObjectHead::new(StatusCode::OK, fresh, sequence, &block, None, &target)
    }

    fn body(stored: &Stored) -> Vec<u8> {
        stored.pieces(0, stored.len()).flatten().collect()
    }

    fn stored(length: usize, cut: usize) -> (Stored, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let pieces: Vec<_> = bytes.chunks(cut).map(Bytes::copy_from_slice).collect();
        (Stored::new(&head(), &pieces), bytes)
    }

    #[test]
    fn a_body_of_any_size_comes_back_and_outlives_a_new_head() {
        let sizes = [0, 1, 100, 32 * 1024, 32 * 1024 + 1, LARGE_PIECE, LARGE_PIECE * 2 + 7];
        for length in sizes {
            let (stored, bytes) = stored(length, 70_001);
            let again = stored.under(&head());
            for stored in [stored, again] {
                assert!(body(&stored) == bytes, "{length}");
                assert_eq!(stored.len(), length as u64);
                assert_eq!(stored.payload(), (LINES.len() + length) as u64);
                assert_eq!(stored.head.block().as_bytes(), LINES);
                assert_eq!(stored.head.etag(), Some(&b"\"v\""[..]));
            }
        }
    }

    #[test]
    fn parts_of_what_is_small_and_large() {
        for length in [100, 50_000, LARGE_PIECE + 50_000] {
            let (stored, bytes) = stored(length, 999);
            let part: Vec<u8> = stored.pieces(90, 10).flatten().collect();
            assert_eq!(part, bytes[90..100]);
            assert_eq!(matches!(stored.part(90, 10), Body::Full(_)), length < LARGE_PIECE);
        }
    }

    #[test]
    fn large_pieces_are_cut() {
        let (stored, _) = stored(LARGE_PIECE * 2 + 7, 70_001);
        assert_eq!(stored.pieces(0, stored.len()).count(), 3);
    }

    #[test]
    fn a_sliced_body_is_elsewhere_and_outlives_a_new_head() {
        let slices = Slices { total: 10, size: 4, generation: 1 };
        let sliced = Stored::sliced(&head(), slices);
        let again = sliced.under(&head());
        for stored in [sliced, again] {
            assert_eq!((stored.slices(), stored.len()), (Some(slices), 0));
            assert_eq!(stored.payload(), LINES.len() as u64);
            assert_eq!(stored.pieces(0, 10).count(), 0);
        }
        assert_eq!(stored(1, 1).0.slices(), None);
    }

    #[test]
    fn an_index_is_no_response() {
        let index = Arc::new(VaryIndex::new(Default::default(), 1));
        let leading = Stored::leading_to(index.clone());
        assert!(leading.varies().is_some_and(|found| Arc::ptr_eq(found, &index)));
        assert_eq!(leading.payload(), 0);
        let (response, _) = stored(50_000, 999);
        assert!(response.varies().is_none());
    }

    #[test]
    fn an_empty_body_is_empty() {
        let (stored, _) = stored(0, 1);
        assert!(stored.is_empty() && matches!(stored.whole(), Body::Empty));
    }
}
