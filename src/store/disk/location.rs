//! Where a record stands, in 64 bits. Pure.
//!
//! ```text
//!  63     62 61   60         59 … 46   45 … 22   21 … 0
//!  │ body │ uses │ verified │ slot    │ at      │ units │
//! ```
//!
//! `slot` is the segment's place in the table, `at` where the record begins and `units` how long it
//! is, both in units of 64 bytes. `body` tells what the record is found by: its body or its key.

use super::format::UNIT;

/// Segments at most: what a slot can name.
pub(super) const SLOTS_MAX: usize = 1 << 14;

/// Bytes of a segment at most: what `at` can name.
pub(super) const SEGMENT_MAX: u64 = (1 << 24) * UNIT;

/// Bytes of a record at most: what `units` can name.
pub(super) const RECORD_MAX: u64 = ((1 << 22) - 1) * UNIT;

/// Uses that are told apart.
pub(super) const USES_MAX: u64 = 3;

const AT: u32 = 22;
const SLOT: u32 = 46;
const VERIFIED: u64 = 1 << 60;
const USES: u32 = 61;
const BODY: u64 = 1 << 63;

/// Place, length and state of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location(u64);

impl Location {
    /// A record of `units` in `slot`, `at` units from the segment's beginning; not verified, and
    /// never used.
    pub(super) fn new(slot: u16, at: u32, units: u32) -> Self {
        let slot = u64::from(slot) % SLOTS_MAX as u64;
        let (at, units) = (u64::from(at) & ((1 << 24) - 1), u64::from(units) & ((1 << 22) - 1));
        Self(slot << SLOT | at << AT | units)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn slot(self) -> u16 {
        (self.0 >> SLOT) as u16 & (SLOTS_MAX as u16 - 1)
    }

    /// Byte at which the record begins.
    pub(super) fn offset(self) -> u64 {
        (self.0 >> AT & ((1 << 24) - 1)) * UNIT
    }

    /// Bytes of the record.
    pub(super) fn length(self) -> u64 {
        (self.0 & ((1 << 22) - 1)) * UNIT
    }

    /// How often the record was used of late, up to [`USES_MAX`].
    pub(super) fn uses(self) -> u64 {
        self.0 >> USES & USES_MAX
    }

    /// Whether its body was compared with its BLAKE3 since it came from the disk, or is what this
    /// process wrote.
    pub(super) fn is_verified(self) -> bool {
        self.0 & VERIFIED != 0
    }

    #[must_use]
    pub(super) fn verified(self) -> Self {
        Self(self.0 | VERIFIED)
    }

    /// The same where its body came from the disk since.
    #[must_use]
    pub(super) fn unverified(self) -> Self {
        Self(self.0 & !VERIFIED)
    }

    #[must_use]
    pub(super) fn with_uses(self, uses: u64) -> Self {
        Self(self.0 & !(USES_MAX << USES) | uses.min(USES_MAX) << USES)
    }

    /// The same record, found by its body.
    #[must_use]
    pub(super) fn of_body(self) -> Self {
        Self(self.0 | BODY)
    }

    pub(super) fn is_of_body(self) -> bool {
        self.0 & BODY != 0
    }

    /// Whether both name the same record, whatever its state.
    pub(super) fn is_at(self, other: Self) -> bool {
        (self.0 ^ other.0) & (VERIFIED - 1) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_part_comes_back(
            slot in 0u16..SLOTS_MAX as u16,
            at in 0u32..1 << 24,
            units in 0u32..1 << 22,
            uses in 0u64..9,
        ) {
            let place = Location::new(slot, at, units);
            let state = place.verified().with_uses(uses);
            for location in [place, state, state.with_uses(0), Location::from_bits(state.bits())] {
                prop_assert_eq!(location.slot(), slot);
                prop_assert_eq!(location.offset(), u64::from(at) * UNIT);
                prop_assert_eq!(location.length(), u64::from(units) * UNIT);
                prop_assert!(location.is_at(place));
            }
            prop_assert_eq!((place.uses(), place.is_verified()), (0, false));
            prop_assert_eq!((state.uses(), state.is_verified()), (uses.min(USES_MAX), true));
            prop_assert_eq!(state.unverified(), place.with_uses(uses));
            prop_assert!(!place.is_at(Location::new(slot, at, units ^ 1)));
        }
    }
}
