//! `headland control`: the control plane; a backup of it, and one brought back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{USAGE, say};
use crate::config::control_plane::ControlPlane;
use crate::control::backup::{self, Backup};
use crate::durable::{Replacement, sync_folder_of};

/// Run the control plane, until SIGTERM; SIGHUP reads tokens and certificates again
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  headland control --config control.toml
  headland control backup --config control.toml --to control.backup
  headland control restore --config control.toml --from control.backup")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// The config of the control plane
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    Backup(BackupArgs),
    Restore(RestoreArgs),
}

/// Write the purge log, the registered nodes and the published config to one file, while the
/// control plane runs or not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  headland control backup --config control.toml --to control-$(date +%F).backup

The file holds who purged what, and the names of nodes; only its owner can read it. No token is in
it: keep the config apart.

Where the published config cannot be read the rest is written all the same, the fault is told on
stderr and by \"lacks\" in the JSON, and the exit code is 1.

Exit codes: 0 written, 1 failed, written without the published config, or the file is there already,
2 bad usage or config.")]
struct BackupArgs {
    /// The config of the control plane
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file to write
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Bring a backup back, as a purge log of a new identity: every node validates what it has stored
/// before it serves that again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  headland control restore --config control.toml --from control.backup

No control plane may run on that log, and none on the one that was lost. Purges wait for the nodes
that were registered at the backup; strike off by `headland nodes forget` those that are gone. A
node that was registered later is waited for once it is heard: one name in the list of nodes stands
for all of those, and no purge completes for one lease from the first start on, the longest that is
known to have been granted.

Registrations that are damaged are not given up, forced or not: purges would wait for none of those
nodes. Remove them by hand once no node runs that serves on.

Exit codes: 0 restored, 1 failed, 2 bad usage or config.")]
struct RestoreArgs {
    /// The config of the control plane
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The backup
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Give up the purge log and the published config that are there; nodes registered there stay
    /// registered
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match (&args.action, &args.config) {
        (None, Some(config)) => crate::control::run(config),
        (Some(Action::Backup(args)), _) => {
            with_config(&args.config, "backup", args.json, |config| take(config, args))
        }
        (Some(Action::Restore(args)), _) => {
            with_config(&args.config, "restore", args.json, |config| restore(config, args))
        }
        // Refused by the declaration of the arguments.
        (None, None) => ExitCode::from(USAGE),
    }
}

/// What was done, as JSON and in words; and what was not.
type Done = (Value, String, Option<String>);

fn with_config(
    config: &Path,
    command: &str,
    as_json: bool,
    act: impl FnOnce(&ControlPlane) -> Result<Done, String>,
) -> ExitCode {
    let config = match ControlPlane::read(config) {
        Ok(config) => config,
        Err(report) => {
            eprintln!("{report}");
            return ExitCode::from(USAGE);
        }
    };
    let failed = match act(&config) {
        Ok((data, words, lacks)) => {
            match as_json {
                true => say(&format!("{}\n", json!({ "data": data, "meta": {} }))),
                false => say(&words),
            }
            lacks
        }
        Err(error) => Some(error),
    };
    let Some(error) = failed else { return ExitCode::SUCCESS };
    eprintln!("headland control {command}: {error}");
    ExitCode::FAILURE
}

fn take(config: &ControlPlane, args: &BackupArgs) -> Result<Done, String> {
    let path = args.to.display();
    let failed = |error: io::Error| format!("{path} cannot be written: {error}");
    if !args.force && fs::exists(&args.to).map_err(failed)? {
        return Err(format!("{path} is there already; name another file, or --force"));
    }
    let (backup, lacks) = backup::take(config).map_err(|error| error.to_string())?;
    let lacks = lacks.map(|error| error.to_string());
    let written = Replacement::private(&args.to)
        .and_then(|new| new.put(backup.encode().as_bytes()))
        .and_then(|_| sync_folder_of(&args.to));
    written.map_err(failed)?;
    let (head, nodes) = (backup.log.head(), backup.nodes.len());
    let data = json!({
        "path": args.to, "at": backup.at, "nodes": nodes, "lacks": lacks,
        "sequence": { "log": head.log.to_string(), "number": head.number },
    });
    let number = head.number;
    let words = format!("{path}: the log up to purge {number}, {} registered\n", count(nodes));
    Ok((data, words, lacks.map(|why| format!("{why}; the backup holds all but that"))))
}

fn restore(config: &ControlPlane, args: &RestoreArgs) -> Result<Done, String> {
    let path = args.from.display();
    let file = fs::read(&args.from).map_err(|error| format!("{path} cannot be read: {error}"))?;
    let backup = Backup::decode(&file).map_err(|why| format!("{path} cannot be used: {why}"))?;
    let (before, at) = (backup.log.base.log, backup.at);
    let restored = backup::restore(config, backup, args.force).map_err(|why| why.to_string())?;
    let (head, nodes) = (restored.head, restored.nodes);
    let data = json!({
        "sequence": { "log": head.log.to_string(), "number": head.number },
        "nodes": nodes,
        "backup": { "log": before.to_string(), "at": at },
    });
    let words = format!(
        "The purge log {} goes on behind purge {} of {before}, {} registered.\n\
         Nodes that follow it take all they have stored for possibly purged.\n\
         Not known are nodes that were registered since the backup: one that is heard is waited \
         for, and no purge completes within one lease of the first start.\n",
        head.log,
        head.number,
        count(nodes),
    );
    Ok((data, words, None))
}

fn count(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        nodes => format!("{nodes} nodes"),
    }
}
