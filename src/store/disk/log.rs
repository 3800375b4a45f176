//! The log that the segments make: append, seal, reclaim.
//!
//! ```text
//!  oldest                                             newest
//!  │ sealed │ sealed │ … │ sealed │ active ──► tail │
//!      └── reclaimed: what is in use is copied ──────┘
//! ```
//!
//! The order on the disk is what recovery relies on (see `recover`): data, sync, footer, sync, and
//! only then the next segment.
//!
//! One segment is kept free, so that what survives a reclaim has a place before its old one goes:
//! segments never take more than the size that was configured, those unlinked but still read by a
//! response counted in.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;

use super::directory::{Directory, OpenError};
use super::format::{Content, Entry, FRONT, Header, Kind, Superblock, UNIT, footer};
use super::location::{Location, RECORD_MAX};
use super::recover::{Recovered, Unsealed};
use super::references::References;
use super::segment::Segment;
use super::walk::room;
use super::{KeepPurges, Shared};
use crate::object::CacheKey;

/// Why a record was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// It is too large, not worth it, or there is no room now.
    Refused,
    /// The disk failed.
    Io(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) key: CacheKey,
    pub(super) content: Content,
    /// Bytes of the body, wherever it stands.
    pub(super) length: u64,
    pub(super) head: &'a [u8],
    pub(super) body: Option<&'a [Bytes]>,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self {
            kind: Kind::Removed,
            key: CacheKey::from_u128(0),
            content: Content::default(),
            length: 0,
            head: &[],
            body: None,
        }
    }
}

/// The segments of a store, to be written by one thread.
pub(super) struct Log {
    pub(super) shared: Arc<Shared>,
    directory: Directory,
    superblock: Superblock,
    keep: KeepPurges,
    /// From the oldest to the newest, the active one included.
    pub(super) segments: VecDeque<Arc<Segment>>,
    active: Option<Active>,
    last_id: u64,
    /// Whether all that the tier may take is taken.
    is_full: bool,
    pub(super) references: References,
    /// Keys that a restart may find again though they were removed: removals to be written.
    pub(super) owed: VecDeque<CacheKey>,
}

/// The segment that is written.
struct Active {
    segment: Arc<Segment>,
    entries: Vec<Entry>,
    tail: u64,
    epoch: u16,
}

impl Log {
    pub(super) fn new(
        shared: Arc<Shared>,
        (directory, superblock): (Directory, Superblock),
        keep: KeepPurges,
        found: Recovered,
    ) -> Self {
        let Recovered { segments, unsealed, references, last_id } = found;
        let active = segments.last().cloned().zip(unsealed).and_then(|(segment, unsealed)| {
            let Unsealed { entries, tail, epoch } = unsealed;
            // Part of a torn record may stand there, and is not to be taken for what is written in
            // its place.
            if let Err(error) = segment.wipe(tail) {
                tracing::info!(%error, segment = segment.id, "a segment is not written on");
                return None;
            }
            Some(Active { segment, entries, tail, epoch: epoch.checked_add(1)? })
        });
        let is_full = segments.len() + 1 >= shared.segments_max;
        let segments = segments.into();
        let owed = VecDeque::new();
        let mut log = Self {
            shared,
            directory,
            superblock,
            keep,
            segments,
            active,
            last_id,
            is_full,
            references,
            owed,
        };
        // A process that ended while it made room has left a segment too many.
        log.make_room();
        log
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether a new record takes the place of an older one.
    pub(super) fn is_full(&self) -> bool {
        self.is_full || self.shared.health.is_short()
    }

    /// Makes room for a record. What stands in the oldest segment may be given up for it.
    pub(super) fn prepare(&mut self, record: &Record<'_>) -> Result<(), WriteError> {
        let length = record.header(0, 0).length();
        if length > RECORD_MAX || length > room(self.superblock.segment, FRONT, 0) {
            return Err(WriteError::Refused);
        }
        self.discard_if_cut();
        if self.active.as_ref().is_none_or(|active| active.room() < length) {
            self.seal()?;
            self.begin()?;
        }
        Ok(())
    }

    /// Appends a record to the active segment, if it has room, and returns where it stands.
    pub(super) fn append(&mut self, record: &Record<'_>) -> Result<Location, WriteError> {
        const PADDING: [u8; UNIT as usize] = [0; UNIT as usize];
        let Some(active) = &mut self.active else { return Err(WriteError::Refused) };
        let header = record.header(active.segment.mark, active.epoch);
        if header.length() > active.room() {
            return Err(WriteError::Refused);
        }
        let fixed = header.encode(record.head);
        let padding = header.length() - header.body_start() - header.own_body();
        let mut parts = vec![IoSlice::new(&fixed), IoSlice::new(record.head)];
        parts.extend(record.parts());
        parts.push(IoSlice::new(&PADDING[..padding as usize]));
        if let Err(error) = active.segment.write(&mut parts, active.tail) {
            if record.kind.has_key() && record.kind != Kind::Removed {
                // Enough of it may be there for a restart to find it.
                self.owed.push_back(record.key);
            }
            // What is there already can still be read, and is walked when it is reclaimed.
            let _lost = self.sync().is_err();
            self.active = None;
            return Err(error.into());
        }
        let entry = Entry::of(&header, active.tail);
        active.tail += header.length();
        active.entries.push(entry);
        Ok(super::recover::location(&active.segment, &entry))
    }

    /// Waits until all that was written is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(active) = &self.active else { return Ok(()) };
        let synced = active.segment.sync();
        if synced.is_err() {
            self.discard_active();
        }
        synced
    }

    /// After a failed sync the kernel may show pages that the disk does not have, and after a cut
    /// there are none: nothing of the segment is to be trusted. Its records stood against older
    /// ones, which a restart would find.
    fn discard_active(&mut self) {
        let Some(active) = self.active.take() else { return };
        self.segments.retain(|segment| segment.id != active.segment.id);
        for entry in &active.entries {
            self.give_up(entry, super::recover::location(&active.segment, entry));
            if entry.kind.has_key() {
                self.owed.push_back(CacheKey::from_u128(entry.key.into()));
            }
        }
        self.drop_segment(&active.segment);
    }

    /// What was cut short would be made long again by the next write, with a hole in it.
    fn discard_if_cut(&mut self) {
        if self.active.as_ref().is_some_and(|active| !active.segment.is_whole()) {
            if let Some(active) = &self.active {
                self.shared.health.damaged(&active.segment, active.tail, "cut");
            }
            self.discard_active();
        }
    }

    /// Ends the active segment.
    fn seal(&mut self) -> Result<(), WriteError> {
        self.sync()?;
        // After what may take long, and right before what would make a cut file long again.
        self.discard_if_cut();
        if let Some(active) = self.active.take() {
            let footer = footer(active.segment.id, &active.entries);
            let at = self.superblock.segment - footer.len() as u64;
            active.segment.write(&mut [IoSlice::new(&footer)], at)?;
            active.segment.sync()?;
        }
        Ok(())
    }

    /// Begins a segment, and frees the one that the next will need.
    fn begin(&mut self) -> Result<(), WriteError> {
        self.make_room();
        if self.shared.segments.on_disk() >= self.shared.segments_max {
            // Too many segments that were reclaimed are still being read.
            return Err(WriteError::Refused);
        }
        let segment = Arc::new(self.create_or_make_way()?);
        self.shared.segments.put(segment.clone());
        self.segments.push_back(segment.clone());
        self.active = Some(Active { segment, entries: Vec::new(), tail: FRONT, epoch: 0 });
        self.make_room();
        Ok(())
    }

    /// Makes a segment. Where the disk is full before the configured size is reached, the oldest
    /// makes way; no second one, for then something else takes what is given up.
    fn create_or_make_way(&mut self) -> Result<Segment, WriteError> {
        let mut made_way = false;
        loop {
            // Before it is tried: what gives its space back after that was in the way.
            let unlinked = self.shared.segments.unlinked();
            let error = match self.create() {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => error,
                Ok(segment) => {
                    if !made_way {
                        self.shared.health.has_room();
                    }
                    return Ok(segment);
                }
                Err(error) => return Err(error.into()),
            };
            let path = self.directory.path().display();
            let short = format!("cache.disk.path: {path} has no room for another segment: {error}");
            self.shared.health.run_short(short);
            if unlinked > 0 {
                // Space comes back once no response reads what stood there, maybe by now.
                return Err(WriteError::Refused);
            }
            let oldest = if made_way { None } else { self.segments.pop_front() };
            let Some(oldest) = oldest else { return Err(error.into()) };
            self.reclaim(&oldest);
            self.drop_segment(&oldest);
            made_way = true;
        }
    }

    fn create(&mut self) -> io::Result<Segment> {
        let slot = self.shared.segments.free_slot().ok_or(io::ErrorKind::QuotaExceeded)?;
        // An id is used up even by a file that could neither be made whole nor be removed.
        self.last_id += 1;
        let (store, length) = (self.superblock.store, self.superblock.segment);
        let segment = Segment::create(self.directory.path(), self.last_id, slot, store, length)?;
        if let Err(error) = self.directory.sync() {
            let _left = segment.unlink().is_err();
            return Err(error);
        }
        Ok(segment)
    }

    /// Reclaims until one segment is free. One that a response still reads gives its space back
    /// later: that is not waited for.
    fn make_room(&mut self) {
        const AT_ONCE: usize = 4;
        for _ in 0..AT_ONCE {
            let is_enough = self.shared.segments.on_disk() < self.shared.segments_max;
            if is_enough || self.segments.len() < 2 {
                return;
            }
            let before = self.shared.segments.on_disk();
            if let Some(oldest) = self.segments.pop_front() {
                self.is_full = true;
                self.reclaim(&oldest);
                if self.sync().is_err() {
                    // The copies are lost, and with them no more than their originals would be.
                    self.shared.health.error();
                }
                self.drop_segment(&oldest);
                drop(oldest);
                if self.shared.segments.on_disk() >= before {
                    // It is still read; nor may the next give up its space.
                    return;
                }
            }
        }
    }

    /// Takes a segment, and whatever is still found in it, out.
    fn drop_segment(&mut self, segment: &Arc<Segment>) {
        let forgotten = self.shared.index.forget_slot(segment.slot);
        self.shared.health.evicted(forgotten);
        // Those of this segment are told by its headers, as long as its slot is its own.
        self.release_displaced();
        self.shared.segments.take(segment);
        let unlinked = match segment.unlink() {
            // What is removed after this is not looked for in a segment that came back.
            Ok(()) => self.directory.sync(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            failed => failed,
        };
        if let Err(error) = unlinked {
            self.shared.health.error();
            tracing::warn!(%error, segment = segment.id, "a segment cannot be removed");
        }
    }

    /// Whether the store is gone from where it was. What cannot be read may yet be there.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.directory.still_holds(&self.superblock), Ok(false))
    }

    /// Looks whether a disk that had no room has some now: for a segment, and one to spare.
    pub(super) fn look_for_room(&self) {
        let wanted = 2 * self.superblock.segment;
        if self.shared.health.is_short() && self.directory.free().is_ok_and(|free| free >= wanted) {
            self.shared.health.has_room();
        }
    }

    /// Goes on after a failure: with another segment, or another store where the directory is no
    /// longer the one it was. True in the latter case: then nothing is stored.
    pub(super) fn reopen(&mut self) -> Result<bool, OpenError> {
        let path = self.directory.path().to_owned();
        let failed = |what| {
            let path = path.clone();
            move |error| OpenError::Io { what, path, error }
        };
        // What cannot be read is not made anew; what is damaged the next start would not find.
        let is_there = match self.directory.still_holds(&self.superblock) {
            Err(OpenError::NoStore { .. }) => false,
            found => found?,
        };
        if is_there {
            // One that can be written on is kept.
            return match self.active.is_none().then(|| self.begin()) {
                Some(Err(WriteError::Io(error))) => Err(failed("make a segment in")(error)),
                _ => Ok(false),
            };
        }
        // Where a disk is no longer mounted, a store made here would fill another.
        if !self.directory.is_on_its_disk().map_err(failed("find"))? {
            let why = "its disk is not mounted".to_owned();
            return Err(OpenError::NoStore { path, why });
        }
        let other = match self.directory.is_in_place() {
            true => None,
            false => Some(self.directory.again()?),
        };
        let directory = other.as_ref().unwrap_or(&self.directory);
        // Without its purges the next start could not trust it.
        let unkept = |why| OpenError::Unkept { path: path.clone(), why };
        (self.keep)().map_err(unkept)?;
        self.superblock.store = fastrand::u128(..);
        directory.format(&self.superblock)?;
        self.active = None;
        for segment in self.segments.drain(..) {
            self.shared.index.forget_slot(segment.slot);
            self.shared.segments.take(&segment);
        }
        self.shared.index.take_displaced();
        self.references = References::default();
        self.is_full = false;
        self.shared.health.has_room();
        if let Some(other) = other {
            self.directory = other;
        }
        Ok(true)
    }
}

impl Active {
    /// Bytes that the next record may take.
    fn room(&self) -> u64 {
        room(self.segment.map().len() as u64, self.tail, self.entries.len())
    }
}

impl Record<'_> {
    fn header(&self, mark: u64, epoch: u16) -> Header {
        Header {
            mark,
            key: self.key.as_u128(),
            content: self.content,
            body: self.length,
            head: self.head.len() as u32,
            kind: self.kind,
            epoch,
        }
    }
}
