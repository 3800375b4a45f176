//! `headland status`: how a node fares.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::door::{Door, DoorArgs};
use super::say;
use super::table::{bytes, table};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show how a node fares: state, tiers, upstreams, purges
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland status
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
    let told = Door::new(&args.door, PATIENCE).and_then(|door| door.get("/v1/status"));
    match told {
        Ok(told) if args.json => say(&format!("{}\n", told.whole)),
        Ok(told) => say(&describe(&told.data)),
        Err(error) => {
            eprintln!("headland status: {error}");
            return error.exit_code();
        }
    }
    ExitCode::SUCCESS
}

fn describe(status: &Value) -> String {
    let head = ["node", "role", "region", "state", "version", "config"];
    let keys = ["name", "role", "region", "state", "version", "config_version"];
    let node = table(&head, &[keys.map(|key| text(&status[key])).into()]);
    let purge = ["log", "position", "head"].map(|key| text(&status["purge"][key]));
    let purges = table(&["purge log", "position", "head"], &[purge.into()]);
    [node, tiers(&status["tiers"]), upstreams(&status["upstreams"]), purges].join("\n")
}

fn tiers(tiers: &Value) -> String {
    let size = |value: &Value| value.as_u64().map_or("-".to_owned(), bytes);
    let row = |tier: &Value| {
        let ratio = tier["hit_ratio"].as_f64().unwrap_or(0.0);
        vec![
            text(&tier["tier"]),
            text(&tier["objects"]),
            size(&tier["bytes"]),
            size(&tier["capacity_bytes"]),
            text(&tier["hits"]),
            text(&tier["misses"]),
            format!("{:.1} %", ratio * 100.0),
        ]
    };
    let head = ["tier", "objects", "in use", "capacity", "hits", "misses", "hit ratio"];
    table(&head, &rows(tiers, row))
}

fn upstreams(upstreams: &Value) -> String {
    let row = |upstream: &Value| {
        let healthy = if upstream["healthy"] == true { "yes" } else { "no" };
        vec![text(&upstream["name"]), text(&upstream["server"]), healthy.to_owned()]
    };
    table(&["upstream", "server", "healthy"], &rows(upstreams, row))
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
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
}
