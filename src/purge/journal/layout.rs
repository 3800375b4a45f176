//! The bytes of a purge journal: pure, told whole from damaged here alone.
//!
//! A file is slots of 64 bytes, all numbers little-endian: a header, the rules of a snapshot, and
//! the purges since, each numbered one above the last.
//!
//! ```text
//!  slot 0         from slot 1 on
//! ┌────────┬─────────────────────┬──────────────────────────────────┐
//! │ header │ rules up to `head`  │ purges head + 1, head + 2, …     │
//! └────────┴─────────────────────┴──────────────────────────────────┘
//!
//! header   0 magic 8 │ 8 version 4 │ 12 CRC32 4 │ 16 identity 16
//!         32 head 8 │ 40 rules 8 │ 48 zeros 16
//! record   0 kind 1 │ 1 of one site 1 │ 2 zeros 2 │ 4 length of text 4 │ 8 zeros 4 │ 12 CRC32 4
//!         16 key 16 │ 32 hard 8 │ 40 soft 8 │ 48 possibly 8 │ 56 site 8
//! text     0 kind 1 │ 1 zeros 11 │ 12 CRC32 4 │ 16 text 48     as many as the record's text takes
//! ```
//!
//! A checksum covers the slot with its own four bytes as zeros; that of a record begins with the
//! identity and the slot's place, so that a record holds in its own file and place alone. A rule is
//! the highest number of each kind that purges what it covers; a purge has one: its own. A record
//! at the end of the file whose text is not all there was never acknowledged, and counts as none.
//! Records that tell how far the node has come in the log that it follows have no number. One of
//! nothing that is possibly purged skips the numbers up to its own.
//!
//! Whoever changes the layout raises [`VERSION`]: a file of another version is damaged, which costs
//! what is stored and no more.

#[cfg(any(test, fuzzing))]
pub(in crate::purge) mod fuzz;

use std::io::{self, Read};

use crc32fast::Hasher;

use crate::object::{
    Coverage, EntryHash, LogId, Position, PurgeRule, Purged, SiteKey, TagKey, UrlKey, UrlWildcard,
};

/// Bytes of a slot. It divides every size of page and sector, so none lies across two.
pub(super) const SLOT: usize = 64;

pub(super) const MAGIC: [u8; 8] = *b"HLPURGES";
const VERSION: u32 = 2;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A purge, numbered: what it covers here, if anything.
    Purge(Option<PurgeRule>, Purged),
    /// With all before it, this node has come so far in the log that it follows.
    Followed(Followed),
}

/// How far a node has come in the log of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The last entry applied.
    pub position: Position,
    /// Whether the node was granted to go on without the control plane.
    pub serves: bool,
}

/// What a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// A purge that covers nothing here.
    Nothing = 1,
    Whole = 2,
    Url = 3,
    Tag = 4,
    Prefix = 5,
    Wildcard = 6,
    /// Part of the text of the record before.
    Text = 7,
    /// How far the node has come in the log that it follows: identity 16, number 8, hash 32,
    /// whether it serves alone 1, as text.
    Followed = 8,
}

/// Where a slot has its text.
const TEXT: usize = 16;

/// Where a slot keeps its checksum.
const CRC: std::ops::Range<usize> = 12..16;

type Slot = [u8; SLOT];

/// The first slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: u128,
    /// Number of the last purge that the snapshot holds.
    pub(super) head: u64,
    /// Records of the snapshot.
    pub(super) rules: u64,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) header: Header,
    /// Of the snapshot, then of the purges, in their order.
    pub(super) records: Vec<Record>,
    /// Number of the last purge.
    pub(super) head: u64,
    /// Slots of all that, the header's among them.
    pub(super) slots: u64,
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
        slot[40..48].copy_from_slice(&self.rules.to_le_bytes());
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
            rules: u64::from_le_bytes(part(slot, 40)),
        })
    }
}

/// Whether a purge has one number, and that is the one behind `head`.
fn is_next(purged: Purged, head: u64) -> bool {
    let Purged { hard, soft, possibly } = purged;
    let own = hard.checked_add(soft).and_then(|sum| sum.checked_add(possibly));
    own == Some(purged.last()) && head.checked_add(1) == own
}

impl Contents {
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
        let mut contents = Self { header, records: Vec::new(), head: header.head, slots: 1 };
        while contents.slots < slots {
            match contents.read_record(slots, &mut file)? {
                Ok(true) => {}
                Ok(false) => break,
                Err(damage) => return Ok(Err(damage)),
            }
        }
        if (contents.records.len() as u64) < header.rules {
            return Ok(Err(Damage::Length(length)));
        }
        Ok(Ok(contents))
    }

    /// Reads the next record; false if it is not all there.
    fn read_record(&mut self, slots: u64, mut file: impl Read) -> io::Result<Result<bool, Damage>> {
        let place = self.slots;
        let (identity, mut slot) = (self.header.identity, [0; SLOT]);
        file.read_exact(&mut slot)?;
        if sealed(slot, seed(identity, place)) != slot {
            return Ok(Err(Damage::Record(place)));
        }
        let length = u32::from_le_bytes(part(&slot, 4)) as usize;
        let more = length.div_ceil(SLOT - TEXT) as u64;
        let mut text = Vec::new();
        for at in place + 1..=place + more {
            let mut slot = [0; SLOT];
            if at == slots {
                return Ok(Ok(false));
            }
            file.read_exact(&mut slot)?;
            if sealed(slot, seed(identity, at)) != slot || slot[0] != Kind::Text as u8 {
                return Ok(Err(Damage::Record(at)));
            }
            text.extend_from_slice(&slot[TEXT..]);
        }
        text.truncate(length);
        let record = decode(&slot, text).filter(|record| self.admit(record));
        let Some(record) = record else { return Ok(Err(Damage::Order(place))) };
        self.records.push(record);
        self.slots += 1 + more;
        Ok(Ok(true))
    }

    /// Whether a record may come next.
    fn admit(&mut self, record: &Record) -> bool {
        let is_of_snapshot = (self.records.len() as u64) < self.header.rules;
        match record {
            Record::Followed(_) => true,
            Record::Purge(_, purged) if is_of_snapshot => purged.last() <= self.head,
            Record::Purge(_, purged) if is_next(*purged, self.head) => {
                self.head += 1;
                true
            }
            // Numbers that were skipped.
            Record::Purge(None, Purged { hard: 0, soft: 0, possibly }) if *possibly > self.head => {
                self.head = *possibly;
                true
            }
            Record::Purge(..) => false,
        }
    }
}

/// The record of a slot and its text.
fn decode(slot: &Slot, text: Vec<u8>) -> Option<Record> {
    if slot[0] == Kind::Followed as u8 {
        return Followed::decode(&text).map(Record::Followed);
    }
    let text = String::from_utf8(text).ok()?;
    let key = u128::from_le_bytes(part(slot, 16));
    let is = |kind: Kind| slot[0] == kind as u8;
    let purged = Purged {
        hard: u64::from_le_bytes(part(slot, 32)),
        soft: u64::from_le_bytes(part(slot, 40)),
        possibly: u64::from_le_bytes(part(slot, 48)),
    };
    let covers = match () {
        () if is(Kind::Nothing) => return Some(Record::Purge(None, purged)),
        () if is(Kind::Whole) => Coverage::Whole,
        () if is(Kind::Url) => Coverage::Url(UrlKey::from_u128(key)),
        () if is(Kind::Tag) => Coverage::Tag(TagKey::from_u64(key as u64)),
        () if is(Kind::Prefix) => Coverage::Prefix(text.into()),
        () if is(Kind::Wildcard) => Coverage::Wildcard(UrlWildcard::from_text(&text)),
        () => return None,
    };
    let site = (slot[1] == 1).then(|| SiteKey::from_u64(u64::from_le_bytes(part(slot, 56))));
    Some(Record::Purge(Some(PurgeRule { site, covers }), purged))
}

impl Followed {
    const LENGTH: usize = 57;

    fn encode(&self) -> Vec<u8> {
        let Position { log, number, hash } = self.position;
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend_from_slice(&log.0.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&hash.0);
        bytes.push(self.serves.into());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        let position = Position {
            log: LogId(u128::from_le_bytes(*bytes.first_chunk()?)),
            number: u64::from_le_bytes(*bytes[16..].first_chunk()?),
            hash: EntryHash(*bytes[24..].first_chunk()?),
        };
        Some(Self { position, serves: bytes[56] == 1 })
    }
}

/// The slots of `records`, the first at `place`.
pub(super) fn encode_records<'r>(
    identity: u128,
    place: u64,
    records: impl IntoIterator<Item = &'r Record>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let place = place + (bytes.len() / SLOT) as u64;
        let (slot, text) = encode(record);
        bytes.extend_from_slice(&sealed(slot, seed(identity, place)));
        for (place, part) in (place + 1..).zip(text.chunks(SLOT - TEXT)) {
            let mut slot = [0; SLOT];
            slot[0] = Kind::Text as u8;
            slot[TEXT..TEXT + part.len()].copy_from_slice(part);
            bytes.extend_from_slice(&sealed(slot, seed(identity, place)));
        }
    }
    bytes
}

/// The slot of a record, still to be sealed, and its text.
fn encode(record: &Record) -> (Slot, Vec<u8>) {
    let (rule, purged) = match record {
        Record::Purge(rule, purged) => (rule.as_ref(), *purged),
        Record::Followed(_) => (None, Purged::default()),
    };
    let (kind, key, text) = match (record, rule.map(|rule| &rule.covers)) {
        (Record::Followed(followed), _) => (Kind::Followed, 0, followed.encode()),
        (_, None) => (Kind::Nothing, 0, Vec::new()),
        (_, Some(Coverage::Whole)) => (Kind::Whole, 0, Vec::new()),
        (_, Some(Coverage::Url(url))) => (Kind::Url, url.as_u128(), Vec::new()),
        (_, Some(Coverage::Tag(tag))) => (Kind::Tag, tag.as_u64().into(), Vec::new()),
        (_, Some(Coverage::Prefix(prefix))) => (Kind::Prefix, 0, prefix.as_bytes().to_vec()),
        (_, Some(Coverage::Wildcard(url))) => (Kind::Wildcard, 0, url.to_text().into_bytes()),
    };
    let site = rule.and_then(|rule| rule.site);
    let mut slot = [0; SLOT];
    slot[0] = kind as u8;
    slot[1] = site.is_some().into();
    slot[4..8].copy_from_slice(&(text.len() as u32).to_le_bytes());
    slot[16..32].copy_from_slice(&key.to_le_bytes());
    slot[32..40].copy_from_slice(&purged.hard.to_le_bytes());
    slot[40..48].copy_from_slice(&purged.soft.to_le_bytes());
    slot[48..56].copy_from_slice(&purged.possibly.to_le_bytes());
    slot[56..].copy_from_slice(&site.map_or(0, SiteKey::as_u64).to_le_bytes());
    (slot, text)
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
