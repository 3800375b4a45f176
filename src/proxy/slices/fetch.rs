//! One slice from upstream: asked for by range, held against the head, poured into relay and store.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONTENT_RANGE, ETAG};

use super::Slicer;
use crate::collapse::{Arriving, Landing, Leader, Relay, RelayWriter};
use crate::message::{Body, BodyError, BodyErrorKind, Piece};
use crate::object::Slices;
use crate::semantics::conditional::EntityTag;
use crate::semantics::range::{ByteRange, ContentRange};
use crate::store::Lookup;

/// What a response to the request for a slice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The slice.
    Slice,
    /// The object is another by now, or has no parts.
    Changed,
    /// Nothing about the object.
    Failed,
}

impl Slicer {
    /// Fetches slice `number` for all who wait.
    pub(super) async fn fetch(self: Arc<Self>, number: u64, leader: Leader) {
        if let Some(stored) = self.brought_in(number).await {
            return leader.land(Landing::Validated(stored));
        }
        let range = self.slices.range(number);
        let request = self.journey.slice_request(range, &self.etag);
        let since = self.journey.fetch_sequence();
        let response = match self.journey.fetch(request, since).await {
            Ok(fetched) => fetched.response,
            Err(error) => return tracing::debug!(%error, number, "no slice"),
        };
        let status = response.status.as_u16();
        match told(status, &response.headers, range, self.slices, &self.etag) {
            Told::Slice => self.pour(number, leader, response.body).await,
            Told::Changed => {
                tracing::debug!(status, number, "an object in slices has changed");
                self.forget();
                leader.land(Landing::Released);
            }
            Told::Failed => tracing::debug!(status, number, "no slice"),
        }
    }

    /// Lets all who wait read slice `number` while it arrives, and stores it.
    pub(super) async fn pour(&self, number: u64, leader: Leader, body: Body) {
        let length = self.slices.range(number).len();
        let (relay, writer) = Relay::new();
        leader.land(Landing::Arriving(Arriving {
            head: self.head.clone(),
            content_length: Some(length),
            relay,
            variant: None,
            cache_status: None,
        }));
        match take(&writer, body, length).await {
            Ok(()) => {
                self.keep(number, &writer.pieces().unwrap_or_default());
                writer.finish(None);
            }
            Err(error) => {
                tracing::debug!(%error, number, "a slice broke off");
                writer.fail(error);
            }
        }
    }

    /// Drops the head, unless another has taken its place.
    fn forget(&self) {
        let (store, journey) = (&self.journey.proxy.store, &self.journey);
        let found = journey.onward().look_up(store, journey.primary);
        if let Lookup::Found(_, stored) = found
            && stored.slices() == Some(self.slices)
        {
            store.remove(self.journey.primary);
        }
    }
}

/// Reads exactly `length` bytes: whoever sends others has not sent the slice.
async fn take(writer: &RelayWriter, mut body: Body, length: u64) -> Result<(), BodyError> {
    while let Some(piece) = body.next().await {
        if let Piece::Data(data) = piece? {
            if writer.written() + data.len() as u64 > length {
                return Err(BodyError::new(BodyErrorKind::Malformed, "more than the slice"));
            }
            writer.push(data);
        }
    }
    match writer.written() == length {
        true => Ok(()),
        false => Err(BodyError::new(BodyErrorKind::Truncated, "less than the slice")),
    }
}

/// Judges a response to the request for `range` of the object that `etag` names. RFC 9110 section
/// 13.1.5 asks for the whole where `If-Range` does not match; servers that ignore it are found out
/// by their entity tag (section 15.3.7: a 206 bears the one that a 200 would).
fn told(status: u16, headers: &HeaderMap, range: ByteRange, slices: Slices, etag: &[u8]) -> Told {
    match status {
        206 if part(headers) == Some((range, slices.total)) && is_of(headers, etag) => Told::Slice,
        401 | 403 | 407 | 408 | 425 | 429 | 500.. => Told::Failed,
        _ => Told::Changed,
    }
}

/// The part that a 206 encloses, and the length of the whole.
pub(super) fn part(headers: &HeaderMap) -> Option<(ByteRange, u64)> {
    let told = ContentRange::parse(headers.get(CONTENT_RANGE)?.as_bytes())?;
    Some((told.range?, told.total?))
}

/// The strong entity tag of a response.
pub(super) fn strong_tag(headers: &HeaderMap) -> Option<EntityTag<'_>> {
    let tag = EntityTag::parse(headers.get(ETAG)?.as_bytes())?;
    (!tag.weak).then_some(tag)
}

fn is_of(headers: &HeaderMap, etag: &[u8]) -> bool {
    let own = EntityTag::parse(etag);
    own.is_some_and(|own| strong_tag(headers).is_some_and(|told| told.strong_eq(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slice_of_the_same_representation_is_taken() {
        let slices = Slices { total: 10, size: 4, generation: 0 };
        let asked = slices.range(1);
        let cases: &[(u16, &str, &str, Told)] = &[
            (206, "bytes 4-7/10", "\"v\"", Told::Slice),
            (206, "bytes 4-7/10", "W/\"v\"", Told::Changed),
            (206, "bytes 4-7/10", "\"w\"", Told::Changed),
            (206, "bytes 4-7/10", "", Told::Changed),
            (206, "bytes 4-7/11", "\"v\"", Told::Changed),
            (206, "bytes 4-7/*", "\"v\"", Told::Changed),
            (206, "bytes 4-6/10", "\"v\"", Told::Changed),
            (206, "bytes 0-3/10", "\"v\"", Told::Changed),
            (206, "", "\"v\"", Told::Changed),
            (200, "", "\"v\"", Told::Changed),
            (404, "", "", Told::Changed),
            (416, "bytes */10", "", Told::Changed),
            (403, "", "", Told::Failed),
            (503, "", "", Told::Failed),
        ];
        for (status, content_range, etag, wanted) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONTENT_RANGE, content_range), (ETAG, etag)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let found = told(*status, &headers, asked, slices, b"\"v\"");
            assert_eq!(found, *wanted, "{status} {content_range} {etag}");
        }
    }
}
