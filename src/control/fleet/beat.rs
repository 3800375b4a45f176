//! What a node says of itself: registration, sign of life and acknowledgement in one.
//!
//! ```json
//! { "incarnation": "16 hex", "role": "edge", "region": "eu", "version": "0.1.0",
//!   "on_control_loss": "serve", "fenced": false,
//!   "position": { "log": "32 hex", "number": 7, "hash": "64 hex" },
//!   "applied_ms": 12, "status": {}, "succeeds": ["16 hex"], "leaves": false,
//!   "unmatched": [[5, 5], [7, 7]],
//!   "config": { "version": 7, "hash": "64 hex",
//!               "failed": { "version": 8, "hash": "64 hex", "fault": "…" } } }
//! ```
//!
//! `succeeds` names the processes whose identity file this one holds: it is locked, so those have
//! ended. Which of them was registered last a node may not know, as the answer may be lost.
//! `unmatched` are purges up to the position, in rows from the first to the last, that name nothing
//! which the node serves: it says so until that is answered. `leaves` is said by a node that serves
//! nothing any more. What else stands there is of a later version, and left alone.

use serde_json::{Map, Value};

use crate::config::published::Release;
use crate::object::{EntryHash, LogId};

/// Bytes of what a node says of itself for people to see.
const STATUS_MAX: usize = 8 << 10;
/// Bytes of a word.
const WORD_MAX: usize = 64;
/// Processes that one may succeed.
const SUCCEEDS_MAX: usize = 64;

/// Rows of purges that name nothing.
const ROWS_MAX: usize = 256;

/// Bytes of why a node cannot serve by a config.
const FAULT_MAX: usize = 2 << 10;

/// What a node says.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Random, of the process.
    pub incarnation: u64,
    /// The processes whose identity file this one holds.
    pub succeeds: Box<[u64]>,
    /// What it is for.
    pub role: Box<str>,
    /// Where it stands.
    pub region: Box<str>,
    /// Of the program.
    pub version: Box<str>,
    /// Whether it serves on without a lease.
    pub serves_on: bool,
    /// Whether it takes all it has stored for possibly purged.
    pub is_fenced: bool,
    /// How far it has applied and journaled which log.
    pub position: Option<(LogId, u64)>,
    /// The hash of the entry there: a log that was put back has the same numbers.
    pub hash: Option<EntryHash>,
    /// How long the last purge took it, in milliseconds.
    pub applied_ms: Option<f64>,
    /// Figures for people, as JSON.
    pub status: Option<Box<str>>,
    /// Whether it serves nothing any more.
    pub leaves: bool,
    /// Purges that it has applied, and that name nothing it serves: rows of numbers in order.
    pub unmatched: Box<[(u64, u64)]>,
    /// Which config it serves by; `None` of a node that takes none from here.
    pub config: Option<Box<ConfigReport>>,
}

/// Which config a node serves by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigReport {
    /// The one that it has applied.
    pub serves_by: Release,
    /// The one that it cannot serve by, and why.
    pub failed: Option<(Release, Box<str>)>,
}

/// A field that is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}")]
pub struct BeatFault {
    field: &'static str,
    expected: &'static str,
}

impl Heartbeat {
    /// Reads what a node said.
    ///
    /// # Errors
    /// The first field that is not as expected.
    pub fn from_json(body: &[u8]) -> Result<Self, BeatFault> {
        let fault = |field, expected| BeatFault { field, expected };
        let fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| fault("body", "a JSON object"))?;
        let read = Fields(&fields);
        let incarnation = fields.get("incarnation").and_then(incarnation);
        let incarnation = incarnation.ok_or(fault("incarnation", "16 hexadecimal digits"))?;
        let serves_on = match read.word("on_control_loss")?.as_deref() {
            Some("serve") => true,
            Some("revalidate") => false,
            _ => return Err(fault("on_control_loss", "\"serve\" or \"revalidate\"")),
        };
        let is_fenced = fields.get("fenced").and_then(Value::as_bool);
        let status = fields.get("status").filter(|status| !status.is_null());
        let status = status.map(|status| status.to_string().into_boxed_str());
        if status.as_ref().is_some_and(|status| status.len() > STATUS_MAX) {
            return Err(fault("status", "at most 8 KiB"));
        }
        Ok(Self {
            incarnation,
            succeeds: read.succeeds()?,
            role: read.word("role")?.ok_or(fault("role", "\"edge\" or \"shield\""))?,
            region: read.word("region")?.unwrap_or_default(),
            version: read.word("version")?.unwrap_or_default(),
            serves_on,
            is_fenced: is_fenced.ok_or(fault("fenced", "true or false"))?,
            position: read.position()?,
            hash: read.hash(),
            applied_ms: fields.get("applied_ms").and_then(Value::as_f64),
            status,
            leaves: fields.get("leaves").and_then(Value::as_bool).unwrap_or_default(),
            unmatched: read.unmatched()?,
            config: read.config()?,
        })
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// What stands there, if it is not nothing.
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn word(&self, field: &'static str) -> Result<Option<Box<str>>, BeatFault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(word)) if word.len() <= WORD_MAX => Ok(Some(word.as_str().into())),
            Some(_) => Err(BeatFault { field, expected: "a string of at most 64 bytes" }),
        }
    }

    fn succeeds(&self) -> Result<Box<[u64]>, BeatFault> {
        let expected = "at most 64 times 16 hexadecimal digits";
        let fault = BeatFault { field: "succeeds", expected };
        match self.get("succeeds") {
            None => Ok(Box::default()),
            Some(Value::Array(them)) if them.len() <= SUCCEEDS_MAX => {
                them.iter().map(incarnation).collect::<Option<_>>().ok_or(fault)
            }
            Some(_) => Err(fault),
        }
    }

    fn unmatched(&self) -> Result<Box<[(u64, u64)]>, BeatFault> {
        let expected = "at most 256 rows [first, last] in order";
        let fault = BeatFault { field: "unmatched", expected };
        let Some(rows) = self.get("unmatched") else { return Ok(Box::default()) };
        let rows: Vec<(u64, u64)> = serde_json::from_value(rows.clone()).map_err(|_| fault)?;
        let is_in_order = rows.iter().flat_map(|(first, last)| [first, last]).is_sorted()
            && rows.windows(2).all(|pair| pair[0].1 < pair[1].0);
        match rows.len() <= ROWS_MAX && is_in_order {
            true => Ok(rows.into()),
            false => Err(fault),
        }
    }

    fn config(&self) -> Result<Option<Box<ConfigReport>>, BeatFault> {
        let expected = "{ \"version\": …, \"hash\": 64 hex, \"failed\": { … } or nothing }";
        let fault = BeatFault { field: "config", expected };
        let Some(config) = self.get("config") else { return Ok(None) };
        let failed = config.get("failed").filter(|failed| !failed.is_null()).map(|failed| {
            let why = failed["fault"].as_str().filter(|why| why.len() <= FAULT_MAX);
            Release::from_json(failed).zip(why.map(Box::from)).ok_or(fault)
        });
        let serves_by = Release::from_json(config).ok_or(fault)?;
        Ok(Some(Box::new(ConfigReport { serves_by, failed: failed.transpose()? })))
    }

    fn hash(&self) -> Option<EntryHash> {
        self.get("position")?.get("hash")?.as_str()?.parse().ok()
    }

    fn position(&self) -> Result<Option<(LogId, u64)>, BeatFault> {
        let fault =
            BeatFault { field: "position", expected: "{ \"log\": 32 hex, \"number\": … }" };
        let Some(position) = self.get("position") else { return Ok(None) };
        let log = position.get("log").and_then(Value::as_str).and_then(|log| log.parse().ok());
        let number = position.get("number").and_then(Value::as_u64);
        Ok(Some(log.zip(number).ok_or(fault)?))
    }
}

fn incarnation(value: &Value) -> Option<u64> {
    let is_hex = |it: &&str| it.len() == 16 && it.bytes().all(|digit| digit.is_ascii_hexdigit());
    value.as_str().filter(is_hex).and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        json!({
            "incarnation": "00000000000000ff", "role": "edge", "region": "eu", "version": "0.1.0",
            "on_control_loss": "revalidate", "fenced": true,
            "position": { "log": "0".repeat(31) + "7", "number": 9 },
            "applied_ms": 1.5, "status": { "hits": 1 }, "succeeds": ["0000000000000001"],
            "unmatched": [[5, 5], [7, 9]], "of_a_later_version": [],
        })
    }

    #[test]
    fn a_heartbeat_is_read() {
        let beat = Heartbeat::from_json(whole().to_string().as_bytes()).unwrap();
        assert_eq!((beat.incarnation, &*beat.succeeds, beat.leaves), (255, &[1][..], false));
        assert_eq!((beat.serves_on, beat.is_fenced), (false, true));
        assert_eq!(beat.position, Some((LogId(7), 9)));
        assert_eq!((beat.applied_ms, beat.status.as_deref()), (Some(1.5), Some("{\"hits\":1}")));
        assert_eq!((beat.config, &*beat.unmatched), (None, &[(5, 5), (7, 9)][..]));
        let seven = Release::Published { version: 7, hash: blake3::hash(b"") };
        let eight = Release::Published { version: 8, hash: blake3::hash(b"x") };
        for failed in [None, Some((eight, Box::<str>::from("why")))] {
            let mut json = whole();
            json["config"] = seven.to_json();
            if let Some((failed, why)) = &failed {
                json["config"]["failed"] = failed.to_json();
                json["config"]["failed"]["fault"] = (**why).into();
            }
            let beat = Heartbeat::from_json(json.to_string().as_bytes()).unwrap();
            let expected = ConfigReport { serves_by: seven, failed };
            assert_eq!(beat.config, Some(Box::new(expected)));
        }
        let least = br#"{"incarnation":"0000000000000001","role":"edge","fenced":false,
            "on_control_loss":"serve","position":null}"#;
        let beat = Heartbeat::from_json(least).unwrap();
        assert_eq!((beat.position, beat.status, &*beat.region), (None, None, ""));
    }

    #[test]
    fn what_is_none_is_refused() {
        let cases = [
            ("incarnation", json!(null)),
            ("incarnation", json!("ff")),
            ("incarnation", json!("+00000000000000f")),
            ("succeeds", json!("0000000000000001")),
            ("succeeds", json!(["1"])),
            ("succeeds", json!(vec!["0000000000000001"; 65])),
            ("role", json!(null)),
            ("region", json!("x".repeat(65))),
            ("on_control_loss", json!("stop")),
            ("fenced", json!(null)),
            ("unmatched", json!([7])),
            ("unmatched", json!([[8, 7]])),
            ("unmatched", json!([[7, 8], [8, 9]])),
            ("unmatched", json!((0..257).map(|n| [2 * n, 2 * n]).collect::<Vec<_>>())),
            ("position", json!({ "log": "7", "number": 1 })),
            ("position", json!({ "log": "0".repeat(32), "number": -1 })),
            ("status", json!("x".repeat(9000))),
            ("config", json!(7)),
            ("config", json!({ "version": 7 })),
            ("config", json!({ "version": 0, "failed": { "version": 0 } })),
            (
                "config",
                json!({ "version": 0, "failed": { "version": 0, "fault": "x".repeat(2049) } }),
            ),
        ];
        for (field, value) in cases {
            let mut json = whole();
            json[field] = value;
            let fault = Heartbeat::from_json(json.to_string().as_bytes()).unwrap_err();
            assert_eq!(fault.field, field);
        }
        assert_eq!(Heartbeat::from_json(b"[]").unwrap_err().field, "body");
    }
}
