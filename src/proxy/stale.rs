//! What is served though it is stale: while it is refreshed behind, and where upstream fails
//! (RFC 5861).

use std::sync::Arc;

use tokio::sync::oneshot;

use super::context::{Journey, Sent, Served};
use super::deliver;
use super::fill::{Fill, Led};
use crate::collapse::Join;
use crate::object::{CacheKey, Stored};
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::semantics::cacheability::RequestFacts;
use crate::semantics::verdict::{Failure, OnFailure, Reason, Verdict, on_failure};
use crate::store::Lookup;
use crate::upstream::UpstreamError;

impl Journey {
    /// What is stored, though stale; it is refreshed behind (RFC 5861 section 3).
    pub(super) fn stale_while_revalidate(
        &self,
        key: CacheKey,
        stored: &Arc<Stored>,
        reason: Reason,
    ) -> Sent {
        self.refresh(self.flight_key(key), stored);
        let status =
            deliver::hit_status(&self.proxy.cache_name, &stored.head, self.inbound.arrival.now);
        let status = CacheStatus { detail: Some(reason.as_str()), ..status };
        self.send_stored(stored, Served::Stale, &status, reason.as_str())
    }

    /// One refresh a key: whoever finds a flight under way leaves it at that. One that brought
    /// nothing holds the next one back, so that a failing upstream is not asked by each request.
    fn refresh(&self, key: CacheKey, stored: &Arc<Stored>) {
        if self.proxy.refreshed.holds(key) {
            return;
        }
        if let Join::Leader(leader) = self.join(key)
            && !matches!(self.look_again().1, Verdict::Serve(_))
        {
            let validates = self.facts_now(stored).validator;
            let (leading, led) = oneshot::channel();
            let fill = Fill::new(self, key, leader, Some(stored.clone()), Some(leading));
            let proxy = self.proxy.clone();
            proxy.refreshed.remember(key);
            tokio::spawn(fill.run(validates));
            tokio::spawn(async move {
                match led.await {
                    Ok(Led::Arriving(..) | Led::Sliced(..) | Led::Validated(_)) => {
                        proxy.refreshed.forget(key);
                    }
                    // Once more, for the pause begins now.
                    _ => proxy.refreshed.remember(key),
                }
            });
        }
    }

    /// What is stored, for the failure that a flight met; `None` if a purge has come between.
    pub(super) fn stood_in(
        &self,
        stored: &Arc<Stored>,
        reason: Reason,
        status: Option<u16>,
    ) -> Option<Sent> {
        self.stand_in(stored, Failure::Unreachable, reason.forward(), status)
    }

    /// What is stored, though stale, for an upstream that failed (RFC 5861 section 4), where that
    /// may be.
    fn stand_in(
        &self,
        stored: &Arc<Stored>,
        failure: Failure,
        forward: Forward,
        status: Option<u16>,
    ) -> Option<Sent> {
        let now = self.inbound.arrival.later();
        let facts = self.facts_now(stored);
        if on_failure(Some(&facts), failure, now) == OnFailure::Fail {
            return None;
        }
        let why = Reason::StaleIfError.as_str();
        let told = CacheStatus {
            fwd: Some(forward),
            fwd_status: status,
            ttl: Some(stored.head.freshness().left(now)),
            detail: Some(why),
            ..CacheStatus::of(&self.proxy.cache_name)
        };
        let sent = self.send_stored(stored, Served::Stale, &told, why);
        Some(Sent { origin_status: status, ..sent })
    }

    /// For those who waited for others who failed: stale if the rules allow it, else the error.
    pub(super) fn without_response(&self, reason: Reason) -> Sent {
        if let (Lookup::Found(_, stored), _) = self.look_again()
            && let Some(sent) = self.stood_in(&stored, reason, None)
        {
            return sent;
        }
        self.failed(&UpstreamError::of_another(&self.route.origin), reason.forward())
    }

    pub(super) fn failed_or_stale(&self, error: &UpstreamError, forward: Forward) -> Sent {
        let stale = self.stale_for(error.failure(), forward, None);
        stale.unwrap_or_else(|| self.failed(error, forward))
    }

    /// What is stored, though stale, where it may answer this request and upstream failed so.
    pub(super) fn stale_for(
        &self,
        failure: Failure,
        forward: Forward,
        status: Option<u16>,
    ) -> Option<Sent> {
        let RequestFacts { method, body, ambiguous, .. } = self.facts;
        let may_be_stored = method.is_cacheable() && !body && !ambiguous && !self.facts.no_store();
        // What an edge asks for may be purged there and not here.
        let is_held_here = self
            .inbound
            .edge
            .as_ref()
            .is_none_or(|demand| demand.is_met() && demand.is_of(&self.site));
        if !failure.is_error() || !may_be_stored || !is_held_here {
            return None;
        }
        let (Lookup::Found(_, stored), _) = self.look_again() else { return None };
        self.stand_in(&stored, failure, forward, status)
    }
}
