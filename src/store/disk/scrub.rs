//! The scrub: reads what is stored, slowly, round and round, and forgets what is damaged before
//! anybody asks for it.
//!
//! ```text
//!  segment ── what the index finds there, by place ──► header, head: CRC ──► body: BLAKE3
//!                                                             │ pause after each window │
//!                                        sound: verified ◄────┴────► damaged: forgotten, counted
//! ```
//!
//! A thread of its own: the writer must not wait for reads of a cold disk, nor the scrub for a
//! burst of writes. It reads the file and not the map, so that an error of the disk is an error and
//! no fault, and gives back the pages that it alone has brought in, lest it push out of the page
//! cache what is in use.
//!
//! Invariant: it holds a segment for one window at a time, so that space that was reclaimed is free
//! soon, however slowly it goes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Shared;
use super::format::{Content, HEADER, Header, head_length};
use super::location::Location;
use super::segment::Segment;

/// Bytes that are read at a time.
const WINDOW: usize = 256 * 1024;

/// A round begins at the earliest so long after the last: a small store is not read all the time.
const ROUND_MIN: Duration = Duration::from_hours(1);

/// Segments whose records are looked for in one pass over the index: passes are few, and what one
/// finds takes little memory beside the index.
const SEGMENTS_AT_ONCE: usize = 16;

/// How often is looked whether there is anything to read.
const LOOK: Duration = Duration::from_secs(1);

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Scrub {
    stop: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Scrub {
    /// Begins to read `rate` bytes per second.
    pub(super) fn start(shared: Arc<Shared>, rate: u64) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("disk-scrub".to_owned());
        let thread = thread.spawn(move || {
            let Break(()) = rounds(&shared, rate, &stopped);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the disk tier's scrub panicked");
        }
    }
}

/// Goes round until told to stop.
fn rounds(
    shared: &Shared,
    rate: u64,
    stopped: &Receiver<Infallible>,
) -> ControlFlow<(), Infallible> {
    let wait = |time| match stopped.recv_timeout(time) {
        Err(RecvTimeoutError::Timeout) => Continue(()),
        Err(RecvTimeoutError::Disconnected) => Break(()),
    };
    while !has_any(shared) {
        wait(LOOK)?;
    }
    loop {
        let begun = Instant::now();
        let mut last = begun;
        round(shared, &mut |bytes| {
            let waited = wait(pause(rate, bytes, last.elapsed()));
            last = Instant::now();
            waited
        })?;
        wait(ROUND_MIN.saturating_sub(begun.elapsed()))?;
    }
}

/// Whether there is anything to read, and all of it is known.
pub(super) fn has_any(shared: &Shared) -> bool {
    !shared.index.is_recovering() && shared.index.objects() > 0
}

/// How long to wait after `bytes` that took `spent`, lest `rate` bytes per second be exceeded.
fn pause(rate: u64, bytes: u64, spent: Duration) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    let due = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    due.saturating_sub(spent)
}

/// Told of the bytes of each window; breaks off the round.
type Paced<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// Reads everything once.
pub(super) fn round(shared: &Shared, paced: Paced<'_>) -> ControlFlow<()> {
    let segments = shared.segments.all();
    let segments: Vec<_> =
        segments.iter().map(|segment| (segment.slot, Arc::downgrade(segment))).collect();
    for segments in segments.chunks(SEGMENTS_AT_ONCE) {
        let segments: HashMap<_, _> = segments.iter().cloned().collect();
        let mut found = Vec::new();
        shared.index.each(|tag, location| {
            if segments.contains_key(&location.slot()) {
                found.push((tag, location));
            }
        });
        found.sort_unstable_by_key(|(_, location)| (location.slot(), location.offset()));
        // A record may be found by its key and by its body.
        for found in found.chunk_by(|(_, one), (_, other)| one.is_at(*other)) {
            if let Some(segment) = segments.get(&found[0].1.slot()) {
                record(shared, segment, found, paced)?;
            }
        }
    }
    Continue(())
}

/// Reads one record, and notes how it is.
fn record(
    shared: &Shared,
    segment: &Weak<Segment>,
    found: &[(u64, Location)],
    paced: Paced<'_>,
) -> ControlFlow<()> {
    let Some(&(_, location)) = found.first() else { return Continue(()) };
    let told = Reading { segment, buffer: Vec::new(), paced }.record(location);
    // Another segment may have taken the place meanwhile.
    let now = shared.segments.get(location);
    if now.is_none_or(|now| segment.as_ptr() != Arc::as_ptr(&now)) {
        return Continue(());
    }
    match told {
        Err(Halt::Stopped) => return Break(()),
        Err(Halt::Gone) => {}
        Err(Halt::Damaged(what)) => forget(shared, found, what),
        Ok(()) => {
            for &(tag, location) in found {
                shared.index.update(tag, location, Location::verified);
            }
        }
    }
    Continue(())
}

fn forget(shared: &Shared, found: &[(u64, Location)], what: &'static str) {
    let has_key = found.iter().any(|(_, location)| !location.is_of_body());
    for &(tag, location) in found {
        if !location.is_of_body() {
            shared.damaged(tag, location, what);
        } else if shared.index.remove_content(tag, location) && !has_key {
            shared.tell_damaged(location, what);
        }
    }
}

/// Why the reading of a record ended early.
enum Halt {
    /// The tier closes.
    Stopped,
    /// The segment was reclaimed.
    Gone,
    /// It cannot be read, or is not what was written.
    Damaged(&'static str),
}

/// The reading of one record.
struct Reading<'a> {
    segment: &'a Weak<Segment>,
    buffer: Vec<u8>,
    paced: Paced<'a>,
}

impl Reading<'_> {
    fn record(mut self, location: Location) -> Result<(), Halt> {
        let (start, length) = (location.offset(), location.length());
        let fixed = self.read(start, HEADER as u64)?;
        let head = HEADER as u64 + u64::from(head_length(fixed));
        let mark = self.segment.upgrade().ok_or(Halt::Gone)?.mark;
        let bytes = self.read(start, head.min(length))?;
        let (header, _) = Header::decode(bytes, mark).ok_or(Halt::Damaged("head"))?;
        if header.length() != length {
            return Err(Halt::Damaged("length"));
        }
        match header.own_body() {
            0 => Ok(()),
            body => self.body(start + header.body_start(), body, &header.content),
        }
    }

    fn body(&mut self, start: u64, length: u64, content: &Content) -> Result<(), Halt> {
        let mut hasher = blake3::Hasher::new();
        let end = start + length;
        let mut at = start;
        while at < end {
            let window = (end - at).min(WINDOW as u64);
            hasher.update(self.read(at, window)?);
            at += window;
        }
        match hasher.finalize().as_bytes() == content {
            true => Ok(()),
            false => Err(Halt::Damaged("body")),
        }
    }

    fn read(&mut self, at: u64, length: u64) -> Result<&[u8], Halt> {
        let segment = self.segment.upgrade().ok_or(Halt::Gone)?;
        self.buffer.resize(length as usize, 0);
        let read = segment.read_aside(&mut self.buffer, at);
        drop(segment);
        if (self.paced)(length).is_break() {
            return Err(Halt::Stopped);
        }
        read.map_err(|_| Halt::Damaged("unreadable"))?;
        Ok(&self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept() {
        const MIB: u64 = 1 << 20;
        let cases = [
            (4 * MIB, 4 * MIB, 0, 1000),
            (4 * MIB, 4 * MIB, 400, 600),
            (4 * MIB, MIB, 0, 250),
            (4 * MIB, MIB, 250, 0),
            (4 * MIB, MIB, 9000, 0),
            (1, 60, 0, 60_000),
            (MIB, 0, 0, 0),
            (u64::MAX, WINDOW as u64, 0, 0),
        ];
        for (rate, bytes, spent, waits) in cases {
            let waited = pause(rate, bytes, Duration::from_millis(spent));
            assert_eq!(waited, Duration::from_millis(waits), "{rate} {bytes} {spent}");
        }
    }
}
