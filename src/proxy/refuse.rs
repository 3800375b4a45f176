//! Requests that go nowhere: refused or answered by a rule, or refused by an engine before they
//! came here.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::context::{Arrival, Exchange, Inbound, Served};
use super::error::{self, Refusal};
use super::{Proxy, deliver};
use crate::message::{Body, Extra, Fault, Fields, Peer, Reply, RequestHead, Response, push_field};
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::uri::normalize_host;
use crate::site::{Access, Canned, Route, SiteLabel};
use crate::telemetry::metrics::Source;

/// What a route without a list of its own is asked for; others pass as well.
const USUAL: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl Proxy {
    /// The reply to a request that is not served here, by its route where it has one.
    pub(super) fn refuse_request(
        &self,
        inbound: Inbound,
        site: SiteLabel,
        route: Option<&Route>,
        refusal: Refusal,
    ) -> Reply<Exchange> {
        let allow = self.allowed(&inbound);
        let mut response = error::refused(refusal, allow.as_deref());
        if let Some(route) = route {
            let denial = match refusal {
                Refusal::Denied(denial) => Some(denial),
                _ => None,
            };
            inbound.dress_own(route, denial, &mut response);
        }
        self.made(inbound, site, response, Served::Refused, refusal.as_str())
    }

    /// The reply to a request that the rules of its route keep from going on, its method, or its
    /// own word.
    pub(super) fn not_admitted(
        &self,
        inbound: Inbound,
        site: SiteLabel,
        route: &Route,
        access: Access,
    ) -> Reply<Exchange> {
        let refusal = match access {
            Access::Admit if route.allows(&inbound.head.method) => {
                return self.answer_options(inbound, site, route);
            }
            Access::Admit => Refusal::Method,
            Access::Refuse(denial) => {
                self.metrics.refused(site.name, denial.as_str());
                Refusal::Denied(denial)
            }
            Access::Answer(canned) => return self.answer(inbound, site, route, canned),
        };
        self.refuse_request(inbound, site, Some(route), refusal)
    }

    /// The reply that a rule has ready.
    fn answer(
        &self,
        inbound: Inbound,
        site: SiteLabel,
        route: &Route,
        canned: Canned,
    ) -> Reply<Exchange> {
        let Canned { reason, status, block, content_length, body } = canned;
        let body = match body.is_empty() || inbound.head.method == Method::HEAD {
            true => Body::Empty,
            false => Body::Full(body),
        };
        let extra = Extra::new();
        let mut response = Response { status, content_length, block, extra, body };
        if let Some(rules) = inbound.rules(route) {
            inbound.push_fields(rules, &mut response);
        }
        self.made(inbound, site, response, Served::Answered, reason)
    }

    /// The reply to an OPTIONS that goes no further: what this node lets through.
    fn answer_options(&self, inbound: Inbound, site: SiteLabel, route: &Route) -> Reply<Exchange> {
        let mut response = Response::empty(StatusCode::NO_CONTENT);
        if let Some(allow) = self.allowed(&inbound) {
            push_field(&mut response.extra, "allow", allow.as_bytes());
        }
        if let Some(rules) = inbound.rules(route) {
            inbound.push_fields(rules, &mut response);
        }
        self.made(inbound, site, response, Served::Answered, "max-forwards")
    }

    /// The reply to a request that an engine had to refuse.
    pub fn refuse(&self, peer: &Peer, fault: Fault, arrival: Arrival) -> Reply<Exchange> {
        let head = RequestHead {
            method: Method::default(),
            host: Bytes::new(),
            target: Bytes::new(),
            fields: Fields::default(),
            content_length: None,
            peer: *peer,
        };
        let inbound = Inbound::new(Box::new(head), arrival, self.store.rules());
        let (site, served) = (SiteLabel::NONE, Served::Refused);
        self.made(inbound, site, error::faulty(fault), served, fault.detail)
    }

    /// The reply of a response that was made here.
    fn made(
        &self,
        inbound: Inbound,
        site: SiteLabel,
        mut response: Response,
        served: Served,
        reason: &'static str,
    ) -> Reply<Exchange> {
        let status = CacheStatus { detail: Some(reason), ..CacheStatus::of(&self.cache_name) };
        deliver::push_cache_status(&status, &mut response.extra);
        deliver::push_date(inbound.arrival.now, &mut response.extra);
        let mut exchange = inbound.exchange(site, served, reason);
        exchange.sent(response.status, Source::Synthetic);
        Reply { response, exchange }
    }

    /// The methods that the request's route lets through, for `Allow`.
    fn allowed(&self, inbound: &Inbound) -> Option<String> {
        let routing = self.routing();
        let host = std::str::from_utf8(&inbound.head.host).ok()?;
        let host = normalize_host(host)?;
        let target = std::str::from_utf8(&inbound.head.target).ok()?;
        let (route, _) = routing.sites.find(&host)?.locate(host.clone(), target)?;
        let Some(allow) = &route.allow else { return Some(USUAL.to_owned()) };
        Some(allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
    }
}
