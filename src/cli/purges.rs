//! `headland purges`: what was purged of late, by whom, and how it went.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::door::{ControlArgs, Door, DoorError, Told, conclude};
use super::table::{Section, rows, text};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Show the recent purges, the newest first; or one of them, node by node
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland purges --control https://control.internal:9190 --token-file view.token
  headland purges 42
  headland purges --limit 1000 --json | jq '.data[] | select(.state == \"pending\")'")]
pub(super) struct Args {
    /// Number of the one purge to show, as its receipt has it
    #[arg(value_parser = number)]
    number: Option<u64>,
    /// Purges to show, up to 1000
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "20",
        value_parser = clap::value_parser!(u16).range(1..=1000),
        conflicts_with = "number"
    )]
    limit: u16,
    /// Only purges below this number, such as the last that was shown
    #[arg(long, value_name = "NUMBER", value_parser = number, conflicts_with = "number")]
    before: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: ControlArgs,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let shown = ask(args).map(|told| match args.number {
        _ if args.json => format!("{}\n", told.whole),
        Some(_) => describe_one(&told.data),
        None => describe(&told.data),
    });
    conclude("purges", shown)
}

fn ask(args: &Args) -> Result<Told, DoorError> {
    let cursor = args.before.map_or(String::new(), |before| format!("&cursor={before}"));
    let target = match args.number {
        Some(number) => format!("/v1/purges/{number}"),
        None => format!("/v1/purges?limit={}{cursor}", args.limit),
    };
    Door::control(&args.door, PATIENCE)?.get(&target)
}

/// A row for each purge.
fn describe(purges: &Value) -> String {
    let head = vec!["number", "state", "nodes", "what", "value", "site", "by", "at"];
    Section { head, rows: rows(purges, row) }.text()
}

/// One purge, and a row for each node.
fn describe_one(purge: &Value) -> String {
    let node = |node: &Value| {
        let by = node["removed_by"].as_str().map_or(String::new(), |by| format!("by {by}"));
        vec![text(&node["name"]), text(&node["state"]), text(&node["ms"]), by]
    };
    let nodes =
        Section { head: vec!["node", "state", "ms", ""], rows: rows(&purge["nodes"], node) };
    let purge = describe(&Value::Array(vec![purge.clone()]));
    format!("{purge}\n{}", nodes.text())
}

fn row(purge: &Value) -> Vec<String> {
    let nodes = purge["nodes"].as_array().map_or(&[][..], |nodes| nodes);
    let left_out = purge["nodes_left_out"].as_u64().unwrap_or(0);
    let done = nodes.iter().filter(|node| node["state"] != "pending").count();
    let all = nodes.len() as u64 + left_out;
    // Of what is left out nothing is pending, unless everything shown is.
    let done = if done == 0 { 0 } else { done as u64 + left_out };
    let soft = if purge["soft"] == true { "soft " } else { "" };
    let exact = if purge["exact"] == true { "exact " } else { "" };
    vec![
        text(&purge["sequence"]["number"]),
        text(&purge["state"]),
        format!("{done}/{all}"),
        format!("{soft}{exact}{}", text(&purge["kind"])),
        text(&purge["value"]),
        text(&purge["site"]),
        text(&purge["by"]),
        text(&purge["at"]),
    ]
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected the number of a purge, such as 42".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn purge() -> Value {
        json!({
            "sequence": { "log": "f00", "number": 7 }, "state": "pending",
            "kind": "tag", "value": "p42", "site": null, "soft": true, "exact": false,
            "by": "deploy", "at": "2026-01-02T03:04:05Z",
            "nodes": [
                { "name": "fra-1", "state": "applied", "ms": 1.5 },
                { "name": "nyc-1", "state": "pending", "ms": null },
                { "name": "old-1", "state": "removed", "ms": null, "removed_by": "ops" },
            ],
        })
    }

    #[test]
    fn purges_are_rows() {
        let expected = "\
number  state    nodes  what      value  site  by      at
7       pending  2/3    soft tag  p42    -     deploy  2026-01-02T03:04:05Z
";
        assert_eq!(describe(&json!([purge()])), expected);
        let mut large = purge();
        large["nodes_left_out"] = json!(97);
        assert!(describe(&json!([large])).contains("  99/100  "));
    }

    #[test]
    fn one_purge_is_told_node_by_node() {
        let shown = describe_one(&purge());
        let nodes = "\
node   state    ms
fra-1  applied  1.5
nyc-1  pending  -
old-1  removed  -    by ops
";
        assert!(shown.ends_with(&format!("\n\n{nodes}")), "{shown}");
    }
}
