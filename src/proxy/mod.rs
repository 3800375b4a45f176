//! The journey of one request; every branch of it is here.
//!
//! May use `site`, `store`, `collapse`, `upstream`, `object`, `semantics` and `telemetry`, and
//! joins them by passing values: none of them knows another.
//!
//! ```text
//!  serve ── route ─┬─ key ── look up ── verdict ─┬─ Serve, …AndRefresh ──► deliver   (no future)
//!                  │                             ├─ Fetch, Revalidate ──► fetch ─► deliver
//!                  │                             │        flight ── fill ── store, slices
//!                  │                             ├─ Pass ───────────────► pass, upgrade
//!                  └─ refuse, answer            └─ Refuse ─────────────► error
//! ```
//!
//! Invariant: a hit is answered where it is found, on the event loop that asked, without a future,
//! a lock that cores share, or a copy of the body.

mod account;
mod coding;
mod cold;
mod compress;
mod context;
mod deliver;
mod demand;
mod error;
pub mod explain;
mod fetch;
mod fill;
mod forward;
mod head;
mod hop;
mod interim;
mod linger;
mod onward;
mod page;
mod pass;
mod posted;
mod refuse;
mod slices;
mod stale;
mod tier;
mod upgrade;
mod variants;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

pub use context::{Arrival, Exchange, Served, calendar};
pub use error::Refusal;

use self::compress::Compressors;
use self::context::{Inbound, Journey};
use self::linger::Basis;
use self::onward::Onward;
pub use crate::collapse::Flights;
use crate::collapse::RememberedKeys;
use crate::message::{Answer, Later, Reply, Request};
use crate::object::Stored;
use crate::semantics::cache_status::CacheName;
use crate::semantics::cacheability::{RequestFacts, is_odd};
use crate::semantics::verdict::{Reason, Verdict, verdict};
use crate::site::{Access, Route, SiteLabel, SiteTable};
use crate::store::{Lookup, Store};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Upstreams;

/// Limits and names of the proxy.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// This node's name, in `Cache-Status` and `Via`.
    pub name: String,
    /// Largest body that is stored in one piece, in bytes.
    pub max_object: u64,
    /// Bytes of one slice of a larger body.
    pub slice: u64,
    /// How long a node that is behind an edge's purges waits to catch up.
    pub catch_up: Duration,
    /// A follower's longest wait for a head.
    pub collapse_wait: Duration,
    /// Bytes kept behind the end of a body that is too large to store.
    pub relay_window: u64,
    /// How long a body may run on that began before a hard purge.
    pub linger: Duration,
    /// Connections at once that have left HTTP.
    pub tunnels: usize,
    /// Threads that compress.
    pub compress_threads: usize,
    /// Bodies that are compressed at once.
    pub compressions: usize,
}

/// Serves requests from the store and from upstream.
#[derive(Debug)]
pub struct Proxy {
    config: ProxyConfig,
    cache_name: CacheName,
    routing: ArcSwap<Routing>,
    store: Arc<Store>,
    flights: Arc<Flights>,
    /// Flights whose responses were not to be shared: their requests are passed on as they are.
    uncacheable: RememberedKeys,
    /// Flights whose refresh goes on, or brought nothing a moment ago.
    refreshed: RememberedKeys,
    /// The position at which purges that edges know of were waited for in vain.
    lags_at: AtomicU64,
    compressors: Compressors,
    /// Places of connections that leave HTTP.
    tunnels: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    log: Arc<AccessLog>,
}

/// What a reload swaps.
#[derive(Debug)]
pub struct Routing {
    /// The sites.
    pub sites: SiteTable,
    /// The origins that their routes name.
    pub upstreams: Upstreams,
}

/// The parts that a proxy joins.
#[derive(Debug)]
pub struct Parts {
    /// Sites and origins.
    pub routing: Routing,
    /// The tiers.
    pub store: Arc<Store>,
    /// Flights at once.
    pub flights: usize,
    /// How long, and for how many keys, a response that was not to be shared is remembered.
    pub hit_for_miss: (u64, Duration),
    /// How long a refresh behind a stale response that brought nothing holds the next one back; for
    /// as many keys.
    pub refresh_pause: Duration,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub log: Arc<AccessLog>,
}

impl Proxy {
    /// A proxy over its parts.
    pub fn new(config: ProxyConfig, parts: Parts) -> Self {
        let (keys, lifetime) = parts.hit_for_miss;
        let compressors = Compressors::new(config.compress_threads, config.compressions);
        let tunnels = config.tunnels.min(Semaphore::MAX_PERMITS);
        Self {
            cache_name: CacheName::new(&config.name),
            compressors,
            tunnels: Arc::new(Semaphore::new(tunnels)),
            config,
            routing: ArcSwap::from_pointee(parts.routing),
            store: parts.store,
            flights: Arc::new(Flights::new(parts.flights)),
            uncacheable: RememberedKeys::new(keys, lifetime),
            refreshed: RememberedKeys::new(keys, parts.refresh_pause),
            lags_at: AtomicU64::new(u64::MAX),
            metrics: parts.metrics,
            log: parts.log,
        }
    }

    /// Takes new sites and origins for the requests that come from now on.
    pub fn swap(&self, routing: Routing) {
        self.routing.store(Arc::new(routing));
    }

    /// The sites and origins in use.
    pub fn routing(&self) -> Arc<Routing> {
        self.routing.load_full()
    }

    /// The tiers.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Answers a request: at once if a fresh response is resident.
    pub fn serve(self: &Arc<Self>, request: Request, arrival: Arrival) -> Answer<Exchange> {
        let mut inbound = Inbound::new(request.head, arrival, self.store.rules());
        let routing = self.routing.load();
        inbound.tell(&routing.sites, &self.config.name);
        let (site, route, resource) = match inbound.locate(&routing.sites, &self.config.name) {
            Ok(found) => found,
            Err((refusal, site)) => {
                return Answer::Now(self.refuse_request(inbound, site, None, refusal));
            }
        };
        match inbound.access(route, &resource) {
            Access::Admit if route.allows(&inbound.head.method) && inbound.may_go_on() => {}
            access => return Answer::Now(self.not_admitted(inbound, site.label, route, access)),
        }
        inbound.settle_coding(route);
        let offer = inbound.offer(route, &request.body);
        let facts = inbound.facts(&request.body, route, offer.is_some());
        let onward = Onward::new(&inbound, resource.host.as_bytes(), &self.config.name);
        let primary = resource.key(site.generation, &onward.key_extra(&route.key));
        let lookup = match facts.method.is_cacheable() && !facts.upgrade {
            true => onward.look_up(&self.store, primary),
            false => Lookup::Missing(primary.own),
        };
        let stored = match &lookup {
            Lookup::Found(_, stored) => {
                let purged = self.store.rules().judge(&stored.head);
                Some(stored.head.facts(purged))
            }
            Lookup::Cold(_) | Lookup::Missing(_) => None,
        };
        let verdict = verdict(&facts, stored.as_ref(), arrival.now);
        let is_met =
            inbound.edge.as_ref().is_none_or(|demand| demand.is_met() && demand.is_of(site));
        let lookup = match (verdict, lookup) {
            (Verdict::Serve(reason), Lookup::Found(key, stored))
                if is_met && stored.slices().is_none() =>
            {
                match self.coded_hit(&inbound, primary, stored) {
                    Ok(stored) => {
                        return Answer::Now(self.hit(inbound, site.label, route, stored, reason));
                    }
                    Err(stored) => Lookup::Found(key, stored),
                }
            }
            (_, lookup) => lookup,
        };
        let journey = Journey {
            proxy: self.clone(),
            site: site.clone(),
            route: route.clone(),
            resource: resource.into_owned(),
            facts: RequestFacts { odd: is_odd(inbound.head.fields.iter()), ..facts },
            inbound,
            primary,
            unknown_below: 0,
            interim: None,
            offer,
        };
        if let (Verdict::ServeAndRefresh(reason), Lookup::Found(key, stored)) = (verdict, &lookup)
            && is_met
            && stored.slices().is_none()
            && !journey.may_code()
        {
            self.count_hit(stored);
            let sent = journey.stale_while_revalidate(*key, stored, reason);
            return Answer::Now(journey.finish(sent));
        }
        let (journey, interim) = journey.with_interim();
        Answer::Later(Later::new(journey.set_out(verdict, lookup, request.body)).after(interim))
    }

    /// The reply from a fresh response, whose owner it becomes.
    #[inline]
    fn hit(
        &self,
        inbound: Inbound,
        site: SiteLabel,
        route: &Route,
        stored: Arc<Stored>,
        reason: Reason,
    ) -> Reply<Exchange> {
        self.count_hit(&stored);
        let now = inbound.arrival.now;
        let status = deliver::hit_status(&self.cache_name, &stored.head, now);
        let block = inbound.lines_of(&stored.head);
        let mut response = deliver::stored(&inbound, &stored, block, &status, now);
        inbound.dress(route, &mut response);
        if let Some(demand) = &inbound.edge {
            let stamp = demand.stamp_of(&stored.head, self.store.rules());
            tier::push_stamp(stamp, &mut response.extra);
        }
        let mut exchange = inbound.exchange(site, Served::Hit, reason.as_str());
        exchange.sent(response.status, cold::source_of(&stored));
        exchange.basis = Basis::Stored(stored);
        Reply { response, exchange }
    }
}

#[cfg(test)]
mod tests;
