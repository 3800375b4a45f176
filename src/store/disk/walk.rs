//! The records of a segment without a footer, one behind the other.
//!
//! ```text
//!  │ front │ record │ record │ damaged │ record │ record │ zeros …
//!            next ──► next ──► none
//!                                 skip ──► next ──► next ──► none, and nothing to skip to
//! ```
//!
//! Where no whole record stands, the segment ends, or something has damaged one. What stands behind
//! it is found by its mark, which no part of a body can have (see `format`): it is as good as what
//! stands before, for a record needs none but itself. Its epoch is not older than that of the last.

use super::format::{ENTRY, FRONT, Header, TRAILER, UNIT};

/// Bytes that are searched before is asked where the next stand that were written.
const SEARCHED: u64 = 1 << 20;

/// Where one stands in a segment.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    mark: u64,
    tail: u64,
    epoch: u16,
    count: usize,
}

impl<'a> Walk<'a> {
    /// Before the first record of the segment of these bytes and this mark.
    pub(super) fn new(bytes: &'a [u8], mark: u64) -> Self {
        Self { bytes, mark, tail: FRONT, epoch: 0, count: 0 }
    }

    /// Where the next record is to stand.
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// The epoch of the last record.
    pub(super) fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The next record, and where it stands.
    pub(super) fn next(&mut self) -> Option<(u64, Header)> {
        let (at, header) = (self.tail, self.whole_at(self.tail)?);
        self.tail += header.length();
        self.epoch = header.epoch;
        self.count += 1;
        Some((at, header))
    }

    /// Goes on to the next whole record, where none stands at the [tail](Self::tail). False if
    /// there is none. `written_from` tells where bytes stand that were written.
    pub(super) fn skip(&mut self, written_from: impl Fn(u64) -> Option<u64>) -> bool {
        let end = (self.bytes.len() - TRAILER) as u64;
        let mut from = self.tail + UNIT;
        while let Some(written) = written_from(from).filter(|written| *written < end) {
            from = from.max(written - written % UNIT);
            let to = end.min(from + SEARCHED);
            let found = (from..to).step_by(UNIT as usize).find(|at| self.whole_at(*at).is_some());
            if let Some(found) = found {
                self.tail = found;
                return true;
            }
            from = to.next_multiple_of(UNIT);
        }
        false
    }

    fn whole_at(&self, at: u64) -> Option<Header> {
        let rest = self.bytes.get(usize::try_from(at).ok()?..)?;
        let (header, _) = Header::decode(rest, self.mark)?;
        let fits = header.length() <= room(self.bytes.len() as u64, at, self.count);
        (fits && header.epoch >= self.epoch).then_some(header)
    }
}

/// Bytes that the next record of a segment may take, if `count` are there already.
pub(super) fn room(length: u64, tail: u64, count: usize) -> u64 {
    let footer = ((count + 1) * ENTRY + TRAILER) as u64;
    length.saturating_sub(tail).saturating_sub(footer)
}
