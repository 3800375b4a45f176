//! What a node tells of itself: `/healthz`, `/readyz`, `/metrics` and `/v1/status`.
//!
//! A tier of `/v1/status`:
//!
//! ```text
//!  tier                   memory or disk
//!  objects                stored responses
//!  bytes, capacity_bytes  what they take, and may take
//!  hits, misses           look-ups since the start that found something here, or came here in vain
//!  hit_ratio              hits among look-ups, 0 to 1
//!  evictions              responses given up for room since the start
//!  refused                disk: responses served and not stored since the start
//!  waiting_bytes          disk: what waits to be written
//!  index_bytes            disk: memory that its index takes
//!  errors                 disk: failed reads and writes, and damage found, since the start
//!  short                  disk, while it has no room for its capacity, which is what it holds: why
//!  aside                  disk, while nothing is written to it: why
//! ```

use http::StatusCode;
use prometheus::IntCounter;
use serde_json::{Value, json};

use super::Door;
use crate::door::{Life, Problem, State, answer};
use crate::message::Response;
use crate::proxy::Proxy;
use crate::store::TierFigures;
use crate::telemetry::metrics::{Metrics, Tier};

/// Characters of why nothing is written to disk that a control plane is told.
const ASIDE_MAX: usize = 256;

impl Door {
    pub(super) fn health(&self) -> Response {
        answer::health(self.parts.life.state())
    }

    /// A node that is told its sites by a control plane takes no traffic before.
    pub(super) fn ready(&self) -> Result<Response, Problem> {
        if self.parts.proxy.routing().sites.sites().is_empty() {
            let detail = "The node has no sites as yet and takes no traffic.";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
        }
        let detail = |state: &str| format!("The node is {state} and takes no traffic.");
        answer::ready(self.parts.life.state(), detail)
    }

    /// The metrics; those that only a look at the store tells are taken now.
    pub(super) fn metrics(&self) -> Response {
        let metrics = &self.parts.metrics;
        for (tier, figures) in self.tiers() {
            metrics.store_objects(tier).set(figures.objects.cast_signed());
            metrics.store_bytes(tier).set(figures.bytes.cast_signed());
            // One scrape at a time: two would count the same evictions.
            let _alone = self.scrape.lock();
            raise(&metrics.evictions(tier), figures.evictions);
            if tier == Tier::Disk {
                raise(&metrics.store_refused(tier), figures.refused);
                metrics.store_waiting(tier).set(figures.waiting_bytes.cast_signed());
                metrics.store_index(tier).set(figures.index_bytes.cast_signed());
                let store = self.parts.proxy.store();
                metrics.set_store_short(tier, store.disk_short().is_some());
                metrics.set_store_aside(tier, store.disk_aside().is_some());
            }
        }
        let (position, head) = (self.parts.purger.position(), self.parts.purger.head());
        metrics.purge_position().set(position.cast_signed());
        metrics.purge_lag().set(head.saturating_sub(position).cast_signed());
        answer::metrics(metrics.render())
    }

    pub(super) fn status(&self) -> Response {
        let parts = &self.parts;
        let tiers: Vec<_> = self.tiers().map(|(tier, figures)| self.tier(tier, figures)).collect();
        let data = json!({
            "version": parts.version,
            "name": parts.name,
            "region": parts.region,
            "role": parts.role,
            "state": self.state(),
            "fenced": parts.proxy.store().rules().is_fenced(),
            "config_version": self.settings.load().config_version,
            "tiers": tiers,
            "upstreams": self.upstreams(),
            "purge": {
                "log": parts.purger.log(),
                "position": parts.purger.position(),
                "head": parts.purger.head(),
            },
        });
        answer::envelope(StatusCode::OK, data, json!({}))
    }

    fn tiers(&self) -> impl Iterator<Item = (Tier, TierFigures)> {
        let store = self.parts.proxy.store();
        let disk = store.disk_figures().map(|figures| (Tier::Disk, figures));
        [(Tier::Memory, store.memory_figures())].into_iter().chain(disk)
    }

    fn tier(&self, tier: Tier, figures: TierFigures) -> Value {
        let sums = self.parts.metrics.snapshot();
        let (hits, misses) = (sums.hits(tier), sums.misses(tier));
        let mut told = json!({
            "tier": tier.label(),
            "objects": figures.objects,
            "bytes": figures.bytes,
            "capacity_bytes": figures.capacity_bytes,
            "hits": hits,
            "misses": misses,
            "hit_ratio": hit_ratio(hits, misses),
            "evictions": figures.evictions,
        });
        if tier == Tier::Disk {
            told["refused"] = json!(figures.refused);
            told["waiting_bytes"] = json!(figures.waiting_bytes);
            told["index_bytes"] = json!(figures.index_bytes);
            told["errors"] = json!(self.parts.metrics.disk_errors().get());
            let store = self.parts.proxy.store();
            for (key, why) in [("short", store.disk_short()), ("aside", store.disk_aside())] {
                if let Some(why) = why {
                    told[key] = json!(why);
                }
            }
        }
        told
    }

    /// The servers of every origin and the shields, in the order of their names.
    fn upstreams(&self) -> Vec<Value> {
        let routing = self.parts.proxy.routing();
        let mut servers: Vec<_> = routing.upstreams.status().collect();
        servers.sort_by(|a, b| (&a.name, &a.server).cmp(&(&b.name, &b.server)));
        let shown = servers.into_iter().map(|server| {
            json!({ "name": server.name, "server": server.server, "healthy": server.healthy })
        });
        shown.collect()
    }

    fn state(&self) -> &'static str {
        self.parts.life.state().as_str()
    }
}

/// What a node tells its control plane of itself: its state, what it found stored of what was
/// looked up since its start, and why nothing is written to its disk where that is so.
pub fn figures(life: &Life, proxy: &Proxy, metrics: &Metrics) -> Value {
    let (sums, store) = (metrics.snapshot(), proxy.store());
    let (memory, disk) = (sums.hits(Tier::Memory), sums.hits(Tier::Disk));
    // What is not in memory is looked for on disk.
    let last = if store.disk_figures().is_some() { Tier::Disk } else { Tier::Memory };
    let (hits, misses) = (memory + disk, sums.misses(last));
    let has_sites = !proxy.routing().sites.sites().is_empty();
    let aside = store.disk_aside().map(|why| why.chars().take(ASIDE_MAX).collect::<String>());
    json!({
        "state": life.state().as_str(),
        "ready": life.state() == State::Serving && has_sites,
        "aside": aside,
        "hits": hits,
        "misses": misses,
        "hit_ratio": hit_ratio(hits, misses),
    })
}

/// Brings a counter up to a sum that is kept elsewhere.
fn raise(counter: &IntCounter, sum: u64) {
    counter.inc_by(sum.saturating_sub(counter.get()));
}

/// Hits among look-ups, to four digits; 0 before the first.
fn hit_ratio(hits: u64, misses: u64) -> f64 {
    let lookups = hits + misses;
    if lookups == 0 { 0.0 } else { (hits as f64 / lookups as f64 * 10_000.0).round() / 10_000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hit_ratios() {
        for (hits, misses, ratio) in [(0, 0, 0.0), (1, 0, 1.0), (2, 1, 0.6667), (0, 9, 0.0)] {
            assert_eq!(hit_ratio(hits, misses), ratio);
        }
    }
}
