//! Making room: the oldest segment goes, and what was used since it was written is copied.
//!
//! FIFO with reinsertion (Yang et al., "FIFO queues are all you need for cache eviction", 2023). A
//! copy starts with no use to its name, so what is not asked for again goes the next time round. At
//! most half a segment is copied, so that each reclaim frees room; by then the rest goes, used or
//! not.

use std::sync::Arc;

use bytes::Bytes;

use super::body::Pinned;
use super::format::{Entry, Header, Kind, content_tag};
use super::index::Displaced;
use super::location::Location;
use super::log::{Log, Record, WriteError};
use super::recover::{Contents, contents, location};
use super::segment::Segment;
use crate::object::CacheKey;

impl Log {
    /// Copies what is in use of `segment`, and forgets the rest.
    pub(super) fn reclaim(&mut self, segment: &Arc<Segment>) {
        let Some(Contents { entries, .. }) = contents(segment) else {
            return self.shared.health.error();
        };
        let mut budget = segment.map().len() as u64 / 2;
        for entry in &entries {
            let from = location(segment, entry);
            let Some(kept) = self.kept_kind(entry, from) else { continue };
            if from.length() <= budget && self.copy(segment, entry, from, kept).is_ok() {
                budget -= from.length();
            }
        }
        for entry in &entries {
            self.give_up(entry, location(segment, entry));
        }
    }

    /// What of a record is worth a copy: all of it, its body alone, or nothing.
    fn kept_kind(&self, entry: &Entry, from: Location) -> Option<Kind> {
        let index = &self.shared.index;
        let uses = |tag, location: &Location| {
            index.peek(tag).filter(|found| found.is_at(*location)).map(Location::uses)
        };
        let of_key = entry.kind.has_key().then(|| uses(entry.key, &from)).flatten();
        let of_body = entry.kind.has_body().then(|| uses(entry.content, &from)).flatten();
        if of_key.is_some_and(|uses| uses > 0 || self.is_resident(from)) {
            Some(entry.kind)
        } else if of_body.is_some_and(|uses| uses > 0) {
            Some(Kind::Body)
        } else {
            None
        }
    }

    /// Whether the memory tier has what the record holds: then its uses do not show here.
    fn is_resident(&self, from: Location) -> bool {
        let found = self.shared.header_at(from);
        found.is_some_and(|header| (self.shared.in_use)(CacheKey::from_u128(header.key)))
    }

    fn copy(
        &mut self,
        segment: &Arc<Segment>,
        entry: &Entry,
        from: Location,
        kind: Kind,
    ) -> Result<(), WriteError> {
        let range = segment.range(from).ok_or(WriteError::Refused)?;
        // What comes from the disk is as little known to be sound in its copy.
        let was_resident = segment.map().is_resident(range.clone());
        segment.map().populate(range.clone())?;
        let bytes = segment.bytes(range.clone());
        let (header, head) = Header::decode(bytes, segment.mark).ok_or(WriteError::Refused)?;
        let start = range.start + header.body_start() as usize;
        let end = start + header.own_body() as usize;
        let body = [Bytes::from_owner(Pinned::new(segment.clone(), start..end))];
        let is_body = kind == Kind::Body;
        let to = self.append(&Record {
            kind,
            key: CacheKey::from_u128(if is_body { 0 } else { header.key }),
            content: header.content,
            length: header.body,
            head: if is_body { &[] } else { head },
            body: kind.has_body().then_some(&body[..]),
        })?;
        let index = &self.shared.index;
        let place = |found: Location| match found.is_verified() && was_resident {
            true => to.verified(),
            false => to,
        };
        if !is_body && let Some(found) = index.peek(entry.key) {
            index.relocate(entry.key, from, place(found));
        }
        if kind.has_body()
            && let Some(found) = index.peek(entry.content).filter(|found| found.is_at(from))
        {
            index.set_content(entry.content, place(found));
        }
        Ok(())
    }

    /// Forgets what is still found at a record that goes.
    pub(super) fn give_up(&mut self, entry: &Entry, from: Location) {
        if entry.kind.has_key() && self.shared.index.forget(entry.key, from) {
            self.shared.health.evicted(1);
            if entry.content != 0 {
                self.release(entry.content);
            }
        }
        // References that are left find that their body is gone, and are misses.
        if entry.kind.has_body() && self.shared.index.remove_content(entry.content, from) {
            self.references.orphaned(entry.content);
        }
    }

    /// Records that are no longer found: their bodies may be needed by nobody now.
    pub(super) fn release_displaced(&mut self) {
        for Displaced { record, disowned } in self.shared.index.take_displaced() {
            self.owed.extend(disowned.map(|tag| CacheKey::from_u128(tag.into())));
            if let Some(header) = self.shared.header_at(record).filter(|header| header.body > 0) {
                self.release(content_tag(&header.content));
            }
        }
    }

    fn release(&mut self, content: u64) {
        if self.references.release(content)
            && let Some(body) = self.shared.index.peek(content)
        {
            self.shared.index.remove_content(content, body);
        }
    }
}
