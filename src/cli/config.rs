//! `headland config`: sites and origins for all nodes, published by a control plane.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde_json::{Value, json};

use super::door::{ControlArgs, Door, DoorError};
use super::table::{Section, rows, text};
use super::{USAGE, say};
use crate::config::units::parse_duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at how far the nodes are.
const LOOK: Duration = Duration::from_millis(200);

/// Publish sites and origins to all nodes, first to a share of them if need be
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  headland config publish sites.toml --dry-run
  headland config publish sites.toml --share 10 --wait
  headland config promote --share 50 --wait
  headland config promote --wait
  headland config rollback
  headland config show
  headland config show 7 > sites.toml

Exit codes: 0 done, 1 failed, refused, or a node cannot serve by it, 2 bad usage or config.")]
enum Action {
    Publish(PublishArgs),
    Promote(PromoteArgs),
    Rollback(RollbackArgs),
    Show(ShowArgs),
}

/// Check a file and publish it as a new version
#[derive(Debug, clap::Args)]
struct PublishArgs {
    /// The file: origins and sites alone, as in the config of a node; ${NAME} in it is replaced by
    /// each node
    file: PathBuf,
    /// Percent of the nodes that are to have it first, until it is promoted
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    share: Option<u8>,
    /// Publish it only if this is the latest version; 0 where there is none
    #[arg(long, value_name = "VERSION")]
    after: Option<u64>,
    /// Check it, and publish nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Have more nodes, or all, have the version that a share of them has
#[derive(Debug, clap::Args)]
struct PromoteArgs {
    /// Only if this is that version
    version: Option<u64>,
    /// Percent of the nodes that are to have it [default: all]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    share: Option<u8>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Drop the version that a share of the nodes has; where there is none, publish the version before
/// the current one anew
#[derive(Debug, clap::Args)]
struct RollbackArgs {
    /// Only if this is the version that would be gone back from
    version: Option<u64>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Show the versions and how far the nodes are; or the text of one version
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Number of the version whose text to show
    version: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: ControlArgs,
}

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// Wait until every node that is heard serves by the version that it is to have
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = duration,
        requires = "wait"
    )]
    timeout: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: ControlArgs,
}

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: std::io::Error },
    /// The door's.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// A share of the fleet without a node, or a fleet without one.
    #[error("version {version} is for none of {nodes} nodes: nobody was waited for")]
    Nobody { version: u64, nodes: usize },
    /// Some nodes do not serve by it.
    #[error("{failed} nodes cannot serve by it, {pending} have yet to; see headland nodes")]
    NotThere { failed: u64, pending: u64 },
}

pub(super) fn run(args: &Args) -> ExitCode {
    let done = match &args.action {
        Action::Publish(args) => publish(args),
        Action::Promote(args) => {
            let body = json!({ "version": args.version, "share": args.share });
            change("/v1/config/promote", &body, &args.change)
        }
        Action::Rollback(args) => {
            change("/v1/config/rollback", &json!({ "version": args.version }), &args.change)
        }
        Action::Show(args) => show(args),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("headland config: {error}");
    match error {
        ConfigError::File { .. } => ExitCode::from(USAGE),
        ConfigError::Door(error) => error.exit_code(),
        ConfigError::Nobody { .. } | ConfigError::NotThere { .. } => ExitCode::FAILURE,
    }
}

fn publish(args: &PublishArgs) -> Result<(), ConfigError> {
    let failed = |error| ConfigError::File { file: args.file.clone(), error };
    let text = fs::read_to_string(&args.file).map_err(failed)?;
    let body = json!({ "toml": text, "share": args.share, "after": args.after });
    let target = if args.dry_run { "/v1/config?dry_run=true" } else { "/v1/config" };
    change(target, &body, &args.change).map_err(|error| in_file(error, &args.file))
}

/// Asks for a change, waits if that is wanted, and tells what came of it.
fn change(target: &str, body: &Value, args: &ChangeArgs) -> Result<(), ConfigError> {
    let door = Door::control(&args.door, PATIENCE)?;
    let mut told = door.post(target, body)?;
    let reached = reach(&door, &told.data, args)?;
    let failed = match reached {
        Some(nobody) => Some(nobody),
        None if args.wait => wait(&door, args.timeout)?,
        None => None,
    };
    if args.wait {
        told = door.get("/v1/config")?;
    }
    match args.json {
        true => say(&format!("{}\n", told.whole)),
        false => say(&describe(&told.data)),
    }
    failed.map_or(Ok(()), Err)
}

/// Tells how many nodes a share comes to: which they are is decided by their names, and of a small
/// fleet it may be all or none. The error is that there is none to wait for.
fn reach(door: &Door, data: &Value, args: &ChangeArgs) -> Result<Option<ConfigError>, DoorError> {
    let (Some(version), Some(tally)) = (data["version"].as_u64(), data["nodes"].as_object()) else {
        return Ok(None);
    };
    let is_share = data["state"] == "candidate";
    if !is_share && !args.wait {
        return Ok(None);
    }
    let reached: u64 = tally.values().filter_map(Value::as_u64).sum();
    let nodes = match door.list("/v1/nodes") {
        Ok(nodes) => nodes.len(),
        // It is published, whatever the door says now.
        Err(error) if error.is_fleeting() && reached > 0 => return Ok(None),
        Err(error) => return Err(error),
    };
    if is_share {
        let share = &data["share"];
        eprintln!("version {version}: {share} percent are {reached} of {nodes} nodes, by name");
    }
    Ok((args.wait && reached == 0).then_some(ConfigError::Nobody { version, nodes }))
}

/// Waits until no node that is heard has yet to serve by what it is to have; some may not.
fn wait(door: &Door, timeout: Duration) -> Result<Option<ConfigError>, ConfigError> {
    let begun = Instant::now();
    loop {
        let nodes = door.list("/v1/nodes")?;
        let heard = |node: &&Value| node["state"] == "live" || node["state"] == "fenced";
        let heard: Vec<_> = nodes.iter().filter(heard).collect();
        let count = |state| heard.iter().filter(|it| it["config"]["state"] == state).count() as u64;
        let (failed, pending) = (count("failed"), count("pending"));
        if pending == 0 || begun.elapsed() > timeout {
            let is_there = failed + pending == 0;
            return Ok((!is_there).then_some(ConfigError::NotThere { failed, pending }));
        }
        std::thread::sleep(LOOK);
    }
}

fn show(args: &ShowArgs) -> Result<(), ConfigError> {
    let door = Door::control(&args.door, PATIENCE)?;
    let target = args
        .version
        .map_or("/v1/config?limit=1000".to_owned(), |version| format!("/v1/config/{version}"));
    let told = door.get(&target)?;
    match (args.json, told.data["toml"].as_str()) {
        (true, _) => say(&format!("{}\n", told.whole)),
        (false, Some(toml)) => say(toml),
        (false, None) => say(&describe(&told.data)),
    }
    Ok(())
}

/// What came of a change, or all that is published.
fn describe(data: &Value) -> String {
    if data["dry_run"] == true {
        let (sites, origins) = (text(&data["sites"]), text(&data["origins"]));
        return format!("no fault: {sites} sites, {origins} origins; nothing is published\n");
    }
    if !data["versions"].is_array() {
        return match data.is_null() {
            true => "nothing is published\n".to_owned(),
            false => versions(&json!([data])).text(),
        };
    }
    // How far the nodes are stands with the two that they are to have.
    let with_nodes = |version: &Value| {
        let both = [&data["candidate"], &data["current"]];
        let same = both.into_iter().find(|it| it["version"] == version["version"]);
        same.unwrap_or(version).clone()
    };
    let list = data["versions"].as_array().into_iter().flatten();
    versions(&list.map(with_nodes).collect()).text()
}

fn versions(list: &Value) -> Section {
    let row = |version: &Value| {
        let nodes = &version["nodes"];
        let count = |state: &str| text(&nodes[state]);
        let share = version["share"].as_u64().map_or("-".to_owned(), |it| format!("{it} %"));
        let restores = match version["restores"].as_u64() {
            Some(restores) => format!("as {restores}"),
            None => String::new(),
        };
        let words = ["version", "state"].map(|key| text(&version[key]));
        let who = ["by", "at"].map(|key| text(&version[key]));
        let nodes = ["applied", "pending", "failed"].map(count);
        [&words[..], &[share], &nodes, &who, &[restores]].concat()
    };
    let head = vec!["version", "state", "share", "applied", "pending", "failed", "by", "at", ""];
    Section { head, rows: rows(list, row) }
}

/// Faults of a text are told by the name of its file.
fn in_file(error: ConfigError, file: &Path) -> ConfigError {
    match error {
        ConfigError::Door(DoorError::Refused { url, status, detail, with_token }) => {
            let own = |line: &str| match line.strip_prefix("toml:") {
                Some(rest) => format!("{}:{rest}", file.display()),
                None => line.to_owned(),
            };
            let detail = detail.lines().map(own).collect::<Vec<_>>().join("\n");
            DoorError::Refused { url, status, detail, with_token }.into()
        }
        other => other,
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a duration such as 20s".to_owned())
}

fn percent(text: &str) -> Result<u8, String> {
    let share = text.parse().ok().filter(|share| (1..=100).contains(share));
    share.ok_or_else(|| "expected whole percent, from 1 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_rows() {
        let version = |number: u64, state: &str, share: u64, restores: Option<u64>| {
            json!({
                "version": number, "state": state, "share": share, "restores": restores,
                "by": "ops", "at": "2026-01-02T03:04:05Z",
            })
        };
        let candidate = version(4, "candidate", 10, None);
        let current = version(3, "current", 100, Some(1));
        let with = |mut version: Value, nodes: Value| {
            version["nodes"] = nodes;
            version
        };
        let nodes = |applied: u64, pending: u64, failed: u64| -> Value {
            json!({ "applied": applied, "pending": pending, "failed": failed })
        };
        let data = json!({
            "candidate": with(candidate.clone(), nodes(1, 0, 2)),
            "current": with(current.clone(), nodes(7, 1, 0)),
            "versions": [candidate, current, version(2, "past", 100, None)],
        });
        let expected = "\
version  state      share  applied  pending  failed  by   at
4        candidate  10 %   1        0        2       ops  2026-01-02T03:04:05Z
3        current    100 %  7        1        0       ops  2026-01-02T03:04:05Z  as 1
2        past       100 %  -        -        -       ops  2026-01-02T03:04:05Z
";
        assert_eq!(describe(&data), expected);
        assert!(describe(&data["current"]).ends_with("as 1\n"));
        assert_eq!(describe(&Value::Null), "nothing is published\n");
        let dry_run = json!({ "dry_run": true, "sites": 2, "origins": 1 });
        let expected = "no fault: 2 sites, 1 origins; nothing is published\n";
        assert_eq!(describe(&dry_run), expected);
    }
}
