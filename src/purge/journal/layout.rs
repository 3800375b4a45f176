//! The bytes of a purge journal: pure, told whole from damaged here alone.
//!
//! A file is slots of 64 bytes, all numbers little-endian: a header, the rules of a snapshot, and
//! the purges since, each numbered one above the last.
//!
//! ```text
//!  slot 0         1 ..= rules         rules + 1 ..
//! ┌────────┬─────────────────────┬──────────────────────────────────┐
//! │ header │ rules up to `head`  │ purges head + 1, head + 2, …     │
//! └────────┴─────────────────────┴──────────────────────────────────┘
//!
//! header   0 magic 8 │ 8 version 4 │ 12 CRC32 4 │ 16 identity 16
//!         32 head 8 │ 40 everything, hard 8 │ 48 everything, soft 8 │ 56 rules 8
//! record   0 kind 4 │ 4 zeros 8 │ 12 CRC32 4 │ 16 UrlKey 16
//!         32 hard 8 │ 40 soft 8 │ 48 zeros 16
//! ```
//!
//! A checksum covers the slot with its own four bytes as zeros; that of a record begins with the
//! identity and the slot's place, so that a record holds in its own file and place alone. A rule is
//! the highest hard and soft number that purge its URL; a purge has one of the two: its own.
//!
//! Whoever changes the layout raises [`VERSION`]: a file of another version is damaged, which costs
//! what is stored and no more.

use std::io::{self, Read};

use crc32fast::Hasher;

use crate::object::{Purged, UrlKey};

/// Bytes of a slot. It divides every size of page and sector, so none lies across two.
pub(super) const SLOT: usize = 64;

const MAGIC: [u8; 8] = *b"HLPURGES";
const VERSION: u32 = 1;

/// The kind of a record that speaks of a URL; there is no other yet.
const KIND_URL: u32 = 1;

/// Where a slot keeps its checksum.
const CRC: std::ops::Range<usize> = 12..16;

type Slot = [u8; SLOT];

/// The first slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: u128,
    /// Number of the last purge that the snapshot holds.
    pub(super) head: u64,
    /// What covers every URL.
    pub(super) everything: Purged,
    /// Records of the snapshot.
    pub(super) rules: u64,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) header: Header,
    /// Of the snapshot, then of the purges, in their order.
    pub(super) records: Vec<(UrlKey, Purged)>,
}

/// Why a file is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// Not whole slots, or fewer than the header says.
    #[error("its length of {0} bytes is none that a journal has")]
    Length(u64),
    /// Another file.
    #[error("it does not begin as a journal does")]
    Magic,
    /// Of a node of another version.
    #[error("its format is version {0}, this node's is {VERSION}")]
    Version(u32),
    /// The header is not what was written.
    #[error("the checksum of its header is wrong")]
    Header,
    /// A record is not what was written there.
    #[error("the checksum of record {0} is wrong")]
    Record(u64),
    /// A record of another kind or number than can stand there.
    #[error("record {0} is out of order")]
    Order(u64),
}

impl Header {
    pub(super) fn encode(&self) -> Slot {
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&MAGIC);
        slot[8..12].copy_from_slice(&VERSION.to_le_bytes());
        slot[16..32].copy_from_slice(&self.identity.to_le_bytes());
        slot[32..40].copy_from_slice(&self.head.to_le_bytes());
        slot[40..48].copy_from_slice(&self.everything.hard.to_le_bytes());
        slot[48..56].copy_from_slice(&self.everything.soft.to_le_bytes());
        slot[56..].copy_from_slice(&self.rules.to_le_bytes());
        sealed(slot, Hasher::new())
    }

    fn decode(slot: &Slot) -> Result<Self, Damage> {
        if slot[..8] != MAGIC {
            return Err(Damage::Magic);
        }
        let version = u32::from_le_bytes(part(slot, 8));
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        if sealed(*slot, Hasher::new()) != *slot {
            return Err(Damage::Header);
        }
        Ok(Self {
            identity: u128::from_le_bytes(part(slot, 16)),
            head: u64::from_le_bytes(part(slot, 32)),
            everything: Purged {
                hard: u64::from_le_bytes(part(slot, 40)),
                soft: u64::from_le_bytes(part(slot, 48)),
            },
            rules: u64::from_le_bytes(part(slot, 56)),
        })
    }

    /// The record that stands in slot `place`, if it is one that can.
    fn decode_record(&self, place: u64, slot: &Slot) -> Result<(UrlKey, Purged), Damage> {
        if sealed(*slot, seed(self.identity, place)) != *slot {
            return Err(Damage::Record(place));
        }
        let url = UrlKey::from_u128(u128::from_le_bytes(part(slot, 16)));
        let hard = u64::from_le_bytes(part(slot, 32));
        let soft = u64::from_le_bytes(part(slot, 40));
        let fits = match place.checked_sub(self.rules) {
            None | Some(0) => hard.max(soft) <= self.head,
            Some(since) => {
                self.head.checked_add(since) == Some(hard.max(soft)) && hard.min(soft) == 0
            }
        };
        match u32::from_le_bytes(part(slot, 0)) {
            KIND_URL if fits => Ok((url, Purged { hard, soft })),
            _ => Err(Damage::Order(place)),
        }
    }
}

impl Contents {
    /// Number of the last purge.
    pub(super) fn head(&self) -> u64 {
        self.header.head + (self.records.len() as u64 - self.header.rules)
    }

    /// Reads a file of `length` bytes; nothing is taken from it that a checksum does not cover.
    pub(super) fn read(length: u64, mut file: impl Read) -> io::Result<Result<Self, Damage>> {
        let slots = length / SLOT as u64;
        if slots == 0 || !length.is_multiple_of(SLOT as u64) {
            return Ok(Err(Damage::Length(length)));
        }
        let mut slot = [0; SLOT];
        file.read_exact(&mut slot)?;
        let header = match Header::decode(&slot) {
            Ok(header) if header.rules < slots => header,
            Ok(_) => return Ok(Err(Damage::Length(length))),
            Err(damage) => return Ok(Err(damage)),
        };
        let mut records = Vec::new();
        for place in 1..slots {
            file.read_exact(&mut slot)?;
            match header.decode_record(place, &slot) {
                Ok(record) => records.push(record),
                Err(damage) => return Ok(Err(damage)),
            }
        }
        Ok(Ok(Self { header, records }))
    }
}

/// The slots of `records`, the first at `place`.
pub(super) fn encode_records(
    identity: u128,
    place: u64,
    records: impl IntoIterator<Item = (UrlKey, Purged)>,
) -> Vec<u8> {
    let placed = (place..).zip(records);
    placed.flat_map(|(place, (url, rule))| encode_record(identity, place, url, rule)).collect()
}

fn encode_record(identity: u128, place: u64, url: UrlKey, rule: Purged) -> Slot {
    let mut slot = [0; SLOT];
    slot[..4].copy_from_slice(&KIND_URL.to_le_bytes());
    slot[16..32].copy_from_slice(&url.as_u128().to_le_bytes());
    slot[32..40].copy_from_slice(&rule.hard.to_le_bytes());
    slot[40..48].copy_from_slice(&rule.soft.to_le_bytes());
    sealed(slot, seed(identity, place))
}

/// What the checksum of the record at `place` begins with.
fn seed(identity: u128, place: u64) -> Hasher {
    let mut crc = Hasher::new();
    crc.update(&identity.to_le_bytes());
    crc.update(&place.to_le_bytes());
    crc
}

/// The slot with the checksum that belongs to it.
fn sealed(mut slot: Slot, mut crc: Hasher) -> Slot {
    slot[CRC].fill(0);
    crc.update(&slot);
    slot[CRC].copy_from_slice(&crc.finalize().to_le_bytes());
    slot
}

fn part<const LENGTH: usize>(slot: &Slot, from: usize) -> [u8; LENGTH] {
    std::array::from_fn(|at| slot[from + at])
}
