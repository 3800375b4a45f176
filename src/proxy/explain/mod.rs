//! What would become of a request, and why: by the same look-up and the same decisions as those of
//! the live path, of which this is the first half. Nothing is fetched or logged, no hit or miss is
//! counted; the look-up is a use of what it finds, as any other.
//!
//! ```text
//!  request ─► locate ─► key ─► look up ─► verdict ─┐
//!                                 └─► stored head ─┴─► rules ─► Explanation
//! ```
//!
//! `rules` is pure: from what is stored and what the route says to one line a rule that mattered.

mod rules;

use std::sync::Arc;

pub use self::rules::{Rule, RuleSource};
use super::Proxy;
use super::context::{Arrival, Inbound, Journey};
use super::error::Refusal;
use crate::message::Request;
use crate::object::{CacheKey, PurgeState, Stored};
use crate::semantics::cacheability::{RequestFacts, is_odd};
use crate::semantics::freshness::Freshness;
use crate::semantics::time::Timestamp;
use crate::semantics::verdict::Verdict;
use crate::site::SiteTable;
use crate::store::{Lookup, Rules};
use crate::telemetry::metrics::Source;

/// What would become of a request.
#[derive(Clone, Debug)]
pub enum Explanation {
    /// It goes nowhere; no rule but the first that it met mattered.
    Refused(Refusal),
    /// It is served, from here or from upstream.
    Served(Box<Served>),
}

/// A request that is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// The site that answers to its host.
    pub site: &'static str,
    /// The route that covers its path; `None` where that is the whole site.
    pub route: Option<String>,
    /// The origin that the route names.
    pub origin: String,
    /// The URL that it stands for: host, path and query by the site's rules, without scheme.
    pub url: String,
    /// The key of that URL, or of its variant where one is known.
    pub key: CacheKey,
    /// What is done, and why.
    pub verdict: Verdict,
    /// A response to it was not to be shared a moment ago: it is passed on by itself.
    pub is_uncacheable: bool,
    /// The stored response that it finds.
    pub found: Option<Found>,
    /// Up to which purge of the log this node has applied all.
    pub position: u64,
    /// Every rule that mattered, in the order in which they are asked.
    pub rules: Vec<Rule>,
}

/// A stored response.
#[derive(Clone, Debug)]
pub struct Found {
    /// The tier that has it.
    pub tier: Source,
    /// Its status.
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
    /// How fresh it is.
    pub freshness: Freshness,
    /// When that was.
    pub now: Timestamp,
    /// Whether a purge covers it.
    pub purged: PurgeState,
    /// Up to which purge of the log it reflects all; 0 where that cannot be told.
    pub reflects: u64,
    /// Its tags, as purges name them.
    pub tags: Vec<String>,
}

impl Proxy {
    /// Tells what would become of a request without content.
    pub async fn explain(self: &Arc<Self>, request: Request, arrival: Arrival) -> Explanation {
        let Request { head, body } = request;
        let mut inbound = Inbound::new(head, arrival, self.store.rules());
        let routing = self.routing();
        inbound.tell(&routing.sites, &self.config.name);
        let (site, route, resource) = match inbound.locate(&routing.sites, &self.config.name) {
            Ok((_, route, _)) if !route.allows(&inbound.head.method) => {
                return Explanation::Refused(Refusal::Method);
            }
            Ok((site, route, resource)) => (site.clone(), route.clone(), resource.into_owned()),
            Err((refusal, _)) => return Explanation::Refused(refusal),
        };
        inbound.settle_coding(&route);
        let facts = inbound.facts(&body, &route.freshness, false);
        let facts = RequestFacts { odd: is_odd(inbound.head.fields.iter()), ..facts };
        let primary = resource.key(site.generation, &route.key.extra(&inbound.head.fields));
        let proxy = self.clone();
        let (unknown_below, interim, offer) = (0, None, None);
        let journey = Journey {
            proxy,
            site,
            route,
            inbound,
            resource,
            primary,
            facts,
            unknown_below,
            interim,
            offer,
        };
        let looked_up = match journey.facts.method.is_cacheable() {
            true => journey.look_again(),
            false => (Lookup::Missing(primary.own), journey.verdict_on(None)),
        };
        let (lookup, verdict) = journey.at_hand(looked_up).await;
        Explanation::Served(Box::new(journey.explained(&routing.sites, &lookup, verdict)))
    }
}

impl Journey {
    fn explained(&self, sites: &SiteTable, lookup: &Lookup, verdict: Verdict) -> Served {
        let (now, purges) = (self.inbound.arrival.later(), self.proxy.store.rules());
        let key = lookup.key();
        let stored = match lookup {
            Lookup::Found(_, stored) => Some(stored),
            Lookup::Cold(_) | Lookup::Missing(_) => None,
        };
        let found = stored.map(|stored| self.found(stored, now));
        let is_uncacheable = self.proxy.uncacheable.holds(self.flight_key(key));
        let rules = self.rules(sites, stored.map(|stored| &stored.head), found.as_ref());
        Served {
            site: self.site.label.name,
            route: self.route.path.as_ref().map(|path| path.as_str().to_owned()),
            origin: self.route.origin.clone(),
            url: format!("{}{}", self.resource.host, self.resource.target()),
            key,
            verdict,
            is_uncacheable,
            position: in_log(purges, purges.head().number),
            found,
            rules,
        }
    }

    fn found(&self, stored: &Stored, now: Timestamp) -> Found {
        let head = &stored.head;
        Found {
            tier: super::cold::source_of(stored),
            status: head.status.as_u16(),
            bytes: stored.slices().map_or_else(|| stored.len(), |slices| slices.total),
            freshness: head.freshness(),
            now,
            purged: self.purged(head),
            reflects: in_log(self.proxy.store.rules(), head.sequence.number),
            tags: head.tag_names().map(|tag| String::from_utf8_lossy(tag).into_owned()).collect(),
        }
    }
}

/// A number of this node in the log of its fleet; one that stands alone has a log of its own.
fn in_log(rules: &Rules, here: u64) -> u64 {
    rules.numbers().map_or(here, |numbers| numbers.stamp(here).number)
}
