//! Backups of a control plane: its log, its registrations and what it has published in one file,
//! which a restore brings back with the log under a new identity.
//!
//! ```text
//!  headland backup 1 <BLAKE3 of the lines below>
//!  {"at":1795000000000,"base":{"hash":"64 hex","number":3},"lease_ms":10000,"log":"32 hex"}
//!  {"node":{"incarnation":"16 hex","name":"fra-1","serves_on":true}}
//!  {"published":{"texts":{"7":"…"},"versions":"…"}}
//!  {"rule":{"command":{…},"number":3}}
//!  {"entry":{"at":…,"by":"…","commands":[…],"first":4,"previous":"64 hex"}}
//! ```
//!
//! What was purged after the backup is not in it, so what nodes know of the log proves nothing: the
//! new identity makes them take all they have stored for possibly purged. What the log held is
//! brought back for people, the registrations for the promise: a purge waits for every node that
//! was registered at the backup. A node that was registered since is not known. No purge completes
//! within one lease of the first start ([`Registration::unknown`]), the longest that is known to
//! have been granted: if the node does not serve on, its lease has run out by then; if it does, it
//! is heard by then, and all wait for it, unless it cannot reach the control plane; and an operator
//! is told so.
//!
//! Whoever changes the format raises `VERSION`.

mod homes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use homes::{BackupError, Restored, restore, take};

use super::fleet::Registration;
use super::fleet::registrations;
use super::log::{Kept, Logged};
use super::publish::shelf::Shelved;
use crate::object::{Entry, Position, PurgeCommand};

pub(in crate::control) const MAGIC: &str = "headland backup ";
pub(in crate::control) const VERSION: &str = "1";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// When it was taken, in milliseconds since 1970.
    pub at: u64,
    /// The lease that nodes were granted then.
    pub lease: Duration,
    /// The nodes that were registered.
    pub nodes: Vec<Registration>,
    /// Sites and origins that were published.
    pub published: Shelved,
    /// The log.
    pub log: Kept,
}

/// Why a file is not a backup to restore.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Something else.
    #[error("it is no backup of a control plane")]
    Foreign,
    /// It is of another version of the program.
    #[error("its format is version {0}, this program's is {VERSION}")]
    Version(String),
    /// It is cut, or a byte of it is another.
    #[error("it is damaged: its checksum is wrong")]
    Damaged,
    /// What the checksum covers is not as this version writes it.
    #[error("line {0} is not as a backup has it")]
    Line(usize),
}

impl Backup {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let Position { log, number, hash } = self.log.base;
        let head = json!({
            "at": self.at,
            "base": { "hash": hash.to_string(), "number": number },
            "lease_ms": self.lease.as_millis() as u64,
            "log": log.to_string(),
        });
        let mut lines = format!("{head}\n");
        // Writing to a string does not fail.
        for node in &self.nodes {
            let node = json!({ "node": registrations::to_json(node) });
            let _written = writeln!(lines, "{node}").is_ok();
        }
        if !self.published.texts.is_empty() {
            let published = json!({ "published": self.published.to_json() });
            let _written = writeln!(lines, "{published}").is_ok();
        }
        for (number, command) in &self.log.rules {
            let rule = json!({ "rule": { "command": command.to_json(), "number": number } });
            let _written = writeln!(lines, "{rule}").is_ok();
        }
        for entry in &self.log.entries {
            let _written = writeln!(lines, "{{\"entry\":{}}}", entry.to_json()).is_ok();
        }
        format!("{MAGIC}{VERSION} {}\n{lines}", blake3::hash(lines.as_bytes()).to_hex())
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    /// Why it is none.
    pub fn decode(file: &[u8]) -> Result<Self, Unusable> {
        let rest = file.strip_prefix(MAGIC.as_bytes()).ok_or(Unusable::Foreign)?;
        let end = memchr::memchr(b'\n', rest).ok_or(Unusable::Damaged)?;
        let (head, lines) = (str::from_utf8(&rest[..end]), &rest[end + 1..]);
        let head = head.ok().and_then(|head| head.split_once(' '));
        let (version, hash) = head.ok_or(Unusable::Foreign)?;
        if version != VERSION {
            return Err(Unusable::Version(version.to_owned()));
        }
        if blake3::hash(lines).to_hex().as_str() != hash {
            return Err(Unusable::Damaged);
        }
        let lines = str::from_utf8(lines).map_err(|_| Unusable::Damaged)?;
        let mut lines = lines.lines().zip(2..);
        let first = lines.next().ok_or(Unusable::Line(2))?;
        let mut backup = Self::begin(first.0).ok_or(Unusable::Line(2))?;
        let mut head = backup.log.base;
        for (line, number) in lines {
            backup.take(line, &mut head).ok_or(Unusable::Line(number))?;
        }
        Ok(backup)
    }

    fn begin(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        let base = Position {
            log: json["log"].as_str()?.parse().ok()?,
            number: json["base"]["number"].as_u64()?,
            hash: json["base"]["hash"].as_str()?.parse().ok()?,
        };
        Some(Self {
            at: json["at"].as_u64()?,
            lease: Duration::from_millis(json["lease_ms"].as_u64()?),
            nodes: Vec::new(),
            published: Shelved::default(),
            log: Kept { base, rules: Vec::new(), entries: Vec::new() },
        })
    }

    /// Takes in a line; `head` is the position behind the entries before it.
    fn take(&mut self, line: &str, head: &mut Position) -> Option<()> {
        if let Some(entry) = line.strip_prefix("{\"entry\":") {
            let entry = Entry::from_json(entry.strip_suffix('}')?.as_bytes()).ok()?;
            *head = head.then(&entry)?;
            self.log.entries.push(Arc::new(Logged::new(entry)));
            return Some(());
        }
        let json: Value = serde_json::from_str(line).ok()?;
        if let Some(node) = json.get("node") {
            self.nodes.push(registrations::from_json(node)?);
        } else if let Some(published) = json.get("published") {
            self.published = Shelved::from_json(published)?;
        } else {
            let rule = json.get("rule")?;
            let command = PurgeCommand::from_json(rule.get("command")?).ok()?;
            self.log.rules.push((rule["number"].as_u64()?, command));
        }
        Some(())
    }
}

/// All nodes that were registered, by the backup or since, and one that stands for those that are
/// not known, whose leases are at most `lease` or as long as the longest that is known. Of two
/// processes of one name the one that stands in the registry came later.
fn joined(
    backup: Vec<Registration>,
    registry: Vec<Registration>,
    lease: Duration,
) -> Vec<Registration> {
    let all = [backup, registry].concat();
    let lease = all.iter().map(|node| node.lease).fold(lease, Duration::max);
    let all = all.into_iter().chain([Registration::unknown(lease)]);
    let by_name: BTreeMap<_, _> = all.map(|node| (node.name.clone(), node)).collect();
    by_name.into_values().collect()
}
