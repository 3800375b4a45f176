//! The tour: each step asks for something, checks what came back, and is a row of the table.
//!
//! The steps build on each other: what one has stored, the next finds.

mod caching;
mod outages;
mod purging;

use std::time::Duration;

use serde_json::Value;

use super::ask::{Door, Failed, Seen, get, http1, over_http1};
use super::fleet::EDGES;
use super::stage::Stage;
use crate::cli::say;

/// Where the text of a row begins that has more than one line.
const MARGIN: usize = 86;

/// Walks all steps and prints the table; true if every step was as it should be.
pub(super) async fn walk(stage: &mut Stage) -> bool {
    match Tour::new(stage) {
        Ok(mut tour) => tour.walk().await,
        Err(error) => {
            eprintln!("headland demo: {error}");
            false
        }
    }
}

/// What a step came to.
struct Told {
    took: Duration,
    /// A line of the table each.
    seen: Vec<String>,
    is_right: bool,
}

type Outcome = Result<Told, Failed>;

struct Tour<'a> {
    stage: &'a mut Stage,
    control: Door,
    /// Of the page that the origin has.
    version: u32,
    passed: bool,
}

impl<'a> Tour<'a> {
    fn new(stage: &'a mut Stage) -> Result<Self, Failed> {
        let token = std::fs::read_to_string(stage.token_file())?;
        let control = Door::new(stage.control(), &token)?;
        Ok(Self { stage, control, version: 1, passed: true })
    }

    async fn walk(&mut self) -> bool {
        say(&format!("   {:13} {:57} {:>9}  seen\n", "step", "what happens", "time"));
        let told = self.miss().await;
        self.row("miss", "edge-1 asks shield-1, and that the origin, once", told);
        let told = self.second_edge().await;
        self.row("second edge", "edge-2 finds it at shield-1; the origin rests", told);
        let told = self.hit().await;
        self.row("hit", "both edges answer from memory", told);
        let told = self.http2().await;
        self.row("HTTP/2", "the same over TLS and HTTP/2", told);
        let told = self.http3().await;
        self.row("HTTP/3", "the same over QUIC and HTTP/3", told);
        let told = self.revalidation().await;
        self.row("revalidation", "a stored page is asked for by its ETag: 304", told);
        let told = self.not_modified().await;
        self.row("not modified", "a client that has the page gets 304 from memory", told);
        let told = self.range().await;
        self.row("range", "4 bytes of a 32 MiB film at both edges: one slice fetched", told);
        let told = self.collapse().await;
        self.row("collapse", "100 clients at two edges want 10 MiB: one fetch", told);
        let told = self.tag_purge().await;
        self.row("tag purge", "a new version; the tag of its page is purged: receipt", told);
        let told = self.new_version().await;
        self.row("new version", "both edges serve it, fetched once", told);
        let told = self.soft_purge().await;
        self.row("soft purge", "an image is made stale everywhere, and validated", told);
        let told = self.edge_down().await;
        self.row("edge down", "edge-2 is stopped, and the tag purged without it", told);
        let told = self.edge_back().await;
        self.row("edge back", "edge-2 starts again: nothing purged came back with it", told);
        let told = self.kept().await;
        self.row("kept", "what was not purged is a hit there, from disk", told);
        let told = self.shield_down().await;
        self.row("shield down", "shield-1 is stopped: edges serve on, from the origin", told);
        let told = self.unknown_host().await;
        self.row("unknown host", "a host of no site is refused: 421", told);
        say(if self.passed { "All steps passed.\n" } else { "Some steps FAILED.\n" });
        self.passed
    }

    fn row(&mut self, step: &str, what: &str, outcome: Outcome) {
        let Told { took, seen, is_right } = outcome.unwrap_or_else(|error| Told {
            took: Duration::ZERO,
            seen: vec![error.to_string()],
            is_right: false,
        });
        self.passed &= is_right;
        let mark = if is_right { "ok" } else { "NO" };
        let millis = took.as_secs_f64() * 1000.0;
        let indent = format!("\n{:MARGIN$}", "");
        let seen = seen.join(&indent);
        say(&format!("{mark} {step:13} {what:57} {millis:6.1} ms  {seen}\n"));
    }

    /// Asks an edge over HTTP/1.1.
    async fn get(&self, edge: &str, path: &str) -> Result<Seen, Failed> {
        over_http1(&http1(self.stage.member(edge).http()), get(path)).await
    }

    /// Asks both edges, one after the other.
    async fn get_both(&self, path: &str) -> Result<[Seen; 2], Failed> {
        let [near, far] = EDGES;
        Ok([self.get(near, path).await?, self.get(far, path).await?])
    }
}

/// One answer, and whether it was right.
fn one(seen: &Seen, is_right: bool) -> Outcome {
    Ok(Told { took: seen.took, seen: vec![seen.to_string()], is_right })
}

/// The answers of both edges, and whether they were right.
fn both(seen: &[Seen; 2], is_right: bool) -> Outcome {
    let took = seen.iter().map(|seen| seen.took).sum();
    Ok(Told { took, seen: seen.iter().map(Seen::to_string).collect(), is_right })
}

/// A hit at the edge.
fn is_hit(seen: &Seen, edge: &str) -> bool {
    seen.status == 200 && seen.cache_status().starts_with(&format!("{edge}; hit"))
}

/// Missed by the edge, and served by a tier behind it or by the origin.
fn is_miss(seen: &Seen, edge: &str) -> bool {
    let status = seen.cache_status();
    let own = status.rsplit(", ").next().unwrap_or_default();
    seen.status == 200 && own.starts_with(&format!("{edge}; fwd=")) && own.ends_with("; stored")
}

/// A receipt in one line: `purge 1 complete: shield-1 0.9 ms, edge-1 1.2 ms, edge-2 pending`.
fn describe(receipt: &Value) -> String {
    let node = |node: &Value| {
        let (name, state) = (node["name"].as_str(), node["state"].as_str());
        let how = match node["ms"].as_f64() {
            Some(ms) => format!("{ms:.1} ms"),
            None => state.unwrap_or("-").to_owned(),
        };
        format!("{} {how}", name.unwrap_or("-"))
    };
    let nodes: Vec<_> = receipt["nodes"].as_array().into_iter().flatten().map(node).collect();
    let (number, state) = (&receipt["sequence"]["number"], receipt["state"].as_str());
    format!("purge {number} {}: {}", state.unwrap_or("-"), nodes.join(", "))
}

/// How many nodes of a receipt have a state.
fn count(receipt: &Value, state: &str) -> usize {
    let nodes = receipt["nodes"].as_array().into_iter().flatten();
    nodes.filter(|node| node["state"] == state).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn receipts_are_one_line() {
        let receipt = json!({
            "sequence": { "log": "f00", "number": 7 },
            "state": "pending",
            "nodes": [
                { "name": "shield-1", "state": "applied", "ms": 1.25 },
                { "name": "edge-2", "state": "pending", "ms": null },
            ],
        });
        assert_eq!(describe(&receipt), "purge 7 pending: shield-1 1.2 ms, edge-2 pending");
        assert_eq!([count(&receipt, "applied"), count(&receipt, "fenced")], [1, 0]);
    }
}
