//! What purges would hit, on all nodes: asked by `/v1/purges?dry_run=true`, told by each node at
//! `/v1/nodes/{name}/surveys/{id}`.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::Door;
use crate::control::fleet::{Node, Standing};
use crate::control::survey::{Survey, Tally, Unasked};
use crate::door::{Problem, answer, body, query};
use crate::message::{Body, Response};
use crate::object::PurgeCommand;

/// How long nodes are waited for where nothing is said: they look for 5 seconds at most.
const PATIENCE: Duration = Duration::from_secs(6);

/// Bytes of what a node tells: a thousand figures.
const TOLD_MAX: usize = 128 << 10;

impl Door {
    /// What purges would hit. A list in, a list out.
    pub(super) async fn survey(
        &self,
        query: &str,
        commands: &[PurgeCommand],
        is_list: bool,
    ) -> Result<Response, Problem> {
        let patience = query::asking(query, PATIENCE)?.patience;
        let nodes = self.parts.plane.look(|fleet, now| {
            // Who is not heard will not tell.
            let is_heard = |node: &Node| match node.standing(now) {
                Standing::Live => true,
                Standing::Fenced => node.told().is_some_and(|(beat, _)| beat.is_fenced),
                Standing::Held | Standing::Lost => false,
            };
            let each = fleet.nodes().map(|node| (node.registration().name.clone(), is_heard(node)));
            each.collect::<Vec<_>>()
        });
        let survey = self.surveys.ask(commands, nodes.into_iter(), patience).await;
        let survey = survey.map_err(|_| {
            let detail = "dry_run: too many are under way; expected a retry later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with("retry-after", "1")
        })?;
        let shown = commands.iter().enumerate().map(|(index, it)| show(it, &survey, index));
        Ok(answer::envelope(StatusCode::OK, answer::listed(shown.collect(), is_list), json!({})))
    }

    /// What a node tells.
    pub(super) async fn surveyed(
        &self,
        name: &str,
        id: u64,
        content: Body,
    ) -> Result<Response, Problem> {
        let bad = |expected: &str| Problem::new(StatusCode::BAD_REQUEST, expected);
        let content = body::read(content, TOLD_MAX).await?;
        let json: Value =
            serde_json::from_slice(&content).map_err(|_| bad("body: expected a JSON object"))?;
        let told = match json.get("fault") {
            Some(Value::String(fault)) => Err(fault.chars().take(200).collect()),
            Some(_) => return Err(bad("fault: expected a string")),
            None => {
                let expected = "hits: expected a list of \"objects\" and \"bytes\"";
                let hits = json["hits"].as_array().ok_or_else(|| bad(expected))?;
                let hits: Option<Vec<_>> = hits.iter().map(tally).collect();
                let is_estimate = json["estimate"].as_bool();
                let is_estimate =
                    is_estimate.ok_or_else(|| bad("estimate: expected true or false"))?;
                Ok((hits.ok_or_else(|| bad(expected))?, is_estimate))
            }
        };
        self.surveys.tell(id, name, told).map_err(|unasked| match unasked {
            Unasked::Unknown => {
                let detail = "survey: expected one that is under way, and asks this node";
                Problem::new(StatusCode::NOT_FOUND, detail)
            }
            Unasked::Count(count) => bad(&format!("hits: expected {count} of them")),
        })?;
        let data = json!({ "name": name, "survey": format!("{id:016x}") });
        Ok(answer::envelope(StatusCode::OK, data, json!({})))
    }
}

fn tally(hit: &Value) -> Option<Tally> {
    Some(Tally { objects: hit["objects"].as_u64()?, bytes: hit["bytes"].as_u64()? })
}

/// What one purge would hit.
fn show(command: &PurgeCommand, survey: &Survey, index: usize) -> Value {
    let sum = survey.sums.get(index).copied().unwrap_or_default();
    let (nodes, left_out) = survey.rows(index);
    let mut shown = json!({
        "kind": command.target.kind(),
        "value": command.value,
        "objects": sum.objects,
        "bytes": sum.bytes,
        "estimate": survey.is_estimate(),
        "nodes": nodes,
    });
    if left_out > 0 {
        shown["nodes_left_out"] = left_out.into();
    }
    shown
}
