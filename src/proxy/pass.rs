//! Requests that are not shared: handed on as they are, and their responses with them.

use std::borrow::Cow;

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, StatusCode};

use super::coding::coded_lines;
use super::context::{Exchange, Journey, Sent, Served};
use super::fill::is_same;
use super::head::facts_of;
use super::linger::Basis;
use super::tier::{Fetched, push_failure, push_stamp};
use super::{Refusal, deliver, error};
use crate::collapse::Leader;
use crate::message::{Body, Extra, Reply, Response};
use crate::object::{CacheKey, PrimaryKey};
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::semantics::cacheability::{Method, Storage, invalidates};
use crate::semantics::coding::Coding;
use crate::semantics::uri::{Reference, normalize_host};
use crate::semantics::verdict::Failure;
use crate::store::Lookup;
use crate::telemetry::metrics::Source;
use crate::upstream::{Fault, IncomingResponse, UpstreamError};

impl Journey {
    /// Sends the client's own request upstream.
    ///
    /// Cancel safe: a client that leaves closes the connection to the origin.
    pub(super) async fn pass(&self, body: Body, forward: Forward, reason: &'static str) -> Sent {
        let (leader, request_time) = (self.lead_posted(), self.inbound.arrival.later());
        match self.ask(body).await {
            Ok(fetched) => {
                let status = fetched.response.status.as_u16();
                if let Some(sent) = self.stale_for(Failure::Status(status), forward, Some(status)) {
                    return sent;
                }
                if invalidates(self.facts.method, status) {
                    self.invalidate(&fetched.response.headers, leader.as_ref()).await;
                }
                self.hold_against_stored(&fetched.response);
                let fetched = match leader {
                    Some(leader) => self.keep_posted(leader, fetched, request_time).await,
                    None => Ok(fetched),
                };
                match fetched {
                    Ok(Fetched { response, source, .. }) => {
                        self.passed(response, source, forward, reason)
                    }
                    Err(error) => self.failed(&error, forward),
                }
            }
            Err(error) => self.failed_or_stale(&error, forward),
        }
    }

    /// Sends a request upstream whose response could have been shared. If this one could, the next
    /// request of the flight `key` leads again.
    pub(super) async fn pass_unshared(
        &self,
        key: CacheKey,
        forward: Forward,
        reason: &'static str,
    ) -> Sent {
        match self.ask(Body::Empty).await {
            Ok(Fetched { response, source, .. }) => {
                if self.could_be_shared(&response) {
                    self.proxy.uncacheable.forget(key);
                }
                self.passed(response, source, forward, reason)
            }
            Err(error) => self.failed_or_stale(&error, forward),
        }
    }

    /// RFC 9111 section 4.3.5: a HEAD that tells of another representation takes away what is
    /// stored. One that tells of the same finds it stale already, and without a validator to go by,
    /// or the HEAD would have been a conditional GET: that the lengths agree makes nothing fresh.
    fn hold_against_stored(&self, response: &IncomingResponse) {
        let is_head = self.facts.method == Method::Head && !self.facts.ambiguous;
        if !is_head || response.status != StatusCode::OK {
            return;
        }
        if let (Lookup::Found(_, stored), _) = self.look_again() {
            let other_length = response.content_length.is_some_and(|told| {
                told != stored.slices().map_or(stored.len(), |slices| slices.total)
            });
            if other_length || !is_same(&stored.head, &response.headers) {
                self.proxy.store.remove(self.primary);
            }
        }
    }

    async fn ask(&self, body: Body) -> Result<Fetched, UpstreamError> {
        self.fetch(self.pass_request(body), self.fetch_sequence()).await
    }

    fn could_be_shared(&self, response: &IncomingResponse) -> bool {
        let max = self.proxy.config.max_object;
        let now = self.inbound.arrival.later();
        self.facts.method == Method::Get
            && response.status == StatusCode::OK
            && !response.until_close
            && response.content_length.is_some_and(|length| length <= max)
            && matches!(
                self.storage(&facts_of(200, &response.headers), now, now),
                Storage::Store(_)
            )
    }

    /// What came to this request alone is not coded, but a HEAD is told what a GET would get (RFC
    /// 9110 section 9.3.2): returns the coding of that.
    fn coding_to_tell(&self, response: &mut IncomingResponse) -> Option<Coding> {
        let facts = facts_of(response.status.as_u16(), &response.headers);
        let now = self.inbound.arrival.later();
        let is_told = self.facts.method == Method::Head
            && matches!(self.storage(&facts, now, now), Storage::Store(_));
        let (policy, length) = (self.compress().filter(|_| is_told), response.content_length);
        let is_marked = self.mark_by(policy, response, length);
        self.inbound.wanted().filter(|_| is_marked)
    }

    /// The response that came to this request alone.
    pub(super) fn passed(
        &self,
        mut incoming: IncomingResponse,
        source: Source,
        forward: Forward,
        reason: &'static str,
    ) -> Sent {
        let origin_status = Some(incoming.status.as_u16());
        let coding = self.coding_to_tell(&mut incoming);
        let status = CacheStatus {
            fwd: Some(forward),
            fwd_status: origin_status,
            detail: Some(reason),
            ..CacheStatus::of(&self.proxy.cache_name)
        };
        let mut extra = Extra::new();
        deliver::push_cache_status(&status, &mut extra);
        // RFC 9110 section 8.6: neither has a length of its own to tell.
        let lengthless = matches!(incoming.status.as_u16(), 204 | 304);
        let to_edge = self.inbound.edge.is_some();
        let mut response = Response {
            status: incoming.status,
            content_length: incoming.content_length.filter(|_| !lengthless),
            body: self.trailers_out(incoming.body, &incoming.headers),
            block: self.preparation().passed(incoming.headers, incoming.protocol, to_edge),
            extra,
        };
        if let Some(coding) = coding {
            response.block = coded_lines(&response.block, coding);
            response.content_length = None;
        }
        let (served, stamp) = (Served::Pass, self.stamp_fetched());
        let basis = Basis::Own;
        Sent { response, served, source, origin_status, reason, slices: None, stamp, basis }
    }

    /// RFC 9111 section 4.4: an unsafe request that succeeded has changed the resource, whatever it
    /// is keyed by beside its URL, and those at this host that its response names. They are gone
    /// when the response leaves, and come back by no crash of this process.
    async fn invalidate(&self, headers: &HeaderMap, own: Option<&Leader>) {
        let named = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| headers.get(name));
        let related = named.filter_map(|value| self.key_at(value.to_str().ok()?));
        let mut may_come_back = false;
        for PrimaryKey { url, .. } in std::iter::once(self.primary).chain(related) {
            self.proxy.flights.abandon(url, own);
            may_come_back |= self.proxy.store.invalidate(url);
        }
        if may_come_back {
            self.proxy.store.written().await;
        }
    }

    /// The key of what a response refers to, where it is at the same host: another's responses are
    /// not this one's to take away. Ports tell no hosts apart, as in keys.
    pub(super) fn key_at(&self, reference: &str) -> Option<PrimaryKey> {
        let led = Reference::resolve(reference, &self.resource.target())?;
        let host = &self.resource.host;
        let is_here = |authority| normalize_host(authority).is_some_and(|named| named == *host);
        if !led.authority.is_none_or(is_here) {
            return None;
        }
        let (route, resource) = self.site.locate(Cow::Borrowed(host), &led.target)?;
        Some(resource.key(self.site.generation, &self.onward().key_extra(&route.key)))
    }

    /// The response to a request that is refused on its way.
    pub(super) fn refused(&self, refusal: Refusal) -> Sent {
        self.synthetic(error::refused(refusal, None), Served::Refused, None, refusal.as_str())
    }

    /// The error response of an upstream that failed.
    pub(super) fn failed(&self, error: &UpstreamError, forward: Forward) -> Sent {
        tracing::debug!(origin = error.origin, detail = error.detail, "no response from upstream");
        let mut response = error::unavailable(error);
        if self.inbound.edge.is_some() && !error.fault.is_clients() {
            push_failure(error.reason, &mut response.extra);
        }
        let forward = (error.fault != Fault::Unsayable).then_some(forward);
        self.synthetic(response, Served::Error, forward, error.reason)
    }

    fn synthetic(
        &self,
        mut response: Response,
        served: Served,
        fwd: Option<Forward>,
        reason: &'static str,
    ) -> Sent {
        let status =
            CacheStatus { fwd, detail: Some(reason), ..CacheStatus::of(&self.proxy.cache_name) };
        deliver::push_cache_status(&status, &mut response.extra);
        deliver::push_date(self.inbound.arrival.later(), &mut response.extra);
        let (source, stamp, basis) = (Source::Synthetic, self.stamp_fetched(), Basis::Own);
        Sent { response, served, source, origin_status: None, reason, slices: None, stamp, basis }
    }

    /// The reply, and what will be told of it.
    pub(super) fn finish(self, mut sent: Sent) -> Reply<Exchange> {
        push_stamp(sent.stamp, &mut sent.response.extra);
        match sent.source {
            Source::Synthetic => self.inbound.dress_own(&self.route, None, &mut sent.response),
            _ => self.inbound.dress(&self.route, &mut sent.response),
        }
        let mut exchange = self.inbound.exchange(self.site.label, sent.served, sent.reason);
        exchange.sent(sent.response.status, sent.source);
        exchange.origin_status = sent.origin_status;
        exchange.basis = sent.basis;
        Reply { response: sent.response, exchange }
    }
}
