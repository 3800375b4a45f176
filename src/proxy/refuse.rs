//! Requests that go nowhere: refused here, or by an engine before they came here.

use bytes::Bytes;
use http::Method;

use super::context::{Arrival, Exchange, Inbound, Served};
use super::error::{self, Refusal};
use super::{Proxy, deliver};
use crate::message::{Fault, Fields, Peer, Reply, Response};
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::uri::normalize_host;
use crate::site::SiteLabel;
use crate::telemetry::metrics::Source;

/// What a route without a list of its own is asked for; others pass as well.
const USUAL: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl Proxy {
    /// The reply to a request that is not served here.
    pub(super) fn refuse_request(
        &self,
        inbound: Inbound,
        site: SiteLabel,
        refusal: Refusal,
    ) -> Reply<Exchange> {
        let allow = self.allowed(&inbound);
        let response = error::refused(refusal, allow.as_deref());
        self.refused_with(inbound, site, response, refusal.as_str())
    }

    /// The reply to a request that an engine had to refuse.
    pub fn refuse(&self, peer: &Peer, fault: Fault, arrival: Arrival) -> Reply<Exchange> {
        let inbound = Inbound {
            method: Method::default(),
            host: Bytes::new(),
            target: Bytes::new(),
            fields: Fields::default(),
            peer: *peer,
            arrival,
            content_length: None,
            edge: None,
        };
        self.refused_with(inbound, SiteLabel::NONE, error::faulty(fault), fault.detail)
    }

    fn refused_with(
        &self,
        inbound: Inbound,
        site: SiteLabel,
        mut response: Response,
        reason: &'static str,
    ) -> Reply<Exchange> {
        let cache = &self.config.name;
        let status = CacheStatus { cache, detail: Some(reason), ..CacheStatus::default() };
        deliver::push_cache_status(&status, &mut response.extra);
        deliver::push_date(inbound.arrival.now, &mut response.extra);
        let mut exchange = inbound.exchange(site, Served::Refused, reason);
        exchange.sent(response.status, Source::Synthetic);
        Reply { response, exchange }
    }

    /// The methods that the request's route lets through, for `Allow`.
    fn allowed(&self, inbound: &Inbound) -> Option<String> {
        let routing = self.routing();
        let host = std::str::from_utf8(&inbound.host).ok()?;
        let host = normalize_host(host)?;
        let target = std::str::from_utf8(&inbound.target).ok()?;
        let (route, _) = routing.sites.find(&host)?.locate(host.clone(), target)?;
        let Some(allow) = &route.allow else { return Some(USUAL.to_owned()) };
        Some(allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
    }
}
