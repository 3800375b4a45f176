//! The byte layout of a cache directory. Pure.
//!
//! ```text
//!  directory   store             superblock
//!              lock              which process uses the directory (see `directory`)
//!              recency           the tags of what was used of late (see `recency`)
//!              00000000000000a1.segment, …2.segment, …    the number is the segment's id
//!
//!  segment     0       64                               tail              length - 64   length
//!              │ front │ record │ record │ … │ record │  │ footer entries … │ trailer │
//!
//!  record      0       4     8       16    32        64
//!              │ magic │ crc │ mark  │ key │ content │
//!              64            72            76     77  78      80
//!              │ body length │ head length │ kind │ 0 │ epoch │ head … │ body … │ padding │
//! ```
//!
//! All numbers are little-endian. `crc` is the CRC-32 of the record's header behind it and of the
//! head. `content` is the BLAKE3 of the body. `mark` is the segment's own: ids rise and are never
//! used again, so what an older file left on the same blocks is never taken for a record; nor is
//! part of a body, for the store's number is in it, which nobody outside knows. Each process that
//! goes on writing a segment wipes what stands behind the last whole record, lest it come back once
//! the torn one is written over, and has an epoch of its own there: behind a record no older epoch
//! follows.

use crate::object::CacheKey;

/// Raised whenever the layout changes; a directory of another version is emptied.
pub(super) const VERSION: u32 = 3;

/// Records begin at multiples of this.
pub(super) const UNIT: u64 = 64;

/// Bytes of the front of a segment: where its first record begins.
pub(super) const FRONT: u64 = 64;

/// Bytes of the fixed part of a record.
pub(super) const HEADER: usize = 80;

/// Bytes of a footer entry.
pub(super) const ENTRY: usize = 32;

/// Bytes of the trailer at the very end of a sealed segment.
pub(super) const TRAILER: usize = 64;

/// Bytes of the superblock.
pub(super) const SUPERBLOCK: usize = 64;

const RECORD_MAGIC: [u8; 4] = *b"HlRc";
/// What a segment begins with.
pub(super) const SEGMENT_MAGIC: &[u8] = b"HlSg";
const TRAILER_MAGIC: [u8; 4] = *b"HlFt";

/// BLAKE3 of a body.
pub(super) type Content = [u8; 32];

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A response, head and body.
    Response = 1,
    /// The head of a response whose body stands in another record with the same content.
    Reference = 2,
    /// A body that only references need. It has no key.
    Body = 3,
    /// By which fields a resource varies.
    Varies = 4,
    /// Nothing is stored under the key any more.
    Removed = 5,
}

impl Kind {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Response, Self::Reference, Self::Body, Self::Varies, Self::Removed]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    /// Whether the body stands in the record.
    pub(super) fn has_body(self) -> bool {
        matches!(self, Self::Response | Self::Body)
    }

    /// Whether the record is found by a key.
    pub(super) fn has_key(self) -> bool {
        self != Self::Body
    }
}

/// The fixed part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// That of the segment (see [`mark`]).
    pub(super) mark: u64,
    pub(super) key: u128,
    pub(super) content: Content,
    /// Bytes of the body, wherever it stands.
    pub(super) body: u64,
    /// Bytes of the head.
    pub(super) head: u32,
    pub(super) kind: Kind,
    pub(super) epoch: u16,
}

impl Header {
    /// The header's bytes, its CRC over `head` as well.
    pub(super) fn encode(&self, head: &[u8]) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..4].copy_from_slice(&RECORD_MAGIC);
        out[8..16].copy_from_slice(&self.mark.to_le_bytes());
        out[16..32].copy_from_slice(&self.key.to_le_bytes());
        out[32..64].copy_from_slice(&self.content);
        out[64..72].copy_from_slice(&self.body.to_le_bytes());
        out[72..76].copy_from_slice(&self.head.to_le_bytes());
        out[76] = self.kind as u8;
        out[78..80].copy_from_slice(&self.epoch.to_le_bytes());
        let crc = crc_of([&out[8..], head]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a record of the segment that has this mark at the beginning of `bytes`: its header and
    /// its head, if both are whole.
    pub(super) fn decode(bytes: &[u8], mark: u64) -> Option<(Self, &[u8])> {
        let fixed = bytes.first_chunk::<HEADER>()?;
        if fixed[..4] != RECORD_MAGIC || u64_at(fixed, 8) != mark || fixed[77] != 0 {
            return None;
        }
        let header = Self {
            mark,
            key: u128::from_le_bytes(array(&fixed[16..32])),
            content: array(&fixed[32..64]),
            body: u64_at(fixed, 64),
            head: u32_at(fixed, 72),
            kind: Kind::from_byte(fixed[76])?,
            epoch: u16::from_le_bytes(array(&fixed[78..80])),
        };
        let head = bytes[HEADER..].get(..header.head as usize)?;
        (crc_of([&fixed[8..], head]) == u32_at(fixed, 4)).then_some((header, head))
    }

    /// Where the body begins, from the record's beginning.
    pub(super) fn body_start(&self) -> u64 {
        HEADER as u64 + u64::from(self.head)
    }

    /// Bytes of the body that stand in this record.
    pub(super) fn own_body(&self) -> u64 {
        if self.kind.has_body() { self.body } else { 0 }
    }

    /// Bytes of the record, up to where the next begins.
    pub(super) fn length(&self) -> u64 {
        self.body_start().saturating_add(self.own_body()).saturating_next_multiple_of(UNIT)
    }
}

/// `u64::next_multiple_of` that stays at the largest multiple.
trait SaturatingMultiple {
    fn saturating_next_multiple_of(self, unit: u64) -> u64;
}

impl SaturatingMultiple for u64 {
    fn saturating_next_multiple_of(self, unit: u64) -> u64 {
        self.checked_next_multiple_of(unit).unwrap_or(u64::MAX - u64::MAX % unit)
    }
}

/// What a record says of its head's length, before that is known to be true.
pub(super) fn head_length(record: &[u8]) -> u32 {
    let bytes = record.get(72..).and_then(|rest| rest.first_chunk::<4>());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// What the index needs of a record, so that a sealed segment is recovered without its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// What the index finds it by; 0 without a key.
    pub(super) key: u64,
    /// What the index finds the body by; 0 without a body.
    pub(super) content: u64,
    /// Where the record begins, in units.
    pub(super) at: u32,
    /// Its length, in units.
    pub(super) units: u32,
    pub(super) kind: Kind,
}

impl Entry {
    /// The entry of the record at byte `offset`.
    pub(super) fn of(header: &Header, offset: u64) -> Self {
        Self {
            key: if header.kind.has_key() { tag_of(CacheKey::from_u128(header.key)) } else { 0 },
            content: if header.body > 0 { content_tag(&header.content) } else { 0 },
            at: (offset / UNIT) as u32,
            units: (header.length() / UNIT) as u32,
            kind: header.kind,
        }
    }

    fn encode(&self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[..8].copy_from_slice(&self.key.to_le_bytes());
        out[8..16].copy_from_slice(&self.content.to_le_bytes());
        out[16..20].copy_from_slice(&self.at.to_le_bytes());
        out[20..24].copy_from_slice(&self.units.to_le_bytes());
        out[24] = self.kind as u8;
        out
    }

    fn decode(bytes: &[u8; ENTRY]) -> Option<Self> {
        Some(Self {
            key: u64_at(bytes, 0),
            content: u64_at(bytes, 8),
            at: u32_at(bytes, 16),
            units: u32_at(bytes, 20),
            kind: Kind::from_byte(bytes[24])?,
        })
    }
}

/// What the index finds a key by. Never 0, which stands for none.
pub(super) fn tag_of(key: CacheKey) -> u64 {
    (key.as_u128() as u64).max(1)
}

/// What the index finds a body by.
pub(super) fn content_tag(content: &Content) -> u64 {
    u64_at(content, 0).max(1)
}

/// What the records of segment `id` of `store` have, and no other bytes.
pub(super) fn mark(id: u64, store: u128) -> u64 {
    id ^ store as u64
}

/// The front of segment `id`.
pub(super) fn front(id: u64, store: u128, length: u64) -> [u8; FRONT as usize] {
    let mut out = [0; FRONT as usize];
    out[..4].copy_from_slice(SEGMENT_MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&id.to_le_bytes());
    out[24..40].copy_from_slice(&store.to_le_bytes());
    out[40..48].copy_from_slice(&length.to_le_bytes());
    with_crc(out)
}

/// Whether `bytes` begin with the front of segment `id` of `store`, `length` bytes long.
pub(super) fn is_front(bytes: &[u8], id: u64, store: u128, length: u64) -> bool {
    bytes.starts_with(&front(id, store, length))
}

/// The footer of segment `id`: what ends it, from `length - footer.len()` on.
pub(super) fn footer(id: u64, entries: &[Entry]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(entries.len() * ENTRY + TRAILER);
    entries.iter().for_each(|entry| out.extend_from_slice(&entry.encode()));
    let mut trailer = [0; TRAILER];
    trailer[..4].copy_from_slice(&TRAILER_MAGIC);
    trailer[8..12].copy_from_slice(&crc_of([&out]).to_le_bytes());
    trailer[16..24].copy_from_slice(&id.to_le_bytes());
    trailer[24..32].copy_from_slice(&(entries.len() as u64).to_le_bytes());
    out.extend_from_slice(&with_crc(trailer));
    out
}

/// The entries of a sealed segment; `None` if it has no whole footer.
pub(super) fn entries_of(segment: &[u8], id: u64) -> Option<Vec<Entry>> {
    let end = segment.len().checked_sub(TRAILER)?;
    let trailer: [u8; TRAILER] = array(&segment[end..]);
    if trailer[..4] != TRAILER_MAGIC || with_crc(trailer) != trailer || u64_at(&trailer, 16) != id {
        return None;
    }
    let count = usize::try_from(u64_at(&trailer, 24)).ok()?;
    let start = end.checked_sub(count.checked_mul(ENTRY)?)?;
    let (entries, _) = segment[start..end].as_chunks::<ENTRY>();
    if crc_of([&segment[start..end]]) != u32_at(&trailer, 8) {
        return None;
    }
    entries.iter().map(Entry::decode).collect()
}

/// What makes a directory a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Drawn when the store was made.
    pub(super) store: u128,
    /// Identity of the log whose purges the store knows.
    pub(super) log: u128,
    /// Bytes of every segment.
    pub(super) segment: u64,
}

impl Superblock {
    /// What it begins with.
    pub(super) const MAGIC: &[u8] = b"HlSt";

    pub(super) fn encode(&self) -> [u8; SUPERBLOCK] {
        let mut out = [0; SUPERBLOCK];
        out[..4].copy_from_slice(Self::MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.store.to_le_bytes());
        out[32..48].copy_from_slice(&self.log.to_le_bytes());
        out[48..56].copy_from_slice(&self.segment.to_le_bytes());
        with_crc(out)
    }

    /// Reads a superblock, or says what it is instead.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes.first_chunk::<SUPERBLOCK>().ok_or("it is too short")?;
        if !bytes.starts_with(Self::MAGIC) {
            return Err("it is no superblock".to_owned());
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(format!("it is of version {version} of the format and not {VERSION}"));
        }
        if with_crc(*bytes) != *bytes {
            return Err("its checksum is wrong".to_owned());
        }
        Ok(Self {
            store: u128::from_le_bytes(array(&bytes[16..32])),
            log: u128::from_le_bytes(array(&bytes[32..48])),
            segment: u64_at(bytes, 48),
        })
    }
}

/// The block with its CRC at bytes 4 to 8, over all that stands behind it.
fn with_crc<const N: usize>(mut block: [u8; N]) -> [u8; N] {
    let crc = crc_of([&block[8..]]);
    block[4..8].copy_from_slice(&crc.to_le_bytes());
    block
}

pub(super) fn crc_of<const N: usize>(parts: [&[u8]; N]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The first `N` bytes of `bytes`, which has as many.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(&bytes[at..]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(&bytes[at..]))
}

#[cfg(test)]
mod tests;
