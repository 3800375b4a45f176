//! An object in slices: which bytes each slice holds, and by which key it is found.
//!
//! ```text
//!  primary or variant key ──► Stored: the head, and Slices { total, size, generation }
//!  key of (primary, generation, 0) ──► Stored: bytes 0 .. size
//!  key of (primary, generation, 1) ──► Stored: bytes size .. 2 * size
//!  …                                   the last one is shorter, never empty
//! ```
//!
//! Each slice is a stored entry of its own: kept, evicted and fetched by itself. All slices of one
//! generation are parts of one representation, the one that the head's strong entity tag names.
//! Once the head is gone or another one has taken its place, none of its slices can be found again.

use super::key::CacheKey;
use crate::semantics::range::ByteRange;

/// How a body that is not stored in one piece is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slices {
    /// Bytes of the whole body.
    pub total: u64,
    /// Bytes of every slice but the last; at least one.
    pub size: u64,
    /// Drawn anew for each representation that is fetched.
    pub generation: u64,
}

impl Slices {
    /// The number of the slice in which the byte at `position` lies.
    pub fn number_at(&self, position: u64) -> u64 {
        position / self.size
    }

    /// The bytes that slice `number` holds; empty past the end.
    pub fn range(&self, number: u64) -> ByteRange {
        let range = Self::aligned(number.saturating_mul(self.size), self.size);
        ByteRange { start: range.start.min(self.total), end: range.end.min(self.total) }
    }

    /// The key under which slice `number` of the object `primary` is stored.
    pub fn key(&self, primary: CacheKey, number: u64) -> CacheKey {
        primary.slice(self.generation, number)
    }

    /// The bytes of the slice of `size` bytes in which `position` lies, the length of the whole
    /// not being known.
    pub fn aligned(position: u64, size: u64) -> ByteRange {
        let start = position / size * size;
        ByteRange { start, end: start.saturating_add(size) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slices(total: u64, size: u64) -> Slices {
        Slices { total, size, generation: 7 }
    }

    #[test]
    fn slices_by_number() {
        let cases = [
            (10, 4, 0, 0..4),
            (10, 4, 1, 4..8),
            (10, 4, 2, 8..10),
            (10, 4, 3, 10..10),
            (8, 4, 1, 4..8),
            (8, 4, 2, 8..8),
            (3, 4, 0, 0..3),
            (10, 4, u64::MAX, 10..10),
        ];
        for (total, size, number, range) in cases {
            let found = slices(total, size).range(number);
            assert_eq!(found.start..found.end, range, "{number} of {total} by {size}");
        }
        assert_eq!(Slices::aligned(9, 4), ByteRange { start: 8, end: 12 });
        assert_eq!(Slices::aligned(u64::MAX, 4).end, u64::MAX);
    }

    #[test]
    fn every_slice_has_a_key_of_its_own() {
        let primary = CacheKey::new(0, b"h", b"/", None, b"");
        let other = CacheKey::new(0, b"h", b"/x", None, b"");
        let next = Slices { generation: 8, ..slices(10, 4) };
        let keys = [
            primary,
            slices(10, 4).key(primary, 0),
            slices(10, 4).key(primary, 1),
            next.key(primary, 0),
            slices(10, 4).key(other, 0),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key), "{place}");
        }
    }

    proptest! {
        #[test]
        fn slices_cover_the_whole_once(total in 1u64..100_000, size in 1u64..5_000) {
            let slices = slices(total, size);
            let mut position = 0;
            let mut number = 0;
            while position < total {
                let range = slices.range(number);
                prop_assert!(range.start == position && !range.is_empty() && range.len() <= size);
                prop_assert_eq!(slices.number_at(range.start), number);
                prop_assert_eq!(slices.number_at(range.end - 1), number);
                let aligned = Slices::aligned(range.end - 1, size);
                prop_assert!(aligned.start == range.start && aligned.end >= range.end);
                position = range.end;
                number += 1;
            }
            prop_assert!(position == total && slices.range(number).is_empty());
        }
    }
}
