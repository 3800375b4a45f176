//! Who did what, when, and how it went: the newest events, and each as a line of the log.

use std::collections::VecDeque;
use std::net::IpAddr;

use parking_lot::Mutex;

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
    events: VecDeque<Event>,
    /// Number of the last event.
    last: u64,
}

impl Audit {
    /// A memory for so many events.
    pub fn new(events_max: usize) -> Self {
        Self { events_max: events_max.max(1), ring: Mutex::default() }
    }

    /// Takes an event down.
    pub fn note(&self, mut event: Event) {
        cut(&mut event.what);
        cut(&mut event.detail);
        let Event { by, address, what, status, detail, trace, .. } = &event;
        let trace = trace.map(|trace| format!("{trace:032x}"));
        tracing::info!(target: "headland::audit", by, %address, what, status, detail, trace);
        let mut ring = self.ring.lock();
        if ring.events.len() == self.events_max {
            ring.events.pop_front();
        }
        ring.events.push_back(event);
        ring.last += 1;
    }

    /// Up to `limit` events below the number `before`, the newest first, each with its number;
    /// whether there are more.
    pub fn page(&self, before: u64, limit: usize) -> (Vec<(u64, Event)>, bool) {
        let ring = self.ring.lock();
        let newest_first = (1..=ring.last).rev().zip(ring.events.iter().rev());
        let mut wanted = newest_first.filter(|(number, _)| *number < before);
        let page = wanted.by_ref().take(limit).map(|(number, event)| (number, event.clone()));
        (page.collect(), wanted.next().is_some())
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

    #[test]
    fn the_newest_events_are_kept_and_paged() {
        let audit = Audit::new(3);
        for status in 201..=205 {
            audit.note(Event {
                at: 0,
                by: "deploy".to_owned(),
                address: IpAddr::from([127, 0, 0, 1]),
                what: "POST /v1/purges".to_owned(),
                status,
                detail: String::new(),
                trace: None,
            });
        }
        let page = |before, limit| {
            let (events, more) = audit.page(before, limit);
            (events.iter().map(|(number, it)| (*number, it.status)).collect::<Vec<_>>(), more)
        };
        assert_eq!(page(u64::MAX, 2), (vec![(5, 205), (4, 204)], true));
        assert_eq!(page(4, 2), (vec![(3, 203)], false));
        assert_eq!(page(3, 2), (vec![], false));
    }
}
