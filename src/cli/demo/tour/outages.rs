//! Nodes that are gone for a while: nothing purged comes back with them, and nobody waits for them.

use std::time::Instant;

use serde_json::json;

use super::super::ask::{Get, http1, is_trusted, over_http1};
use super::super::files::index;
use super::super::fleet::{EDGES, SHIELD};
use super::{Outcome, Told, Tour, both, count, describe, is_hit, is_miss, one};

/// What is asked of edge-2 before it stops, and again when it is back.
const KEPT: &str = "/style.css";

impl Tour<'_> {
    /// The receipt is complete without it, for it serves nothing, and edge-1 has the new version.
    pub(super) async fn edge_down(&mut self) -> Outcome {
        self.get_both(KEPT).await?;
        self.get_both("/").await?;
        self.stage.stop(EDGES[1]).await;
        self.publish()?;
        let started = Instant::now();
        let receipt = self.purge(json!({ "kind": "tag", "value": "pages" }), "30s").await?;
        let took = started.elapsed();
        let reached = receipt["state"] == "complete" && count(&receipt, "applied") == 2;
        let seen = self.get(EDGES[0], "/").await?;
        let is_new = is_miss(&seen, EDGES[0]) && seen.body == index(self.version);
        let told = vec![describe(&receipt), seen.to_string()];
        Ok(Told { took, seen: told, is_right: reached && is_new })
    }

    /// The first thing that it is asked for is what was purged meanwhile.
    pub(super) async fn edge_back(&mut self) -> Outcome {
        self.stage.start(EDGES[1])?;
        let seen = self.get(EDGES[1], "/").await?;
        one(&seen, seen.status == 200 && seen.body == index(self.version))
    }

    pub(super) async fn kept(&self) -> Outcome {
        let trusted = is_trusted(self.stage.member(EDGES[1]).admin()).await;
        let before = self.requests();
        let seen = self.get(EDGES[1], KEPT).await?;
        one(&seen, trusted && is_hit(&seen, EDGES[1]) && self.requests() == before)
    }

    pub(super) async fn shield_down(&mut self) -> Outcome {
        // What edge-2 fetched before it had caught up counts as purged.
        self.get_both("/").await?;
        self.stage.stop(SHIELD).await;
        let before = self.requests();
        let stored = self.get_both("/").await?;
        let hits = stored.iter().zip(EDGES).all(|(seen, edge)| is_hit(seen, edge));
        let hits = hits && self.requests() == before;
        let cold = self.get_both("/about.html").await?;
        let direct = cold
            .iter()
            .zip(EDGES)
            .all(|(seen, edge)| is_miss(seen, edge) && seen.cache_status().starts_with(edge));
        both(&cold, hits && direct && self.requests() == before + 2)
    }

    pub(super) async fn unknown_host(&self) -> Outcome {
        let other = [("host", "other.example")];
        let pool = http1(self.stage.member(EDGES[0]).http());
        let seen = over_http1(&pool, Get { path: "/", fields: &other }).await?;
        one(&seen, seen.status == 421)
    }
}
