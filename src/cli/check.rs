//! `headland check`: every fault of a config, of a node or of a control plane, with its place.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{USAGE, say};
use crate::config::Config;
use crate::config::control_plane::ControlPlane;
use crate::config::fault::Fault;
use crate::node::unfit_cache;

/// Read a config of a node or of a control plane, report every fault with its place
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland check --config edge.toml
  headland check --config edge.toml --files --json
  headland check --config control.toml

A config with a table that control planes alone have, such as [purge_log], is taken for one of a
control plane.

Exit codes: 0 no fault, 2 faults.")]
pub(super) struct Args {
    /// The config to check
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Open the files that it names, too
    #[arg(long)]
    files: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let of_control = ControlPlane::is_meant(&args.config);
    let report = match of_control {
        true => ControlPlane::read(&args.config).map(|it| args.files.then(|| it.check_files())),
        false => {
            Config::read(&args.config).map(|it| args.files.then(|| it.check_files(unfit_cache)))
        }
    };
    let report = report.map_or_else(|faults| faults, Option::unwrap_or_default);
    if args.json {
        let faults: Vec<_> = report.faults.iter().map(show).collect();
        let data = json!({ "ok": report.is_clean(), "faults": faults });
        say(&format!("{}\n", json!({ "data": data, "meta": {} })));
    } else if report.is_clean() {
        let whose = if of_control { ", as the config of a control plane" } else { "" };
        say(&format!("{}: no fault{whose}\n", args.config.display()));
    } else {
        eprintln!("{report}");
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) }
}

fn show(fault: &Fault) -> Value {
    json!({
        "file": fault.file,
        "line": fault.place.line,
        "column": fault.place.column,
        "key": fault.key,
        "expected": fault.expected,
        "wrong": fault.wrong,
    })
}
