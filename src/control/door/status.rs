//! What the control plane tells of itself: `/healthz`, `/readyz`, `/metrics` and `/v1/status`.

use http::StatusCode;
use serde_json::{Value, json};

use super::Door;
use crate::control::audit::Event;
use crate::control::fleet::Standing;
use crate::door::{Problem, State, answer};
use crate::message::Response;
use crate::telemetry::access_log::rfc3339;

const STANDINGS: [Standing; 4] = [Standing::Live, Standing::Held, Standing::Fenced, Standing::Lost];

impl Door {
    pub(super) fn health(&self) -> Response {
        answer::health(self.parts.life.state())
    }

    pub(super) fn ready(&self) -> Result<Response, Problem> {
        let detail = |state: &str| format!("The control plane is {state}.");
        answer::ready(self.parts.life.state(), detail)
    }

    /// The metrics; those that only a look tells are taken now.
    pub(super) fn metrics(&self) -> Response {
        let metrics = &self.parts.metrics;
        for (standing, count) in self.standings() {
            metrics.nodes(standing.as_str()).set(count as i64);
        }
        let pending = self.parts.plane.look(|fleet, _| fleet.pending());
        metrics.receipts_pending().set(pending as i64);
        metrics.purge_head().set(self.parts.plane.head().number.cast_signed());
        answer::metrics(metrics.render())
    }

    /// The keys that a node's status has, and those of a control plane.
    pub(super) fn status(&self) -> Response {
        let head = self.parts.plane.head();
        let nodes: serde_json::Map<_, _> = self
            .standings()
            .into_iter()
            .map(|(standing, count)| (standing.as_str().to_owned(), count.into()))
            .collect();
        let pending = self.parts.plane.look(|fleet, _| fleet.pending());
        let publisher = self.parts.plane.publisher();
        let published = publisher.look();
        let version = published.versions.current();
        let data = json!({
            "version": self.parts.version,
            "name": "control",
            "region": "",
            "role": "control",
            "state": self.state(),
            "fenced": false,
            "config_version": version.map(|version| version.number.to_string()),
            "config_fault": publisher.fault(),
            "tiers": [],
            "upstreams": [],
            "purge": {
                "log": head.log.to_string(),
                "position": head.number,
                "head": head.number,
            },
            "nodes": nodes,
            "feeds": self.parts.metrics.feeds().get(),
            "receipts_pending": pending,
        });
        answer::envelope(StatusCode::OK, data, json!({}))
    }

    fn standings(&self) -> [(Standing, usize); 4] {
        self.parts.plane.look(|fleet, now| {
            STANDINGS.map(|standing| {
                let standing_so = fleet.nodes().filter(|node| node.standing(now) == standing);
                (standing, standing_so.count())
            })
        })
    }

    fn state(&self) -> &'static str {
        match self.parts.life.state() {
            State::Serving if !self.parts.plane.leads() => "standby",
            state => state.as_str(),
        }
    }
}

/// An event of the audit.
pub(super) fn show_event(number: u64, event: &Event) -> Value {
    json!({
        "number": number,
        "at": rfc3339(event.at / 1000),
        "by": event.by,
        "address": event.address.to_string(),
        "what": event.what,
        "status": event.status,
        "detail": event.detail,
        "trace_id": event.trace.map(|trace| format!("{trace:032x}")),
    })
}
