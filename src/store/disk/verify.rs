//! A cache directory at rest, looked at from end to end: what is there, and what is damaged.
//!
//! ```text
//!  superblock ──► segments ──► footer ─┬─ whole ──► its entries ─┐
//!                                      └─ none ───► a walk ──────┴─► header, head: CRC
//!                                                                    body: BLAKE3
//! ```
//!
//! Recovery trusts a footer, and leaves bodies to the first look-up; here nothing is trusted. It
//! changes nothing, the lock aside.
//!
//! A reference whose body is no longer stored is a miss and no damage: reclaim frees a body when it
//! is no longer used. Nor is a record that a crash tore off at the end of a walk, unless whole
//! records of the same epoch stand behind it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use super::directory::{Directory, OpenError};
use super::format::{
    ENTRY, Entry, FRONT, Header, Kind, Superblock, TRAILER, UNIT, content_tag, entries_of,
    is_front, mark,
};
use super::location::SEGMENT_MAX;
use super::map::Map;
use super::segment::path_of;
use super::walk::Walk;

/// What a directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Identity of the log whose purges the store knows.
    pub log: u128,
    /// Each segment, the oldest first.
    pub segments: Vec<SegmentReport>,
    /// What is not as it was written, apart from the segments: file, and what is wrong.
    pub damage: Vec<(String, String)>,
    /// Names of files that were being written when a process ended: the next start removes them.
    pub unfinished: Vec<String>,
    /// Names of what is no part of the store; a folder's ends with `/`.
    pub unknown: Vec<String>,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number; its file is called by it.
    pub id: u64,
    /// Whether it was written to its end.
    pub is_sealed: bool,
    /// Its records, added up.
    pub sums: Sums,
    /// What is not as it was written.
    pub damage: Vec<Damage>,
}

/// Records, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Records of every kind.
    pub records: u64,
    /// Those with a body.
    pub bodies: u64,
    /// Those whose body stands in another record.
    pub references: u64,
    /// References whose body is no longer stored: misses.
    pub dangling: u64,
    /// Those that say that a key was removed.
    pub removals: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

/// Something in a segment that is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Byte of the segment's file at which the record begins, or whatever it is.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
}

impl StoreReport {
    /// The sum over all segments.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.segments.iter().for_each(|segment| sums += segment.sums);
        sums
    }

    /// Notes that a file is not as it was written.
    pub fn damaged(&mut self, file: &str, what: &str) {
        self.damage.push((file.to_owned(), what.to_owned()));
    }

    /// Whether all is as it was written.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.segments.iter().all(|segment| segment.damage.is_empty())
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bodies += other.bodies;
        self.references += other.references;
        self.dangling += other.dangling;
        self.removals += other.removals;
        self.bytes += other.bytes;
    }
}

/// Reads all that a directory holds. `others` are the names of files that belong there and are no
/// part of the store.
///
/// # Errors
/// It holds no store, or cannot be read.
pub fn verify(directory: &Directory, others: &[&str]) -> Result<StoreReport, OpenError> {
    let path = directory.path();
    let why = || "there is no superblock".to_owned();
    let no_store = || OpenError::NoStore { path: path.to_owned(), why: why() };
    let superblock = directory.superblock()?.ok_or_else(no_store)?;
    let (ids, unknown) = (directory.segments()?, directory.unknown(others)?);
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let unfinished = directory.unfinished().iter().filter_map(name).collect();
    let log = superblock.log;
    let mut report = StoreReport { log, unfinished, unknown, ..StoreReport::default() };
    if superblock.segment > SEGMENT_MAX {
        report.damaged("store", "its segments are longer than any can be");
        return Ok(report);
    }
    if super::recency::load(&directory.recency()).is_none() {
        report.damaged("recency", "it is not what was written");
    }
    let mut bodies = HashSet::new();
    let mut references = Vec::new();
    for id in ids {
        let mut reading = Reading::new(id);
        match reading.file(path, &superblock) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(OpenError::Io { what: "read", path: path_of(path, id), error });
            }
            Err(error) => {
                tracing::debug!(%error, id, "a segment cannot be read");
                reading.damaged(0, "it cannot be read");
            }
            Ok(()) => {}
        }
        report.segments.push(reading.report);
        bodies.extend(reading.bodies);
        references.push(reading.references);
    }
    for (segment, references) in report.segments.iter_mut().zip(references) {
        let dangling = references.iter().filter(|content| !bodies.contains(content));
        segment.sums.dangling = dangling.count() as u64;
    }
    Ok(report)
}

/// The reading of one segment.
#[derive(Debug, Default)]
struct Reading {
    report: SegmentReport,
    /// Contents that stand here, and those that are referred to.
    bodies: Vec<u64>,
    references: Vec<u64>,
}

impl Reading {
    fn new(id: u64) -> Self {
        Self { report: SegmentReport { id, ..SegmentReport::default() }, ..Self::default() }
    }

    fn damaged(&mut self, offset: u64, what: &'static str) {
        self.report.damage.push(Damage { offset, what });
    }

    fn file(&mut self, directory: &Path, superblock: &Superblock) -> io::Result<()> {
        let file = File::open(path_of(directory, self.report.id))?;
        let length = superblock.segment;
        if file.metadata()?.len() != length {
            self.damaged(file.metadata()?.len().min(length), "it is not as long as a segment");
            return Ok(());
        }
        let map = Map::of(&file, usize::try_from(length).unwrap_or(usize::MAX))?;
        map.populate(0..FRONT as usize)?;
        let bytes = map.slice(0..map.len()).unwrap_or_default();
        if !is_front(bytes, self.report.id, superblock.store, length) {
            self.damaged(0, "it is no segment of this store");
            return Ok(());
        }
        map.populate(map.len() - TRAILER..map.len())?;
        let mark = mark(self.report.id, superblock.store);
        match entries_of(bytes, self.report.id) {
            Some(entries) => self.entries(&map, bytes, mark, &entries),
            None => self.walk(&map, bytes, mark),
        }
        if !map.is_intact() {
            self.damaged(0, "parts of it cannot be read");
        }
        Ok(())
    }

    /// The records that a footer tells of.
    fn entries(&mut self, map: &Map, bytes: &[u8], mark: u64, entries: &[Entry]) {
        self.report.is_sealed = true;
        let end = (bytes.len() - TRAILER - entries.len() * ENTRY) as u64;
        for entry in entries {
            let (at, length) = (u64::from(entry.at) * UNIT, u64::from(entry.units) * UNIT);
            if at + length > end {
                self.damaged(at, "the record reaches past its segment");
                continue;
            }
            let record = &bytes[at as usize..(at + length) as usize];
            match Header::decode(record, mark) {
                None => self.damaged(at, "the record's head is not what was written"),
                Some((header, _)) if Entry::of(&header, at) != *entry => {
                    self.damaged(at, "the record is not the one that the footer tells of");
                }
                Some((header, _)) => self.record(map, record, at, &header),
            }
        }
    }

    /// The records of a segment that was being written.
    fn walk(&mut self, map: &Map, bytes: &[u8], mark: u64) {
        let trailer = bytes.len() - TRAILER;
        if bytes[trailer..].iter().any(|byte| *byte != 0) {
            self.damaged(trailer as u64, "the footer is not what was written");
        }
        let mut walk = Walk::new(bytes, mark);
        loop {
            while let Some((at, header)) = walk.next() {
                let end = walk.tail() as usize;
                self.record(map, &bytes[at as usize..end], at, &header);
            }
            let tail = walk.tail();
            if !walk.skip(Some) {
                return;
            }
            self.damaged(tail, "no whole record stands here, but whole ones stand behind");
        }
    }

    /// A record whose header and head are whole.
    fn record(&mut self, map: &Map, record: &[u8], at: u64, header: &Header) {
        let sums = &mut self.report.sums;
        sums.records += 1;
        sums.bytes += header.length();
        sums.removals += u64::from(header.kind == Kind::Removed);
        if header.kind == Kind::Reference {
            sums.references += 1;
            self.references.push(content_tag(&header.content));
        }
        if header.own_body() == 0 {
            return;
        }
        sums.bodies += 1;
        let start = header.body_start() as usize;
        let end = start + header.own_body() as usize;
        let place = at as usize + start..at as usize + end;
        if map.populate(place).is_err() {
            self.damaged(at, "the body cannot be read");
        } else if blake3::hash(&record[start..end]).as_bytes() != &header.content {
            self.damaged(at, "the body is not what was written");
        } else {
            self.bodies.push(content_tag(&header.content));
        }
    }
}
