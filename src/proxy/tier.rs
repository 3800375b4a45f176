//! Between tiers: what an edge asks a shield's answer to reflect, and what a shield may say that
//! its answer reflects. So no order of arrival, delay or restart brings back what is purged.
//!
//! ```text
//!  edge                                     shield
//!  floor: its position as the fetch begins ──► behind it? catch up, for a bounded moment
//!                                               still behind: copies are possibly purged, what is
//!                                               fetched now reflects the floor
//!                                               of another log: fetched for this request alone
//!  stamp ≥ floor, or nothing between covers ◄── stamp: the position before the look-up, if the
//!  it: taken. Else the shield has failed.       copy is clean; else the copy's own sequence
//! ```
//!
//! Invariant: a stamp claims too little rather than too much, a floor the other way round; where a
//! node goes on with another log meanwhile, nothing is claimed.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use tokio::time::timeout;

use super::context::Journey;
use crate::message::{Extra, Fields, push_field};
use crate::object::{LogNumbers, LogSequence, ObjectHead, PurgeState, Sequence, TagKey, tags_of};
use crate::store::Rules;
use crate::telemetry::metrics::Source;
use crate::upstream::{IncomingResponse, OutgoingRequest, UpstreamError};

/// The lowest position that an answer has to reflect.
const FLOOR: HeaderName = HeaderName::from_static("headland-floor");

/// The position that an answer reflects.
const STAMP: HeaderName = HeaderName::from_static("headland-sequence");

/// Whether only tiers tell each other so, each of its own: none goes on.
pub(super) fn is_between_tiers(name: &str) -> bool {
    matches!(name, "headland-floor" | "headland-peer" | "headland-sequence")
}

/// What an edge asks for, beside the resource.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    floor: Option<LogSequence>,
    /// How this node's numbers lay when the request came.
    numbers: Option<Arc<LogNumbers>>,
    /// This node's position by then: before anything was looked up.
    position: u64,
}

/// How a floor lies to the position of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    /// At or below it.
    Met,
    /// Above it: the number that it will have here.
    Ahead(u64),
    /// In a log that is not followed here.
    Foreign,
}

impl Demand {
    /// What a request with these fields asks for, now.
    pub(super) fn read(fields: &Fields, rules: &Rules) -> Self {
        let floor = fields.get(FLOOR.as_str()).map(|floor| {
            let floor = std::str::from_utf8(floor).ok().and_then(|floor| floor.parse().ok());
            // What cannot be read is of no log that anybody knows.
            floor.unwrap_or(LogSequence { log: Default::default(), number: u64::MAX })
        });
        Self::of(floor, rules)
    }

    fn of(floor: Option<LogSequence>, rules: &Rules) -> Self {
        // In this order: numbers that change in between are found changed later.
        let numbers = rules.numbers();
        Self { floor, numbers, position: rules.head().number }
    }

    fn floor(&self) -> Floor {
        let Some(floor) = self.floor else { return Floor::Met };
        match self.numbers.as_ref().and_then(|numbers| numbers.to_here(floor)) {
            Some(here) if here <= self.position => Floor::Met,
            Some(here) => Floor::Ahead(here),
            None => Floor::Foreign,
        }
    }

    /// Whether this node is as far as it was asked to be.
    pub(super) fn is_met(&self) -> bool {
        self.floor() == Floor::Met
    }

    /// The number below which nothing is known here to be clean; 0 where the rules know all.
    fn unknown_below(&self) -> u64 {
        match self.floor() {
            Floor::Ahead(here) => here,
            Floor::Met | Floor::Foreign => 0,
        }
    }

    /// What a response that reflects the node's number `here` may be said to reflect.
    fn stamp(&self, here: u64, rules: &Rules) -> Option<LogSequence> {
        let numbers = self.numbers.as_ref()?;
        let now = rules.numbers()?;
        Arc::ptr_eq(numbers, &now).then(|| numbers.stamp(here))
    }

    /// The same for a copy that was looked up since.
    pub(super) fn stamp_of(&self, head: &ObjectHead, rules: &Rules) -> Option<LogSequence> {
        let own = head.sequence.number;
        match rules.judge(head) {
            PurgeState::Clean => self.stamp(own.max(self.position), rules),
            PurgeState::Soft | PurgeState::Possibly | PurgeState::Hard => self.stamp(own, rules),
        }
    }

    /// The same for what was fetched since.
    fn stamp_fetched(&self, rules: &Rules) -> Option<LogSequence> {
        match self.floor() {
            Floor::Foreign => self.floor,
            Floor::Met | Floor::Ahead(_) => {
                self.stamp(self.position.max(self.unknown_below()), rules)
            }
        }
    }
}

/// Where a node stands, once it has tried to be as far as an edge asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Far enough all the time.
    AsItWas,
    /// It may have moved: what was looked up is to be looked up again.
    Moved,
    /// In another log: nothing here can be held against the floor.
    Foreign,
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
        // Whoever says nothing of it has refused the request, or knows no tiers.
        let stamp: LogSequence = headers.get(STAMP)?.to_str().ok()?.parse().ok()?;
        let (Some(numbers), Some(_)) = (&self.numbers, self.floor()) else {
            return Some(self.since);
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
        let routing = self.proxy.routing();
        let Some(shields) = routing.upstreams.shields() else {
            return self.fetch_from_origin(request, since).await;
        };
        let rules = self.proxy.store.rules();
        let asking = Asking { since, numbers: rules.numbers() };
        if let Some(floor) = asking.floor().and_then(|floor| floor.to_string().try_into().ok()) {
            request.headers.insert(FLOOR, floor);
        }
        // Where the request cannot be made again, any answer is better than none.
        let takes_any = !request.method.is_idempotent();
        let accept = |response: &IncomingResponse| {
            let reflected = asking.reflected(&response.headers, rules);
            takes_any
                || reflected
                    .is_some_and(|sequence| self.may_be_taken(sequence, since, &response.headers))
        };
        match shields.fetch(&self.resource.shield_key(), request, &accept).await {
            Ok(mut response) => {
                let sequence = asking.reflected(&response.headers, rules).unwrap_or_default();
                response.headers.remove(STAMP);
                Ok(Fetched { response, sequence, source: Source::Shield })
            }
            Err(failed) => match failed.request {
                Some(mut request) if shields.falls_back() => {
                    request.headers.remove(FLOOR);
                    self.fetch_from_origin(request, since).await
                }
                _ => Err(failed.error),
            },
        }
    }

    async fn fetch_from_origin(
        &self,
        request: OutgoingRequest,
        sequence: Sequence,
    ) -> Result<Fetched, UpstreamError> {
        let mut response = self.origin()?.fetch(request).await?;
        response.headers.remove(STAMP);
        Ok(Fetched { response, sequence, source: Source::Origin })
    }

    /// Where what is fetched comes from, as long as nothing fails.
    pub(super) fn upstream(&self) -> Source {
        match self.proxy.routing().upstreams.shields() {
            Some(_) => Source::Shield,
            None => Source::Origin,
        }
    }

    /// Whether an answer that reflects `sequence` is good for a request made as of `since`: stale
    /// by a soft purge is what the shield says it is.
    fn may_be_taken(&self, sequence: Sequence, since: Sequence, headers: &HeaderMap) -> bool {
        if sequence >= since {
            return true;
        }
        let lines = || headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let tags = || tags_of(lines()).map(TagKey::new);
        let rules = self.proxy.store.rules();
        match rules.state_since(sequence.number, &self.target_uri(), tags) {
            PurgeState::Clean | PurgeState::Soft => true,
            PurgeState::Possibly | PurgeState::Hard => false,
        }
    }

    /// Waits a bounded moment until this node is as far as an edge asks.
    pub(super) async fn catch_up(&mut self) -> Standing {
        let Some(demand) = self.inbound.edge.as_deref_mut().filter(|demand| !demand.is_met())
        else {
            return Standing::AsItWas;
        };
        let rules = self.proxy.store.rules();
        let floor = demand.floor;
        let caught_up = rules.until(|rules| Demand::of(floor, rules).is_met());
        let _late = timeout(self.proxy.config.catch_up, caught_up).await.is_err();
        *demand = Demand::of(floor, rules);
        self.unknown_below = demand.unknown_below();
        match demand.floor() {
            Floor::Foreign => Standing::Foreign,
            Floor::Met | Floor::Ahead(_) => Standing::Moved,
        }
    }

    /// Whether purges cover a stored response, as far as this request may trust it.
    pub(super) fn purged(&self, head: &ObjectHead) -> PurgeState {
        let rules = self.proxy.store.rules();
        match rules.judge(head) {
            PurgeState::Hard => PurgeState::Hard,
            _ if self.is_unknown(head.sequence) => PurgeState::Possibly,
            state => state,
        }
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

/// The line that tells a stamp.
pub(super) fn push_stamp(stamp: Option<LogSequence>, extra: &mut Extra) {
    if let Some(stamp) = stamp {
        push_field(extra, STAMP.as_str(), stamp.to_string().as_bytes());
    }
}
