//! Object to response: conditions, ranges, the lines of this response alone.

use std::cell::Cell;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};

use super::context::Inbound;
use crate::collapse::Arriving;
use crate::message::{Body, Chain, Extra, FieldBlock, Response, Seen, push_field};
use crate::object::{ObjectHead, Stored};
use crate::semantics::cache_status::{CacheName, CacheStatus};
use crate::semantics::cacheability;
use crate::semantics::conditional::{
    self, Conditions, EntityTag, Outcome, Validators, if_range_matches,
};
use crate::semantics::multipart::Multipart;
use crate::semantics::range::{
    ByteRange, RangeSet, Resolved, write_content_range, write_unsatisfied_range,
};
use crate::semantics::time::{Timestamp, parse_http_date, write_http_date};

/// Where a body is.
pub(super) enum Content<'a> {
    Resident(&'a Stored),
    Arriving(&'a Arriving),
    Sliced(&'a Wanted),
}

/// What a response takes of a body in slices.
pub(super) struct Wanted {
    total: u64,
    parts: Cell<Vec<Part>>,
}

/// A part of a response's body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// These bytes of the stored body.
    Content(ByteRange),
    /// What stands between parts.
    Framing(Bytes),
}

/// The `Cache-Status` of a fresh hit.
pub(super) fn hit_status<'a>(
    name: &'a CacheName,
    head: &ObjectHead,
    now: Timestamp,
) -> CacheStatus<'a> {
    let ttl = Some(head.freshness().left(now));
    CacheStatus { hit: true, ttl, ..CacheStatus::of(name) }
}

/// The response from a stored object, sent `now`.
pub(super) fn stored(
    inbound: &Inbound,
    stored: &Stored,
    block: FieldBlock,
    status: &CacheStatus<'_>,
    now: Timestamp,
) -> Response {
    let lines = own_lines(&stored.head, None, now);
    let mut response = deliver(inbound, &stored.head, block, Content::Resident(stored), lines)
        // A resident body can be read from its beginning at any time.
        .unwrap_or_else(|| Response::empty(StatusCode::INTERNAL_SERVER_ERROR));
    push_cache_status(status, &mut response.extra);
    response
}

/// The response from an object in slices of `total` bytes, its `Cache-Status` and its body left
/// out; and what its body is to be.
pub(super) fn sliced(
    inbound: &Inbound,
    head: &ObjectHead,
    block: FieldBlock,
    total: u64,
    before: Option<&HeaderValue>,
) -> (Response, Vec<Part>) {
    let wanted = Wanted { total, parts: Cell::default() };
    let lines = own_lines(head, before, inbound.arrival.later());
    let response = deliver(inbound, head, block, Content::Sliced(&wanted), lines)
        // Slices can be read from any place at any time.
        .unwrap_or_else(|| Response::empty(StatusCode::INTERNAL_SERVER_ERROR));
    (response, wanted.parts.take())
}

/// The response from an object on its way; `None` if its beginning is given up already.
pub(super) fn arriving(
    inbound: &Inbound,
    arriving: &Arriving,
    block: FieldBlock,
    status: &CacheStatus<'_>,
) -> Option<Response> {
    let before = arriving.cache_status.as_ref();
    let lines = own_lines(&arriving.head, before, inbound.arrival.later());
    let mut response = deliver(inbound, &arriving.head, block, Content::Arriving(arriving), lines)?;
    push_cache_status(status, &mut response.extra);
    Some(response)
}

/// The response from the coded copy of an object, in the place of one from the object itself, which
/// had the lines of `extra`; `None` as above.
pub(super) fn coded(
    inbound: &Inbound,
    head: &ObjectHead,
    content: Content<'_>,
    extra: Extra,
) -> Option<Response> {
    deliver(inbound, head, head.block(), content, extra)
}

/// The response of `head`, told by the lines of `block`.
fn deliver(
    inbound: &Inbound,
    head: &ObjectHead,
    block: FieldBlock,
    content: Content<'_>,
    mut extra: Extra,
) -> Option<Response> {
    let seen = inbound.head.fields.seen();
    if seen.any(Seen::CONDITIONAL)
        && let Some(response) = precondition(inbound, head, &block, &mut extra)
    {
        return Some(response);
    }
    if seen.any(Seen::RANGE)
        && let Some(response) = partial(inbound, head, &block, &content, &mut extra)
    {
        return response;
    }
    let length = content.length();
    let body = if inbound.head.method == Method::HEAD { Body::Empty } else { content.whole()? };
    Some(Response { status: head.status, content_length: length, block, extra, body })
}

/// `age`, and what other caches said `before` in `cache-status`.
fn own_lines(head: &ObjectHead, before: Option<&HeaderValue>, now: Timestamp) -> Extra {
    let mut extra = Extra::new();
    extra.extend_from_slice(b"age: ");
    let age = head.freshness().age(now);
    extra.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
    extra.extend_from_slice(b"\r\n");
    // RFC 9211 section 2: the cache nearest the origin stands first.
    if let Some(before) = before {
        push_field(&mut extra, "cache-status", before.as_bytes());
    }
    extra
}

/// Appends the `cache-status` line.
pub(super) fn push_cache_status(status: &CacheStatus<'_>, extra: &mut Extra) {
    extra.extend_from_slice(b"cache-status: ");
    status.write(extra);
    extra.extend_from_slice(b"\r\n");
}

/// Appends the `date` line that RFC 9110 section 6.6.1 asks of whoever makes a response.
pub(super) fn push_date(now: Timestamp, extra: &mut Extra) {
    let mut date = Vec::new();
    write_http_date(now, &mut date);
    push_field(extra, "date", &date);
}

/// RFC 9110 section 13.2: 304 or 412, where a condition says so. Only a success is conditional.
fn precondition(
    inbound: &Inbound,
    head: &ObjectHead,
    block: &FieldBlock,
    extra: &mut Extra,
) -> Option<Response> {
    if !head.status.is_success() {
        return None;
    }
    let mut conditions = Conditions::default();
    for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
        for line in inbound.head.fields.all(name) {
            conditions.add(name, line);
        }
    }
    let method = cacheability::Method::from_bytes(inbound.head.method.as_str().as_bytes());
    let status = match conditional::evaluate(method, &conditions, &validators(inbound, head, block))
    {
        Outcome::Proceed => return None,
        Outcome::NotModified => StatusCode::NOT_MODIFIED,
        Outcome::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
    };
    let (block, content_length) = match status {
        // RFC 9110 section 15.4.5: no metadata of a representation that is not sent.
        StatusCode::NOT_MODIFIED => {
            (block.without(|name| name.starts_with("content-") && name != LOCATION), None)
        }
        _ => (block.without(is_of_representation), Some(0)),
    };
    let extra = std::mem::take(extra);
    Some(Response { status, content_length, block, extra, body: Body::Empty })
}

/// The one content field that a 304 carries.
const LOCATION: &str = "content-location";

/// The validators that whoever asks has been told: an edge those of the origin.
fn validators<'h>(
    inbound: &Inbound,
    head: &'h ObjectHead,
    block: &'h FieldBlock,
) -> Validators<'h> {
    let date = block.get("date").and_then(parse_http_date);
    match inbound.edge {
        None => Validators { etag: head.etag(), last_modified: head.last_modified(), date },
        Some(_) => Validators {
            date,
            etag: block.get("etag").filter(|tag| EntityTag::parse(tag).is_some()),
            last_modified: block.get("last-modified").and_then(parse_http_date),
        },
    }
}

/// RFC 9110 section 14: the parts asked for. `None`: the field is to be ignored. `Some(None)`: the
/// part is given up already.
#[allow(clippy::option_option)]
fn partial(
    inbound: &Inbound,
    head: &ObjectHead,
    block: &FieldBlock,
    content: &Content<'_>,
    extra: &mut Extra,
) -> Option<Option<Response>> {
    if inbound.head.method != Method::GET || head.status != StatusCode::OK {
        return None;
    }
    let total = content.length()?;
    let ranges = RangeSet::parse(inbound.only("range")?)?;
    // Of several nobody knows which is meant: none of them allows a part.
    let allows = |value| if_range_matches(value, &validators(inbound, head, block));
    if inbound.head.fields.seen().any(Seen::IF_RANGE)
        && !inbound.only("if-range").is_some_and(allows)
    {
        return None;
    }
    match (ranges.resolve(total), content) {
        (Resolved::Unsatisfiable, _) => Some(Some(unsatisfiable(block, total, extra))),
        (Resolved::Ranges(ranges), _) if ranges.len() == 1 => {
            Some(single(block, content, ranges[0], total, extra))
        }
        // Parts in any order of a body on its way would have to wait for its end.
        (Resolved::Ranges(_), Content::Arriving(_)) => None,
        (Resolved::Ranges(ranges), _) => Some(multipart(block, content, &ranges, total, extra)),
    }
}

fn unsatisfiable(block: &FieldBlock, total: u64, extra: &mut Extra) -> Response {
    let mut value = Vec::new();
    write_unsatisfied_range(total, &mut value);
    push_field(extra, "content-range", &value);
    Response {
        status: StatusCode::RANGE_NOT_SATISFIABLE,
        content_length: Some(0),
        block: block.without(is_of_representation),
        extra: std::mem::take(extra),
        body: Body::Empty,
    }
}

/// Whether a field tells of a representation, or how long to keep it: an error that answers one
/// client's condition or range must not bear it, lest somebody keep the error so long.
fn is_of_representation(name: &str) -> bool {
    name.starts_with("content-")
        || matches!(
            name,
            "cache-control" | "cdn-cache-control" | "etag" | "expires" | "last-modified" | "pragma"
        )
}

fn single(
    block: &FieldBlock,
    content: &Content<'_>,
    range: ByteRange,
    total: u64,
    extra: &mut Extra,
) -> Option<Response> {
    extra.extend_from_slice(b"content-range: ");
    write_content_range(range, total, extra);
    extra.extend_from_slice(b"\r\n");
    let length = range.end - range.start;
    // RFC 9110 section 14.4: on a 200 it said nothing.
    let block = match block.get("content-range") {
        Some(_) => block.without(|name| name == "content-range"),
        None => block.clone(),
    };
    Some(Response {
        status: StatusCode::PARTIAL_CONTENT,
        content_length: Some(length),
        block,
        extra: std::mem::take(extra),
        body: content.part(range.start, length)?,
    })
}

fn multipart(
    block: &FieldBlock,
    content: &Content<'_>,
    ranges: &[ByteRange],
    total: u64,
    extra: &mut Extra,
) -> Option<Response> {
    let boundary = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let content_type = block.get("content-type");
    let framing = Multipart { boundary: &boundary, content_type, total };
    let mut parts = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        let mut part_head = Vec::new();
        framing.write_part_head(index, *range, &mut part_head);
        parts.push(Part::Framing(part_head.into()));
        parts.push(Part::Content(*range));
    }
    let mut end = Vec::new();
    framing.write_end(&mut end);
    parts.push(Part::Framing(end.into()));
    let mut value = Vec::new();
    framing.write_content_type(&mut value);
    push_field(extra, "content-type", &value);
    let length = framing.content_length(ranges);
    Some(Response {
        status: StatusCode::PARTIAL_CONTENT,
        content_length: Some(length),
        block: block.without(|name| matches!(name, "content-type" | "content-range")),
        extra: std::mem::take(extra),
        body: content.parts(parts)?,
    })
}

impl Content<'_> {
    fn length(&self) -> Option<u64> {
        match self {
            Self::Resident(body) => Some(body.len()),
            Self::Arriving(arriving) => arriving.content_length,
            Self::Sliced(wanted) => Some(wanted.total),
        }
    }

    fn whole(&self) -> Option<Body> {
        match self {
            Self::Resident(body) => Some(body.whole()),
            Self::Arriving(arriving) => arriving.relay.reader(0, None),
            Self::Sliced(wanted) => self.part(0, wanted.total),
        }
    }

    fn part(&self, start: u64, length: u64) -> Option<Body> {
        match self {
            Self::Resident(body) => Some(body.part(start, length)),
            Self::Arriving(arriving) => arriving.relay.reader(start, Some(length)),
            Self::Sliced(_) => {
                let range = ByteRange { start, end: start + length };
                self.parts(vec![Part::Content(range)])
            }
        }
    }

    /// A body of several parts.
    fn parts(&self, parts: Vec<Part>) -> Option<Body> {
        match self {
            Self::Resident(body) => {
                let bodies = parts.into_iter().map(|part| match part {
                    Part::Content(range) => body.part(range.start, range.len()),
                    Part::Framing(bytes) => Body::Full(bytes),
                });
                Some(Body::Stream(Box::new(Chain::new(bodies))))
            }
            Self::Arriving(_) => None,
            Self::Sliced(wanted) => {
                wanted.parts.set(parts);
                Some(Body::Empty)
            }
        }
    }
}

#[cfg(test)]
mod tests;
