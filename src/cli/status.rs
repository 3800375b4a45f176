//! `headland status`: how a node fares, or the fleet of a control plane.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::door::{Door, DoorArgs, DoorError, conclude};
use super::nodes;
use super::table::{Section, bytes, rows, text};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The role of a control plane.
const CONTROL: &str = "control";

/// Show how a node fares: state, tiers, upstreams, purges; or, of a control plane, the fleet
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland status
  headland status --control https://control.internal:9190 --token-file view.token
  headland status --node https://edge-1.internal:9180 --ca ca.pem --token-file view.token
  headland status --json | jq .data.tiers")]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: DoorArgs,
}

pub(super) fn run(args: &Args) -> ExitCode {
    conclude("status", ask(args))
}

fn ask(args: &Args) -> Result<String, DoorError> {
    let door = Door::new(&args.door, PATIENCE)?;
    let told = door.get("/v1/status")?;
    if args.json {
        return Ok(format!("{}\n", told.whole));
    }
    let mut text = describe(&told.data);
    // One that stands by does not know how the nodes are.
    if told.data["role"] == CONTROL && told.data["state"] == "serving" {
        let fleet = nodes::section(&Value::Array(door.list("/v1/nodes")?));
        text.push_str(&format!("\n{}", fleet.text()));
    }
    Ok(text)
}

fn describe(status: &Value) -> String {
    let texts: Vec<_> = sections(status, None).iter().map(Section::text).collect();
    texts.join("\n")
}

/// An earlier status, and how long ago that was: what counts are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since<'a> {
    pub(super) status: &'a Value,
    pub(super) ago: Duration,
}

/// What a status tells: the node, its tiers, upstreams and purges; with rates, if it can be
/// compared with an earlier one.
pub(super) fn sections(status: &Value, since: Option<Since<'_>>) -> Vec<Section> {
    let one = |head: Vec<&'static str>, of: &Value, keys: &[&str]| {
        let row = keys.iter().map(|key| text(&of[*key])).collect();
        Section { head, rows: vec![row] }
    };
    let head = vec!["node", "role", "region", "state", "version", "config"];
    let keys = ["name", "role", "region", "state", "version", "config_version"];
    let node = one(head, status, &keys);
    let purges = vec!["purge log", "position", "head"];
    let purges = one(purges, &status["purge"], &["log", "position", "head"]);
    if status["role"] == CONTROL {
        let fault = status["config_fault"].as_str();
        let fault = fault.map(|fault| Section {
            head: vec!["nothing can be published"],
            rows: vec![vec![fault.to_owned()]],
        });
        return [Some(node), fault, Some(fleet(status)), Some(purges)]
            .into_iter()
            .flatten()
            .collect();
    }
    let disk = disk(&status["tiers"]);
    let upstreams = upstreams(&status["upstreams"]);
    let all =
        [Some(node), Some(tiers(&status["tiers"], since)), disk, Some(upstreams), Some(purges)];
    all.into_iter().flatten().collect()
}

/// How many nodes there are, and what waits for them.
fn fleet(status: &Value) -> Section {
    let head = vec!["live", "held", "fenced", "lost", "following", "purges pending"];
    let mut row: Vec<_> = head[..4].iter().map(|state| text(&status["nodes"][*state])).collect();
    row.extend([text(&status["feeds"]), text(&status["receipts_pending"])]);
    Section { head, rows: vec![row] }
}

fn tiers(tiers: &Value, since: Option<Since<'_>>) -> Section {
    let row = |tier: &Value| {
        let mut row = vec![
            text(&tier["tier"]),
            text(&tier["objects"]),
            size(&tier["bytes"]),
            size(&tier["capacity_bytes"]),
            text(&tier["hits"]),
            text(&tier["misses"]),
            percent(tier["hit_ratio"].as_f64().unwrap_or(0.0)),
        ];
        row.extend(since.into_iter().flat_map(|since| rates(tier, since)));
        row
    };
    let mut head = vec!["tier", "objects", "in use", "capacity", "hits", "misses", "hit ratio"];
    if since.is_some() {
        head.extend(["hits/s", "misses/s", "ratio now"]);
    }
    Section { head, rows: rows(tiers, row) }
}

/// Hits and misses of a tier per second, and its ratio, since an earlier status.
fn rates(tier: &Value, since: Since<'_>) -> [String; 3] {
    let earlier = since.status["tiers"].as_array().into_iter().flatten();
    let Some(earlier) = earlier.into_iter().find(|other| other["tier"] == tier["tier"]) else {
        return ["-", "-", "-"].map(str::to_owned);
    };
    // A node that began anew meanwhile counts from 0.
    let more = |key: &str| {
        let (now, then) = (tier[key].as_u64(), earlier[key].as_u64());
        now.unwrap_or(0).saturating_sub(then.unwrap_or(0)) as f64
    };
    let (hits, misses) = (more("hits"), more("misses"));
    let rate = |count: f64| format!("{:.0}", count / since.ago.as_secs_f64().max(0.001));
    let ratio = if hits + misses > 0.0 { percent(hits / (hits + misses)) } else { "-".to_owned() };
    [rate(hits), rate(misses), ratio]
}

/// How the disk fares, where there is a disk tier.
fn disk(tiers: &Value) -> Option<Section> {
    let disk = tiers.as_array()?.iter().find(|tier| tier["tier"] == "disk")?;
    let told = |state: &str| disk[state].as_str().map(|why| format!("{state}: {why}"));
    let state = told("aside").or_else(|| told("short")).unwrap_or_else(|| "in use".to_owned());
    let row = vec![
        text(&disk["evictions"]),
        text(&disk["refused"]),
        text(&disk["errors"]),
        size(&disk["waiting_bytes"]),
        size(&disk["index_bytes"]),
        state,
    ];
    let head = vec!["evicted", "refused", "errors", "waiting", "index", "disk"];
    Some(Section { head, rows: vec![row] })
}

fn upstreams(upstreams: &Value) -> Section {
    let row = |upstream: &Value| {
        let healthy = if upstream["healthy"] == true { "yes" } else { "no" };
        vec![text(&upstream["name"]), text(&upstream["server"]), healthy.to_owned()]
    };
    Section { head: vec!["upstream", "server", "healthy"], rows: rows(upstreams, row) }
}

fn size(value: &Value) -> String {
    value.as_u64().map_or("-".to_owned(), bytes)
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_described() {
        let status = json!({
            "version": "0.1.0", "name": "fra-1", "region": "", "role": "edge", "state": "serving",
            "config_version": "abc",
            "tiers": [{
                "tier": "memory", "objects": 12, "bytes": 1536, "capacity_bytes": 1_u64 << 30,
                "hits": 9, "misses": 1, "hit_ratio": 0.9,
            }],
            "upstreams": [{ "name": "app", "server": "http://10.0.0.5", "healthy": false }],
            "purge": { "log": "f00", "position": 3, "head": 4 },
        });
        let expected = "\
node   role  region  state    version  config
fra-1  edge  -       serving  0.1.0    abc

tier    objects  in use   capacity  hits  misses  hit ratio
memory  12       1.5 KiB  1 GiB     9     1       90.0 %

upstream  server           healthy
app       http://10.0.0.5  no

purge log  position  head
f00        3         4
";
        assert_eq!(describe(&status), expected);
    }

    #[test]
    fn a_fleet_is_described() {
        let status = json!({
            "version": "0.1.0", "name": "control", "region": "", "role": "control",
            "state": "serving", "tiers": [], "upstreams": [],
            "purge": { "log": "f00", "position": 4, "head": 4 },
            "nodes": { "live": 2, "held": 0, "fenced": 1, "lost": 0 },
            "feeds": 2, "receipts_pending": 1, "config_fault": "config/index is damaged",
        });
        let expected = "\
node     role     region  state    version  config
control  control  -       serving  0.1.0    -

nothing can be published
config/index is damaged

live  held  fenced  lost  following  purges pending
2     0     1       0     2          1

purge log  position  head
f00        4         4
";
        assert_eq!(describe(&status), expected);
    }

    #[test]
    fn rates_are_since_an_earlier_status() {
        let status = |hits: u64, misses: u64| {
            json!({ "tiers": [{ "tier": "disk", "hits": hits, "misses": misses, "evictions": 3,
                "refused": 2, "errors": 1, "waiting_bytes": 1024, "index_bytes": 4096,
                "aside": "Input/output error" }] })
        };
        let cases = [
            ((100, 10), (400, 110), 2, ["150", "50", "75.0 %"]),
            ((100, 10), (100, 10), 2, ["0", "0", "-"]),
            ((100, 10), (5, 0), 1, ["0", "0", "-"]),
        ];
        for (then, now, seconds, expected) in cases {
            let (then, now) = (status(then.0, then.1), status(now.0, now.1));
            let since = Since { status: &then, ago: Duration::from_secs(seconds) };
            let shown = sections(&now, Some(since));
            assert_eq!(shown[1].rows[0][7..], expected);
            assert_eq!(shown[1].head.len(), shown[1].rows[0].len());
            let disk = ["3", "2", "1", "1 KiB", "4 KiB", "aside: Input/output error"];
            assert_eq!(shown[2].rows, [disk]);
        }
        let short = disk(&json!([{ "tier": "disk", "short": "no room" }])).unwrap();
        assert_eq!(short.rows[0][5], "short: no room");
        let unknown = json!({ "tiers": [] });
        let since = Since { status: &unknown, ago: Duration::from_secs(1) };
        assert_eq!(sections(&status(1, 1), Some(since))[1].rows[0][7..], ["-", "-", "-"]);
    }
}
