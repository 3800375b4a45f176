//! Byte ranges: Range read and resolved, Content-Range read and written (RFC 9110 section 14).
//!
//! Resolved ranges lie inside the body, never overlap or touch, and stand in the order in which
//! they were asked for. So however a client piles them up, it is sent each byte once at most.

use smallvec::SmallVec;

use super::sink::Sink;
use super::syntax::{members, trim};

/// The ranges that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSet(SmallVec<[Spec; 2]>);

/// A set of more ranges is ignored, as RFC 9110 section 14.2 allows.
pub const RANGES_MAX: usize = 16;

impl RangeSet {
    /// Reads the value of Range. `None` means that the field is to be ignored: another unit than
    /// bytes, a fault in any part, or too many of them.
    pub fn parse(value: &[u8]) -> Option<RangeSet> {
        let specs = after_unit(trim(value), b'=')?;
        let mut set = SmallVec::new();
        for spec in members(specs) {
            if set.len() == RANGES_MAX {
                return None;
            }
            set.push(Spec::parse(spec)?);
        }
        (!set.is_empty()).then_some(RangeSet(set))
    }

    /// Where the first range begins, if that can be told without the length of the body.
    pub fn first_byte(&self) -> Option<u64> {
        match self.0.first()? {
            Spec::From(first, _) => Some(*first),
            Spec::Suffix(_) => None,
        }
    }

    /// The parts of a body of `len` bytes that are asked for, overlapping and adjacent ones made
    /// one. RFC 9110 section 15.3.7.2 keeps the order of the request.
    pub fn resolve(&self, len: u64) -> Resolved {
        let mut ranges: SmallVec<[ByteRange; 2]> = SmallVec::new();
        for spec in &self.0 {
            if let Some(range) = spec.resolve(len) {
                merge(&mut ranges, range);
            }
        }
        if ranges.is_empty() { Resolved::Unsatisfiable } else { Resolved::Ranges(ranges) }
    }
}

/// What a [`RangeSet`] comes to for a body of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// 416: no range touches the body.
    Unsatisfiable,
    /// These, at least one.
    Ranges(SmallVec<[ByteRange; 2]>),
}

/// A row of bytes in a body; never empty where this module makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// First byte past it.
    pub end: u64,
}

impl ByteRange {
    /// Bytes in it.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn touches(self, other: ByteRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// Writes `bytes=0-499` for Range. `range` is not empty.
pub fn write_range(range: ByteRange, out: &mut impl Sink) {
    out.put(b"bytes=");
    out.put_number(range.start);
    out.put(b"-");
    out.put_number(range.end.saturating_sub(1));
}

/// Writes `bytes 0-499/1234` for Content-Range. `range` is not empty.
pub fn write_content_range(range: ByteRange, total: u64, out: &mut impl Sink) {
    out.put(b"bytes ");
    out.put_number(range.start);
    out.put(b"-");
    out.put_number(range.end.saturating_sub(1));
    out.put(b"/");
    out.put_number(total);
}

/// Writes `bytes */1234` for the Content-Range of a 416.
pub fn write_unsatisfied_range(total: u64, out: &mut impl Sink) {
    out.put(b"bytes */");
    out.put_number(total);
}

/// What Content-Range says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The part enclosed; `None` for `*`, as in a 416.
    pub range: Option<ByteRange>,
    /// Length of the whole; `None` if it is not known.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads a value in bytes; `None` if it is invalid (RFC 9110 section 14.4).
    pub fn parse(value: &[u8]) -> Option<ContentRange> {
        let rest = trim(after_unit(trim(value), b' ')?);
        let slash = memchr::memchr(b'/', rest)?;
        let (range, total) = (&rest[..slash], &rest[slash + 1..]);
        let total = if total == b"*" { None } else { Some(exact(total)?) };
        if range == b"*" {
            return total.map(|total| ContentRange { range: None, total: Some(total) });
        }
        let dash = memchr::memchr(b'-', range)?;
        let (start, last) = (exact(&range[..dash])?, exact(&range[dash + 1..])?);
        let end = last.checked_add(1)?;
        let fits = start <= last && total.is_none_or(|total| end <= total);
        fits.then_some(ContentRange { range: Some(ByteRange { start, end }), total })
    }

    /// Whether something of the whole is known to be missing, or may be.
    pub fn is_part(self) -> bool {
        self.range.is_some_and(|range| range.start > 0 || self.total != Some(range.end))
    }
}

/// One range as asked for (RFC 9110 section 14.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// `first-` or `first-last`, the last byte included.
    From(u64, Option<u64>),
    /// `-length`
    Suffix(u64),
}

impl Spec {
    fn parse(spec: &[u8]) -> Option<Spec> {
        let dash = memchr::memchr(b'-', spec)?;
        match (&spec[..dash], &spec[dash + 1..]) {
            (b"", length) => Some(Spec::Suffix(number(length)?)),
            (first, b"") => Some(Spec::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::From(first, Some(last)))
            }
        }
    }

    /// The part of a body of `len` bytes; `None` if there is none of it.
    fn resolve(self, len: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Spec::From(first, None) => (first, len),
            Spec::From(first, Some(last)) => (first, last.saturating_add(1).min(len)),
            Spec::Suffix(length) => (len.saturating_sub(length), len),
        };
        (start < end).then_some(ByteRange { start, end })
    }
}

/// Adds `range`, and takes into its first neighbour whatever it connects.
fn merge(ranges: &mut SmallVec<[ByteRange; 2]>, range: ByteRange) {
    let mut whole = range;
    let mut place = None;
    // A range that grew may reach others that were passed by; there are few of them.
    while let Some(at) = ranges.iter().rposition(|other| other.touches(whole)) {
        let other = ranges.remove(at);
        whole = ByteRange { start: whole.start.min(other.start), end: whole.end.max(other.end) };
        place = Some(place.map_or(at, |before: usize| before.min(at)));
    }
    ranges.insert(place.unwrap_or(ranges.len()), whole);
}

/// What follows `bytes` and `separator`; units match in any case.
fn after_unit(value: &[u8], separator: u8) -> Option<&[u8]> {
    let (unit, rest) = value.split_at_checked(b"bytes".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    rest.strip_prefix(&[separator])
}

/// A number too large to hold lies past the end of any body: it is the largest there is.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

/// A number that means what it says: one too large to hold is none.
fn exact(value: &[u8]) -> Option<u64> {
    number(value).filter(|number| *number < u64::MAX)
}

#[cfg(test)]
mod tests;
