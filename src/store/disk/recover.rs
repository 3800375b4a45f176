//! From segment files to the index, without reading bodies.
//!
//! A sealed segment has a footer: its entries are taken from there. One that was being written when
//! the process ended has none: its records are walked, header by header, up to the first that is
//! not whole and has no whole one behind it (see `walk`). Segments are taken from the newest to the
//! oldest, and so are the records of each, so that what is met first is what holds, and the node
//! serves the newest soonest.
//!
//! **Why nothing torn is served and nothing committed is lost.** A record is published after its
//! `pwritev` has returned, so whatever a client was served from disk is in the page cache, which
//! outlives the process (`kill -9`). After a loss of power any page may be missing: a header or
//! head that is not whole fails its CRC, and the walk passes it by; a body that is not whole fails
//! its BLAKE3 when it is first read. A footer is written after the segment's data was synced and is
//! synced before the next segment begins, so a footer that is whole speaks of records that are; one
//! that is not fails its CRC, and the records are walked. The superblock is renamed into place
//! before the first segment is made. A segment that is reclaimed is unlinked once the copies of
//! what it had are synced, and then the directory is. Up to there the unlink may be undone: what
//! stood against the records that come back is there, and where segments are more than the size
//! allows, the oldest go again. Nothing else is needed to recover: what tells the uses is a hint.
//!
//! **Why nothing older comes back.** A removal, and a record that replaces another, stand behind
//! what they speak against, and segments go from the oldest on: so neither goes before it. What
//! stands behind the last whole record is wiped before another is written there. What could not be
//! used, be it a record, a segment or a failed write, is removed. One thing is not guarded against:
//! where damage from outside takes away a removal or a replacement, an older response that it spoke
//! against is found again, as fresh as it is by itself. What was purged is not: purges are judged
//! by the rules of the journal.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use super::directory::Directory;
use super::format::{Entry, Kind, Superblock, TRAILER, UNIT, entries_of};
use super::location::Location;
use super::references::References;
use super::segment::Segment;
use super::walk::Walk;

/// What a recovery leaves for the writer.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// The segments, from the oldest to the newest.
    pub(super) segments: Vec<Arc<Segment>>,
    /// The newest, if it can be written on.
    pub(super) unsealed: Option<Unsealed>,
    /// How often each body is referred to.
    pub(super) references: References,
    /// The highest id that was ever seen.
    pub(super) last_id: u64,
}

/// A segment that is not full.
#[derive(Debug)]
pub(super) struct Unsealed {
    pub(super) entries: Vec<Entry>,
    /// Where the next record goes.
    pub(super) tail: u64,
    /// The epoch of the last record.
    pub(super) epoch: u16,
}

/// Brings the index up to what the segments `ids` hold, in rising order.
///
/// A segment that cannot be used is removed: if it came back at a later start, what stood against
/// its records might be gone by then.
pub(super) fn recover(
    shared: &Shared,
    directory: &Directory,
    superblock: &Superblock,
    ids: &[u64],
    tell: impl Fn(&str, u64),
) -> Recovered {
    let mut found = Recovered::default();
    let mut counts = HashMap::new();
    found.last_id = ids.last().copied().unwrap_or(0);
    for &id in ids.iter().rev() {
        let (segment, entries, unsealed) = match take(shared, directory, superblock, id) {
            Ok(taken) => taken,
            Err(why) => {
                tell(&why, id);
                if let Err(error) = directory.remove_segment(id) {
                    shared.health.error();
                    tell(&error.to_string(), id);
                }
                continue;
            }
        };
        if found.segments.is_empty() {
            found.unsealed = unsealed;
        }
        shared.segments.put(segment.clone());
        index(shared, &segment, &entries, &mut counts);
        found.segments.push(segment);
    }
    found.segments.reverse();
    drop_unreferenced(shared, &counts);
    let is_stored = |content| shared.index.peek(content).is_some();
    found.references = References::from_counts(counts, is_stored);
    found
}

/// A segment, its entries, and where to write on if it is not sealed.
type Taken = (Arc<Segment>, Vec<Entry>, Option<Unsealed>);

/// Opens a segment, and reads what it has; or tells why it is none of the store's.
fn take(
    shared: &Shared,
    directory: &Directory,
    superblock: &Superblock,
    id: u64,
) -> Result<Taken, String> {
    let slot = shared.segments.free_slot().ok_or("it is more than the size allows")?;
    let opened = Segment::open(directory.path(), id, slot, superblock.store, superblock.segment);
    let segment = opened.map_err(|error| {
        shared.health.error();
        error.to_string()
    })?;
    let segment = Arc::new(segment.ok_or("it was cut short, or is no segment of this store")?);
    let Some(contents) = contents(&segment) else {
        shared.health.error();
        return Err("it cannot be read".to_owned());
    };
    for (offset, what) in contents.damage {
        shared.health.damaged(&segment, offset, what);
    }
    Ok((segment, contents.entries, contents.unsealed))
}

/// What a segment has.
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    /// Where to write on if it is not sealed.
    pub(super) unsealed: Option<Unsealed>,
    /// What is not as it was written: at which byte, and what.
    damage: Vec<(u64, &'static str)>,
}

/// What a segment has. `None` if it cannot be read.
pub(super) fn contents(segment: &Segment) -> Option<Contents> {
    let length = segment.map().len();
    segment.map().populate(length - TRAILER..length).ok()?;
    let sealed = entries_of(segment.bytes(0..length), segment.id);
    if !segment.map().is_intact() {
        return None;
    }
    match sealed {
        Some(entries) => Some(Contents { entries, unsealed: None, damage: Vec::new() }),
        None => walk(segment),
    }
}

/// The records of a segment without a footer, or with none that is whole.
fn walk(segment: &Segment) -> Option<Contents> {
    let bytes = segment.bytes(0..segment.map().len());
    let (mut entries, mut damage) = (Vec::new(), Vec::new());
    let mut walk = Walk::new(bytes, segment.mark);
    loop {
        while let Some((at, header)) = walk.next() {
            entries.push(Entry::of(&header, at));
        }
        let tail = walk.tail();
        if !walk.skip(|from| segment.written_from(from)) {
            break;
        }
        damage.push((tail, "a record before whole ones"));
    }
    let trailer = bytes.len() - TRAILER;
    if bytes[trailer..].iter().any(|byte| *byte != 0) {
        damage.push((trailer as u64, "footer"));
    }
    let (tail, epoch) = (walk.tail(), walk.epoch());
    let unsealed = Some(Unsealed { entries: entries.clone(), tail, epoch });
    segment.map().is_intact().then_some(Contents { entries, unsealed, damage })
}

/// Where the record of an entry stands.
pub(super) fn location(segment: &Segment, entry: &Entry) -> Location {
    Location::new(segment.slot, entry.at, entry.units)
}

fn index(shared: &Shared, segment: &Segment, entries: &[Entry], counts: &mut HashMap<u64, u32>) {
    for entry in entries.iter().rev() {
        let location = location(segment, entry);
        let within = u64::from(entry.at) * UNIT + location.length() <= segment.map().len() as u64;
        if !within {
            continue;
        }
        if entry.kind.has_body() && entry.content != 0 {
            shared.index.recover_content(entry.content, location);
        }
        if entry.kind == Kind::Removed {
            shared.index.recover_removal(entry.key);
        } else if entry.kind.has_key()
            && shared.index.recover(entry.key, location)
            && entry.content != 0
        {
            *counts.entry(entry.content).or_default() += 1;
        }
    }
}

/// A body that no key needs is not looked for again.
fn drop_unreferenced(shared: &Shared, counts: &HashMap<u64, u32>) {
    let mut dropped = Vec::new();
    shared.index.each(|tag, location| {
        if location.is_of_body() && !counts.contains_key(&tag) {
            dropped.push((tag, location));
        }
    });
    for (content, location) in dropped {
        shared.index.remove_content(content, location);
    }
}
