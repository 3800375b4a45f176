//! What one request knows of itself, and what is told of it when it is over.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::demand::Demand;
use super::error::Refusal;
use super::hop::without_connection_fields;
use super::linger::Basis;
use super::page;
use super::{Proxy, Routing};
use crate::message::{Body, Interim, RequestHead, Response, Scheme, Seen};
use crate::object::{LogSequence, PrimaryKey, TargetUri};
use crate::semantics::cacheability::{self, RequestFacts, Storage, storage};
use crate::semantics::coding::Taken;
use crate::semantics::directives::RequestDirectives;
use crate::semantics::freshness::ResponseFacts;
use crate::semantics::headers::cdn_loop_seen;
use crate::semantics::time::Timestamp;
use crate::semantics::uri::normalize_host;
use crate::site::{
    Access, Asked, Denial, EdgeRules, ResourceUrl, Route, Site, SiteLabel, SiteTable,
};
use crate::store::Rules;
use crate::telemetry::metrics::Source;
use crate::upstream::{Origin, UpstreamError};

/// How a request came: clocks are read once, and passed down to everything that needs the time.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// For durations, by the same clock as time-outs.
    pub instant: Instant,
    /// For freshness, ages and the log.
    pub now: Timestamp,
    /// Whether a node of the tier before this one asks, which has proven it.
    pub from_edge: bool,
}

impl Arrival {
    /// How long ago it was.
    pub fn past(self) -> Duration {
        self.instant.elapsed()
    }

    /// The time after a wait that began with this arrival.
    pub fn later(self) -> Timestamp {
        self.now.plus(self.past())
    }
}

/// The calendar of the machine.
pub fn calendar() -> Timestamp {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX))
}

/// The site and route of a request, and the URL it stands for.
type Located<'r, 's> = (&'s Arc<Site>, &'s Arc<Route>, ResourceUrl<'r>);

/// A request, its content taken out.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) head: Box<RequestHead>,
    pub(super) arrival: Arrival,
    /// What an edge asks for beside the resource; `None` where a client asks.
    pub(super) edge: Option<Box<Demand>>,
    /// The codings that it takes, once its route has settled that.
    pub(super) taken: OnceLock<Taken>,
}

impl Inbound {
    pub(super) fn new(mut head: Box<RequestHead>, arrival: Arrival, rules: &Rules) -> Self {
        if head.fields.seen().any(Seen::CONNECTION) {
            head.fields = without_connection_fields(head.fields);
        }
        let edge = arrival.from_edge.then(|| Box::new(Demand::read(&head.fields, rules)));
        Self { head, arrival, edge, taken: OnceLock::new() }
    }

    /// The site and route that serve this request, and the URL it stands for. A refusal tells the
    /// site's metric where there is a site.
    pub(super) fn locate<'r, 's>(
        &'r self,
        sites: &'s SiteTable,
        name: &str,
    ) -> Result<Located<'r, 's>, (Refusal, SiteLabel)> {
        // RFC 8586 section 2: what has passed here before goes round.
        let seen = self.head.fields.seen().any(Seen::CDN_LOOP);
        if seen && cdn_loop_seen(self.head.fields.all("cdn-loop"), name) > 0 {
            return Err((Refusal::Loop, SiteLabel::NONE));
        }
        let host = std::str::from_utf8(&self.head.host).ok().and_then(normalize_host);
        let host: Cow<'r, str> = host.ok_or((Refusal::InvalidHost, SiteLabel::NONE))?;
        let site = sites.find(&host).ok_or((Refusal::UnknownHost, SiteLabel::NONE))?;
        // RFC 9110 section 9.3.8: what would come back shows fields that are not the client's.
        if self.head.method == Method::TRACE || self.head.method == Method::CONNECT {
            return Err((Refusal::Method, site.label));
        }
        let target = self.target().ok_or((Refusal::InvalidTarget, site.label))?;
        let (route, resource) =
            site.locate(host, target).ok_or((Refusal::InvalidTarget, site.label))?;
        if site.may_evade(route, &resource.path) {
            return Err((Refusal::AmbiguousPath, site.label));
        }
        Ok((site, route, resource))
    }

    /// What becomes of this request by the rules of its route. An edge has asked its own.
    #[inline]
    pub(super) fn access(&self, route: &Route, resource: &ResourceUrl<'_>) -> Access {
        match self.rules(route) {
            Some(rules) => rules.judge(&self.asked(resource)),
            None => Access::Admit,
        }
    }

    /// The rules of a route for the response to this request; an edge has its own.
    #[inline]
    pub(super) fn rules<'r>(&self, route: &'r Route) -> Option<&'r EdgeRules> {
        route.rules.as_deref().filter(|_| self.edge.is_none())
    }

    /// Makes a response from store or upstream what the rules of the route have it be for this
    /// client.
    #[inline]
    pub(super) fn dress(&self, route: &Route, response: &mut Response) {
        let Some(rules) = self.rules(route) else { return };
        rules.push_own(self.is_secure(), &self.head.fields, &mut response.extra);
        if let Some(page) = rules.page_for_origin(response.status) {
            page::put_in_place(page, &self.head.method, response);
        }
    }

    /// The same for a response that was made here.
    pub(super) fn dress_own(&self, route: &Route, denial: Option<Denial>, response: &mut Response) {
        let Some(rules) = self.rules(route) else { return };
        self.push_fields(rules, response);
        if let Some(page) = rules.page(response.status, denial) {
            page::put_in_place(page, &self.head.method, response);
        }
    }

    /// Appends every field that the rules of the route have for a response that is made here.
    pub(super) fn push_fields(&self, rules: &EdgeRules, response: &mut Response) {
        rules.push_fixed(&mut response.extra);
        rules.push_own(self.is_secure(), &self.head.fields, &mut response.extra);
    }

    fn is_secure(&self) -> bool {
        self.head.peer.scheme == Scheme::Https
    }

    /// What the rules of a route ask of this request.
    pub(super) fn asked<'a>(&'a self, resource: &'a ResourceUrl<'_>) -> Asked<'a> {
        let authority = std::str::from_utf8(&self.head.host).unwrap_or_default();
        // The colon of a port comes behind the bracket of an IPv6 address, if there is one.
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        Asked {
            method: &self.head.method,
            is_secure: self.is_secure(),
            host: &resource.host,
            port: port.filter(|port| !port.is_empty() && !port.contains(']')),
            path: &resource.path,
            query: self.query(),
            fields: &self.head.fields,
            client: self.head.peer.address.ip(),
            now: self.arrival.now,
        }
    }

    /// Has the fields tell of the client what its route wants to know. An edge has told it; what a
    /// client says there is not believed.
    #[inline]
    pub(super) fn tell(&mut self, sites: &SiteTable, name: &str) {
        if self.edge.is_none() && (sites.tells() || self.head.fields.seen().any(Seen::TOLD)) {
            let country = || sites.country_of(self.head.peer.address.ip());
            let located = self.locate(sites, name).ok();
            let told = located.map(|(_, route, _)| route.key.told(&self.head.fields, country));
            self.head.fields = self.head.fields.telling(told.into_iter().flatten());
        }
    }

    /// The target, if it is a path (or the `*` of OPTIONS) without what no target can hold: key and
    /// request upstream would differ in it (RFC 9112 section 3.2).
    fn target(&self) -> Option<&str> {
        let target = std::str::from_utf8(&self.head.target).ok()?;
        let no_part = |byte: u8| byte <= b' ' || byte == b'#' || byte == 0x7f;
        let is_path = target.starts_with('/') && !target.bytes().any(no_part);
        (is_path || (target == "*" && self.head.method == Method::OPTIONS)).then_some(target)
    }

    /// The query as sent.
    pub(super) fn query(&self) -> Option<&str> {
        self.target()?.split_once('?').map(|(_, query)| query)
    }

    /// The facts that the verdict asks for.
    pub(super) fn facts(&self, body: &Body, route: &Route, upgrade: bool) -> RequestFacts {
        let seen = self.head.fields.seen();
        let asks = route.freshness.obeys_requests && seen.any(Seen::CACHE_CONTROL.or(Seen::PRAGMA));
        let read = || {
            RequestDirectives::read(
                self.head.fields.all("cache-control"),
                self.head.fields.all("pragma"),
            )
        };
        RequestFacts {
            method: cacheability::Method::from_bytes(self.head.method.as_str().as_bytes()),
            authorization: seen.any(Seen::AUTHORIZATION),
            body: !matches!(body, Body::Empty),
            ambiguous: route.key.is_ambiguous(&self.head.fields),
            range: seen.any(Seen::RANGE),
            directives: if asks { read() } else { None },
            upgrade,
            // Where nothing goes upstream nobody fails on it.
            odd: false,
        }
    }

    /// The same request, for another who needs to know it.
    pub(super) fn shared(&self) -> Self {
        Self {
            head: self.head.clone(),
            arrival: self.arrival,
            edge: self.edge.clone(),
            taken: self.taken.clone(),
        }
    }

    /// The exchange, to be completed when its response is sent.
    pub(super) fn exchange(
        self,
        site: SiteLabel,
        served: Served,
        reason: &'static str,
    ) -> Exchange {
        Exchange {
            inbound: self,
            site,
            served,
            reason,
            status: StatusCode::OK,
            source: Source::Synthetic,
            origin_status: None,
            basis: Basis::Own,
        }
    }
}

/// What is told of a request in the log and the metrics.
#[derive(Debug)]
pub struct Exchange {
    pub(super) inbound: Inbound,
    pub(super) site: SiteLabel,
    pub(super) served: Served,
    pub(super) reason: &'static str,
    pub(super) status: StatusCode,
    pub(super) source: Source,
    pub(super) origin_status: Option<u16>,
    /// What a purge may take from under the body.
    pub(super) basis: Basis,
}

impl Exchange {
    /// Notes what is sent, and from where.
    pub(super) fn sent(&mut self, status: StatusCode, source: Source) {
        self.status = status;
        self.source = source;
    }
}

/// How a request was served: the `result` of log and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// From the store, fresh.
    Hit,
    /// From the store, stale.
    Stale,
    /// From the store, after upstream said that it holds.
    Revalidated,
    /// From upstream, by its own fetch.
    Miss,
    /// From upstream, by another's fetch.
    Collapsed,
    /// From upstream, not shared.
    Pass,
    /// By a rule of the route, from what it says.
    Answered,
    /// Not at all, by a limit or rule of ours.
    Refused,
    /// Not at all, for upstream failed.
    Error,
    /// The client left before there was a response.
    Gone,
    /// From the origin, in another protocol than HTTP.
    Upgraded,
}

impl Served {
    /// Every way, in the order of the metrics' indices.
    pub const NAMES: [&'static str; 11] = [
        "hit",
        "stale",
        "revalidated",
        "miss",
        "collapsed",
        "pass",
        "answered",
        "refused",
        "error",
        "gone",
        "upgraded",
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// The index in the metrics.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A request on its way through the slow path.
pub(super) struct Journey {
    pub(super) proxy: Arc<Proxy>,
    pub(super) site: Arc<Site>,
    pub(super) route: Arc<Route>,
    pub(super) inbound: Inbound,
    pub(super) resource: ResourceUrl<'static>,
    pub(super) primary: PrimaryKey,
    pub(super) facts: RequestFacts,
    /// The number below which purges are not known here that an edge knows of; 0 where none is.
    pub(super) unknown_below: u64,
    /// The way of interim responses to the client, where one waits.
    pub(super) interim: Option<mpsc::Sender<Interim>>,
    /// The protocols that it may leave HTTP for.
    pub(super) offer: Option<HeaderValue>,
}

impl Journey {
    /// The origin of the route. A config that names an unknown one was refused, so that one is not
    /// there is our fault.
    pub(super) fn origin(&self) -> Result<Arc<Origin>, UpstreamError> {
        let routing: Arc<Routing> = self.proxy.routing();
        let name = &self.route.origin;
        routing.upstreams.get(name).cloned().ok_or_else(|| UpstreamError::unknown(name))
    }

    /// The URL as purges are judged against it.
    pub(super) fn target_uri(&self) -> TargetUri<'_> {
        self.resource.target_uri(self.site.key, &self.route.key)
    }

    /// Whether the response to the GET that stands for this request may be stored.
    pub(super) fn storage(
        &self,
        facts: &ResponseFacts,
        request_time: Timestamp,
        response_time: Timestamp,
    ) -> Storage {
        let mut asked = self.facts;
        asked.method = Default::default();
        storage(&asked, facts, &self.route.freshness, request_time, response_time)
    }
}

/// A response, and what is told of it.
pub(super) struct Sent {
    pub(super) response: Response,
    pub(super) served: Served,
    pub(super) source: Source,
    pub(super) origin_status: Option<u16>,
    pub(super) reason: &'static str,
    /// The body, where it is in slices: it begins before the response is sent.
    pub(super) slices: Option<Beginning>,
    /// What it reflects, for an edge that asks.
    pub(super) stamp: Option<LogSequence>,
    /// What a purge may take from under the body.
    pub(super) basis: Basis,
}

/// A body that is waited for until there is something to read of it.
pub(super) type Beginning = Pin<Box<dyn Future<Output = Result<Body, Trouble>> + Send>>;

/// Why a slice cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The object is another by now.
    Changed,
    /// Upstream gave no such slice.
    Failed,
}
