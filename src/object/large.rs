//! Bodies that do not stand behind their head's lines.

use std::sync::Arc;

use bytes::Bytes;

use super::slices::Slices;
use super::source::BodySource;

/// A body that does not stand behind its head's lines.
#[derive(Clone, Debug)]
pub(super) enum Large {
    /// In pieces of its own, none empty.
    Pieces {
        /// Each leaves in one write.
        pieces: Arc<[Bytes]>,
        /// Bytes of all.
        length: u64,
    },
    /// In slices, each a stored entry.
    Sliced {
        /// How it is cut.
        slices: Slices,
        /// Whether the head was found on disk.
        is_on_disk: bool,
    },
    /// On disk.
    Elsewhere(Arc<dyn BodySource>),
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
        Self::Pieces { pieces: joined.into(), length }
    }

    /// Bytes of the body, as far as it is one: slices are entries of their own.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Pieces { length, .. } => *length,
            Self::Sliced { .. } => 0,
            Self::Elsewhere(body) => body.bytes().len() as u64,
        }
    }
}
