//! The mark of a body that is worth coding, and the head of its coded copy.
//!
//! The mark stands in the head like the tags do: it is kept with what is stored, no client is told
//! it, and a 304 leaves it as it is.

use http::header::VARY;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::{FieldBlock, push_field};
use crate::object::{CacheKey, ObjectHead};
use crate::semantics::coding::{Coding, CompressPolicy, coded_field, varies_by_coding};
use crate::upstream::IncomingResponse;

/// Stands in the head of an identity that is worth coding: which body it has.
pub(super) const MARK: HeaderName = HeaderName::from_static("headland-body");

/// Marks the head of a body of `length` bytes, if that is known, where it is worth coding, and
/// takes away what anybody else has marked. Returns whether it is.
pub(super) fn mark(
    response: &mut IncomingResponse,
    length: Option<u64>,
    policy: Option<&CompressPolicy>,
) -> bool {
    let headers = &mut response.headers;
    headers.remove(MARK);
    let Some(policy) = policy else { return false };
    let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    if !policy.is_worth(response.status.as_u16(), length, fields) {
        return false;
    }
    let body = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    HeaderValue::try_from(body).is_ok_and(|body| headers.insert(MARK, body).is_none())
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

/// The key of the coded copy of a body.
pub(super) fn key_of(primary: CacheKey, mark: &[u8], coding: Coding) -> CacheKey {
    primary.variant(&[b"coded\n", coding.as_str().as_bytes(), b"\n", mark].concat())
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
