//! What a node and the control plane tell each other, as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::object::{Entry, EntryHash, LogId, Position, PurgeCommand};

/// What a node tells of itself with every heartbeat.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its name: one process at a time has it.
    pub name: String,
    /// Its region.
    pub region: String,
    /// `edge` or `shield`.
    pub role: &'static str,
    /// The version of the program.
    pub version: &'static str,
}

/// Tells a process from the others that had its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// Random, of this process.
    pub own: u64,
    /// Of the processes that surely have ended, any of which may be the one that was registered
    /// last.
    pub succeeds: Vec<u64>,
}

/// A heartbeat: registration, acknowledgement and the ask for a lease in one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat<'a> {
    pub(super) process: &'a Incarnation,
    pub(super) leaves: bool,
    pub(super) on_control_loss: &'static str,
    pub(super) fenced: bool,
    pub(super) position: Option<Position>,
}

impl Heartbeat<'_> {
    pub(super) fn to_json(self, facts: &NodeFacts) -> Value {
        let position = self.position.map(|position| {
            json!({
                "log": position.log.to_string(),
                "number": position.number,
                "hash": position.hash.to_string(),
            })
        });
        let succeeds: Vec<_> = self.process.succeeds.iter().map(hex).collect();
        json!({
            "incarnation": hex(&self.process.own),
            "succeeds": succeeds,
            "role": facts.role,
            "region": facts.region,
            "version": facts.version,
            "on_control_loss": self.on_control_loss,
            "fenced": self.fenced,
            "position": position,
            "leaves": self.leaves,
        })
    }
}

fn hex(incarnation: &u64) -> String {
    format!("{incarnation:016x}")
}

/// The answer to a heartbeat that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) lease: Duration,
    pub(super) head: u64,
    pub(super) log: LogId,
    /// The hash of the entry at the head.
    pub(super) hash: EntryHash,
    /// To be applied before anything is trusted.
    pub(super) since: u64,
}

impl Grant {
    /// Reads the body of an answer, and what it says beside the grant; `None` if the lease was not
    /// granted.
    pub(super) fn read(body: &[u8]) -> Result<Option<(Self, Value)>, Unreadable> {
        let mut answer: Value = serde_json::from_slice(body).map_err(|_| Unreadable("a grant"))?;
        let data = &answer["data"];
        let granted = data["granted"].as_bool().ok_or(Unreadable("data.granted"))?;
        let lease = data["lease_ms"].as_u64().ok_or(Unreadable("data.lease_ms"))?;
        let head = data["head"].as_u64().ok_or(Unreadable("data.head"))?;
        let log = log_of(data).ok_or(Unreadable("data.log"))?;
        let hash = data["head_hash"].as_str().and_then(|hash| hash.parse().ok());
        let hash = hash.ok_or(Unreadable("data.head_hash"))?;
        let since = data["since"].as_u64().ok_or(Unreadable("data.since"))?;
        let lease = Duration::from_millis(lease);
        let config = answer["data"]["config"].take();
        Ok(granted.then_some((Self { lease, head, log, hash, since }, config)))
    }
}

/// A line of the log as it is streamed to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing new; the connection lives.
    Alive,
    /// The node goes on behind its own position.
    Resumes,
    /// What this node has is not of this log, which stands here.
    Foreign(Position),
    /// Purges that still matter, and the position of whoever knows all of them, follow.
    Snapshot,
    /// One of them.
    Matters(PurgeCommand),
    /// The position behind them.
    Behind(Position),
    /// The next entry.
    Entry(Entry),
    /// Not of the log: what would these hit?
    Survey(Survey),
}

/// Purges that are not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// How the control plane knows the answer.
    pub(super) id: String,
    /// The purges, or why they are not known here.
    pub(super) commands: Result<Vec<PurgeCommand>, String>,
}

impl Line {
    pub(super) fn read(line: &[u8]) -> Result<Self, Unreadable> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(Self::Alive);
        }
        if let Ok(entry) = Entry::from_json(line) {
            return Ok(Self::Entry(entry));
        }
        let json: Value = serde_json::from_slice(line).map_err(|_| Unreadable("a line"))?;
        if let Some(id) = json.get("survey") {
            let id = id.as_str().ok_or(Unreadable("survey"))?.to_owned();
            let list = json["commands"].as_array().ok_or(Unreadable("commands"))?;
            let commands = PurgeCommand::list_from_json(list);
            return Ok(Self::Survey(Survey {
                id,
                commands: commands.map_err(|(_, fault)| fault.to_string()),
            }));
        }
        if let Some(command) = json.get("command") {
            let command = PurgeCommand::from_json(command);
            return command.map(Self::Matters).map_err(|_| Unreadable("command"));
        }
        match json["resume"].as_str() {
            Some("entries") => Ok(Self::Resumes),
            Some("snapshot") => Ok(Self::Snapshot),
            Some("foreign") => position_of(&json).map(Self::Foreign),
            Some(_) => Err(Unreadable("resume")),
            None => position_of(&json).map(Self::Behind),
        }
    }
}

/// Something of the control plane's that is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} as this version knows it")]
pub(super) struct Unreadable(&'static str);

fn log_of(json: &Value) -> Option<LogId> {
    json["log"].as_str()?.parse().ok()
}

fn position_of(json: &Value) -> Result<Position, Unreadable> {
    let log = log_of(json).ok_or(Unreadable("log"))?;
    let number = json["head"].as_u64().ok_or(Unreadable("head"))?;
    let hash = json["head_hash"].as_str().and_then(|hash| hash.parse::<EntryHash>().ok());
    Ok(Position { log, number, hash: hash.ok_or(Unreadable("head_hash"))? })
}
