//! Between tiers: what an edge asks a shield's answer to reflect, and what a shield may say that
//! its answer reflects. So no order of arrival, delay or restart brings back what is purged.
//!
//! ```text
//!  edge                                     shield
//!  floor: its position as the fetch begins ──► behind it? catch up, for a bounded moment
//!                                               still behind: copies are possibly purged, what is
//!                                               fetched now reflects the floor
//!                                               of another log: fetched for this request alone
//!  site: by which settings it has made   ──► others here: the same, since purges by name, host or
//!        the key, and reads purges              query may cover there what they do not cover here
//!  nothing since the stamp covers it: taken ◄── stamp: the position before the look-up, if the
//!  else the next is asked                       copy is clean; else the copy's own sequence
//! ```
//!
//! Invariant: a stamp claims too little rather than too much, a floor the other way round; where a
//! node goes on with another log meanwhile, nothing is claimed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::timeout;

use super::context::Journey;
use super::demand::{FAILURE, FLOOR, Floor, SITE, STAMP};
use crate::message::{Extra, push_field};
use crate::object::{LogNumbers, LogSequence, ObjectHead, PurgeState, Sequence, TagKey, tags_of};
use crate::store::Rules;
use crate::telemetry::metrics::Source;
use crate::upstream::{Acceptance, Fault, IncomingResponse, OutgoingRequest, UpstreamError};

/// Where a node stands, once it has tried to be as far as an edge asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Far enough all the time.
    AsItWas,
    /// It may have moved: what was looked up is to be looked up again.
    Moved,
    /// In another log: nothing here can be held against the floor.
    Foreign,
    /// With other settings of the site: what is stored here may be purged there.
    OtherSite,
}

/// What upstream answered, what that reflects, and where it comes from.
pub(super) struct Fetched {
    pub(super) response: IncomingResponse,
    pub(super) sequence: Sequence,
    pub(super) source: Source,
}

/// An edge's side of one fetch.
struct Asking {
    /// The position as the fetch begins.
    since: Sequence,
    numbers: Option<Arc<LogNumbers>>,
}

impl Asking {
    /// What an answer has to reflect; nothing, before the first purge.
    fn floor(&self) -> Option<LogSequence> {
        let numbers = self.numbers.as_ref().filter(|_| self.since.number > 0)?;
        Some(numbers.floor(self.since.number))
    }

    /// What an answer reflects, in this node's numbers; `None` where that is not proven.
    fn reflected(&self, headers: &HeaderMap, rules: &Rules) -> Option<Sequence> {
        let stamp: LogSequence = headers.get(STAMP)?.to_str().ok()?.parse().ok()?;
        let Some(numbers) = self.numbers.as_ref().filter(|_| self.since.number > 0) else {
            // Nothing is purged as yet, or in numbers that are not known: older than every rule.
            return Some(Sequence::default());
        };
        let is_same = rules.numbers().is_some_and(|now| Arc::ptr_eq(&now, numbers));
        let here = numbers.to_here(stamp).filter(|_| is_same)?;
        Some(Sequence { number: here.min(self.since.number) })
    }
}

impl Journey {
    /// Fetches from the shields, or else from the origin, as of the position `since`.
    pub(super) async fn fetch(
        &self,
        mut request: OutgoingRequest,
        since: Sequence,
    ) -> Result<Fetched, UpstreamError> {
        request.on_interim = self.on_interim();
        let routing = self.proxy.routing();
        let Some(shields) = routing.upstreams.shields() else {
            return self.fetch_from_origin(request, since).await;
        };
        let rules = self.proxy.store.rules();
        let asking = Asking { since, numbers: rules.numbers() };
        if let Some(floor) = asking.floor().and_then(|floor| floor.to_string().try_into().ok()) {
            request.headers.insert(FLOOR, floor);
        }
        if let Ok(settings) = format!("{:016x}", self.site.settings).try_into() {
            request.headers.insert(SITE, settings);
        }
        // Where the request cannot be made again, any answer is better than none.
        let takes_any = !request.method.is_idempotent();
        let accept = |response: &IncomingResponse| match takes_any {
            // RFC 9110 section 15.5.20: a shield that has not heard of the host did nothing.
            true if is_misdirected(response) => Acceptance::Misdirected,
            true => Acceptance::Taken,
            false => self.accept(&asking, response),
        };
        match shields.fetch(&self.resource.shield_key(), request, &accept).await {
            Ok(response) if response.headers.contains_key(FAILURE) => {
                Err(self.failed_behind_shield(&response))
            }
            Ok(mut response) => {
                let sequence = asking.reflected(&response.headers, rules).unwrap_or_default();
                response.headers.remove(STAMP);
                Ok(Fetched { response, sequence, source: Source::Shield })
            }
            Err(failed) => match failed.request {
                Some(mut request) if shields.falls_back() => {
                    request.headers.remove(FLOOR);
                    request.headers.remove(SITE);
                    self.fetch_from_origin(request, since).await
                }
                _ => Err(failed.error),
            },
        }
    }

    pub(super) async fn fetch_from_origin(
        &self,
        request: OutgoingRequest,
        sequence: Sequence,
    ) -> Result<Fetched, UpstreamError> {
        let mut response = self.origin()?.fetch(request).await?;
        for name in [STAMP, FAILURE] {
            response.headers.remove(name);
        }
        Ok(Fetched { response, sequence, source: Source::Origin })
    }

    /// Where what is fetched comes from, as long as nothing fails.
    pub(super) fn upstream(&self) -> Source {
        match self.proxy.routing().upstreams.shields() {
            Some(_) => Source::Shield,
            None => Source::Origin,
        }
    }

    /// What becomes of a shield's answer.
    fn accept(&self, asking: &Asking, response: &IncomingResponse) -> Acceptance {
        let IncomingResponse { status, headers, .. } = response;
        let is_busy = headers.contains_key(FAILURE) && *status == StatusCode::SERVICE_UNAVAILABLE;
        if !headers.contains_key(STAMP) {
            // Refusals are of the request: a client may have brought them about.
            let is_refusal = status.is_client_error() || *status == StatusCode::LOOP_DETECTED;
            return if is_refusal { Acceptance::Declined } else { Acceptance::Refused };
        }
        match asking.reflected(headers, self.proxy.store.rules()) {
            Some(sequence) if !is_busy && self.may_begin(sequence, headers) => Acceptance::Taken,
            _ => Acceptance::Declined,
        }
    }

    /// Whether a response may begin now from an answer that reflects `sequence`, which was on its
    /// way for who knows how long: stale by a soft purge is what the shield says it is.
    fn may_begin(&self, sequence: Sequence, headers: &HeaderMap) -> bool {
        let lines = || headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let tags = || tags_of(lines()).map(TagKey::new);
        let rules = self.proxy.store.rules();
        match rules.state_since(sequence.number, &self.target_uri(), tags) {
            PurgeState::Clean | PurgeState::Soft => true,
            PurgeState::Possibly | PurgeState::Hard => false,
        }
    }

    /// The error where a shield could not reach the origin: what it made of that is its own.
    fn failed_behind_shield(&self, response: &IncomingResponse) -> UpstreamError {
        let why = response.headers.get(FAILURE).map(HeaderValue::as_bytes).unwrap_or_default();
        UpstreamError {
            origin: self.route.origin.clone(),
            fault: Fault::Origin,
            timeout: response.status == StatusCode::GATEWAY_TIMEOUT,
            reason: "shield-origin-failed",
            detail: format!("behind the shield: {}", why.escape_ascii()),
        }
    }

    /// Waits a bounded moment until this node is as far as an edge asks.
    pub(super) async fn catch_up(&mut self) -> Standing {
        let Some(demand) = self.inbound.edge.as_deref_mut() else { return Standing::AsItWas };
        if !demand.is_of(&self.site) {
            return Standing::OtherSite;
        }
        if demand.is_met() {
            return Standing::AsItWas;
        }
        let (rules, lags_at) = (self.proxy.store.rules(), &self.proxy.lags_at);
        // Where one has waited in vain, all others do not before something has come.
        if lags_at.load(Ordering::Relaxed) != demand.position {
            let caught_up = rules.until(|rules| demand.again(rules).is_met());
            if timeout(self.proxy.config.catch_up, caught_up).await.is_err() {
                lags_at.store(rules.head().number, Ordering::Relaxed);
            }
        }
        *demand = demand.again(rules);
        match (demand.floor(), &demand.numbers) {
            (Floor::Met, _) => Standing::Moved,
            (Floor::Ahead(here), Some(numbers)) if rules.give(here, numbers) => {
                self.unknown_below = here;
                Standing::Moved
            }
            _ => {
                demand.numbers = None;
                Standing::Foreign
            }
        }
    }

    /// Whether purges cover a response, as far as this request may trust it.
    pub(super) fn purged(&self, head: &ObjectHead) -> PurgeState {
        // In this order: rules that come in between are judged by.
        let is_unknown = self.is_unknown(head.sequence);
        let rules = self.proxy.store.rules();
        match rules.judge(head) {
            PurgeState::Hard => PurgeState::Hard,
            // What has come since its fetch began may cover it by settings that are not this
            // request's. One that is fetched anew reflects that, so nobody asks for ever.
            _ if head.sequence < rules.head() && self.is_resettled() => PurgeState::Hard,
            _ if is_unknown => PurgeState::Possibly,
            state => state,
        }
    }

    /// Whether the site has other settings by now than when this request came: purges that came
    /// after them were resolved by those, and tell nothing of what is stored under the old ones.
    /// To be asked after the rules were.
    fn is_resettled(&self) -> bool {
        let routing = self.proxy.routing.load();
        let now = routing.sites.find(&self.resource.host);
        now.is_none_or(|site| site.generation != self.site.generation)
    }

    /// Whether a purge that is not known here may cover what reflects `sequence`.
    pub(super) fn is_unknown(&self, sequence: Sequence) -> bool {
        sequence.number < self.unknown_below
            && self.proxy.store.rules().head().number < self.unknown_below
    }

    /// The sequence of what is fetched now.
    pub(super) fn fetch_sequence(&self) -> Sequence {
        let head = self.proxy.store.rules().head();
        head.max(Sequence { number: self.unknown_below })
    }

    /// What a response made of `head` is said to reflect.
    pub(super) fn stamp_of(&self, head: &ObjectHead) -> Option<LogSequence> {
        let demand = self.inbound.edge.as_ref()?;
        demand.stamp_of(head, self.proxy.store.rules())
    }

    /// What a response that this request fetched for itself is said to reflect.
    pub(super) fn stamp_fetched(&self) -> Option<LogSequence> {
        self.inbound.edge.as_ref()?.stamp_fetched(self.proxy.store.rules())
    }
}

/// Whether a shield says that it serves no such host. What an origin says has a stamp.
fn is_misdirected(response: &IncomingResponse) -> bool {
    response.status == StatusCode::MISDIRECTED_REQUEST && !response.headers.contains_key(STAMP)
}

/// The line that tells why a response is the shield's own.
pub(super) fn push_failure(reason: &str, extra: &mut Extra) {
    push_field(extra, FAILURE.as_str(), reason.as_bytes());
}

/// The line that tells a stamp.
pub(super) fn push_stamp(stamp: Option<LogSequence>, extra: &mut Extra) {
    if let Some(stamp) = stamp {
        push_field(extra, STAMP.as_str(), stamp.to_string().as_bytes());
    }
}
