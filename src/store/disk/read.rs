//! From a key to a stored response, without stalling an event loop.
//!
//! ```text
//!  index ── location ── resident? ─┬─ yes ── header, head, body verified? ──► here
//!                                  └─ no ──► cold: the same on a blocking thread
//! ```
//!
//! A page that is not resident would stop the whole event loop until the disk has answered, so an
//! event loop reads only what `mincore` says is there, and blocking threads, few at a time, bring
//! in the rest. What is damaged is forgotten, counted, and a miss.
//!
//! A body that comes from the disk is compared with its BLAKE3 when it comes, each time: what was
//! sound in the page cache need not be so where it was written to. What is resident was compared
//! when it came, or is what this process wrote, and costs no second look. Beyond that is only what
//! lies as a whole on a page that came for another record.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::body::{Mapped, Pinned, SMALL_MAX, WINDOW};
use super::format::{Content, HEADER, Header, Kind, content_tag, head_length, tag_of};
use super::location::Location;
use super::segment::Segment;
use crate::object::{CacheKey, ObjectHead, Stored, VarySpec};

/// Bytes of the largest body that an event loop compares with its BLAKE3.
const VERIFIED_INLINE_MAX: u64 = 64 * 1024;

/// What stands under a key.
#[derive(Debug)]
pub(in crate::store) enum Item {
    /// A response.
    Response(Stored),
    /// By which fields the resource varies, and the number that its variants' keys hold.
    Varies(VarySpec, u64),
}

/// What a look-up found.
#[derive(Debug)]
pub(in crate::store) enum Found {
    /// Something that is resident.
    Here(Item, Used),
    /// Something that must be brought in first.
    Cold,
    /// Nothing.
    Nothing,
}

/// The record that was found, and how often it was used of late.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Used {
    location: Location,
}

impl Used {
    /// Whether it was used as often as is counted.
    pub(in crate::store) fn is_hot(self) -> bool {
        self.location.uses() == super::location::USES_MAX
    }
}

/// How far a look-up may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Only to what is resident.
    Resident,
    /// To the disk.
    Disk,
    /// To the disk, and it is no use of what is found.
    Glance,
}

/// Why a record does not serve.
enum Fault {
    /// It must be brought in first.
    Cold,
    /// Another's record: not what the index says.
    Elsewhere,
    /// The body of a reference is no longer stored.
    Dangling,
    /// It cannot be read, or is not what was written.
    Damaged(&'static str),
}

/// A record and the segment that it stands in.
struct Record {
    segment: Arc<Segment>,
    range: Range<usize>,
    location: Location,
}

impl Shared {
    /// What stands under `key`, if an event loop may read it at once.
    pub(super) fn find(&self, key: CacheKey) -> Found {
        self.look_up(key, Reach::Resident)
    }

    /// The same from a thread that may block. Never cold.
    pub(super) fn find_blocking(&self, key: CacheKey) -> Found {
        self.look_up(key, Reach::Disk)
    }

    /// The same, and it is no use of it.
    pub(super) fn glance_blocking(&self, key: CacheKey) -> Found {
        self.look_up(key, Reach::Glance)
    }

    /// Whether `key` still stands where it was found.
    pub(super) fn still_at(&self, key: CacheKey, used: Used) -> bool {
        self.index.peek(tag_of(key)).is_some_and(|location| location.is_at(used.location))
    }

    /// Lets a record's uses be counted anew.
    pub(super) fn cool(&self, key: CacheKey, used: Used) {
        self.index.update(tag_of(key), used.location, |location| location.with_uses(1));
    }

    fn look_up(&self, key: CacheKey, reach: Reach) -> Found {
        let tag = tag_of(key);
        let Some(location) = self.locate(tag, reach) else { return Found::Nothing };
        match self.item(key, location, reach) {
            Ok(item) => Found::Here(item, Used { location }),
            Err(Fault::Cold) => Found::Cold,
            Err(Fault::Elsewhere | Fault::Dangling) => {
                self.index.disown(tag, location);
                Found::Nothing
            }
            Err(Fault::Damaged(what)) => {
                self.damaged(tag, location, what);
                Found::Nothing
            }
        }
    }

    fn locate(&self, tag: u64, reach: Reach) -> Option<Location> {
        match reach {
            Reach::Resident | Reach::Disk => self.index.find(tag),
            Reach::Glance => self.index.peek(tag),
        }
    }

    /// Forgets a record that cannot be served, and the body in it.
    pub(super) fn damaged(&self, tag: u64, location: Location, what: &'static str) {
        if self.index.disown(tag, location) {
            self.tell_damaged(location, what);
        }
    }

    /// Counts that the record at `location` is damaged, and tells of it.
    pub(super) fn tell_damaged(&self, location: Location, what: &'static str) {
        if let Some(segment) = self.segments.get(location) {
            self.health.damaged(&segment, location.offset(), what);
        }
    }

    fn item(&self, key: CacheKey, location: Location, reach: Reach) -> Result<Item, Fault> {
        let tag = tag_of(key);
        let record = self.record_for(tag, location, reach).ok_or(Fault::Elsewhere)?;
        let (header, head) = record.header(reach)?;
        if header.key != key.as_u128() {
            return Err(Fault::Elsewhere);
        }
        let start = record.range.start + HEADER;
        match header.kind {
            Kind::Varies => {
                let (spec, draw) = super::varies::decode(head).ok_or(Fault::Damaged("head"))?;
                Ok(Item::Varies(spec, draw))
            }
            Kind::Response | Kind::Reference => {
                let lines = pinned(&record.segment, start..start + head.len());
                let body = match header.kind {
                    Kind::Response => {
                        let body = self.own_body(&record, &header, reach);
                        body.map_err(|fault| self.found_faulty(fault, &header.content, location))?
                    }
                    _ => self.body_elsewhere(&header.content, header.body, reach)?,
                };
                let (head, slices) = ObjectHead::decode(&lines).ok_or(Fault::Damaged("head"))?;
                Ok(Item::Response(match slices {
                    Some(slices) => Stored::sliced_on_disk(&head, slices),
                    None => Stored::mapped(&head, body),
                }))
            }
            Kind::Body | Kind::Removed => Err(Fault::Elsewhere),
        }
    }

    /// The body that stands behind the head of `record`.
    fn own_body(
        &self,
        record: &Record,
        header: &Header,
        reach: Reach,
    ) -> Result<Arc<Mapped>, Fault> {
        let start = record.range.start + header.body_start() as usize;
        let range = start..start + header.body as usize;
        if range.end > record.range.end {
            return Err(Fault::Damaged("length"));
        }
        if record.location.is_verified() && !record.segment.is_suspect() {
            // A large body is brought in window by window, as it leaves.
            if !record.is_small() {
                record.reach(range.start..range.end.min(range.start + WINDOW), reach)?;
            }
        } else {
            if reach == Reach::Resident && header.body > VERIFIED_INLINE_MAX {
                return Err(Fault::Cold);
            }
            // Nobody takes it for sound until it is known to be, whatever it is found by.
            self.note(record, header, Location::unverified);
            record.reach(range.clone(), reach)?;
            verify(record.segment.bytes(range.clone()), &header.content)?;
            self.note(record, header, Location::verified);
        }
        if !record.segment.map().is_intact() {
            return Err(Fault::Damaged("lost pages"));
        }
        let (segment, readers) = (record.segment.clone(), self.readers.clone());
        Ok(Arc::new(Mapped::new(segment, range, header.content, readers)))
    }

    /// Notes something of a record with a body where its key finds it, and where its body does.
    fn note(&self, record: &Record, header: &Header, note: impl Fn(Location) -> Location) {
        for tag in [tag_of(CacheKey::from_u128(header.key)), content_tag(&header.content)] {
            self.index.update(tag, record.location, &note);
        }
    }

    /// Whether a body is stored, and sound. May block.
    pub(super) fn has_body(&self, content: &Content, length: u64) -> bool {
        self.body_elsewhere(content, length, Reach::Disk).is_ok()
    }

    /// The body of a reference.
    fn body_elsewhere(
        &self,
        content: &Content,
        length: u64,
        reach: Reach,
    ) -> Result<Arc<Mapped>, Fault> {
        let tag = content_tag(content);
        let location = self.locate(tag, reach).ok_or(Fault::Dangling)?;
        let record = self.record_for(tag, location, reach).ok_or(Fault::Dangling)?;
        let header = record.header(reach);
        let (found, _) = header.map_err(|fault| self.found_faulty(fault, content, location))?;
        if !found.kind.has_body() || found.content != *content || found.body != length {
            return Err(Fault::Dangling);
        }
        let body = self.own_body(&record, &found, reach);
        body.map_err(|fault| self.found_faulty(fault, content, location))
    }

    /// A body that is damaged is not referred to again: who needs it finds it gone.
    fn found_faulty(&self, fault: Fault, content: &Content, location: Location) -> Fault {
        let Fault::Damaged(what) = fault else { return fault };
        self.index.remove_content(content_tag(content), location);
        self.tell_damaged(location, what);
        Fault::Dangling
    }

    /// The header of the record at `location`. May block.
    pub(super) fn header_at(&self, location: Location) -> Option<Header> {
        let record = self.record(location)?;
        record.header_alone(Reach::Disk).ok().map(|(header, _)| header)
    }

    /// The response whose record stands at `location`, but for the body: its key, its head, and the
    /// body's bytes. May block.
    pub(super) fn response_at(&self, location: Location) -> Option<(CacheKey, ObjectHead, u64)> {
        let record = self.record(location)?;
        let (header, head) = record.header_alone(Reach::Disk).ok()?;
        if !matches!(header.kind, Kind::Response | Kind::Reference) {
            return None;
        }
        let start = record.range.start + HEADER;
        let (head, _) = ObjectHead::decode(&pinned(&record.segment, start..start + head.len()))?;
        let is_sound = record.segment.map().is_intact();
        is_sound.then(|| (CacheKey::from_u128(header.key), head, header.body))
    }

    /// The record that `tag` finds at `location`. What has to come from the disk is to be verified.
    fn record_for(&self, tag: u64, location: Location, reach: Reach) -> Option<Record> {
        let mut record = self.record(location)?;
        if reach != Reach::Resident && !record.segment.map().is_resident(record.range.clone()) {
            self.index.update(tag, location, Location::unverified);
            record.location = location.unverified();
        }
        Some(record)
    }

    fn record(&self, location: Location) -> Option<Record> {
        let segment = self.segments.get(location)?;
        let range = segment.range(location)?;
        Some(Record { segment, range, location })
    }
}

impl Record {
    /// Whether the record is looked at and brought in as a whole.
    fn is_small(&self) -> bool {
        self.range.len() <= SMALL_MAX
    }

    /// Header and head, where the body is wanted as well.
    fn header(&self, reach: Reach) -> Result<(Header, &[u8]), Fault> {
        if self.is_small() {
            // One look for all of it.
            self.reach(self.range.clone(), reach)?;
            return self.decode();
        }
        self.header_alone(reach)
    }

    /// Header and head, the body left where it is.
    fn header_alone(&self, reach: Reach) -> Result<(Header, &[u8]), Fault> {
        let first = |length| self.range.start..self.range.end.min(self.range.start + length);
        self.reach(first(HEAD_WINDOW), reach)?;
        let length = HEADER + head_length(self.segment.bytes(self.range.clone())) as usize;
        if length > HEAD_WINDOW {
            self.reach(first(length), reach)?;
        }
        self.decode()
    }

    fn decode(&self) -> Result<(Header, &[u8]), Fault> {
        let bytes = self.segment.bytes(self.range.clone());
        Header::decode(bytes, self.segment.mark).ok_or(Fault::Damaged("header"))
    }

    fn reach(&self, range: Range<usize>, reach: Reach) -> Result<(), Fault> {
        match reach {
            Reach::Resident if self.segment.map().is_resident(range.clone()) => Ok(()),
            Reach::Resident => Err(Fault::Cold),
            Reach::Disk | Reach::Glance => {
                self.segment.map().populate(range).map_err(|_| Fault::Damaged("unreadable"))
            }
        }
    }
}

/// Bytes at the beginning of a record that are looked at first.
const HEAD_WINDOW: usize = 4096;

fn verify(body: &[u8], content: &Content) -> Result<(), Fault> {
    match blake3::hash(body).as_bytes() == content {
        true => Ok(()),
        false => Err(Fault::Damaged("body")),
    }
}

fn pinned(segment: &Arc<Segment>, range: Range<usize>) -> Bytes {
    Bytes::from_owner(Pinned::new(segment.clone(), range))
}
