//! Who did what, when, and how it went: the newest events, which outlive the process where there is
//! a file for them; and each as a line of the log.

mod file;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::PathBuf;

use parking_lot::Mutex;

use self::file::AuditFile;

/// Bytes of what an event says, and of what it was about.
const TEXT_MAX: usize = 1024;

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
pub struct Audit {
    events_max: usize,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// With their numbers.
    events: VecDeque<(u64, Event)>,
    file: Option<AuditFile>,
}

impl Audit {
    /// A memory for so many events, which ends with the process.
    pub fn new(events_max: usize) -> Self {
        Self { events_max: events_max.max(1), ring: Mutex::default() }
    }

    /// One that goes on with the file at `path`, which no other process writes. What cannot be read
    /// or written there is told in the log, and keeps nobody from anything. Blocks.
    pub fn open(path: PathBuf, events_max: usize) -> Self {
        let events_max = events_max.max(1);
        let events = file::read(&path, events_max);
        let file = Some(AuditFile::open(path, events_max));
        Self { events_max, ring: Mutex::new(Ring { events, file }) }
    }

    /// Takes an event down.
    pub fn note(&self, mut event: Event) {
        cut(&mut event.what);
        cut(&mut event.detail);
        let Event { by, address, what, status, detail, trace, .. } = &event;
        let trace = trace.map(|trace| format!("{trace:032x}"));
        tracing::info!(target: "headland::audit", by, %address, what, status, detail, trace);
        let mut ring = self.ring.lock();
        let number = ring.events.back().map_or(0, |(last, _)| *last) + 1;
        if ring.events.len() == self.events_max {
            ring.events.pop_front();
        }
        if let Some(file) = &mut ring.file {
            file.push(number, &event);
        }
        ring.events.push_back((number, event));
    }

    /// Up to `limit` events below the number `before`, the newest first, each with its number;
    /// whether there are more.
    pub fn page(&self, before: u64, limit: usize) -> (Vec<(u64, Event)>, bool) {
        let ring = self.ring.lock();
        let newest_first = ring.events.iter().rev();
        let mut wanted = newest_first.filter(|(number, _)| *number < before);
        let page = wanted.by_ref().take(limit).cloned().collect();
        (page, wanted.next().is_some())
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
        let open = || Audit::open(path.clone(), 5);
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
            Audit::open(folder.path().join("audit.log"), 3).note(event(200));
        }
        let lines =
            |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap().lines().count();
        assert_eq!((lines("audit.log"), lines("audit.log.1")), (2, 3));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_written_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path().join("missing/audit.log"), 3);
        audit.note(event(201));
        assert_eq!(audit.page(u64::MAX, 9), (vec![(1, event(201))], false));
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
