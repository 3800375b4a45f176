//! Who did what, when, and how it went: the newest events, which outlive the process where there is
//! a file for them; and each as a line of the log.
//!
//! ```text
//!  note ─┬─ done or failed ─► ring ─► audit.log            one row of numbers
//!        └─ refused ────────► ring ─► audit.log.refused
//! ```
//!
//! Invariant: whoever is refused pushes out nothing but what others were refused.

mod file;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::PathBuf;

use parking_lot::Mutex;

use self::file::AuditFile;
pub use self::file::NotRegular;
use crate::durable::beside;

/// Bytes of what an event says, and of what it was about.
const TEXT_MAX: usize = 1024;

/// Events that were refused, the newest kept.
const REFUSED_MAX: usize = 1024;

/// One thing that somebody did, or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Name of the token's holder; empty where nobody is known by what was shown.
    pub by: String,
    /// From where.
    pub address: IpAddr,
    /// What, such as `POST /v1/purges`.
    pub what: String,
    /// How it went: the status that was answered.
    pub status: u16,
    /// What it was about, or why it was refused.
    pub detail: String,
    /// The trace that it belongs to.
    pub trace: Option<u128>,
}

/// The newest events, numbered from 1.
#[derive(Debug)]
pub struct Audit(Mutex<Rings>);

#[derive(Debug)]
struct Rings {
    /// The highest number.
    last: u64,
    done: Ring,
    refused: Ring,
}

#[derive(Debug)]
struct Ring {
    events_max: usize,
    /// With their numbers.
    events: VecDeque<(u64, Event)>,
    file: Option<AuditFile>,
}

impl Audit {
    /// A memory for so many events, which ends with the process.
    pub fn new(events_max: usize) -> Self {
        let ring = |events_max| Ring { events_max, events: VecDeque::new(), file: None };
        Self::of(ring(events_max.max(1)), ring(events_max.clamp(1, REFUSED_MAX)))
    }

    /// One that goes on with the file at `path`, and one beside it, which no other process writes.
    /// What cannot be read or written there is told in the log, and keeps nobody from anything.
    /// Blocks.
    ///
    /// # Errors
    /// What is there is no file.
    pub fn open(path: PathBuf, events_max: usize) -> Result<Self, NotRegular> {
        let refused = beside(&path, "refused");
        let refused = Ring::open(refused, events_max.clamp(1, REFUSED_MAX))?;
        Ok(Self::of(Ring::open(path, events_max.max(1))?, refused))
    }

    fn of(done: Ring, refused: Ring) -> Self {
        let last = done.last().max(refused.last());
        Self(Mutex::new(Rings { last, done, refused }))
    }

    /// Takes an event down.
    pub fn note(&self, mut event: Event) {
        cut(&mut event.what);
        cut(&mut event.detail);
        let Event { by, address, what, status, detail, trace, .. } = &event;
        let trace = trace.map(|trace| format!("{trace:032x}"));
        tracing::info!(target: "headland::audit", by, %address, what, status, detail, trace);
        let mut rings = self.0.lock();
        rings.last += 1;
        let number = rings.last;
        let ring = match event.status {
            401 | 403 => &mut rings.refused,
            _ => &mut rings.done,
        };
        ring.push(number, event);
    }

    /// Up to `limit` events below the number `before`, the newest first, each with its number;
    /// whether there are more.
    pub fn page(&self, before: u64, limit: usize) -> (Vec<(u64, Event)>, bool) {
        let rings = self.0.lock();
        let newest = |ring: &'_ Ring| {
            let newest_first = ring.events.iter().rev();
            let wanted = newest_first.filter(|(number, _)| *number < before);
            wanted.take(limit.saturating_add(1)).cloned().collect::<Vec<_>>()
        };
        let mut page = [newest(&rings.done), newest(&rings.refused)].concat();
        page.sort_unstable_by_key(|(number, _)| Reverse(*number));
        let has_more = page.len() > limit;
        page.truncate(limit);
        (page, has_more)
    }
}

impl Ring {
    fn open(path: PathBuf, events_max: usize) -> Result<Self, NotRegular> {
        let events = file::read(&path, events_max)?;
        Ok(Self { events_max, events, file: Some(AuditFile::open(path, events_max)) })
    }

    fn last(&self) -> u64 {
        self.events.back().map_or(0, |(number, _)| *number)
    }

    fn push(&mut self, number: u64, event: Event) {
        if self.events.len() == self.events_max {
            self.events.pop_front();
        }
        if let Some(file) = &mut self.file {
            file.push(number, &event);
        }
        self.events.push_back((number, event));
    }
}

/// What comes from outside may be as long as a request.
fn cut(text: &mut String) {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text.push('…');
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_no_more_than_the_beginning_of_long_words() {
        let (mut long, mut short) = ("é".repeat(TEXT_MAX), "short".to_owned());
        cut(&mut long);
        cut(&mut short);
        assert_eq!((long.len(), &*short), (TEXT_MAX + '…'.len_utf8(), "short"));
        assert!(long.ends_with("é…"));
    }

    fn event(status: u16) -> Event {
        Event {
            at: 1_795_000_000_123,
            by: "deploy".to_owned(),
            address: IpAddr::from([127, 0, 0, 1]),
            what: "POST /v1/purges".to_owned(),
            status,
            detail: "tag \"a\"\nof two lines".to_owned(),
            trace: (status == 202).then_some(7),
        }
    }

    #[test]
    fn the_newest_events_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let open = || Audit::open(path.clone(), 5).unwrap();
        let audit = open();
        (201..=202).for_each(|status| audit.note(event(status)));
        drop(audit);
        // The process was killed as it wrote; and something else is there, and something twice.
        let lines = std::fs::read_to_string(&path).unwrap();
        let first = lines.lines().next().unwrap();
        std::fs::write(&path, format!("{lines}{{}}\n{first}\n{{\"number\":3,\"at\":17")).unwrap();
        let audit = open();
        assert_eq!(audit.page(u64::MAX, 9), (vec![(2, event(202)), (1, event(201))], false));
        (203..=206).for_each(|status| audit.note(event(status)));
        let newest: Vec<_> =
            (2..=6).rev().map(|number| (number, event(200 + number as u16))).collect();
        assert_eq!(audit.page(u64::MAX, 9), (newest.clone(), false));
        drop(audit);
        assert_eq!(open().page(u64::MAX, 9), (newest, false));
    }

    #[test]
    fn the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let audit = Audit::open(folder.path().join("audit.log"), 3).unwrap();
            audit.note(event(200));
            audit.note(event(401));
        }
        let lines =
            |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap().lines().count();
        assert_eq!((lines("audit.log"), lines("audit.log.1")), (2, 3));
        assert_eq!((lines("audit.log.refused"), lines("audit.log.refused.1")), (2, 3));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn the_file_is_tried_before_anything_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        drop(Audit::open(folder.path().join("audit.log"), 3).unwrap());
        assert!(folder.path().join("audit.log").exists());
    }

    #[test]
    fn what_cannot_be_written_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path().join("missing/audit.log"), 3).unwrap();
        audit.note(event(201));
        assert_eq!(audit.page(u64::MAX, 9), (vec![(1, event(201))], false));
    }

    #[test]
    fn what_was_refused_pushes_out_nothing_that_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Audit::open(folder.path().join("audit.log"), 3).unwrap();
        let audit = open();
        audit.note(event(200));
        for _ in 0..20 {
            audit.note(event(401));
            audit.note(event(403));
        }
        audit.note(event(201));
        let page: Vec<_> = [(42, 201), (41, 403), (40, 401), (39, 403), (1, 200)]
            .map(|(n, s)| (n, event(s)))
            .into();
        assert_eq!(audit.page(u64::MAX, 9), (page.clone(), false));
        assert_eq!(audit.page(41, 2), (page[2..4].to_vec(), true));
        drop(audit);
        assert_eq!(open().page(u64::MAX, 9), (page, false));
    }

    #[test]
    fn the_newest_events_are_kept_and_paged() {
        let audit = Audit::new(3);
        (201..=205).for_each(|status| audit.note(event(status)));
        let page = |before, limit| {
            let (events, more) = audit.page(before, limit);
            (events.iter().map(|(number, it)| (*number, it.status)).collect::<Vec<_>>(), more)
        };
        assert_eq!(page(u64::MAX, 2), (vec![(5, 205), (4, 204)], true));
        assert_eq!(page(4, 2), (vec![(3, 203)], false));
        assert_eq!(page(3, 2), (vec![], false));
    }
}
