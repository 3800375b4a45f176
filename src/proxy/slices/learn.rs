//! What a fill makes of an object that is not stored in one piece: a head and its first slices.
//!
//! ```text
//!  206 to the slice asked for ─┬─ holds the whole, small ──► stored in one piece
//!                              ├─ strong entity tag ───────► head, and this slice
//!                              ├─ none, but small ─────────► the whole is asked for
//!                              └─ else ────────────────────► not shared
//!  200, too large ─┬─ strong entity tag, Accept-Ranges ────► head; slices cut as it streams by
//!                  └─ else ────────────────────────────────► not shared
//! ```
//!
//! `Last-Modified` does not tie slices together, though it may be strong (RFC 9110 section
//! 8.8.2.2): within its second an origin can send two versions, and their slices would mix.

use std::sync::Arc;

use http::header::{ACCEPT_RANGES, CONTENT_RANGE};
use http::{HeaderMap, Method, StatusCode};

use super::Slicer;
use super::cut::Cutter;
use super::fetch::{part, strong_tag};
use crate::collapse::{Arriving, Landing, Relay, RelayWriter, Sliced};
use crate::message::{Body, BodyError, Piece};
use crate::object::{Slices, Stored};
use crate::proxy::fill::{DESERTED, Fill, Led, Shared, Times};
use crate::proxy::head::facts_of;
use crate::semantics::cacheability::{NoStore, Storage};
use crate::semantics::freshness::{Freshness, ResponseFacts};
use crate::semantics::range::{ByteRange, RangeSet};
use crate::upstream::IncomingResponse;

impl Fill {
    /// The slice to ask for where the leading request wants parts, and no whole is stored that a
    /// 304 could freshen. Several parts, and the end of what has an unknown length, begin with the
    /// first slice: it tells the length.
    pub(in crate::proxy) fn first_slice(&self) -> Option<ByteRange> {
        let inbound = &self.journey.inbound;
        let whole_stored = self.stored.as_ref().is_some_and(|stored| stored.slices().is_none());
        if self.leading.is_none() || inbound.head.method != Method::GET || whole_stored {
            return None;
        }
        let wanted = RangeSet::parse(inbound.only("range")?)?;
        let first = wanted.first_byte().unwrap_or(0);
        Some(Slices::aligned(first, self.journey.proxy.config.slice))
    }

    /// Takes a 206 to the request for `asked`. Returns itself if the whole is to be asked for.
    pub(in crate::proxy) async fn received_part(
        mut self,
        mut response: IncomingResponse,
        asked: ByteRange,
        times: &Times,
    ) -> Option<Self> {
        let told = part(&response.headers).filter(|(range, total)| {
            range.start == asked.start && range.end == asked.end.min(*total)
        });
        let Some((range, total)) = told else {
            self.unshared(NoStore::Partial.as_str());
            return None;
        };
        response.headers.remove(CONTENT_RANGE);
        response.status = StatusCode::OK;
        self.journey.mark(&mut response, Some(total));
        let facts = facts_of(200, &response.headers);
        let small = total <= self.journey.proxy.config.max_object;
        let freshness = match self.journey.storage(&facts, times.request, times.response) {
            Storage::Store(freshness) => freshness,
            Storage::Refuse(refused) => {
                self.refused_part(refused);
                return None;
            }
        };
        if small && response.content_length == Some(total) {
            self.share(response, &facts, freshness).await;
        } else if strong_tag(&response.headers).is_some() {
            let size = self.journey.proxy.config.slice;
            let slices = Slices { total, size, generation: fastrand::u64(..) };
            self.slice(response, slices, range, &facts, freshness).await;
        } else if small {
            return Some(self);
        } else {
            self.unshared("no-strong-validator");
        }
        None
    }

    fn refused_part(&mut self, refused: NoStore) {
        if !refused.is_of_request() {
            self.not_to_be_shared();
        }
        self.release(refused.as_str());
    }

    /// What came is of no use to the leading request either: it asks for its own part.
    fn unshared(&mut self, refused: &'static str) {
        self.not_to_be_shared();
        self.release(refused);
    }

    fn release(&mut self, refused: &'static str) {
        self.tell(Led::Unshared(refused));
        self.leader.land(Landing::Released);
    }

    /// Stores the head, and the slice that came with it.
    async fn slice(
        mut self,
        response: IncomingResponse,
        slices: Slices,
        range: ByteRange,
        facts: &ResponseFacts,
        freshness: Freshness,
    ) {
        let IncomingResponse { status, headers, body, protocol, .. } = response;
        let shared = self.shared(status, headers, protocol, facts, freshness);
        let slicer = Slicer::new(&self.journey, &shared.head, slices);
        let number = slices.number_at(range.start);
        // Whoever sees the head finds the flight.
        let leader = slicer.lead_first(slicer.key(number), slicer.flight(number));
        self.land_sliced(shared, slices, 206, Body::Empty);
        slicer.pour(number, leader, body).await;
    }

    /// Whether a large body can be stored in slices, and what is missing of it be fetched later.
    pub(in crate::proxy) fn is_sliceable(response: &IncomingResponse) -> bool {
        response.status == StatusCode::OK && has_slices(&response.headers)
    }

    /// Stores the head, and lets the body stream by while anybody reads it; its slices are cut and
    /// stored on the way.
    pub(in crate::proxy) async fn stream(
        mut self,
        response: IncomingResponse,
        total: u64,
        facts: &ResponseFacts,
        freshness: Freshness,
    ) {
        let IncomingResponse { status, headers, body, protocol, .. } = response;
        let shared = self.shared(status, headers, protocol, facts, freshness);
        let proxy = self.journey.proxy.clone();
        let slices = Slices { total, size: proxy.config.slice, generation: fastrand::u64(..) };
        let slicer = Slicer::new(&self.journey, &shared.head, slices);
        let (relay, writer) = Relay::new();
        writer.keep_window(proxy.config.relay_window);
        let beginning = relay.reader(0, None).unwrap_or_default();
        let flight = slicer.lead_first(slicer.stream_key(), slicer.stream_key());
        flight.land(Landing::Arriving(Arriving {
            head: shared.head.clone(),
            content_length: Some(total),
            relay,
            variant: None,
            cache_status: None,
        }));
        self.land_sliced(shared, slices, 200, beginning);
        match cut(&slicer, &writer, body).await {
            Ok(()) => writer.finish(None),
            Err(error) => {
                tracing::debug!(%error, "a stream broke off");
                writer.fail(error);
            }
        }
    }

    /// Stores the head and tells all who wait. `beginning` is held until the leading request reads
    /// for itself.
    fn land_sliced(&mut self, shared: Shared, slices: Slices, status: u16, beginning: Body) {
        let Shared { head, variant, cache_status } = shared;
        let stored = Arc::new(Stored::sliced(&head, slices));
        self.keep(variant.as_deref(), stored.clone());
        let sliced = Sliced { stored, variant, cache_status };
        self.tell(Led::Sliced(sliced.clone(), status, self.source, beginning));
        self.leader.land(Landing::Sliced(sliced));
    }
}

fn has_slices(headers: &HeaderMap) -> bool {
    let mut units = headers
        .get_all(ACCEPT_RANGES)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    units.any(|unit| unit.eq_ignore_ascii_case(b"bytes")) && strong_tag(headers).is_some()
}

/// Pours `body` into the relay while anybody reads it, and its slices into the store.
async fn cut(slicer: &Slicer, writer: &RelayWriter, mut body: Body) -> Result<(), BodyError> {
    let mut cutter = Cutter::new(slicer.slices);
    loop {
        writer.room().await;
        let piece = tokio::select! {
            biased;
            () = writer.deserted() => return Err(DESERTED),
            piece = body.next() => piece,
        };
        match piece {
            None => return Ok(()),
            Some(Ok(Piece::Trailers(_))) => {}
            Some(Ok(Piece::Data(data))) => {
                // Stored before it is read: who comes to its end finds the next in the relay.
                cutter.push(data.clone(), |number, pieces| slicer.keep(number, pieces));
                writer.push(data);
            }
            Some(Err(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_stored_in_slices() {
        let cases: &[(&str, &str, bool)] = &[
            ("bytes", "\"v\"", true),
            ("x, Bytes", "\"v\"", true),
            ("none", "\"v\"", false),
            ("bytesize", "\"v\"", false),
            ("bytes", "W/\"v\"", false),
            ("bytes", "v", false),
        ];
        for (units, etag, wanted) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_RANGES, units.parse().unwrap());
            headers.insert("etag", etag.parse().unwrap());
            assert_eq!(has_slices(&headers), *wanted, "{units} {etag}");
        }
        assert!(!has_slices(&HeaderMap::new()));
    }
}
