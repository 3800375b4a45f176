//! The bytes of the log's file: pure, told whole from torn and from damaged here alone.
//!
//! A header and frames behind it, all numbers little-endian.
//!
//! ```text
//! ┌────────┬──────────────┬──────────────┬──────┬───────────────────────────┐
//! │ header │ rule, rule … │ hash, hash … │ base │ entry, entry, entry …     │
//! └────────┴──────────────┴──────────────┴──────┴───────────────────────────┘
//!           └──────── snapshot, synced before the file got its name ┘ └ appended
//!
//! header   0 magic 8 │ 8 version 4 │ 12 CRC32 of the rest 4 │ 16 identity 16
//! frame    0 kind 1 │ 1 zeros 3 │ 4 length 4 │ 8 CRC32 of the payload 4 │ 12 CRC32 of 0..12 4
//!         16 payload
//! rule     0 number 8 │ 8 the purge as JSON
//! trail    any number of: number 8 │ hash 32     ends of entries that are not kept
//! base     number 8 │ hash 32                    what the first entry follows
//! entry    0 hash 32 │ 32 the entry as JSON
//! ```
//!
//! Both checksums of a frame begin with the identity and the frame's offset, so a frame holds in
//! its own file and place alone. An entry's hash is that of its JSON and covers the entry before.
//!
//! A file that ends within its last frame was cut by a kill while it was written, and one whose
//! last bytes are all zero by the loss of power: what stood there was never acknowledged. Anything
//! else that is not as it was written is damage.
//!
//! Whoever changes the layout raises [`VERSION`] and reads the version before.

use std::sync::Arc;

use crc32fast::Hasher;

use crate::control::log::Logged;
use crate::object::{Entry, EntryHash, LogId, Position, PurgeCommand};

const MAGIC: [u8; 8] = *b"HLPLOG\r\n";
const VERSION: u32 = 1;

/// Bytes of the header.
pub(super) const HEADER: usize = 32;
/// Bytes of a frame before its payload.
pub(super) const FRAME: usize = 16;
/// Bytes of a number and a hash.
const END: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Rule = 1,
    Trail = 2,
    Base = 3,
    Entry = 4,
}

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    pub(super) log: LogId,
    pub(super) rules: Vec<(u64, PurgeCommand)>,
    pub(super) trail: Vec<(u64, EntryHash)>,
    pub(super) base: Position,
    pub(super) entries: Vec<Arc<Logged>>,
    /// Bytes of all that; what stands behind them was never acknowledged.
    pub(super) length: usize,
}

/// Why a file is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("it does not begin as a purge log does")]
    Header,
    #[error("its format is version {0}, this program's is {VERSION}")]
    Version(u32),
    #[error("it ends within its snapshot")]
    Snapshot,
    #[error("the checksum at byte {0} is wrong")]
    Checksum(usize),
    #[error("what stands at byte {0} is out of order")]
    Order(usize),
}

/// A file while it is written, or the end of one.
pub(super) struct Writer {
    log: LogId,
    /// Offset of the first byte.
    start: usize,
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    /// Writes a file from its header on.
    pub(super) fn begin(log: LogId) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&log.0.to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc);
        Self { log, start: 0, bytes }
    }

    /// Goes on with a file of `length` bytes.
    pub(super) fn go_on(log: LogId, length: usize) -> Self {
        Self { log, start: length, bytes: Vec::new() }
    }

    /// Writes all that an entry comes behind.
    pub(super) fn snapshot(
        &mut self,
        rules: &[(u64, PurgeCommand)],
        trail: impl Iterator<Item = (u64, EntryHash)>,
        base: Position,
    ) {
        for (number, command) in rules {
            let json = command.to_json().to_string();
            self.frame(Kind::Rule, &[&number.to_le_bytes(), json.as_bytes()]);
        }
        let ends: Vec<u8> = trail.flat_map(|(number, hash)| end(number, hash)).collect();
        self.frame(Kind::Trail, &[&ends]);
        self.frame(Kind::Base, &[&end(base.number, base.hash)]);
    }

    pub(super) fn entry(&mut self, entry: &Logged) {
        let json = entry.line().strip_suffix(b"\n").unwrap_or_default();
        self.frame(Kind::Entry, &[&entry.hash().0, json]);
    }

    fn frame(&mut self, kind: Kind, parts: &[&[u8]]) {
        let seed = seed(self.log, self.start + self.bytes.len());
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let mut crc = seed.clone();
        parts.iter().for_each(|part| crc.update(part));
        let mut head = [0; FRAME];
        head[0] = kind as u8;
        head[4..8].copy_from_slice(&length.to_le_bytes());
        head[8..12].copy_from_slice(&crc.finalize().to_le_bytes());
        let crc = sum(seed, &head[..12]);
        head[12..].copy_from_slice(&crc);
        self.bytes.extend_from_slice(&head);
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }
}

impl Contents {
    /// Reads a whole file.
    pub(super) fn read(file: &[u8]) -> Result<Self, Damage> {
        let log = header(file)?;
        let base = Position::start(log);
        let mut contents = Self {
            log,
            rules: Vec::new(),
            trail: Vec::new(),
            base,
            entries: Vec::new(),
            length: HEADER,
        };
        let mut head = None;
        while let Some((kind, payload)) = frame(log, file, contents.length)? {
            let fits = match (kind, head) {
                (Kind::Rule, None) => contents.rule(payload),
                (Kind::Trail, None) => contents.trail(payload),
                (Kind::Base, None) => {
                    head =
                        ends(payload).next().map(|(number, hash)| Position { log, number, hash });
                    contents.base = head.unwrap_or(base);
                    head.map(drop)
                }
                (Kind::Entry, Some(at)) => contents.entry(payload, at).map(|to| head = Some(to)),
                _ => None,
            };
            fits.ok_or(Damage::Order(contents.length))?;
            contents.length += FRAME + payload.len();
        }
        head.map(|_| contents).ok_or(Damage::Snapshot)
    }

    fn rule(&mut self, payload: &[u8]) -> Option<()> {
        let (number, json) = payload.split_first_chunk()?;
        let command = PurgeCommand::from_json(&serde_json::from_slice(json).ok()?).ok()?;
        self.rules.push((u64::from_le_bytes(*number), command));
        Some(())
    }

    fn trail(&mut self, payload: &[u8]) -> Option<()> {
        self.trail.extend(ends(payload));
        let in_order = self.trail.is_sorted_by_key(|(number, _)| *number);
        (payload.len() == self.trail.len() * END && in_order).then_some(())
    }

    fn entry(&mut self, payload: &[u8], head: Position) -> Option<Position> {
        let (hash, json) = payload.split_first_chunk()?;
        let entry = Logged::new(Entry::from_json(json).ok()?);
        // What was hashed is the text of the file, lest a version that writes it otherwise take
        // it for its own.
        let whole =
            entry.hash() == EntryHash(*hash) && entry.line().strip_suffix(b"\n") == Some(json);
        let follows =
            head.number.checked_add(1) == Some(entry.first) && entry.previous == head.hash;
        let to = entry.position(self.log);
        self.entries.push(Arc::new(entry));
        (whole && follows).then_some(to)
    }
}

fn header(file: &[u8]) -> Result<LogId, Damage> {
    let header = file.first_chunk::<HEADER>().ok_or(Damage::Header)?;
    if header[..8] != MAGIC {
        return Err(Damage::Header);
    }
    let version = u32::from_le_bytes(part(header, 8));
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    if header_crc(header) != part::<4>(header, 12) {
        return Err(Damage::Header);
    }
    Ok(LogId(u128::from_le_bytes(part(header, 16))))
}

/// The frame at `at`; `None` where there is no whole one and never was.
fn frame(log: LogId, file: &[u8], at: usize) -> Result<Option<(Kind, &[u8])>, Damage> {
    let rest = file.get(at..).unwrap_or_default();
    let Some((head, behind)) = rest.split_first_chunk::<FRAME>() else { return Ok(None) };
    let seed = seed(log, at);
    if sum(seed.clone(), &head[..12]) != part::<4>(head, 12) {
        let is_blank = rest.iter().all(|byte| *byte == 0);
        return if is_blank { Ok(None) } else { Err(Damage::Checksum(at)) };
    }
    let length = u32::from_le_bytes(part(head, 4)) as usize;
    let Some(payload) = behind.get(..length) else { return Ok(None) };
    if sum(seed, payload) != part::<4>(head, 8) {
        // Its end may have been lost with the power.
        let is_torn = behind.len() == length && payload.ends_with(&[0; 64]);
        return if is_torn { Ok(None) } else { Err(Damage::Checksum(at)) };
    }
    let kind = match head[0] {
        1 => Kind::Rule,
        2 => Kind::Trail,
        3 => Kind::Base,
        4 => Kind::Entry,
        _ => return Err(Damage::Order(at)),
    };
    Ok(Some((kind, payload)))
}

/// Makes the checksums of a file fit what it holds, frame by frame as far as its lengths go.
#[cfg(any(test, fuzzing))]
pub(super) fn seal(file: &mut [u8]) {
    file[..8].copy_from_slice(&MAGIC);
    file[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = header_crc(&file[..HEADER]);
    file[12..16].copy_from_slice(&crc);
    let log = LogId(u128::from_le_bytes(part(file, 16)));
    let mut at = HEADER;
    while let Some((head, behind)) = file[at..].split_first_chunk_mut::<FRAME>() {
        let length = (u32::from_le_bytes(part(head, 4)) as usize).min(behind.len());
        let payload = &mut behind[..length];
        if let (4, Some((hash, json))) = (head[0], payload.split_first_chunk_mut::<32>()) {
            *hash = *blake3::hash(json).as_bytes();
        }
        let crc = sum(seed(log, at), payload);
        head[8..12].copy_from_slice(&crc);
        let crc = sum(seed(log, at), &head[..12]);
        head[12..].copy_from_slice(&crc);
        at += FRAME + length;
    }
}

fn end(number: u64, hash: EntryHash) -> [u8; END] {
    let mut end = [0; END];
    end[..8].copy_from_slice(&number.to_le_bytes());
    end[8..].copy_from_slice(&hash.0);
    end
}

fn ends(payload: &[u8]) -> impl Iterator<Item = (u64, EntryHash)> {
    let each = payload.chunks_exact(END);
    each.map(|end| (u64::from_le_bytes(part(end, 0)), EntryHash(part(end, 8))))
}

fn seed(log: LogId, at: usize) -> Hasher {
    let mut crc = Hasher::new();
    crc.update(&log.0.to_le_bytes());
    crc.update(&(at as u64).to_le_bytes());
    crc
}

fn sum(mut crc: Hasher, bytes: &[u8]) -> [u8; 4] {
    crc.update(bytes);
    crc.finalize().to_le_bytes()
}

fn header_crc(header: &[u8]) -> [u8; 4] {
    let mut crc = Hasher::new();
    crc.update(&header[..12]);
    crc.update(&header[16..]);
    crc.finalize().to_le_bytes()
}

fn part<const LENGTH: usize>(bytes: &[u8], from: usize) -> [u8; LENGTH] {
    std::array::from_fn(|at| bytes[from + at])
}
