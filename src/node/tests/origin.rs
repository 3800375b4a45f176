//! The origin: pages that change, slow at times, broken off or failing at others.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use super::truth::{Truth, body, etag};
use crate::message::{
    Answer, Body, BodyError, BodyErrorKind, BodyStream, Ended, Extra, Fault, FieldBlock, Fields,
    Later, Peer, Piece, Reply, Request, Response, push_field,
};
use crate::net::Handler;
use crate::semantics::range::{ByteRange, RangeSet, Resolved, write_content_range};

/// The origin of the site.
pub(super) struct Origin {
    truth: Arc<Truth>,
    random: Mutex<Rng>,
}

impl Origin {
    pub(super) fn new(truth: Arc<Truth>, random: Rng) -> Self {
        Self { truth, random: Mutex::new(random) }
    }

    /// What a request gets: the page as it is when the request comes, however long that takes.
    fn answer(&self, target: &[u8], fields: &Fields, random: &mut Rng) -> Response {
        let Some(page) = page_of(target) else { return Response::empty(StatusCode::NOT_FOUND) };
        let version = self.truth.version(page);
        let (etag, body) = (etag(version), body(page, version));
        let (mut status, range) = wanted(fields, &etag, body.len() as u64);
        if random.u8(..40) == 0 {
            status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        self.truth.fetched(status == StatusCode::NOT_MODIFIED);
        self.truth.note(format!("origin: page {page} {range:?}: {} {etag}", status.as_u16()));
        let mut lines = Vec::new();
        if status.is_server_error() {
            return Response::empty(status);
        }
        push_field(&mut lines, "etag", etag.as_bytes());
        push_field(&mut lines, "cache-control", cache_control(page).as_bytes());
        push_field(&mut lines, "surrogate-key", tags(page).as_bytes());
        push_field(&mut lines, "accept-ranges", b"bytes");
        if status == StatusCode::PARTIAL_CONTENT {
            let mut value = Vec::new();
            write_content_range(range, body.len() as u64, &mut value);
            push_field(&mut lines, "content-range", &value);
        }
        let has_content = status != StatusCode::NOT_MODIFIED;
        let content = Bytes::from(body).slice(range.start as usize..range.end as usize);
        Response {
            status,
            content_length: has_content.then_some(content.len() as u64),
            block: FieldBlock::from_lines(lines.into()),
            extra: Extra::new(),
            body: match has_content {
                true => Body::Stream(Box::new(Slow::new(content, random))),
                false => Body::Empty,
            },
        }
    }
}

impl Handler for Origin {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        let random = &mut self.random.lock();
        let response = self.answer(&request.head.target, &request.head.fields, random);
        let late = match random.u8(..8) {
            0 => random.u64(..250),
            _ => random.u64(..20),
        };
        let due = Instant::now() + Duration::from_millis(late);
        Answer::Later(Later::new(async move {
            sleep_until(due).await;
            Reply { response, exchange: () }
        }))
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<()> {
        Reply { response: Response::empty(fault.status), exchange: () }
    }

    fn ended(&self, (): (), _: Ended) {}
}

/// Where a page stands: every third in each folder.
pub(super) fn path(page: usize) -> String {
    format!("/{}/{page}", folder(page))
}

pub(super) fn folder(page: usize) -> char {
    ['a', 'b', 'c'][page % 3]
}

/// What a purge by tag may name: the page alone, every fourth, or all.
pub(super) fn tags(page: usize) -> String {
    format!("p{page} every-{} all", page % 4)
}

fn page_of(target: &[u8]) -> Option<usize> {
    let target = std::str::from_utf8(target).ok()?;
    target.split('?').next()?.rsplit('/').next()?.parse().ok()
}

fn cache_control(page: usize) -> &'static str {
    match page % 4 {
        0 => "max-age=600",
        1 => "max-age=1",
        2 => "max-age=600, stale-if-error=600",
        _ => "max-age=1, stale-while-revalidate=600",
    }
}

/// What of a page is wanted (RFC 9110 sections 13.2.2 and 14.2).
fn wanted(fields: &Fields, etag: &str, length: u64) -> (StatusCode, ByteRange) {
    let nothing = ByteRange { start: 0, end: 0 };
    if fields.get("if-none-match") == Some(etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, nothing);
    }
    let holds = fields.get("if-range").is_none_or(|known| known == etag.as_bytes());
    let ranges = fields.get("range").filter(|_| holds).and_then(RangeSet::parse);
    match ranges.map(|ranges| ranges.resolve(length)) {
        Some(Resolved::Unsatisfiable) => (StatusCode::RANGE_NOT_SATISFIABLE, nothing),
        Some(Resolved::Ranges(ranges)) if ranges.len() == 1 => {
            (StatusCode::PARTIAL_CONTENT, ranges[0])
        }
        _ => (StatusCode::OK, ByteRange { start: 0, end: length }),
    }
}

/// A body that takes its time, and may break off.
struct Slow {
    left: Bytes,
    piece: usize,
    pause: Duration,
    breaks_at: Option<usize>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Slow {
    fn new(left: Bytes, random: &mut Rng) -> Self {
        let pause = Duration::from_millis(if random.u8(..4) == 0 { random.u64(1..60) } else { 0 });
        let breaks = random.u8(..30) == 0 && !left.is_empty();
        Self {
            piece: random.usize(1..=left.len().max(1)),
            breaks_at: breaks.then(|| random.usize(..left.len())),
            left,
            pause,
            alarm: None,
        }
    }
}

impl BodyStream for Slow {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        if let Some(alarm) = &mut self.alarm {
            ready!(alarm.as_mut().poll(cx));
        }
        self.alarm =
            (!self.pause.is_zero()).then(|| Box::pin(sleep_until(Instant::now() + self.pause)));
        if self.breaks_at.is_some_and(|at| self.left.len() <= at) {
            let error = BodyError::new(BodyErrorKind::Aborted, "the origin breaks off");
            return Poll::Ready(Some(Err(error)));
        }
        let piece = self.left.split_to(self.piece.min(self.left.len()));
        Poll::Ready((!piece.is_empty()).then_some(Ok(Piece::Data(piece))))
    }
}
