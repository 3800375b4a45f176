//! `headland purge`: what is stored away, and a receipt for each purge; or what each would hit.

mod progress;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde_json::{Value, json};

use self::progress::Progress;
use super::door::{Door, DoorArgs, DoorError, Role};
use super::{USAGE, say};
use crate::config::units::{parse_duration, show_duration};
use crate::object::{BATCH_MAX, CommandFault, PurgeCommand};

/// What the way there and back may take beyond what the door is asked to wait.
const WAY: Duration = Duration::from_secs(10);

/// Nodes that are named where some are pending.
const NAMED: usize = 5;

/// Purge what is stored
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  headland purge url https://static.example.com/app.js
  headland purge url 'https://static.example.com/img/*.jpg' --soft --wait --timeout 20s
  headland purge prefix https://static.example.com/img/
  headland purge tag p42 front-page --site shop
  headland purge tag p42 --dry-run
  headland purge site shop --node http://127.0.0.1:9180

Exit codes: 0 every purge is complete, or was only tried, 1 failed, still pending, or of a site or
host that no node serves, 2 bad usage. What is pending is accepted, and is applied whoever waits;
without --wait that is what is told of it while nodes have yet to: headland purges tells how far
they are.")]
enum Kind {
    /// Purge URLs: each with every query, unless it has one or --exact is given; a * stands for any
    /// row of characters
    Url(UrlArgs),
    /// Purge every URL that begins like one of these; no stars
    Prefix(TargetArgs),
    /// Purge every response to which the origin gave one of these surrogate keys
    Tag(TargetArgs),
    /// Purge everything of sites
    Site(TargetArgs),
}

#[derive(Debug, clap::Args)]
struct UrlArgs {
    /// Purge a URL without a query alone, not with every query; a * stands for itself
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Debug, clap::Args)]
struct TargetArgs {
    /// What to purge; a URL begins with http:// or https://
    #[arg(value_name = "VALUE", required = true)]
    values: Vec<String>,
    /// Purge within this site alone
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Make stale what is stored instead of dropping it
    #[arg(long)]
    soft: bool,
    /// Tell what it would hit, and purge nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until every node has applied it, and tell on stderr how far they are
    #[arg(long)]
    wait: bool,
    /// How long to wait; up to 60s where one node is asked
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = duration,
        requires = "wait"
    )]
    timeout: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: DoorArgs,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let (kind, exact, args) = match &args.kind {
        Kind::Url(args) => ("url", args.exact, &args.target),
        Kind::Prefix(args) => ("prefix", false, args),
        Kind::Tag(args) => ("tag", false, args),
        Kind::Site(args) => ("site", false, args),
    };
    let commands = match args.values.iter().map(|it| command(kind, it, exact, args)).collect() {
        Ok(commands) => commands,
        Err((value, fault)) => {
            eprintln!("headland purge: {}: {fault}; nothing is purged", beginning(value));
            return ExitCode::from(USAGE);
        }
    };
    let mut receipts = Vec::new();
    let failed = purge(args, commands, &mut receipts).err();
    if args.json {
        say(&format!("{}\n", json!({ "data": receipts, "meta": {} })));
    } else if args.dry_run {
        say(&describe_hits(&receipts));
    } else {
        say(&describe(&receipts));
    }
    match failed {
        Some(error) => {
            eprintln!("headland purge: {error}");
            error.exit_code()
        }
        None if args.dry_run => ExitCode::SUCCESS,
        None => {
            let is_pending = receipts.iter().any(|receipt| receipt["state"] != "complete");
            let late = is_pending.then(|| pending(&receipts));
            let wrong: Vec<_> = nowhere(&receipts).into_iter().chain(late).collect();
            wrong.iter().for_each(|wrong| eprintln!("headland purge: {wrong}"));
            if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

/// As much of a value as a line of a message can bear.
fn beginning(value: &str) -> String {
    const SHOWN: usize = 64;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// What no node serves anything of. A node that stands alone refuses such a purge.
fn nowhere(receipts: &[Value]) -> Option<String> {
    let is_nowhere = |it: &&Value| it["state"] == "complete" && it["matched"] == 0;
    let values: Vec<_> = receipts.iter().filter(is_nowhere).map(|it| &it["value"]).collect();
    let named: Vec<_> = values.iter().take(NAMED).map(|value| value.to_string()).collect();
    let more = match values.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = named.join(", ");
    (!values.is_empty())
        .then(|| format!("{named}{more}: no node serves that; is the site or the host right?"))
}

/// The purge of one value, if it is one: all are known to be before any is asked for.
fn command<'a>(
    kind: &str,
    value: &'a str,
    exact: bool,
    args: &TargetArgs,
) -> Result<Value, (&'a str, CommandFault)> {
    let mut command = json!({ "kind": kind, "value": value, "soft": args.soft });
    if exact {
        command["exact"] = true.into();
    }
    if let Some(site) = &args.site {
        command["site"] = site.as_str().into();
    }
    let read = PurgeCommand::from_json(&command).and_then(PurgeCommand::asked);
    read.map(|_| command).map_err(|fault| (value, fault))
}

/// Asks for the purges, a batch at a time; `receipts` gets those of the batches that were taken.
fn purge(
    args: &TargetArgs,
    commands: Vec<Value>,
    receipts: &mut Vec<Value>,
) -> Result<(), DoorError> {
    let door = Door::new(&args.door, args.timeout + WAY)?;
    // A control plane is asked again and again instead, so that it can be told how they come on.
    let is_watched = args.wait && door.role() == Role::Control;
    let target = match args.wait && !is_watched {
        _ if args.dry_run => "/v1/purges?dry_run=true".to_owned(),
        true => format!("/v1/purges?wait=true&timeout={}", show_duration(args.timeout)),
        false => "/v1/purges".to_owned(),
    };
    let until = Instant::now() + args.timeout;
    for batch in commands.chunks(BATCH_MAX) {
        let told = door.post(&target, &batch.into())?;
        match told.data {
            Value::Array(list) => receipts.extend(list),
            one => receipts.push(one),
        }
    }
    if is_watched {
        let mut progress = Progress::new(!args.json);
        let watched = receipts
            .chunks_mut(BATCH_MAX)
            .try_for_each(|batch| watch(&door, &mut progress, until, batch));
        progress.clear();
        watched?;
    }
    Ok(())
}

/// Waits for the purges of one batch. They stand in one entry of the log, which a node applies as
/// one: how the last fares, all do.
fn watch(
    door: &Door,
    progress: &mut Progress,
    until: Instant,
    batch: &mut [Value],
) -> Result<(), DoorError> {
    let Some(number) = batch.last().and_then(|last| last["sequence"]["number"].as_u64()) else {
        return Ok(());
    };
    let receipt = progress.watch(door, number, until)?;
    for earlier in batch.iter_mut() {
        earlier["state"] = receipt["state"].clone();
        earlier["nodes"] = receipt["nodes"].clone();
    }
    if let [one] = batch {
        one["matched"] = receipt["matched"].clone();
        return Ok(());
    }
    // What each names is its own. They are numbered in a row, and stay unknown where the door fails
    // now: they are complete or pending whatever it says.
    let (count, before) = (batch.len(), number + 1);
    let told = match door.get(&format!("/v1/purges?limit={count}&cursor={before}")) {
        Ok(told) => told.data.as_array().cloned().unwrap_or_default(),
        Err(error) if error.is_fleeting() => return Ok(()),
        Err(error) => return Err(error),
    };
    for (purge, told) in batch.iter_mut().rev().zip(told) {
        purge["matched"] = told["matched"].clone();
    }
    Ok(())
}

/// Whom is still waited for, and how to follow that.
fn pending(receipts: &[Value]) -> String {
    let number = match receipts {
        [one] => format!(" {}", one["sequence"]["number"]),
        _ => String::new(),
    };
    format!("{}; `headland purges{number}` tells how far they are", late(receipts))
}

fn late(receipts: &[Value]) -> String {
    let nodes = receipts.iter().filter_map(|receipt| receipt["nodes"].as_array()).flatten();
    let late: BTreeSet<_> = nodes
        .filter(|node| node["state"] == "pending")
        .filter_map(|node| node["name"].as_str())
        .collect();
    if late.is_empty() {
        return "accepted, and pending; the nodes that have yet to apply it will".to_owned();
    }
    let more = match late.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named: Vec<_> = late.into_iter().take(NAMED).collect();
    format!(
        "accepted, and pending at {}{more}, which will apply it when they can",
        named.join(", ")
    )
}

/// A line for each purge, and one for each node below it.
fn describe(receipts: &[Value]) -> String {
    let mut out = String::new();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for receipt in receipts {
        let (state, value) = (text(&receipt["state"]), text(&receipt["value"]));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{state:<8}  {}  {value}", receipt["sequence"]["number"]);
        for node in receipt["nodes"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "{}", describe_node(node));
        }
    }
    out
}

/// How one node fares.
fn describe_node(node: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let (name, state) = (text(&node["name"]), text(&node["state"]));
    let ms = node["ms"].as_f64().map_or(String::new(), |ms| format!("  {ms} ms"));
    let by = node["removed_by"].as_str().map_or(String::new(), |by| format!("  by {by}"));
    format!("  {name}  {state}{ms}{by}")
}

/// A line for each purge that was only tried, and one for each node below it.
fn describe_hits(hits: &[Value]) -> String {
    let mut out = String::new();
    for hit in hits {
        let about = if hit["estimate"] == true { "about " } else { "" };
        let counted = counted(hit);
        let value = hit["value"].as_str().unwrap_or("-");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{about}{counted}  {value}");
        for node in hit["nodes"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "{}", describe_node_hit(node));
        }
    }
    out
}

/// What a purge would hit on one node.
fn describe_node_hit(node: &Value) -> String {
    let name = node["name"].as_str().unwrap_or("-");
    if node["state"] != "counted" {
        return format!("  {name}  {}", node["state"].as_str().unwrap_or("-"));
    }
    let about = if node["estimate"] == true { "about " } else { "" };
    format!("  {name}  {about}{}", counted(node))
}

fn counted(hit: &Value) -> String {
    let objects = if hit["objects"] == 1 { "object" } else { "objects" };
    format!("{} {objects}, {} bytes", hit["objects"], hit["bytes"])
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a duration such as 5s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_described() {
        let receipt = json!({
            "sequence": { "log": "f00", "number": 7 },
            "state": "pending",
            "value": "https://a.example/x",
            "nodes": [
                { "name": "fra-1", "state": "applied", "ms": 1.5 },
                { "name": "nyc-1", "state": "pending", "ms": null },
            ],
        });
        let expected = "\
pending   7  https://a.example/x
  fra-1  applied  1.5 ms
  nyc-1  pending
";
        assert_eq!(describe(&[receipt]), expected);
    }

    #[test]
    fn whoever_is_late_is_named() {
        let node = |name: &str, state: &str| json!({ "name": name, "state": state });
        let nodes = json!([node("fra-1", "pending"), node("nyc-1", "applied")]);
        let receipt = json!({ "nodes": nodes, "sequence": { "number": 7 } });
        let told = "accepted, and pending at fra-1, which will apply it when they can; `headland \
                    purges` tells how far they are";
        assert_eq!(pending(&[receipt.clone(), receipt.clone()]), told);
        assert_eq!(pending(&[receipt]), told.replace("purges", "purges 7"));
        let nodes: Vec<_> = (1..=7).map(|n| node(&format!("n{n}"), "pending")).collect();
        let told = pending(&[json!({ "nodes": nodes })]);
        assert!(told.starts_with("accepted, and pending at n1, n2, n3, n4, n5 and 2 more, "));
        assert!(pending(&[json!({})]).starts_with("accepted, and pending; the nodes"));
    }

    #[test]
    fn hits_are_described() {
        fn hit(objects: u64, estimate: bool) -> Value {
            json!({ "value": "p42", "objects": objects, "bytes": 900, "estimate": estimate })
        }
        let expected = "3 objects, 900 bytes  p42\nabout 70 objects, 900 bytes  p42\n";
        assert_eq!(describe_hits(&[hit(3, false), hit(70, true)]), expected);
        assert_eq!(describe_hits(&[hit(1, false)]), "1 object, 900 bytes  p42\n");
        let mut fleet = hit(3, true);
        fleet["nodes"] = json!([
            { "name": "fra-1", "state": "counted", "objects": 3, "bytes": 9, "estimate": false },
            { "name": "nyc-1", "state": "silent" },
        ]);
        let expected = "\
about 3 objects, 900 bytes  p42
  fra-1  3 objects, 9 bytes
  nyc-1  silent
";
        assert_eq!(describe_hits(&[fleet]), expected);
    }
}
