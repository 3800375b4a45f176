//! The body of a response from an object in slices.
//!
//! ```text
//!  parts:  framing │ content 700..2500 │ framing      (one content alone, unless multipart)
//!                       ▼
//!  slices:       │ 512..1024 │ 1024..1536 │ …
//!                  read now     opened ahead: one, and more as long as they are waited for
//! ```
//!
//! A slice that fails is asked for again, from the byte where it broke off; an object that changed
//! ends the body visibly.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::{Awaited, Opening, Slice, Slicer};
use crate::message::{Body, BodyError, BodyErrorKind, BodyStream, FilePart, Piece};
use crate::object::PurgeState;
use crate::proxy::context::Trouble;
use crate::proxy::deliver::Part;
use crate::semantics::range::ByteRange;
use crate::telemetry::metrics::Source;

/// Fetches of one slice that may fail before the body ends.
const FAILURES_MAX: usize = 2;

/// Reads slices, one after the other.
pub(super) struct SliceReader {
    slicer: Arc<Slicer>,
    /// What is still to be sent.
    parts: VecDeque<Part>,
    place: Place,
    /// The slices after the one that is read, by their numbers, without a gap.
    ahead: VecDeque<(u64, Opening)>,
    /// How many are to be opened ahead.
    depth: usize,
    /// Whether the slice that is read was waited for.
    has_waited: bool,
    /// The first byte of what is read, or waited for.
    opened_at: u64,
    /// Where the last piece of content stands in a file, if it does.
    file: Option<FilePart>,
    /// In a row, of one slice.
    failures: usize,
    /// Where the first bytes come from.
    source: Source,
}

enum Place {
    Between,
    Awaiting(Awaited),
    Reading(Body),
    Over,
}

impl SliceReader {
    /// Opens what the first of `parts` begins with.
    pub(super) fn new(slicer: Arc<Slicer>, parts: Vec<Part>) -> Self {
        let mut reader = Self {
            slicer,
            parts: parts.into(),
            place: Place::Between,
            ahead: VecDeque::new(),
            depth: 1,
            has_waited: false,
            opened_at: 0,
            file: None,
            failures: 0,
            source: Source::Memory,
        };
        if let Some(source) = reader.turn() {
            reader.source = source;
        }
        reader
    }

    /// Where the first bytes come from.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Waits until there is something to read, so that trouble with the first slice is told by a
    /// response of its own. What was purged while that was waited for has changed.
    pub(super) async fn begin(mut self: Box<Self>) -> Result<Body, Trouble> {
        std::future::poll_fn(|cx| self.poll_open(cx)).await?;
        let Slicer { journey, head, .. } = &*self.slicer;
        match journey.purged(head) {
            PurgeState::Hard => Err(Trouble::Changed),
            PurgeState::Clean | PurgeState::Soft | PurgeState::Possibly => Ok(Body::Stream(self)),
        }
    }

    /// What is left of the content that is to be sent next.
    fn wanted(&self) -> Option<ByteRange> {
        self.parts.iter().find_map(|part| match part {
            Part::Content(range) => Some(*range),
            Part::Framing(_) => None,
        })
    }

    /// Opens what is wanted next, and slices after it.
    fn turn(&mut self) -> Option<Source> {
        let Some(range) = self.wanted() else {
            self.place = Place::Over;
            return None;
        };
        self.opened_at = range.start;
        let slices = self.slicer.slices;
        let number = slices.number_at(range.start);
        let opened = self.ahead.pop_front_if(|(ahead, _)| *ahead == number);
        let (opening, streams) = match opened {
            Some((_, opening)) => (opening, false),
            None => {
                let opening = self.slicer.open(range);
                let streams = opening.source == Source::Flight;
                let streams = streams && matches!(opening.slice, Slice::Here(_));
                (opening, streams)
            }
        };
        // What is opened ahead begins with its slice, where a stream may break off in the midst.
        if streams || self.ahead.front().is_some_and(|(ahead, _)| *ahead != number + 1) {
            self.ahead.clear();
        }
        self.slicer.journey.proxy.metrics.slice(opening.source);
        if !streams {
            self.open_ahead(number, range.end);
        }
        self.place = match opening.slice {
            Slice::Here(body) => Place::Reading(body),
            Slice::Awaited(awaited) => Place::Awaiting(awaited),
        };
        Some(opening.source)
    }

    /// Opens slices behind slice `number`, up to the byte `end`.
    fn open_ahead(&mut self, number: u64, end: u64) {
        let slices = self.slicer.slices;
        while self.ahead.len() < self.depth {
            let last = self.ahead.back().map_or(number, |(last, _)| *last);
            let next = ByteRange { start: slices.range(last).end, end };
            if next.is_empty() {
                return;
            }
            let Some(opening) = self.slicer.open_ahead(next) else { return };
            self.ahead.push_back((last + 1, opening));
        }
    }

    /// Goes on until there is something to read, or nothing left.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            let awaited = match &mut self.place {
                Place::Reading(_) | Place::Over => return Poll::Ready(Ok(())),
                Place::Between => {
                    self.turn();
                    continue;
                }
                Place::Awaiting(awaited) => awaited,
            };
            let Poll::Ready(landing) = awaited.as_mut().poll(cx) else {
                self.has_waited = true;
                return Poll::Pending;
            };
            let Some(range) = self.wanted() else { continue };
            let number = self.slicer.slices.number_at(range.start);
            let Some(landing) = landing else {
                self.place = Place::Awaiting(self.slicer.lead_alone(number));
                continue;
            };
            match self.slicer.landed(number, &landing, range) {
                Ok(body) => self.place = Place::Reading(body),
                Err(Trouble::Failed) if self.may_go_on() => {}
                Err(trouble) => {
                    self.place = Place::Over;
                    return Poll::Ready(Err(trouble));
                }
            }
        }
    }

    /// Whether anything was read of what was opened last.
    fn has_read(&self) -> bool {
        self.wanted().is_some_and(|range| range.start != self.opened_at)
    }

    /// Notes a failure; true if the slice is asked for once more.
    fn may_go_on(&mut self) -> bool {
        self.failures += 1;
        self.place = Place::Between;
        self.failures < FAILURES_MAX
    }

    /// Takes `data` off what is to be sent.
    fn advance(&mut self, data: Bytes) -> Option<Bytes> {
        let slices = self.slicer.slices;
        let Some(Part::Content(range)) = self.parts.front_mut() else { return None };
        let take = range.len().min(data.len() as u64);
        let number = slices.number_at(range.start);
        range.start += take;
        let done = range.is_empty();
        if done || slices.number_at(range.start) != number {
            self.failures = 0;
            // A reader that is slower than upstream has no use for more.
            if std::mem::take(&mut self.has_waited) {
                self.depth = (self.depth * 2).min(self.slicer.ahead_max());
            }
        }
        if done {
            self.parts.pop_front();
            self.place = Place::Between;
        }
        Some(data.slice(..take as usize))
    }

    fn end(&mut self, error: BodyError) -> Poll<Option<Result<Piece, BodyError>>> {
        self.place = Place::Over;
        self.parts.clear();
        Poll::Ready(Some(Err(error)))
    }
}

impl BodyStream for SliceReader {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        loop {
            if let Some(Part::Framing(_)) = self.parts.front()
                && let Some(Part::Framing(bytes)) = self.parts.pop_front()
            {
                self.file = None;
                return Poll::Ready(Some(Ok(Piece::Data(bytes))));
            }
            if let Err(trouble) = ready!(self.poll_open(cx)) {
                return self.end(trouble.into());
            }
            let Place::Reading(body) = &mut self.place else { return Poll::Ready(None) };
            match ready!(body.poll_piece(cx)) {
                Some(Ok(Piece::Data(data))) => {
                    // Asked now: with its last piece the body is let go.
                    self.file = match body {
                        Body::Stream(body) => body.file(&data),
                        _ => None,
                    };
                    match self.advance(data) {
                        Some(data) => return Poll::Ready(Some(Ok(Piece::Data(data)))),
                        None => self.place = Place::Between,
                    }
                }
                Some(Ok(Piece::Trailers(_))) => {}
                None if self.has_read() => self.place = Place::Between,
                None if self.may_go_on() => {}
                None => return self.end(Trouble::Failed.into()),
                Some(Err(_)) if self.may_go_on() => {}
                Some(Err(error)) => return self.end(error),
            }
        }
    }

    fn file(&self, _piece: &Bytes) -> Option<FilePart> {
        self.file.clone()
    }
}

impl From<Trouble> for BodyError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Changed => {
                Self::new(BodyErrorKind::Aborted, "the object changed between its slices")
            }
            Trouble::Failed => Self::new(BodyErrorKind::Truncated, "a slice could not be fetched"),
        }
    }
}
