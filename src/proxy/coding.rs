//! The mark of a body that is worth coding, and the head of its coded copy.
//!
//! The mark stands in the head like the tags do: it is kept with what is stored, no client is told
//! it, and a 304 leaves it as it is.
//!
//! ```text
//!  0       16                              48
//!  │ place │ body, new with each that came │
//! ```
//!
//! Coded copies stand at the place, which is that of the variant: so the copies of the next body
//! take the places of those before, in every tier, and nothing piles up.

use http::header::VARY;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::context::Journey;
use crate::message::{FieldBlock, push_field};
use crate::object::{CacheKey, ObjectHead, Selection, VarySpec};
use crate::semantics::coding::{Coding, CompressPolicy, coded_field, varies_by_coding};
use crate::upstream::IncomingResponse;

/// Stands in the head of an identity that is worth coding: which body it has.
pub(super) const MARK: HeaderName = HeaderName::from_static("headland-body");

/// Bytes of a mark that tell the place.
const PLACE: usize = 16;

impl Journey {
    /// Marks the head of a body of `length` bytes, if that is known, that came for many, if it is
    /// worth coding; and takes away what anybody else has marked.
    pub(super) fn mark(&self, response: &mut IncomingResponse, length: Option<u64>) {
        self.mark_by(self.compress(), response, length);
    }

    /// The same by a `policy`, if there is one. Returns whether it is worth coding.
    pub(super) fn mark_by(
        &self,
        policy: Option<&CompressPolicy>,
        response: &mut IncomingResponse,
        length: Option<u64>,
    ) -> bool {
        let headers = &mut response.headers;
        headers.remove(MARK);
        let Some(policy) = policy else { return false };
        let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        if !policy.is_worth(response.status.as_u16(), length, fields) {
            return false;
        }
        let vary = VarySpec::parse(headers.get_all(VARY).iter().map(HeaderValue::as_bytes));
        let mut selection = Selection::new();
        self.select(&vary.by_coding(false), &mut selection);
        let place = self.primary.own.variant(&selection).as_u128() as u64;
        let mark = format!("{place:016x}{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        HeaderValue::try_from(mark).is_ok_and(|mark| headers.insert(MARK, mark).is_none())
    }
}

/// RFC 9110 section 12.5.5: what is worth coding differs with `Accept-Encoding`, and says so in
/// every coding.
pub(super) fn vary(headers: &mut HeaderMap) {
    let lines = headers.get_all(VARY);
    if !varies_by_coding(lines.iter().map(HeaderValue::as_bytes)) {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Which body a stored or arriving identity has, if it was worth coding when it came.
pub(super) fn mark_of(head: &ObjectHead) -> Option<&[u8]> {
    head.withheld()?.get(MARK.as_str())
}

/// Whether a coded copy has the body of its identity, and not of one that was there before.
pub(super) fn is_of(coded: &ObjectHead, identity: &ObjectHead) -> bool {
    mark_of(coded) == mark_of(identity)
}

/// Where the coded copy of a body stands, or that of another body which was there before.
pub(super) fn key_of(primary: CacheKey, mark: &[u8], coding: Coding) -> CacheKey {
    let place = &mark[..PLACE.min(mark.len())];
    primary.variant(&[b"coded\n", coding.as_str().as_bytes(), b"\n", place].concat())
}

/// The lines of a coded response, made of those of its identity.
pub(super) fn coded_lines(identity: &FieldBlock, coding: Coding) -> FieldBlock {
    let mut lines = Vec::with_capacity(identity.as_bytes().len() + 32);
    for (name, value) in identity.iter() {
        if let Some(value) = coded_field(name, value) {
            push_field(&mut lines, name, &value);
        }
    }
    push_field(&mut lines, "content-encoding", coding.as_str().as_bytes());
    FieldBlock::from_lines(lines.into())
}
