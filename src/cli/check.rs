//! `headland check`: every fault of a config, with its place.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{USAGE, say};
use crate::config::Config;
use crate::config::fault::{Fault, Report};
use crate::node::unfit_cache;

/// Read a config, report every fault with its place
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland check --config edge.toml
  headland check --config edge.toml --files --json

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
    let report = match Config::read(&args.config) {
        Ok(config) if args.files => config.check_files(unfit_cache),
        Ok(_) => Report::default(),
        Err(report) => report,
    };
    if args.json {
        let faults: Vec<_> = report.faults.iter().map(show).collect();
        let data = json!({ "ok": report.is_clean(), "faults": faults });
        say(&format!("{}\n", json!({ "data": data, "meta": {} })));
    } else if report.is_clean() {
        say(&format!("{}: no fault\n", args.config.display()));
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
