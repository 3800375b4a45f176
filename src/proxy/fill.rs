//! A fill: one fetch for all who wait, its body poured into relay and store.
//!
//! A fill is a task of its own. Clients come and go; it goes on while anybody reads, or while what
//! it brings can be stored.
//!
//! Invariants:
//! - no validator leaves for what a hard purge covers: it is judged after the flight has its
//!   sequence, so a purge is either seen here or later than the flight;
//! - what is for one client alone reaches the leading request and nobody else.

use std::sync::Arc;

use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::oneshot;

use super::ProxyConfig;
use super::context::Journey;
use super::forward::ask_for_slice;
use super::head::{Prepared, as_received, facts_of, inherit_tags};
use super::tier::Fetched;
use crate::collapse::{Arriving, Landing, Leader, Relay, RelayWriter, Sliced};
use crate::message::{Body, BodyError, BodyErrorKind, Piece, Protocol};
use crate::object::{CacheKey, ObjectHead, PurgeState, Selection, Sequence, Stored, Variant};
use crate::semantics::cacheability::{NoStore, Storage};
use crate::semantics::conditional::EntityTag;
use crate::semantics::freshness::{Freshness, ResponseFacts};
use crate::semantics::range::ByteRange;
use crate::semantics::time::{Timestamp, parse_http_date};
use crate::semantics::vary::VarySpec;
use crate::semantics::verdict::{Failure, OnFailure, on_failure};
use crate::telemetry::metrics::Source;
use crate::upstream::{IncomingResponse, UpstreamError};

/// What a fill brings to the request that leads.
pub(super) enum Led {
    /// A response for all, and where it comes from. The body is a reader at its beginning.
    Arriving(Arriving, Source, Body),
    /// The head of a response in slices, told by this status. The body is held like that above.
    Sliced(Sliced, u16, Source, Body),
    /// What is stored still holds.
    Validated(Arc<Stored>),
    /// What is stored stands in for an upstream that failed, perhaps with this status.
    StandIn(Arc<Stored>, Option<u16>),
    /// What is stored still holds, with fields that must not be shared, for this reason.
    Own(Arc<Stored>, &'static str),
    /// A response that must not be shared.
    Alone(Box<Received>),
    /// A response that must not be shared, and is none to the leading request: why.
    Unshared(&'static str),
    /// No response.
    Failed(UpstreamError),
}

/// A response that must not be shared.
pub(super) struct Received {
    pub(super) response: IncomingResponse,
    pub(super) source: Source,
    /// Why it is not stored.
    pub(super) refused: &'static str,
}

/// One fetch for all who wait.
pub(super) struct Fill {
    pub(super) journey: Journey,
    /// The flight's key.
    key: CacheKey,
    pub(super) leader: Leader,
    /// What is stored, though not good enough.
    pub(super) stored: Option<Arc<Stored>>,
    /// The way to the request that leads, if one does.
    pub(super) leading: Option<oneshot::Sender<Led>>,
    /// The purges that what came reflects, and where it came from.
    pub(super) sequence: Sequence,
    pub(super) source: Source,
}

/// When the fetch began and when its head came.
pub(super) struct Times {
    pub(super) request: Timestamp,
    pub(super) response: Timestamp,
}

/// The head of a response for all, and what is told with it.
pub(super) struct Shared {
    pub(super) head: Arc<ObjectHead>,
    pub(super) variant: Option<Arc<Variant>>,
    pub(super) cache_status: Option<HeaderValue>,
}

impl Fill {
    pub(super) fn new(
        journey: &Journey,
        key: CacheKey,
        leader: Leader,
        stored: Option<Arc<Stored>>,
        leading: Option<oneshot::Sender<Led>>,
    ) -> Self {
        let sequence = leader.sequence();
        Self {
            // What the client of the leading request is told before the head comes.
            journey: Journey { interim: journey.interim.clone(), ..journey.for_fill() },
            key,
            leader,
            stored,
            leading,
            sequence,
            source: Source::Origin,
        }
    }

    /// Fetches, lands, pours; asks whether what is stored still holds if it `validates`.
    pub(super) async fn run(self, validates: bool) {
        let slice = self.first_slice();
        if let Some(fill) = self.ask(validates, slice).await {
            fill.ask(false, None).await;
        }
    }

    /// Asks for the whole, or for a slice. Returns itself if the whole is to be asked for instead.
    async fn ask(mut self, validates: bool, slice: Option<ByteRange>) -> Option<Self> {
        let validated = self.stored.clone().filter(|stored| {
            let facts = self.journey.facts_now(stored);
            validates
                && match facts.purged {
                    PurgeState::Hard => false,
                    // A weak validator may hold for what was purged as well.
                    PurgeState::Possibly => facts.strong_validator,
                    PurgeState::Clean | PurgeState::Soft => true,
                }
        });
        let mut request = self.journey.fetch_request(validated.as_ref().map(|stored| &stored.head));
        if let Some(slice) = slice {
            ask_for_slice(&mut request, slice);
        }
        let request_time = self.journey.inbound.arrival.later();
        match self.journey.fetch(request, self.leader.sequence()).await {
            Err(error) => match self.standing_in(error.failure()) {
                Some(stored) => self.stand_in(stored, None),
                None => self.tell(Led::Failed(error)),
            },
            Ok(Fetched { mut response, sequence, source }) => {
                let length = response.content_length;
                self.journey.mark(&mut response, length);
                (self.sequence, self.source) = (sequence, source);
                let response_time = self.journey.inbound.arrival.later();
                let times = Times { request: request_time, response: response_time };
                match (slice, response.status.as_u16()) {
                    (Some(slice), 206) => return self.received_part(response, slice, &times).await,
                    // It answers the range of one request.
                    (Some(_), 416) => self.alone(response, NoStore::Status.as_str()),
                    _ => self.received(response, validated, slice.is_none(), &times).await,
                }
            }
        }
        None
    }

    /// Tells the leading request. It may have left: then nobody wants what is for it alone.
    pub(super) fn tell(&mut self, led: Led) {
        if let Some(leading) = self.leading.take() {
            drop(leading.send(led));
        }
    }

    /// What is stored, where it may stand in for a failed upstream.
    fn standing_in(&self, failure: Failure) -> Option<Arc<Stored>> {
        let stored = self.stored.as_ref()?;
        let facts = self.journey.facts_now(stored);
        let now = self.journey.inbound.arrival.later();
        (on_failure(Some(&facts), failure, now) == OnFailure::ServeStale).then(|| stored.clone())
    }

    fn stand_in(mut self, stored: Arc<Stored>, status: Option<u16>) {
        self.tell(Led::StandIn(stored.clone(), status));
        self.leader.land(Landing::StandIn(stored));
    }

    async fn received(
        mut self,
        response: IncomingResponse,
        validated: Option<Arc<Stored>>,
        whole_asked: bool,
        times: &Times,
    ) {
        let status = response.status.as_u16();
        if let (304, Some(stored)) = (status, validated) {
            return self.freshen(&stored, response.headers, times);
        }
        if let Some(stored) = self.standing_in(Failure::Status(status)) {
            return self.stand_in(stored, Some(status));
        }
        let facts = facts_of(status, &response.headers);
        let max = self.journey.proxy.config.max_object;
        match self.journey.storage(&facts, times.request, times.response) {
            Storage::Refuse(refused) => {
                // An error says nothing of the resource, nor does a refusal for one request's sake.
                if status < 500 && !refused.is_of_request() {
                    self.not_to_be_shared();
                }
                self.alone(response, refused.as_str());
            }
            // It is for clients of this scheme alone.
            _ if self.is_redirect_to_itself(&response) => {
                self.alone(response, "redirect-to-itself")
            }
            Storage::Store(freshness) if response.content_length.is_some_and(|len| len > max) => {
                match response.content_length {
                    // A 200 to the request for a slice says that the origin has none.
                    Some(total) if whole_asked && Self::is_sliceable(&response) => {
                        self.stream(response, total, &facts, freshness).await;
                    }
                    _ => {
                        self.not_to_be_shared();
                        self.alone(response, "too-large");
                    }
                }
            }
            // Whether such a body is whole cannot be known, so it is not stored.
            _ if response.until_close => {
                self.not_to_be_shared();
                self.alone(response, "until-close");
            }
            Storage::Store(freshness) => self.share(response, &facts, freshness).await,
        }
    }

    fn is_redirect_to_itself(&self, response: &IncomingResponse) -> bool {
        let location = response.headers.get(http::header::LOCATION);
        response.status.is_redirection()
            && location
                .and_then(|location| location.to_str().ok())
                .is_some_and(|location| self.journey.resource.is_itself(location))
    }

    /// What is stored is superseded, and what came is remembered as not to be shared.
    pub(super) fn not_to_be_shared(&self) {
        let proxy = &self.journey.proxy;
        proxy.uncacheable.remember(self.key);
        if self.stored.is_some() {
            proxy.store.remove(self.journey.primary);
        }
    }

    fn alone(&mut self, response: IncomingResponse, refused: &'static str) {
        self.tell(Led::Alone(Box::new(Received { response, source: self.source, refused })));
        self.leader.land(Landing::Released);
    }

    /// RFC 9111 section 4.3.4: the stored response with the fields of the 304.
    fn freshen(mut self, stored: &Arc<Stored>, update: HeaderMap, times: &Times) {
        let preparation = self.journey.preparation();
        let same = is_same(&stored.head, &update);
        let vary = VarySpec::parse(as_received(&stored.head, "vary"));
        let merged = preparation.freshened(&stored.head, update);
        let status = stored.head.status;
        let facts = facts_of(status.as_u16(), &merged);
        if !same || facts.vary != vary {
            // The 304 is of another representation, or chooses by other fields: it validates
            // nothing, and whoever waits asks anew.
            self.journey.proxy.store.remove(self.journey.primary);
            return;
        }
        let storage = self.journey.storage(&facts, times.request, times.response);
        let freshness = match storage {
            Storage::Store(freshness) => freshness,
            Storage::Refuse(_) => stored.head.freshness().expired(times.response),
        };
        let Prepared { block, withheld, .. } = preparation.freshened_lines(merged);
        let target = self.journey.target_uri();
        let head = ObjectHead::new(status, freshness, self.sequence, &block, withheld, &target);
        let freshened = Arc::new(stored.under(&head));
        if self.is_purged_meanwhile(stored) {
            // By a tag that the 304 may have taken away: what it validates is purged.
            return;
        }
        match storage {
            Storage::Store(_) => {
                self.keep(self.variant(&facts, &head).as_deref(), freshened.clone());
                self.tell(Led::Validated(freshened.clone()));
                self.leader.land(Landing::Validated(freshened));
            }
            Storage::Refuse(refused) => {
                if !refused.is_of_request() {
                    self.not_to_be_shared();
                }
                self.tell(Led::Own(freshened, refused.as_str()));
                self.leader.land(Landing::Released);
            }
        }
    }

    /// Whether a purge since this flight began covers what was stored before it.
    fn is_purged_meanwhile(&self, stored: &Stored) -> bool {
        let rules = self.journey.proxy.store.rules();
        let (since, target) = (self.sequence.number, self.journey.target_uri());
        rules.state_since(since, &target, || stored.head.tags()) != PurgeState::Clean
    }

    /// Makes the head of a response for all.
    pub(super) fn shared(
        &self,
        status: StatusCode,
        mut headers: HeaderMap,
        protocol: Protocol,
        facts: &ResponseFacts,
        freshness: Freshness,
    ) -> Shared {
        if let Some(stored) = &self.stored {
            inherit_tags(status, &mut headers, &stored.head);
        }
        let Prepared { block, withheld, cache_status } =
            self.journey.preparation().shared(headers, protocol);
        let target = self.journey.target_uri();
        let head = ObjectHead::new(status, freshness, self.sequence, &block, withheld, &target);
        let proxy = &self.journey.proxy;
        proxy.uncacheable.forget(self.key);
        let variant = self.variant(facts, &head);
        if let Some(variant) = &variant {
            self.leader.keep(|| proxy.store.announce(self.journey.primary, &variant.spec));
        }
        Shared { head: Arc::new(head), variant, cache_status }
    }

    /// Lets all who wait read the body while it arrives, and stores it.
    pub(super) async fn share(
        mut self,
        response: IncomingResponse,
        facts: &ResponseFacts,
        freshness: Freshness,
    ) {
        let IncomingResponse { status, headers, body, content_length, protocol, .. } = response;
        let body = self.journey.trailers_out(body, &headers);
        let Shared { head, variant, cache_status } =
            self.shared(status, headers, protocol, facts, freshness);
        let (relay, writer) = Relay::new();
        let beginning = relay.reader(0, None).unwrap_or_default();
        let arriving = Arriving {
            head: head.clone(),
            content_length,
            relay,
            variant: variant.clone(),
            cache_status,
        };
        self.tell(Led::Arriving(arriving.clone(), self.source, beginning));
        self.leader.land(Landing::Arriving(arriving));
        let outgrown = || {
            self.not_to_be_shared();
            self.leader.close();
        };
        match pour(&self.journey.proxy.config, &writer, body, outgrown).await {
            Ok(trailers) => {
                if let Some(pieces) = writer.pieces() {
                    let stored = Stored::new(&head, &pieces);
                    self.keep(variant.as_deref(), Arc::new(stored));
                }
                writer.finish(trailers);
            }
            Err(error) => {
                tracing::debug!(%error, "a fill broke off");
                writer.fail(error);
            }
        }
    }

    /// Which variant the response is, where the resource varies.
    fn variant(&self, facts: &ResponseFacts, head: &ObjectHead) -> Option<Arc<Variant>> {
        let spec = self.journey.onward().selecting(facts.vary.clone(), head);
        if spec.is_empty() {
            return None;
        }
        let mut selection = Selection::new();
        self.journey.select(&spec, &mut selection);
        Some(Arc::new(Variant { spec, selection }))
    }

    pub(super) fn keep(&self, variant: Option<&Variant>, stored: Arc<Stored>) {
        let (store, primary) = (&self.journey.proxy.store, self.journey.primary);
        self.leader.keep(|| {
            // What a purge covers already must not take the place of what was fetched after it; and
            // what reflects more than is known here would outlive a log that goes on otherwise.
            let is_known = stored.head.sequence <= store.rules().head();
            if is_known
                && !matches!(store.rules().judge(&stored.head), PurgeState::Hard | PurgeState::Soft)
            {
                store.insert(primary, variant, stored);
            }
        });
    }
}

/// Pours a body to its end into a relay. Once it is too large to be stored, which `outgrown` is
/// told, only a window of it is kept, and it is read while anybody reads on.
pub(super) async fn pour(
    config: &ProxyConfig,
    writer: &RelayWriter,
    mut body: Body,
    outgrown: impl FnOnce(),
) -> Result<Option<HeaderMap>, BodyError> {
    let mut outgrown = Some(outgrown);
    loop {
        let piece = if outgrown.is_none() {
            writer.room().await;
            tokio::select! {
                biased;
                () = writer.deserted() => return Err(DESERTED),
                piece = body.next() => piece,
            }
        } else {
            body.next().await
        };
        match piece {
            None => return Ok(None),
            Some(Ok(Piece::Trailers(trailers))) => return Ok(Some(trailers)),
            Some(Ok(Piece::Data(data))) => writer.push(data),
            Some(Err(error)) => return Err(error),
        }
        if writer.written() > config.max_object
            && let Some(outgrown) = outgrown.take()
        {
            outgrown();
            writer.keep_window(config.relay_window);
        }
    }
}

/// Why a body that is only relayed ends early.
pub(super) const DESERTED: BodyError =
    BodyError::new(BodyErrorKind::Aborted, "nobody reads, and it is not stored");

impl Journey {
    /// The journey that a fill makes for this request and all who join it.
    pub(super) fn for_fill(&self) -> Self {
        Self {
            proxy: self.proxy.clone(),
            site: self.site.clone(),
            route: self.route.clone(),
            inbound: self.inbound.shared(),
            resource: self.resource.clone(),
            primary: self.primary,
            facts: self.facts,
            unknown_below: self.unknown_below,
            interim: None,
            offer: None,
        }
    }
}

/// RFC 9111 sections 4.3.4 and 4.3.5: whether the validators in a 304, or in the answer to a HEAD,
/// are those of what is stored.
pub(super) fn is_same(stored: &ObjectHead, update: &HeaderMap) -> bool {
    let told = |name| update.get(name).map(HeaderValue::as_bytes);
    let own = stored.etag().and_then(EntityTag::parse);
    match told(ETAG).and_then(EntityTag::parse) {
        // Servers that compress on the way weaken the tag of a 200 and not that of its 304.
        Some(tag) => own.is_some_and(|own| own.weak_eq(tag)),
        None => match (told(LAST_MODIFIED).and_then(parse_http_date), stored.last_modified()) {
            (Some(told), Some(own)) => told == own,
            _ => true,
        },
    }
}
