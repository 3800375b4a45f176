//! `/v1/config`: publish sites and origins, promote and roll back; what is published, and how far
//! the nodes are with it.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Asking, Door};
use crate::config::fault::Fault;
use crate::config::published::{Release, digest};
use crate::control::clock;
use crate::control::fleet::Node;
use crate::control::publish::rollout::{Progress, Share, Tally};
use crate::control::publish::shelf::Shelved;
use crate::control::publish::versions::{Stage, Version, Versions};
use crate::control::publish::{Actor, Proposal, PublishError, TEXT};
use crate::door::{Caller, Problem, answer, body, query};
use crate::message::{Body, Response};
use crate::telemetry::access_log::rfc3339;

/// Bytes of a request beside the text.
const REQUEST_MAX: usize = 4 << 10;

/// Bytes that one of a text may need in JSON, as it is written by those who write ASCII alone.
const ESCAPED_MAX: usize = 3;

/// What is done with what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Publish,
    Promote,
    Rollback,
}

impl Door {
    /// Publishes, promotes or rolls back.
    pub(super) async fn change(
        &self,
        change: Change,
        query: &str,
        content: Body,
        asking: &Asking,
    ) -> Result<Response, Problem> {
        let changed = self.change_config(change, query, content, asking).await;
        match &changed {
            Ok((told, _)) => self.note(asking, StatusCode::OK, told.clone()),
            Err(problem) => {
                let told: String = problem.detail.lines().take(1).collect();
                self.note(asking, problem.status, told);
            }
        }
        changed.map(|(_, response)| response)
    }

    /// What was done, in words, and the answer.
    async fn change_config(
        &self,
        change: Change,
        query: &str,
        content: Body,
        asking: &Asking,
    ) -> Result<(String, Response), Problem> {
        of_all_sites(&asking.caller)?;
        let publisher = self.parts.plane.publisher();
        let is_dry_run = is_dry_run(change, query)?;
        let content =
            body::read(content, publisher.bytes_max() * ESCAPED_MAX + REQUEST_MAX).await?;
        let fields = Fields::read(change, &content)?;
        let actor = Actor { by: asking.caller.name.clone(), at: clock::unix_ms() };
        let version = fields.number("version")?;
        let share = fields.share()?;
        let shelved = match change {
            Change::Publish => {
                let proposal =
                    Proposal { text: fields.text()?, share, after: fields.number("after")? };
                if is_dry_run {
                    return self.would_publish(proposal).await;
                }
                publisher.publish(proposal, actor).await
            }
            Change::Promote => publisher.promote(version, share).await,
            Change::Rollback => publisher.rollback(version, actor).await,
        };
        let shelved = shelved.map_err(refused)?;
        let versions = &shelved.versions;
        let told = tell(change, versions);
        let shown = versions.candidate().or(versions.current());
        let shown = shown.map(|version| self.show_rolled_out(versions, version));
        Ok((told, answer::envelope(StatusCode::OK, shown.unwrap_or_default(), json!({}))))
    }

    async fn would_publish(&self, proposal: Proposal) -> Result<(String, Response), Problem> {
        let publisher = self.parts.plane.publisher();
        let (published, proposal) = publisher.check(proposal).await.map_err(refused)?;
        let (sites, origins) = (published.sites.len(), published.origins.len());
        let data = json!({
            "dry_run": true,
            "hash": digest(&proposal.text).to_hex().as_str(),
            "sites": sites,
            "origins": origins,
            "after": publisher.look().versions.latest(),
        });
        let told = format!("dry run: {sites} sites and {origins} origins could be published");
        Ok((told, answer::envelope(StatusCode::OK, data, json!({}))))
    }

    /// What is published, the newest first.
    pub(super) fn config(&self, query: &str) -> Result<Response, Problem> {
        let page = query::page(query)?;
        let shelved = self.parts.plane.publisher().all().map_err(refused)?;
        let versions = &shelved.versions;
        let mut wanted = versions.iter().rev().filter(|version| version.number < page.before);
        let shown: Vec<_> =
            wanted.by_ref().take(page.limit).map(|version| show(versions, version)).collect();
        let next = shown.last().filter(|_| wanted.next().is_some()).map(|last| &last["version"]);
        let meta = json!({ "limit": page.limit, "next": next.map(Value::to_string) });
        let rolled_out = |version| self.show_rolled_out(versions, version);
        let data = json!({
            "current": versions.current().map(rolled_out),
            "candidate": versions.candidate().map(rolled_out),
            "versions": shown,
        });
        Ok(answer::envelope(StatusCode::OK, data, meta))
    }

    /// One version, with its text.
    pub(super) fn config_text(&self, number: u64, caller: &Caller) -> Result<Response, Problem> {
        of_all_sites(caller)?;
        let shelved = self.parts.plane.publisher().all().map_err(refused)?;
        let Shelved { versions, texts } = &*shelved;
        let Some((version, text)) = versions.get(number).zip(texts.get(&number)) else {
            let detail = format!("No version {number} of the config is kept.");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let mut shown = show(versions, version);
        shown[TEXT] = (**text).into();
        Ok(answer::envelope(StatusCode::OK, shown, json!({})))
    }

    /// A version that nodes are to have, and how far they are.
    fn show_rolled_out(&self, versions: &Versions, version: &Version) -> Value {
        let wanted = Some(version.release());
        let mut tally = Tally::default();
        self.parts.plane.look(|fleet, _| {
            for node in fleet.nodes() {
                if versions.wanted(&node.registration().name) == wanted {
                    tally.count(progress(node, wanted));
                }
            }
        });
        let Tally { applied, pending, failed } = tally;
        let mut shown = show(versions, version);
        shown["nodes"] = json!({ "applied": applied, "pending": pending, "failed": failed });
        shown
    }
}

/// How a node stands to the config that it is to have.
pub(super) fn show_node(node: &Node, versions: &Versions) -> Value {
    let wanted = versions.wanted(&node.registration().name);
    let progress = progress(node, wanted);
    let report = node.told().and_then(|(beat, _)| beat.config.as_deref());
    let fault = match progress {
        Progress::Failed(fault) => Some(fault),
        Progress::Applied | Progress::Pending => None,
    };
    json!({
        "version": report.map(|report| report.serves_by.number()),
        "wanted": wanted.map(Release::number),
        "state": wanted.map(|_| progress.as_str()),
        "fault": fault,
    })
}

fn progress(node: &Node, wanted: Option<Release>) -> Progress<'_> {
    Progress::of(wanted, node.told().and_then(|(beat, _)| beat.config.as_deref()))
}

fn show(versions: &Versions, version: &Version) -> Value {
    let stage = versions.stage(version);
    let share = match stage {
        Stage::Candidate(share) => share,
        Stage::Current | Stage::Past | Stage::Dropped => version.share,
    };
    json!({
        "version": version.number,
        "hash": version.hash.to_hex().as_str(),
        "bytes": version.bytes,
        "by": version.by,
        "at": rfc3339(version.at / 1000),
        "share": share.as_percent(),
        "restores": version.restores,
        "state": match stage {
            Stage::Candidate(_) => "candidate",
            Stage::Current => "current",
            Stage::Past => "past",
            Stage::Dropped => "dropped",
        },
    })
}

/// What a change has led to, for the audit.
fn tell(change: Change, versions: &Versions) -> String {
    let for_whom = |version: &Version| match versions.stage(version) {
        Stage::Candidate(share) => format!("{} percent of the nodes", share.as_percent()),
        _ => "all nodes".to_owned(),
    };
    match (change, versions.candidate().or(versions.current())) {
        (Change::Rollback, None) => "the candidate is dropped".to_owned(),
        (Change::Rollback, Some(version)) => match version.restores {
            Some(restores) if version.number == versions.latest() => {
                let number = version.number;
                format!("version {number} for all nodes: the text of version {restores}")
            }
            _ => format!("the candidate is dropped: version {} for all nodes", version.number),
        },
        (_, Some(version)) => format!("version {} for {}", version.number, for_whom(version)),
        (_, None) => String::new(),
    }
}

/// What is published is of every site.
fn of_all_sites(caller: &Caller) -> Result<(), Problem> {
    if caller.sites.is_empty() {
        return Ok(());
    }
    let detail = "authorization: expected a token for all sites, found one that is limited to some";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn is_dry_run(change: Change, query: &str) -> Result<bool, Problem> {
    let mut is_dry_run = false;
    for (name, value) in query::pairs(query) {
        match (change, name) {
            (Change::Publish, "dry_run") => is_dry_run = query::flag(name, value)?,
            (Change::Publish, _) => return Err(query::unknown(name, "dry_run")),
            _ => return Err(query::unknown(name, "none")),
        }
    }
    Ok(is_dry_run)
}

/// The fields of a request.
struct Fields(Map<String, Value>);

impl Fields {
    fn read(change: Change, content: &[u8]) -> Result<Self, Problem> {
        let known: &[&str] = match change {
            Change::Publish => &[TEXT, "share", "after"],
            Change::Promote => &["version", "share"],
            Change::Rollback => &["version"],
        };
        let fields: Option<Map<_, _>> = match content {
            [] => Some(Map::new()),
            content => serde_json::from_slice(content).ok(),
        };
        let fields = fields.ok_or_else(|| invalid("body", "a JSON object"))?;
        if let Some(other) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            let known = known.join(", ");
            return Err(invalid(other, &format!("no such field; there are: {known}")));
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self) -> Result<String, Problem> {
        let text = self.get(TEXT).and_then(Value::as_str);
        let expected = "a text with [[origin]] and [[site]] tables";
        text.map(str::to_owned).ok_or_else(|| invalid(TEXT, expected))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let number =
            |value: &Value| value.as_u64().ok_or_else(|| invalid(name, "the number of a version"));
        self.get(name).map(number).transpose()
    }

    /// All, where nothing is said.
    fn share(&self) -> Result<Share, Problem> {
        let share = |value: &Value| {
            let share = value.as_u64().and_then(Share::percent);
            share.ok_or_else(|| invalid("share", "a number of percent, from 1 to 100"))
        };
        self.get("share").map_or(Ok(Share::ALL), share)
    }
}

fn invalid(name: &str, expected: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("{name}: expected {expected}"))
}

fn refused(error: PublishError) -> Problem {
    let status = match &error {
        PublishError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        PublishError::Faulty(_) => StatusCode::UNPROCESSABLE_ENTITY,
        PublishError::Refused(_) => StatusCode::CONFLICT,
        PublishError::Unknown(_) | PublishError::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    match error {
        PublishError::Faulty(report) => {
            let faults = report.faults.iter().map(show_fault).collect();
            Problem::new(status, report.to_string()).telling("faults", faults)
        }
        error => Problem::new(status, error.to_string()),
    }
}

fn show_fault(fault: &Fault) -> Value {
    json!({
        "line": fault.place.line,
        "column": fault.place.column,
        "key": fault.key,
        "expected": fault.expected,
        "wrong": fault.wrong,
    })
}
