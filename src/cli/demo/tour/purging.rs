//! Purges: one log, every tier, a receipt.

use std::time::Instant;

use serde_json::{Value, json};

use super::super::ask::Failed;
use super::super::files::{index, publish};
use super::super::fleet::{EDGES, NODES};
use super::{Outcome, Told, Tour, both, count, describe, is_hit, is_miss};

impl Tour<'_> {
    pub(super) async fn tag_purge(&mut self) -> Outcome {
        self.publish()?;
        let started = Instant::now();
        let receipt = self.purge(json!({ "kind": "tag", "value": "pages" }), "10s").await?;
        let is_right = receipt["state"] == "complete" && count(&receipt, "applied") == NODES.len();
        Ok(Told { took: started.elapsed(), seen: vec![describe(&receipt)], is_right })
    }

    pub(super) async fn new_version(&self) -> Outcome {
        let before = self.requests();
        let seen = self.get_both("/").await?;
        let new = index(self.version);
        let fetched = seen.iter().zip(EDGES).all(|(seen, edge)| is_miss(seen, edge));
        let right = fetched && seen.iter().all(|seen| seen.body == new);
        both(&seen, right && self.requests() == before + 1)
    }

    pub(super) async fn soft_purge(&self) -> Outcome {
        self.get_both("/headland.svg").await?;
        let before = (self.requests(), self.stage.asked().bytes());
        let url = "http://localhost/headland.svg";
        let command = json!({ "kind": "url", "value": url, "soft": true });
        let receipt = self.purge(command, "10s").await?;
        let seen = self.get_both("/headland.svg").await?;
        let validated = seen.iter().all(|seen| {
            seen.status == 200 && seen.cache_status().contains("; fwd=stale; fwd-status=304")
        });
        // Asked once for both, and answered without content.
        let asked = (self.requests(), self.stage.asked().bytes()) == (before.0 + 1, before.1);
        let again = self.get_both("/headland.svg").await?;
        let hits = again.iter().zip(EDGES).all(|(seen, edge)| is_hit(seen, edge));
        let mut told = both(&seen, validated && asked && hits)?;
        told.is_right &= receipt["state"] == "complete";
        told.seen.insert(0, describe(&receipt));
        Ok(told)
    }

    /// Purges, and waits for the receipt.
    pub(super) async fn purge(&self, command: Value, timeout: &str) -> Result<Value, Failed> {
        let target = format!("/v1/purges?wait=true&timeout={timeout}");
        Ok(self.control.post(&target, &command).await?.1)
    }

    /// Gives the origin a new version of the page.
    pub(super) fn publish(&mut self) -> Result<(), Failed> {
        self.version += 1;
        Ok(publish(&self.stage.files(), self.version)?)
    }
}
