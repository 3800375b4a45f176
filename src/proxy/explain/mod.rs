//! What would become of a request, and why: by the same decisions as those of the live path, of
//! which this is the first half. Nothing is fetched or logged; no hit, miss or refusal is counted
//! and no token taken. Of what the look-up finds, only the memory tier counts a use: it has no
//! other look.
//!
//! ```text
//!  request ─► locate ─► rules at the edge ─► key ─► look up ─► verdict ─┐
//!                        │                             └─► stored head ─┼─► what would be sent
//!                        └─► answered                                   └─► rules
//! ```
//!
//! `rules` is pure: from what is stored and what the route says to one line a rule that mattered.

mod answer;
mod edge;
mod rules;

use std::sync::Arc;

pub use self::answer::Answer;
pub use self::edge::{Answered, Asking};
pub use self::rules::{Rule, RuleSource};
use super::Proxy;
use super::context::{Arrival, Inbound, Journey};
use super::onward::Onward;
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
    /// It goes no further than the rules at the edge.
    Answered(Box<Answered>),
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
    /// What would be sent of that, where it is served.
    pub answer: Option<Answer>,
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
    pub async fn explain(self: &Arc<Self>, asking: Asking, arrival: Arrival) -> Explanation {
        let Asking { request, knows_client } = asking;
        let Request { head, body } = request;
        let mut inbound = Inbound::new(head, arrival, self.store.rules());
        let routing = self.routing();
        inbound.tell(&routing.sites, &self.config.name);
        let (site, route, resource) = match inbound.locate(&routing.sites, &self.config.name) {
            Ok((site, route, resource)) => (site.clone(), route.clone(), resource.into_owned()),
            Err((refusal, _)) => return Explanation::Answered(Box::new(refusal.into())),
        };
        inbound.settle_coding(&route);
        let facts = inbound.facts(&body, &route, false);
        let facts = RequestFacts { odd: is_odd(inbound.head.fields.iter()), ..facts };
        let onward = Onward::new(&inbound, resource.host.as_bytes(), &self.config.name);
        let primary = resource.key(site.generation, &onward.key_extra(&route.key));
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
        match journey.explained(&routing.sites, knows_client).await {
            Ok(served) => Explanation::Served(Box::new(served)),
            Err(answered) => Explanation::Answered(Box::new(answered)),
        }
    }
}

impl Journey {
    async fn explained(&self, sites: &SiteTable, knows_client: bool) -> Result<Served, Answered> {
        let said = |key: &str| sites.said(&self.site, &self.route, key);
        let by = |key: &str| RuleSource::Config(said(key));
        let mut rules = self.at_the_edge(knows_client, self.of_way(&by), &said)?;
        let lookup = match self.facts.method.is_cacheable() {
            true => self.glance().await,
            false => Lookup::Missing(self.primary.own),
        };
        let key = lookup.key();
        let stored = match lookup {
            Lookup::Found(_, stored) => Some(stored),
            Lookup::Cold(_) | Lookup::Missing(_) => None,
        };
        let verdict = self.verdict_on(stored.as_deref());
        let answer = match &stored {
            Some(stored) => self.answer(verdict, stored).await,
            None => None,
        };
        let (now, purges) = (self.inbound.arrival.later(), self.proxy.store.rules());
        let found = stored.as_ref().map(|stored| self.found(stored, now));
        rules.extend(self.of_key(&by));
        rules.extend(self.of_method());
        rules.extend(self.of_fields(verdict, answer.as_ref(), &by));
        let stored = stored.as_ref().map(|stored| &stored.head);
        rules.extend(self.of_stored(stored, found.as_ref(), &by));
        let is_uncacheable = self.proxy.uncacheable.holds(self.flight_key(key));
        let (site, route) = self.way();
        Ok(Served {
            site,
            route,
            origin: self.route.origin.clone(),
            url: format!("{}{}", self.resource.host, self.resource.target()),
            key,
            verdict,
            is_uncacheable,
            position: in_log(purges, purges.head().number),
            found,
            answer,
            rules,
        })
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
