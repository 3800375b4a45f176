//! `/v1/nodes`: what nodes say of themselves, and how they stand.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::config::show_node;
use super::{Asking, Door};
use crate::config::published::Release;
use crate::control::NotGranted;
use crate::control::fleet::{Heartbeat, Node, Refusal, Standing};
use crate::control::publish::versions::Versions;
use crate::door::{Problem, answer, body, query};
use crate::message::{Body, Response};
use crate::object::Position;

/// Bytes of a heartbeat.
const BEAT_MAX: usize = 16 << 10;

impl Door {
    /// Registration, sign of life and acknowledgement in one.
    pub(super) async fn beat(
        &self,
        name: &str,
        content: Body,
        asking: &Asking,
    ) -> Result<Response, Problem> {
        let content = body::read(content, BEAT_MAX).await?;
        let beat = Heartbeat::from_json(&content)
            .map_err(|fault| Problem::new(StatusCode::BAD_REQUEST, fault.to_string()))?;
        if beat.leaves {
            return self.left(name, beat.incarnation, asking).await;
        }
        let granted = self.parts.plane.heartbeat(name, beat).await;
        self.parts.metrics.heartbeat(granted.is_ok());
        match granted {
            Ok(grant) => {
                let Position { log, number, hash } = grant.head;
                let versions = &self.parts.plane.publisher().look().versions;
                let data = json!({
                    "granted": true,
                    "lease_ms": grant.lease.as_millis() as u64,
                    "log": log.to_string(),
                    "head": number,
                    "head_hash": hash.to_string(),
                    "since": grant.since,
                    "config": versions.wanted(name).map(Release::to_json),
                });
                Ok(answer::envelope(StatusCode::OK, data, json!({})))
            }
            Err(why) => Err(self.refused(name, why, asking)),
        }
    }

    /// A node serves nothing any more. Who is not registered need not be struck off.
    async fn left(
        &self,
        name: &str,
        incarnation: u64,
        asking: &Asking,
    ) -> Result<Response, Problem> {
        let left = self.parts.plane.leave(name, incarnation).await;
        let left = left.map_err(|why| self.refused(name, why, asking))?;
        if left {
            self.note(asking, StatusCode::OK, format!("node {name:?} has left"));
        }
        let data = json!({ "granted": false, "name": name, "state": "left" });
        Ok(answer::envelope(StatusCode::OK, data, json!({})))
    }

    /// Strikes a node off.
    pub(super) async fn remove(&self, name: &str, asking: &Asking) -> Result<Response, Problem> {
        let removed = self.parts.plane.remove(name, &asking.caller.name).await;
        let removed = removed.map_err(|why| self.refused(name, why, asking))?;
        if !removed {
            let detail = format!("No node of the name {name:?} is registered.");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
        self.note(asking, StatusCode::OK, format!("node {name:?} was struck off"));
        let data = json!({ "name": name, "state": "removed" });
        Ok(answer::envelope(StatusCode::OK, data, json!({})))
    }

    fn refused(&self, name: &str, why: NotGranted, asking: &Asking) -> Problem {
        let problem = not_granted(name, why);
        self.note(asking, problem.status, problem.detail.clone());
        problem
    }

    /// Every node, in the order of the names.
    pub(super) fn nodes(&self, query: &str) -> Result<Response, Problem> {
        let (limit, after) = names_page(query)?;
        let head = self.parts.plane.head().number;
        let shelved = self.parts.plane.publisher().look();
        let mut shown = self.parts.plane.look(|fleet, now| {
            let behind = fleet.nodes().filter(|node| *node.registration().name > *after);
            let show = |node| show(node, head, now, &shelved.versions);
            behind.take(limit + 1).map(show).collect::<Vec<_>>()
        });
        let more = shown.len() > limit;
        shown.truncate(limit);
        let next = shown.last().filter(|_| more).map(|last| last["name"].clone());
        let meta = json!({ "limit": limit, "next": next });
        Ok(answer::envelope(StatusCode::OK, Value::Array(shown), meta))
    }
}

fn show(node: &Node, head: u64, now: Duration, versions: &Versions) -> Value {
    let registration = node.registration();
    let on_control_loss = if registration.serves_on { "serve" } else { "revalidate" };
    let mut shown = json!({
        "name": *registration.name,
        "incarnation": format!("{:016x}", registration.incarnation),
        "on_control_loss": on_control_loss,
        "state": node.standing(now).as_str(),
        "position": node.applied(),
        "lag": head.saturating_sub(node.applied()),
        "config": show_node(node, versions),
    });
    if let Some((beat, at)) = node.told() {
        shown["role"] = (*beat.role).into();
        shown["region"] = (*beat.region).into();
        shown["version"] = (*beat.version).into();
        shown["fenced"] = (node.standing(now) == Standing::Fenced).into();
        shown["heard_ms_ago"] = (now.saturating_sub(at).as_millis() as u64).into();
        shown["applied_ms"] = beat.applied_ms.into();
        let status = beat.status.as_deref().and_then(|status| serde_json::from_str(status).ok());
        shown["status"] = status.unwrap_or_default();
    }
    shown
}

fn not_granted(name: &str, why: NotGranted) -> Problem {
    match why {
        NotGranted::Refused(Refusal::Taken(left)) => {
            let left = left.as_millis();
            let detail = format!(
                "incarnation: expected the one process of the name {name:?}; another has a lease, \
                 for {left} ms yet"
            );
            Problem::new(StatusCode::CONFLICT, detail)
        }
        NotGranted::Refused(Refusal::Serves { incarnation, heard }) => {
            let heard = match heard {
                Some(ago) => format!("was heard {} ms ago", ago.as_millis()),
                None => "has not been heard since the control plane started".to_owned(),
            };
            let detail = format!(
                "incarnation: expected the process {incarnation:016x}, which has the name {name:?} \
                 and serves on, or one that succeeds it with the same cache folder or \
                 control.identity_file; it {heard} and may serve what it stored. Once it surely \
                 has ended, strike it off: DELETE /v1/nodes/{name}"
            );
            Problem::new(StatusCode::CONFLICT, detail)
        }
        NotGranted::Refused(Refusal::Full) => {
            let detail = "node: as many are registered as fleet.nodes allows";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
        NotGranted::Failed(how) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("node: {how}"))
        }
    }
}

/// `limit`, and as `cursor` the name of the last node of the page before.
fn names_page(query: &str) -> Result<(usize, String), Problem> {
    let is_cursor = |(name, _): &(&str, &str)| *name == "cursor";
    let after = query::pairs(query).find(is_cursor).map_or("", |(_, name)| name).to_owned();
    let others = query.split('&').filter(|pair| !pair.starts_with("cursor="));
    let page = query::page(&others.collect::<Vec<_>>().join("&"))?;
    Ok((page.limit, after))
}
