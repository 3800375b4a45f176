//! What a node tells of itself: `/healthz`, `/readyz`, `/metrics` and `/v1/status`.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{self, Problem};
use super::{Door, State};
use crate::message::Response;
use crate::telemetry::metrics::Tier;

impl Door {
    pub(super) fn health(&self) -> Response {
        answer::envelope(StatusCode::OK, json!({ "state": self.state() }), json!({}))
    }

    pub(super) fn ready(&self) -> Result<Response, Problem> {
        match self.parts.life.state() {
            State::Serving => Ok(self.health()),
            State::Starting | State::Draining => {
                let detail = format!("The node is {} and takes no traffic.", self.state());
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
            }
        }
    }

    /// The metrics; those that only a look at the store tells are taken now.
    pub(super) fn metrics(&self) -> Response {
        let metrics = &self.parts.metrics;
        let figures = self.parts.proxy.store().memory_figures();
        metrics.store_objects(Tier::Memory).set(figures.objects.cast_signed());
        metrics.store_bytes(Tier::Memory).set(figures.bytes.cast_signed());
        {
            // One scrape at a time: two would count the same evictions.
            let _alone = self.scrape.lock();
            let evictions = metrics.evictions(Tier::Memory);
            evictions.inc_by(figures.evictions.saturating_sub(evictions.get()));
        }
        let (position, head) = (self.parts.purger.position(), self.parts.purger.head());
        metrics.purge_position().set(position.cast_signed());
        metrics.purge_lag().set(head.saturating_sub(position).cast_signed());
        answer::metrics(metrics.render())
    }

    pub(super) fn status(&self) -> Response {
        let parts = &self.parts;
        let data = json!({
            "version": parts.version,
            "name": parts.name,
            "region": parts.region,
            "role": parts.role,
            "state": self.state(),
            "fenced": false,
            "config_version": self.settings.load().config_version,
            "tiers": [self.memory_tier()],
            "upstreams": self.upstreams(),
            "purge": {
                "log": parts.purger.log(),
                "position": parts.purger.position(),
                "head": parts.purger.head(),
            },
        });
        answer::envelope(StatusCode::OK, data, json!({}))
    }

    fn memory_tier(&self) -> Value {
        let figures = self.parts.proxy.store().memory_figures();
        let sums = self.parts.metrics.snapshot();
        let (hits, misses) = (sums.hits(Tier::Memory), sums.misses(Tier::Memory));
        json!({
            "tier": Tier::Memory.label(),
            "objects": figures.objects,
            "bytes": figures.bytes,
            "capacity_bytes": figures.capacity_bytes,
            "hits": hits,
            "misses": misses,
            "hit_ratio": hit_ratio(hits, misses),
        })
    }

    /// The servers of every origin, in the order of their names.
    fn upstreams(&self) -> Vec<Value> {
        let routing = self.parts.proxy.routing();
        let mut servers: Vec<_> =
            routing.upstreams.iter().flat_map(|origin| origin.status()).collect();
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
