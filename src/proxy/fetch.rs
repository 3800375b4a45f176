//! The slow path: join a flight or lead one, and deliver what it lands.
//!
//! ```text
//!  round ── verdict ─┬─ Serve, ServeAndRefresh, Pass, Refuse ──► response
//!    ▲               └─ Fetch, Revalidate ── join ─┬─ lead ──► Fill ─┐
//!    │                                             └─ follow ────────┴─┬─► response
//!    └──── another variant, a purge came between, a leader failed ─────┘
//! ```
//!
//! A response in slices is sent once its first slice is at hand. If that says that the object has
//! changed, the head is dropped and the request goes another round.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::account::Departure;
use super::cold::source_of;
use super::compress::Overtaken;
use super::context::{Exchange, Journey, Sent, Served, Trouble};
use super::fill::{Fill, Led};
use super::linger::Basis;
use super::tier::Standing;
use super::{Refusal, deliver};
use crate::collapse::{Arriving, Follower, Join, Landing, Sliced};
use crate::message::{Body, Reply};
use crate::object::{CacheKey, ObjectHead, PurgeState, Sequence, Stored, Variant};
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::semantics::cacheability::RequestFacts;
use crate::semantics::verdict::{Reason, StoredFacts, Verdict, verdict};
use crate::store::Lookup;
use crate::telemetry::metrics::Source;
use crate::upstream::UpstreamError;

/// Flights that one request takes part in before it goes alone: it looks again where the variant
/// was another's, a purge came between, or a leader failed.
const ROUNDS_MAX: usize = 4;

/// Flights that may fail before those who wait are told so: after the first, one of them leads.
const FAILURES_MAX: usize = 2;

/// What a request takes from a flight.
enum Flown {
    Done(Box<Sent>),
    /// Nothing that serves this request: it is to look again.
    Again,
    /// The request is to go by itself, for this reason.
    Alone(&'static str),
    /// The fetch failed: by this error, where this request led.
    Failed(Option<UpstreamError>),
}

impl Flown {
    fn done(sent: Option<Sent>) -> Self {
        sent.map_or(Self::Again, |sent| Self::Done(Box::new(sent)))
    }
}

impl Journey {
    /// Goes where the verdict points, and tells of a client that leaves before there is a response.
    ///
    /// Cancel safe: a client that leaves gives up its place in a flight; the flight goes on.
    pub(super) async fn set_out(
        mut self,
        mut verdict: Verdict,
        mut lookup: Lookup,
        body: Body,
    ) -> Reply<Exchange> {
        let waiting = Exchange::waiting(&self.inbound, self.site.label);
        let departure = Departure::of(self.proxy.clone(), waiting);
        let sent = match self.catch_up().await {
            Standing::AsItWas => self.go(verdict, lookup, body).await,
            Standing::Moved => {
                (lookup, verdict) = self.look_again();
                self.go(verdict, lookup, body).await
            }
            Standing::Foreign => self.pass(body, Forward::Request, "floor-unknown").await,
            Standing::OtherSite => self.pass(body, Forward::Request, "sites-differ").await,
        };
        let sent = self.begin(sent, verdict.reason()).await;
        let sent = self.in_its_coding(sent).await;
        departure.stay();
        self.finish(sent)
    }

    /// Waits for the first slice of a response that is in slices.
    async fn begin(&self, mut sent: Sent, reason: Reason) -> Sent {
        for _ in 0..ROUNDS_MAX {
            let Some(slices) = sent.slices.take() else { return sent };
            match slices.await {
                Ok(body) => {
                    sent.response.body = body;
                    return sent;
                }
                Err(Trouble::Failed) => break,
                Err(Trouble::Changed) => {
                    let (lookup, verdict) = self.look_again();
                    sent = Box::pin(self.go(verdict, lookup, Body::Empty)).await;
                }
            }
        }
        self.failed(&UpstreamError::of_another(&self.route.origin), reason.forward())
    }

    /// Codes a response where that is wanted. One that is overtaken by a purge meanwhile is not the
    /// one to send; in the end the identity is good enough.
    async fn in_its_coding(&self, mut sent: Sent) -> Sent {
        for _ in 0..ROUNDS_MAX {
            match self.coded(sent).await {
                Ok(coded) => return coded,
                Err(Overtaken) => {
                    let (lookup, verdict) = self.look_again();
                    let again = Box::pin(self.go(verdict, lookup, Body::Empty)).await;
                    sent = self.begin(again, verdict.reason()).await;
                }
            }
        }
        sent
    }

    async fn go(&self, verdict: Verdict, lookup: Lookup, mut body: Body) -> Sent {
        let (mut lookup, mut verdict) = self.at_hand((lookup, verdict)).await;
        match (verdict, &lookup) {
            (Verdict::Fetch(_) | Verdict::Revalidate(_), _) => self.proxy.count_miss(),
            (Verdict::Serve(_) | Verdict::ServeAndRefresh(_), Lookup::Found(_, stored)) => {
                self.proxy.count_hit(stored);
            }
            _ => {}
        }
        let reason = verdict.reason();
        let mut failures = 0;
        for _ in 0..ROUNDS_MAX {
            let (key, stored) = match lookup {
                Lookup::Found(key, stored) => (key, Some(stored)),
                Lookup::Cold(key) | Lookup::Missing(key) => (key, None),
            };
            match (verdict, &stored) {
                (Verdict::Pass(why), _) => {
                    if let Some(offer) = &self.offer {
                        return self.upgrade(offer, why).await;
                    }
                    let body = std::mem::take(&mut body);
                    return self.pass(body, why.forward(), why.as_str()).await;
                }
                (Verdict::Refuse(_), _) => return self.refused(Refusal::NotStored),
                (Verdict::Serve(why), Some(stored)) => return self.hit(stored, why),
                (Verdict::ServeAndRefresh(why), Some(stored)) => {
                    return self.stale_while_revalidate(key, stored, why);
                }
                _ => {}
            }
            let validates = matches!(verdict, Verdict::Revalidate(_));
            let key = self.flight_key(key);
            match self.fly(key, stored, validates, reason).await {
                Flown::Done(sent) => return *sent,
                Flown::Alone(why) => return self.pass_unshared(key, reason.forward(), why).await,
                Flown::Failed(Some(error)) => return self.failed(&error, reason.forward()),
                Flown::Failed(None) => failures += 1,
                Flown::Again => {}
            }
            if failures == FAILURES_MAX {
                return self.without_response(reason);
            }
            (lookup, verdict) = self.at_hand(self.look_again()).await;
        }
        let key = self.flight_key(lookup.key());
        self.pass_unshared(key, reason.forward(), "flights-exhausted").await
    }

    /// What the store holds now, and what it is good for.
    pub(super) fn look_again(&self) -> (Lookup, Verdict) {
        let lookup = self.onward().look_up(&self.proxy.store, self.primary);
        let verdict = match &lookup {
            Lookup::Found(_, stored) => self.verdict_on(Some(stored)),
            Lookup::Cold(_) | Lookup::Missing(_) => self.verdict_on(None),
        };
        (lookup, verdict)
    }

    /// The key of the flights for `key`. Requests with credentials, and those on which servers may
    /// fail, fly apart: what they bring is seldom to be shared, and nobody else shall wait for it
    /// or be told so.
    pub(super) fn flight_key(&self, key: CacheKey) -> CacheKey {
        match self.facts {
            RequestFacts { authorization: true, .. } => key.variant(b"authorization"),
            RequestFacts { odd: true, .. } => key.variant(b"odd"),
            _ => key,
        }
    }

    async fn fly(
        &self,
        key: CacheKey,
        stored: Option<Arc<Stored>>,
        validates: bool,
        reason: Reason,
    ) -> Flown {
        if self.proxy.uncacheable.holds(key) {
            return Flown::Alone("hit-for-miss");
        }
        match self.join(key) {
            Join::Alone => Flown::Alone("flights-full"),
            Join::Follower(follower) => self.follow(follower, reason).await,
            Join::Leader(leader) => {
                // Another's flight may have ended between this request's look-up and its own
                // flight.
                if let (Lookup::Found(_, stored), Verdict::Serve(why)) = self.look_again() {
                    return Flown::done(Some(self.hit(&stored, why)));
                }
                let (leading, led) = oneshot::channel();
                let fill = Fill::new(self, key, leader, stored, Some(leading));
                tokio::spawn(fill.run(validates));
                match led.await {
                    Ok(led) => self.led(led, reason),
                    Err(_) => Flown::Failed(None),
                }
            }
        }
    }

    /// Joins a flight that no purge covers. The tags of one without a head are not known yet:
    /// whoever waits for it judges them when it lands.
    pub(super) fn join(&self, key: CacheKey) -> Join {
        let rules = self.proxy.store.rules();
        let serves = |since: Sequence, landing: Option<&Landing>| {
            !self.is_unknown(since)
                && rules.url_state_since(since, &self.target_uri()) == PurgeState::Clean
                && match landing {
                    Some(Landing::Arriving(Arriving { head, variant, .. })) => {
                        self.fits(head, variant.as_deref())
                    }
                    Some(Landing::Sliced(Sliced { stored, variant, .. })) => {
                        self.fits(&stored.head, variant.as_deref())
                    }
                    Some(Landing::Validated(stored) | Landing::StandIn(stored)) => {
                        self.purged(&stored.head) == PurgeState::Clean
                    }
                    Some(Landing::Released | Landing::Failed) | None => true,
                }
        };
        self.proxy.flights.join(self.primary.url, key, self.fetch_sequence(), serves)
    }

    /// Whether a response on its way is good for this request: a body may arrive for longer than
    /// its head is fresh.
    fn fits(&self, head: &ObjectHead, variant: Option<&Variant>) -> bool {
        let (facts, now) = (head.facts(self.purged(head)), self.inbound.arrival.later());
        self.onward().selects(variant, head)
            && matches!(verdict(&self.facts, Some(&facts), now), Verdict::Serve(_))
    }

    fn led(&self, led: Led, reason: Reason) -> Flown {
        match led {
            // The body's beginning is held until this request reads it itself.
            Led::Arriving(arriving, source, _held) => {
                match self.arriving(&arriving, Some(source), reason) {
                    // To ask again for what the origin breaks may break each time.
                    None if arriving.relay.is_broken() => {
                        Flown::Failed(Some(UpstreamError::broken_off(&self.route.origin)))
                    }
                    sent => Flown::done(sent),
                }
            }
            Led::Sliced(sliced, status, source, _held) => {
                Flown::done(self.first_slices(&sliced, Some((status, source)), reason))
            }
            Led::Validated(stored) => Flown::done(self.validated(&stored, false, reason)),
            Led::StandIn(stored, status) => Flown::done(self.stood_in(&stored, reason, status)),
            Led::Own(stored, why) => Flown::done(self.own(&stored, reason, why)),
            Led::Alone(received) => Flown::done(Some(self.passed(
                received.response,
                received.source,
                reason.forward(),
                received.refused,
            ))),
            Led::Unshared(why) => Flown::Alone(why),
            Led::Failed(error) => Flown::Failed(Some(error)),
        }
    }

    async fn follow(&self, mut follower: Follower, reason: Reason) -> Flown {
        let limit = self.inbound.arrival.instant + self.proxy.config.collapse_wait;
        match timeout_at(limit, follower.landing()).await {
            Err(_) => Flown::Alone("collapse-timeout"),
            Ok(Landing::Arriving(arriving)) => Flown::done(self.arriving(&arriving, None, reason)),
            Ok(Landing::Sliced(sliced)) => Flown::done(self.first_slices(&sliced, None, reason)),
            Ok(Landing::Validated(stored)) => Flown::done(self.validated(&stored, true, reason)),
            Ok(Landing::StandIn(stored)) => Flown::done(self.stood_in(&stored, reason, None)),
            Ok(Landing::Released) => Flown::Alone("uncacheable"),
            Ok(Landing::Failed) => Flown::Failed(None),
        }
    }

    /// The response from a body on its way; `None` if it is not this request's variant, a purge has
    /// come between, or its beginning is given up already.
    fn arriving(&self, arriving: &Arriving, led: Option<Source>, reason: Reason) -> Option<Sent> {
        let (head, collapsed) = (&arriving.head, led.is_none());
        if !self.may_take(head, arriving.variant.as_deref(), collapsed) {
            return None;
        }
        let status = CacheStatus {
            fwd: Some(reason.forward()),
            fwd_status: (!collapsed).then_some(head.status.as_u16()),
            stored: true,
            collapsed,
            ..CacheStatus::of(&self.proxy.cache_name)
        };
        let block = self.inbound.lines_of(head);
        let response = deliver::arriving(&self.inbound, arriving, block, &status)?;
        let (served, source) = match led {
            Some(source) => (Served::Miss, source),
            None => {
                self.proxy.metrics.collapsed();
                (Served::Collapsed, Source::Flight)
            }
        };
        let (origin_status, stamp) = (Some(head.status.as_u16()), self.stamp_of(head));
        let (reason, basis) = (reason.as_str(), Basis::Arriving(head.clone()));
        Some(Sent { response, served, source, origin_status, reason, slices: None, stamp, basis })
    }

    /// Whether this request may be answered by what a flight brought.
    fn may_take(&self, head: &ObjectHead, variant: Option<&Variant>, collapsed: bool) -> bool {
        match self.purged(head) {
            PurgeState::Clean => !collapsed || self.onward().selects(variant, head),
            // What was under way when a hard purge came may be what was purged, for the one who
            // asked for it as well.
            PurgeState::Hard => false,
            PurgeState::Soft => !collapsed,
            // Behind a fence each request asks for itself, as it does where an edge knows more: to
            // ask again would tell no more. Of what another log came in between it does.
            PurgeState::Possibly => {
                let is_fenced = self.proxy.store.rules().is_fenced();
                !collapsed && (is_fenced || self.is_unknown(head.sequence))
            }
        }
    }

    /// The response from an object in slices whose head a flight brought: by this `status`, where
    /// this request led. `None` as above.
    fn first_slices(
        &self,
        sliced: &Sliced,
        led: Option<(u16, Source)>,
        reason: Reason,
    ) -> Option<Sent> {
        let Sliced { stored, variant, cache_status } = sliced;
        let (collapsed, status) = (led.is_none(), led.map(|(status, _)| status));
        if !self.may_take(&stored.head, variant.as_deref(), collapsed) {
            return None;
        }
        let told = CacheStatus {
            fwd: Some(reason.forward()),
            fwd_status: status,
            stored: true,
            collapsed,
            ..CacheStatus::of(&self.proxy.cache_name)
        };
        let served = if collapsed { Served::Collapsed } else { Served::Miss };
        let before = cache_status.as_ref();
        let sent = self.sliced(stored, stored.slices()?, served, &told, before, reason.as_str());
        let source = led.map_or(Source::Flight, |(_, source)| source);
        Some(Sent { source, origin_status: status, ..sent })
    }

    /// The response from what is stored, after upstream said that it holds; `None` if a purge has
    /// come since it was asked.
    fn validated(&self, stored: &Arc<Stored>, collapsed: bool, reason: Reason) -> Option<Sent> {
        if !self.may_take(&stored.head, None, collapsed) {
            return None;
        }
        let status = CacheStatus {
            fwd: Some(reason.forward()),
            fwd_status: (!collapsed).then_some(304),
            stored: true,
            collapsed,
            ..CacheStatus::of(&self.proxy.cache_name)
        };
        let served = if collapsed { Served::Collapsed } else { Served::Revalidated };
        if collapsed && stored.slices().is_none() {
            self.proxy.metrics.collapsed();
        }
        let origin_status = (!collapsed).then_some(304);
        let sent = self.send_stored(stored, served, &status, reason.as_str());
        Some(Sent { origin_status, ..sent })
    }

    /// The same where the fields of the 304 are for this request alone.
    fn own(&self, stored: &Arc<Stored>, reason: Reason, why: &'static str) -> Option<Sent> {
        if !self.may_take(&stored.head, None, false) {
            return None;
        }
        let status = CacheStatus {
            fwd: Some(reason.forward()),
            fwd_status: Some(304),
            detail: Some(why),
            ..CacheStatus::of(&self.proxy.cache_name)
        };
        let sent = self.send_stored(stored, Served::Revalidated, &status, why);
        Some(Sent { origin_status: Some(304), ..sent })
    }

    /// The facts of what is stored, judged now.
    pub(super) fn facts_now(&self, stored: &Stored) -> StoredFacts {
        stored.head.facts(self.purged(&stored.head))
    }

    fn hit(&self, stored: &Arc<Stored>, why: Reason) -> Sent {
        let now = self.inbound.arrival.later();
        let status = deliver::hit_status(&self.proxy.cache_name, &stored.head, now);
        self.send_stored(stored, Served::Hit, &status, why.as_str())
    }

    pub(super) fn send_stored(
        &self,
        stored: &Arc<Stored>,
        served: Served,
        status: &CacheStatus<'_>,
        reason: &'static str,
    ) -> Sent {
        if let Some(slices) = stored.slices() {
            return self.sliced(stored, slices, served, status, None, reason);
        }
        let block = self.inbound.lines_of(&stored.head);
        let response =
            deliver::stored(&self.inbound, stored, block, status, self.inbound.arrival.later());
        let (source, stamp) = (source_of(stored), self.stamp_of(&stored.head));
        let basis = Basis::Stored(stored.clone());
        Sent { response, served, source, origin_status: None, reason, slices: None, stamp, basis }
    }
}
