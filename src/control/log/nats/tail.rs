//! What is read of the stream, message by message, and whether it is proven to be one log: pure.
//!
//! ```text
//!  begin L1 ── entries ── entries ── (what does not follow) ── … ── begin L2 ── entries ──
//!  └──────── proven ────────────────┘└────── skipped ────────────┘└──── proven ────────────
//! ```
//!
//! A message either begins a log, or holds entries of it, JSON one a line:
//!
//! ```text
//!  {"begin":"32 hex"}
//!  {"begin":"32 hex","hash":"64 hex","number":41}    restored: its entries go on behind that
//!  {"at":…,"by":"deploy","commands":[…],"first":1,"previous":"64 hex"}
//! ```
//!
//! Invariant: the history moves only by messages that follow it by number and hash, or that begin
//! another log. What else stands in the stream proves nothing, and all who read it agree on that:
//! whoever is first then begins a new log behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::control::log::Logged;
use crate::control::log::history::{Bounds, History};
use crate::control::log::layout::Contents;
use crate::object::{Entry, EntryHash, LogId, Position};

/// The place in the stream up to which it was read.
#[derive(Debug)]
pub(super) struct Tail {
    bounds: Bounds,
    /// Sequence of the last message.
    at: u64,
    /// Hash of its bytes.
    seal: Option<blake3::Hash>,
    is_proven: bool,
    /// Ends of messages, of which the entries may be kept: last purge and sequence.
    ends: VecDeque<(u64, u64)>,
    /// The purge up to which a snapshot stands for the messages.
    saved: u64,
}

impl Tail {
    /// Before the first message, with a history that is none yet.
    pub(super) fn new(bounds: Bounds) -> (Self, History) {
        let ends = VecDeque::new();
        let tail = Self { bounds, at: 0, seal: None, is_proven: false, ends, saved: 0 };
        (tail, History::new(bounds, Position::start(LogId(0)), [], &[]))
    }

    /// At the message of a snapshot; `None` where that is not the message it was made at.
    pub(super) fn at_snapshot(
        bounds: Bounds,
        contents: Contents,
        sequence: u64,
        payload: &[u8],
    ) -> Option<(Self, History)> {
        let Contents { base, trail, rules, .. } = contents;
        let end = match read(payload)? {
            Message::Begin(start) => start,
            Message::Entries(entries) => entries.last()?.position(base.log),
        };
        let tail = Self {
            bounds,
            at: sequence,
            seal: Some(blake3::hash(payload)),
            is_proven: true,
            ends: [(base.number, sequence)].into(),
            saved: base.number,
        };
        (end == base).then(|| (tail, History::new(bounds, base, trail, &rules)))
    }

    /// Sequence of the last message.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether the history is that of the stream.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Whether this message is the last one that was read: then all before it is as it was.
    pub(super) fn is_at(&self, sequence: u64, payload: &[u8]) -> bool {
        self.at == sequence && self.seal == Some(blake3::hash(payload))
    }

    /// Nothing up to the message `sequence` is proven any more.
    pub(super) fn distrust(&mut self, sequence: u64) {
        (self.at, self.seal, self.is_proven) = (sequence, None, false);
    }

    /// Takes the next message; false if it does not follow, though what was before was proven.
    pub(super) fn take(&mut self, history: &mut History, sequence: u64, payload: &[u8]) -> bool {
        self.at = sequence;
        self.seal = Some(blake3::hash(payload));
        match read(payload) {
            Some(Message::Begin(start)) => {
                *history = History::new(self.bounds, start, [], &[]);
                (self.is_proven, self.saved) = (true, start.number);
                self.ends = [(start.number, sequence)].into();
            }
            Some(Message::Entries(entries)) if self.is_proven => {
                self.is_proven = follow(history.head(), &entries);
                if self.is_proven {
                    entries.into_iter().for_each(|entry| history.push(entry));
                    self.ends.push_back((history.head().number, sequence));
                    self.forget(history.base().number);
                }
                return self.is_proven;
            }
            _ => return !std::mem::replace(&mut self.is_proven, false),
        }
        true
    }

    /// Where a snapshot would let older messages go: worth it once that is many purges.
    pub(super) fn worth_saving(&self) -> Option<(u64, u64)> {
        let (number, sequence) = *self.ends.front()?;
        let many = self.bounds.entries as u64;
        (self.is_proven && number >= self.saved + many).then_some((number, sequence))
    }

    /// A snapshot stands for what is up to the purge `number`, or will not for now.
    pub(super) fn saved(&mut self, number: u64) {
        self.saved = number;
    }

    /// Keeps of the ends before `base` only the last: messages before it may go.
    fn forget(&mut self, base: u64) {
        while self.ends.get(1).is_some_and(|(number, _)| *number <= base) {
            self.ends.pop_front();
        }
    }
}

/// What a message holds.
pub(super) enum Message {
    Begin(Position),
    Entries(Vec<Arc<Logged>>),
}

/// A message that begins a log.
pub(super) fn begin(log: LogId) -> String {
    format!("{BEGIN}{log}\"}}")
}

/// A message that begins a log whose entries go on behind `base`.
pub(super) fn begin_at(base: Position) -> String {
    let Position { log, number, hash } = base;
    format!("{BEGIN}{log}\",\"hash\":\"{hash}\",\"number\":{number}}}")
}

/// Whether a message begins a log before its first purge.
pub(super) fn is_start(payload: &[u8]) -> bool {
    matches!(read(payload), Some(Message::Begin(Position { number: 0, .. })))
}

const BEGIN: &str = "{\"begin\":\"";

pub(super) fn read(payload: &[u8]) -> Option<Message> {
    if let Some(rest) = payload.strip_prefix(BEGIN.as_bytes()) {
        let rest = str::from_utf8(rest).ok()?;
        if let Some(log) = rest.strip_suffix("\"}") {
            return log.parse().ok().map(|log| Message::Begin(Position::start(log)));
        }
        let (log, rest) = rest.strip_suffix('}')?.split_once("\",\"hash\":\"")?;
        let (hash, number) = rest.split_once("\",\"number\":")?;
        let (log, number, hash) = (log.parse().ok()?, number.parse().ok()?, hash.parse().ok()?);
        return Some(Message::Begin(Position { log, number, hash }));
    }
    let lines = payload.split_inclusive(|byte| *byte == b'\n');
    let entries = lines.map(|line| {
        let entry = Logged::new(Entry::from_json(line).ok()?);
        // What is hashed is the text, lest a version that writes it otherwise take it for its own.
        (entry.line() == line).then(|| Arc::new(entry))
    });
    let entries: Vec<_> = entries.collect::<Option<_>>()?;
    (!entries.is_empty()).then_some(Message::Entries(entries))
}

fn follow(head: Position, entries: &[Arc<Logged>]) -> bool {
    let mut end: (u64, EntryHash) = (head.number, head.hash);
    entries.iter().all(|entry| {
        let follows = end.0.checked_add(1) == Some(entry.first) && entry.previous == end.1;
        end = (entry.last(), entry.hash());
        follows
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::PurgeCommand;

    const BOUNDS: Bounds = Bounds { entries: 2, rules: 64 };

    fn entries(mut at: Position, counts: &[usize]) -> (String, Position) {
        let mut lines = String::new();
        for count in counts {
            let command = json!({ "kind": "tag", "value": "a" });
            let commands = vec![PurgeCommand::from_json(&command).unwrap(); *count];
            let (first, previous) = (at.number + 1, at.hash);
            let by = String::new();
            let entry = Logged::new(Entry { first, previous, at: 0, by, commands });
            lines.push_str(str::from_utf8(entry.line()).unwrap());
            at = entry.position(at.log);
        }
        (lines, at)
    }

    fn started() -> (Tail, History) {
        let (mut tail, mut history) = Tail::new(BOUNDS);
        assert!(!tail.is_proven());
        assert!(tail.take(&mut history, 1, begin(LogId(7)).as_bytes()));
        (tail, history)
    }

    #[test]
    fn what_follows_is_taken() {
        let (mut tail, mut history) = started();
        assert_eq!(history.head(), Position::start(LogId(7)));
        let (lines, end) = entries(history.head(), &[1, 2]);
        assert!(tail.take(&mut history, 2, lines.as_bytes()));
        assert_eq!((history.head(), tail.at()), (end, 2));
        assert!(tail.is_at(2, lines.as_bytes()) && !tail.is_at(2, b"") && !tail.is_at(1, b""));
    }

    #[test]
    fn what_does_not_follow_proves_nothing_until_a_log_begins() {
        let (start, good) = (Position::start(LogId(7)), entries(Position::start(LogId(7)), &[1]).0);
        let gap = entries(Position { number: 1, ..start }, &[1]).0;
        let wrong_hash = entries(Position::start(LogId(8)), &[1]).0;
        let spaced = good.replace(",\"by\"", ", \"by\"");
        let cut = good.trim_end().to_owned();
        for bad in [&gap, &wrong_hash, &spaced, &cut, "", "\n", "{\"begin\":\"7\"}"] {
            let (mut tail, mut history) = started();
            assert!(!tail.take(&mut history, 2, bad.as_bytes()), "{bad:?}");
            assert!(tail.take(&mut history, 3, good.as_bytes()), "told once");
            assert!(!tail.is_proven() && history.head() == start, "{bad:?}");
            assert!(tail.take(&mut history, 4, begin(LogId(9)).as_bytes()));
            assert!(tail.is_proven() && history.head() == Position::start(LogId(9)));
        }
    }

    #[test]
    fn a_log_that_was_restored_goes_on_where_it_was() {
        let (mut tail, mut history) = started();
        let (lines, end) = entries(history.head(), &[1, 2]);
        let base = Position { log: LogId(9), ..end };
        assert!(tail.take(&mut history, 2, lines.as_bytes()));
        assert!(tail.take(&mut history, 3, begin_at(base).as_bytes()));
        assert_eq!((history.head(), tail.worth_saving()), (base, None));
        let (lines, end) = entries(base, &[2]);
        assert!(tail.take(&mut history, 4, lines.as_bytes()));
        assert_eq!((history.head(), end.number), (end, 5));
        assert!(is_start(begin(LogId(7)).as_bytes()));
        assert!(!is_start(begin_at(base).as_bytes()) && !is_start(lines.as_bytes()));
    }

    #[test]
    fn a_snapshot_is_of_its_message_alone() {
        let (mut tail, mut history) = started();
        let mut last = String::new();
        for sequence in 2..8 {
            last = entries(history.head(), &[1]).0;
            assert!(tail.take(&mut history, sequence, last.as_bytes()));
        }
        assert_eq!(tail.worth_saving(), Some((4, 5)), "the messages behind it are kept");
        tail.saved(4);
        assert_eq!(tail.worth_saving(), None);
        let contents = || Contents {
            log: LogId(7),
            rules: history.snapshot().commands,
            trail: Vec::new(),
            base: history.head(),
            entries: Vec::new(),
            length: 0,
        };
        let at = |payload: &str| Tail::at_snapshot(BOUNDS, contents(), 7, payload.as_bytes());
        let (again, read) = at(&last).unwrap();
        assert_eq!((read.head(), again.at()), (history.head(), 7));
        assert_eq!(read.snapshot(), history.snapshot());
        assert!(at(&begin(LogId(7))).is_none() && at("").is_none());
    }
}
