//! `headland nodes`: the fleet of a control plane, node by node.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::door::{ControlArgs, Door, DoorError};
use super::say;
use super::table::{Section, rows, text};
use super::token::name;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Show every node of the fleet: where it stands in the log of purges, when it was last heard, and
/// by which published config it serves
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  headland nodes --control https://control.internal:9190 --token-file view.token
  headland nodes --json | jq '.data[] | select(.lag > 0) | .name'
  headland nodes forget fra-1 --token-file admin.token

States: live, its lease lives; held, it may, but was not heard since the control plane started;
fenced, it trusts nothing that it has stored; lost, it is not heard and may serve what it has
stored, so purges wait for it.")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: ControlArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    Forget(ForgetArgs),
}

/// Strike a node off that has surely ended, so that no purge waits for it any more; if it is not
/// gone, it registers again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  headland nodes forget fra-1 --control https://control.internal:9190 --token-file admin.token

A node that serves on without the control plane may still serve what was purged meanwhile: the
receipts name who struck it off. It takes a token of role admin.

Exit codes: 0 struck off, 1 failed, or there is none of that name, 2 bad usage.")]
struct ForgetArgs {
    /// Name of the node
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    list: ListArgs,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let done = match &args.action {
        None => list(&args.list),
        Some(Action::Forget(args)) => forget(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headland nodes: {error}");
            error.exit_code()
        }
    }
}

fn list(args: &ListArgs) -> Result<(), DoorError> {
    let nodes = Door::control(&args.door, PATIENCE)?.list("/v1/nodes")?;
    match args.json {
        true => say(&format!("{}\n", json!({ "data": nodes, "meta": {} }))),
        false => {
            let nodes = Value::Array(nodes);
            say(&format!("{}{}", section(&nodes).text(), faults(&nodes)));
        }
    }
    Ok(())
}

fn forget(args: &ForgetArgs) -> Result<(), DoorError> {
    let door = Door::control(&args.list.door, PATIENCE)?;
    let told = door.delete(&format!("/v1/nodes/{}", args.name))?;
    match args.list.json {
        true => say(&format!("{}\n", told.whole)),
        false => say(&format!("{} is struck off\n", args.name)),
    }
    Ok(())
}

/// A row for each node of a list.
pub(super) fn section(nodes: &Value) -> Section {
    let keys = ["name", "region", "role", "state", "position", "lag"];
    let row = |node: &Value| {
        let mut row: Vec<_> = keys.iter().map(|key| text(&node[*key])).collect();
        row.extend([heard(&node["heard_ms_ago"]), ratio(&node["status"])]);
        row.push(text(&node["version"]));
        row.push(config(&node["config"]));
        row
    };
    let further = ["heard", "hit ratio", "version", "config"];
    let head = keys.into_iter().chain(further).collect();
    Section { head, rows: rows(nodes, row) }
}

/// What a node found stored of what it looked up; of one that looked up nothing there is no ratio.
fn ratio(status: &Value) -> String {
    let lookups = [&status["hits"], &status["misses"]].map(|it| it.as_u64().unwrap_or(0));
    match (status["hit_ratio"].as_f64(), lookups) {
        (None, _) | (_, [0, 0]) => "-".to_owned(),
        (Some(ratio), _) => format!("{:.1} %", ratio * 100.0),
    }
}

/// The config that a node serves by, and the one that it is to have where that is another.
fn config(config: &Value) -> String {
    let serves_by = match config["version"].as_u64() {
        None => "-".to_owned(),
        Some(0) => "own".to_owned(),
        Some(version) => version.to_string(),
    };
    match config["state"].as_str() {
        None | Some("applied") => serves_by,
        Some(state) => format!("{serves_by}, {} {state}", text(&config["wanted"])),
    }
}

/// Why nodes cannot serve by the config that they are to have.
fn faults(nodes: &Value) -> String {
    let failed = nodes.as_array().into_iter().flatten().filter_map(|node| {
        let (name, fault) = (node["name"].as_str()?, node["config"]["fault"].as_str()?);
        let fault = fault.replace(|sign: char| sign.is_control() && sign != '\n', "\u{fffd}");
        Some(format!("\n{name} cannot serve by what is published:\n{fault}\n"))
    });
    failed.collect()
}

/// How long ago, as a person would say it.
fn heard(milliseconds: &Value) -> String {
    let Some(milliseconds) = milliseconds.as_u64() else { return "-".to_owned() };
    match milliseconds / 1000 {
        0..10 => format!("{:.1} s ago", milliseconds as f64 / 1000.0),
        seconds @ 10..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_rows() {
        let nodes = json!([
            {
                "name": "fra-1", "region": "eu", "role": "edge", "state": "live", "position": 7,
                "lag": 0, "heard_ms_ago": 1300, "version": "0.1.0",
                "config": { "version": 3, "wanted": 3, "state": "applied", "fault": null },
                "status": { "hits": 2, "misses": 1, "hit_ratio": 0.6667 },
            },
            {
                "name": "nyc-1", "state": "held", "position": 0, "lag": 7,
                "status": { "hits": 0, "misses": 0, "hit_ratio": 0.0 },
            },
            {
                "name": "nyc-2", "config": {
                    "version": 0, "wanted": 3, "state": "failed", "fault": "${APP} is not set",
                },
            },
        ]);
        let expected = "\
name   region  role  state  position  lag  heard      hit ratio  version  config
fra-1  eu      edge  live   7         0    1.3 s ago  66.7 %     0.1.0    3
nyc-1  -       -     held   0         7    -          -          -        -
nyc-2  -       -     -      -         -    -          -          -        own, 3 failed
";
        assert_eq!(section(&nodes).text(), expected);
        let expected = "\nnyc-2 cannot serve by what is published:\n${APP} is not set\n";
        assert_eq!(faults(&nodes), expected);
    }

    #[test]
    fn times_are_as_people_say_them() {
        let cases = [
            (0, "0.0 s ago"),
            (9_940, "9.9 s ago"),
            (119_000, "119 s ago"),
            (120_000, "2 min ago"),
            (7_200_000, "2 h ago"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(heard(&json!(milliseconds)), expected);
        }
    }
}
