//! The bytes of a stored head, as the disk tier keeps them.
//!
//! ```text
//!  0        2       3        4          8                        12               16
//!  │ status │ flags │ sliced │ lifetime │ stale_while_revalidate │ stale_if_error │
//!  16     24         32      36         40
//!  │ born │ sequence │ lines │ withheld │ lines … │ target │ withheld lines … │
//!  │ total │ size │ generation │
//! ```
//!
//! Numbers are little-endian, times in milliseconds since the epoch, lifetimes in seconds. The
//! target is drawn in `purge::target`. The surrogate keys stand among the withheld lines, as
//! upstream sent them. How the body is sliced is told only where `sliced` is 1.

use bytes::Bytes;
use http::StatusCode;

use super::head::ObjectHead;
use super::purge::{Sequence, TargetUri};
use super::slices::Slices;
use super::stored::Stored;
use crate::message::FieldBlock;
use crate::semantics::freshness::{Freshness, FreshnessFlags};
use crate::semantics::time::Timestamp;

/// Bytes before the lines.
const FIXED: usize = 40;

/// Bytes that tell how a body is sliced.
const SLICES: usize = 24;

impl Stored {
    /// Appends the bytes of all but the body.
    pub fn encode_head(&self, out: &mut Vec<u8>) {
        let slices = self.slices();
        self.head.encode(out, slices.is_some());
        if let Some(Slices { total, size, generation }) = slices {
            for part in [total, size, generation] {
                out.extend_from_slice(&part.to_le_bytes());
            }
        }
    }
}

impl ObjectHead {
    fn encode(&self, out: &mut Vec<u8>, is_sliced: bool) {
        let (own, lines) = (self.own_bytes(), self.block());
        let withheld = self.withheld().map_or(&[][..], FieldBlock::as_bytes);
        let Freshness { born, lifetime, stale_while_revalidate, stale_if_error, flags } =
            self.freshness();
        out.extend_from_slice(&self.status.as_u16().to_le_bytes());
        out.extend_from_slice(&[flags.bits(), u8::from(is_sliced)]);
        for number in [lifetime, stale_while_revalidate, stale_if_error] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&born.millis().to_le_bytes());
        out.extend_from_slice(&self.sequence.number.to_le_bytes());
        for part in [lines.as_bytes(), withheld] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(own);
        out.extend_from_slice(withheld);
    }

    /// Reads what [`Stored::encode_head`] wrote: the head, and how the body is sliced. `None` if it
    /// is not that. Lines and target stay slices of `bytes`.
    pub fn decode(bytes: &Bytes) -> Option<(Self, Option<Slices>)> {
        let fixed = bytes.first_chunk::<FIXED>()?;
        let lifetimes = [u32_at(fixed, 4), u32_at(fixed, 8), u32_at(fixed, 12)];
        let [lifetime, stale_while_revalidate, stale_if_error] = lifetimes;
        let freshness = Freshness {
            born: Timestamp::from_millis(u64_at(fixed, 16)),
            lifetime,
            stale_while_revalidate,
            stale_if_error,
            flags: FreshnessFlags::from_bits(fixed[2]),
        };
        let lines = u32_at(fixed, 32) as usize;
        let own_end = FIXED + lines + TargetUri::len_in(bytes.get(FIXED + lines..)?)?;
        let withheld_end = own_end + u32_at(fixed, 36) as usize;
        let is_sliced = fixed[3] == 1;
        if withheld_end + if is_sliced { SLICES } else { 0 } != bytes.len() {
            return None;
        }
        let withheld = bytes.slice(own_end..withheld_end);
        // Of lines that are cut off the last would be lost without a word.
        let are_lines = |bytes: &[u8]| bytes.is_empty() || bytes.ends_with(b"\r\n");
        if !(are_lines(&bytes[FIXED..FIXED + lines]) && are_lines(&withheld)) {
            return None;
        }
        let withheld = (!withheld.is_empty()).then(|| Box::new(FieldBlock::from_lines(withheld)));
        let head = Self::over_bytes(
            StatusCode::from_u16(u16::from_le_bytes([fixed[0], fixed[1]])).ok()?,
            freshness,
            Sequence { number: u64_at(fixed, 24) },
            lines,
            bytes.slice(FIXED..own_end),
            withheld,
        );
        let slices = bytes[withheld_end..].first_chunk::<SLICES>().map(|slices| Slices {
            total: u64_at(slices, 0),
            // A slice of no bytes would never come to an end.
            size: u64_at(slices, 8).max(1),
            generation: u64_at(slices, 16),
        });
        Some((head, slices))
    }
}

fn u32_at(fixed: &[u8], at: usize) -> u32 {
    fixed[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(fixed: &[u8], at: usize) -> u64 {
    fixed[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::push_field;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            status in 100u16..1000,
            numbers in any::<[u32; 3]>(),
            born in any::<u64>(),
            number in any::<u64>(),
            flags in 0u8..16,
            value in "[ -~]{0,40}",
            withheld in any::<bool>(),
            sliced in any::<Option<[u64; 3]>>(),
        ) {
            let mut lines = Vec::new();
            push_field(&mut lines, "x-value", value.as_bytes());
            let block = FieldBlock::from_lines(lines.into());
            let freshness = Freshness {
                born: Timestamp::from_millis(born),
                lifetime: numbers[0],
                stale_while_revalidate: numbers[1],
                stale_if_error: numbers[2],
                flags: FreshnessFlags::from_bits(flags),
            };
            let aside = withheld.then(|| Box::new(block.clone()));
            let status = StatusCode::from_u16(status).unwrap();
            let target = crate::object::tests::target("/x");
            let sequence = Sequence { number };
            let head = ObjectHead::new(status, freshness, sequence, &block, aside, &target);
            let slices = sliced.map(|[total, size, generation]| {
                Slices { total, size: size.max(1), generation }
            });
            let stored = match slices {
                Some(slices) => Stored::sliced(&head, slices),
                None => Stored::new(&head, &[Bytes::from_static(b"body")]),
            };
            let mut bytes = Vec::new();
            stored.encode_head(&mut bytes);
            let (again, slices_again) = ObjectHead::decode(&Bytes::from(bytes.clone())).unwrap();
            prop_assert_eq!((again.status, again.sequence), (status, head.sequence));
            prop_assert_eq!((again.freshness(), slices_again), (freshness, slices));
            prop_assert_eq!(again.target(), Some(target));
            let lines = |head: &ObjectHead| {
                let withheld = head.withheld().map(|lines| lines.as_bytes().to_vec());
                (head.block().as_bytes().to_vec(), withheld)
            };
            prop_assert_eq!(lines(&again), lines(&head));
            for length in 0..bytes.len() {
                let cut = Bytes::copy_from_slice(&bytes[..length]);
                prop_assert!(ObjectHead::decode(&cut).is_none());
            }
        }
    }
}
