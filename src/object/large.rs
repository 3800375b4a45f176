//! Large bodies: pieces that each leave in one write.

use std::sync::Arc;

use bytes::Bytes;

/// A body in pieces of its own, none empty.
#[derive(Clone, Debug)]
pub(super) struct Large {
    pub(super) pieces: Arc<[Bytes]>,
    pub(super) length: u64,
}

/// Bytes of one piece of a large body at most: what leaves in one write.
pub(super) const LARGE_PIECE: usize = 1024 * 1024;

impl Large {
    /// Joins small pieces and cuts large ones.
    pub(super) fn of(pieces: &[Bytes], length: u64) -> Self {
        let mut joined = Vec::new();
        let mut current = Vec::new();
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        for piece in pieces {
            let mut piece = &piece[..];
            while !piece.is_empty() {
                let size = left.min(LARGE_PIECE);
                if current.capacity() == 0 {
                    current.reserve_exact(size);
                }
                let (head, rest) = piece.split_at(piece.len().min(size - current.len()));
                current.extend_from_slice(head);
                piece = rest;
                if current.len() == size {
                    left -= size;
                    joined.push(Bytes::from(std::mem::take(&mut current)));
                }
            }
        }
        Self { pieces: joined.into(), length }
    }
}
