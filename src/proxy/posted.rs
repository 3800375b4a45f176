//! Responses to POST that stand for what a later GET would bring (RFC 9110 section 9.3.3).
//!
//! ```text
//!  lead ──► POST upstream ──► what is stored goes, flights are abandoned but this one
//!                               ├─ 200 that names itself as the target's, with a lifetime of its
//!                               │  own ──► store; the client reads beside it
//!                               └─ else ──► handed on
//! ```
//!
//! Invariants:
//! - another unsafe request that ends while this one is under way abandons its flight, so that no
//!   representation from before that one is stored;
//! - but for its content, nothing was asked of the origin that a GET for the key would not ask.

use http::header::CONTENT_LOCATION;
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::sync::oneshot;

use super::context::Journey;
use super::fill::{Fill, Led};
use super::head::facts_of;
use super::tier::Fetched;
use crate::collapse::{Join, Leader};
use crate::message::Body;
use crate::object::CacheKey;
use crate::semantics::cacheability::{Method, Storage};
use crate::semantics::freshness::{Freshness, ResponseFacts};
use crate::semantics::time::Timestamp;
use crate::upstream::{IncomingResponse, UpstreamError};

impl Journey {
    /// A flight for what this request may bring, which no GET joins: to be had before the request
    /// leaves.
    pub(super) fn lead_posted(&self) -> Option<Leader> {
        if self.facts.method != Method::Post || self.facts.ambiguous || !self.asks_like_get() {
            return None;
        }
        let (key, sequence) = (self.posted_key(), self.fetch_sequence());
        match self.proxy.flights.join(self.primary.url, key, sequence, |_, _| false) {
            Join::Leader(leader) => Some(leader),
            Join::Follower(_) | Join::Alone => None,
        }
    }

    /// Whether the origin is asked for what a GET would ask it for: the same target and host, and
    /// nothing in the fields of which the key would know nothing. So neither are there a range and
    /// conditions, which a GET that is shared has not.
    fn asks_like_get(&self) -> bool {
        let (posted, get) = (self.pass_request(Body::Empty), self.fetch_request(None));
        let fields = |headers: HeaderMap| {
            let is_of_content = |name: &HeaderName| name.as_str().starts_with("content-");
            let fields = headers.iter().filter(|(name, _)| !is_of_content(name));
            fields.map(|(name, value)| (name.clone(), value.clone())).collect::<HeaderMap>()
        };
        posted.target == get.target && fields(posted.headers) == fields(get.headers)
    }

    fn posted_key(&self) -> CacheKey {
        self.primary.own.variant(b"POST")
    }

    /// Stores what came, where it stands for a GET; its body is then read beside the store.
    pub(super) async fn keep_posted(
        &self,
        leader: Leader,
        fetched: Fetched,
        request_time: Timestamp,
    ) -> Result<Fetched, UpstreamError> {
        let mut journey = self.for_fill();
        (journey.facts.method, journey.facts.body) = (Method::Get, false);
        let Some((facts, freshness)) = journey.stands_for_get(&fetched.response, request_time)
        else {
            return Ok(fetched);
        };
        let Fetched { mut response, sequence, source } = fetched;
        let length = response.content_length;
        journey.mark(&mut response, length);
        let headers = response.headers.clone();
        let told = IncomingResponse { headers, body: Body::Empty, ..response };
        let (leading, led) = oneshot::channel();
        let mut fill = Fill::new(&journey, self.posted_key(), leader, None, Some(leading));
        (fill.sequence, fill.source) = (sequence, source);
        tokio::spawn(async move { fill.share(response, &facts, freshness).await });
        match led.await {
            Ok(Led::Arriving(_, _, body)) => {
                Ok(Fetched { response: IncomingResponse { body, ..told }, sequence, source })
            }
            _ => Err(UpstreamError::of_another(&self.route.origin)),
        }
    }

    /// What a response says of storing it for GET, if it may be.
    fn stands_for_get(
        &self,
        response: &IncomingResponse,
        request_time: Timestamp,
    ) -> Option<(ResponseFacts, Freshness)> {
        let max = self.proxy.config.max_object;
        let now = self.inbound.arrival.later();
        let named = response.headers.get(CONTENT_LOCATION)?.to_str().ok()?;
        let facts = facts_of(response.status.as_u16(), &response.headers);
        let stands = response.status == StatusCode::OK
            && self.key_at(named) == Some(self.primary)
            && facts.explicit_lifetime(now).is_some()
            && !response.until_close
            && response.content_length.is_none_or(|length| length <= max);
        match self.storage(&facts, request_time, now) {
            Storage::Store(freshness) if stands => Some((facts, freshness)),
            _ => None,
        }
    }
}
