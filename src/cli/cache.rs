//! `headland cache`: the cache directory of a node that does not run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::table::{bytes, table};
use super::{USAGE, say};
use crate::config::Config;
use crate::node::verify_cache;
use crate::store::{OpenError, SegmentReport, StoreReport, Sums};

/// Look at a cache directory
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(VerifyArgs),
}

/// Read all that a cache directory holds while no node uses it, and report what is damaged
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland cache verify --config edge.toml
  headland cache verify --config edge.toml --json | jq .data.sound

Nothing is changed: what is damaged is a miss for the node, and fetched anew.
A reference is dangling when its body was given up for room: that is a miss as well, and no damage.

Exit codes: 0 sound, 1 damaged, 2 it could not be looked at: bad usage or config, no disk tier, no
cache there, in use by a node, or unreadable.")]
struct VerifyArgs {
    /// The config of the node
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let Command::Verify(args) = &args.command;
    let report = match verify(&args.config) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("headland cache verify: {why}");
            if args.json {
                let data = json!({ "sound": null, "error": why });
                say(&format!("{}\n", json!({ "data": data, "meta": {} })));
            }
            return ExitCode::from(USAGE);
        }
    };
    if args.json {
        say(&format!("{}\n", json!({ "data": show(&report), "meta": {} })));
    } else {
        say(&describe(&report));
    }
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the directory holds that the config names, or why that cannot be told.
fn verify(path: &Path) -> Result<StoreReport, String> {
    let config = Config::read(path).map_err(|report| report.to_string())?;
    let path = path.display();
    let disk = config
        .cache
        .disk
        .ok_or_else(|| format!("{path} has no disk tier; set cache.disk, or name another file"))?;
    verify_cache(&disk).map_err(|error| match error {
        OpenError::InUse { path, holder } => {
            format!("{} is in use by a node{holder}; stop it first", path.display())
        }
        error => error.to_string(),
    })
}

fn describe(report: &StoreReport) -> String {
    let head = [
        "segment",
        "state",
        "records",
        "bodies",
        "references",
        "dangling",
        "removals",
        "in use",
        "damage",
    ];
    let damage = report.segments.iter().map(|segment| segment.damage.len()).sum();
    let rows = report.segments.iter().map(|segment| {
        let state = if segment.is_sealed { "sealed" } else { "open" };
        row(&name(segment), state, &segment.sums, segment.damage.len())
    });
    let sum = row("sum", "", &report.sums(), damage);
    let mut out = table(&head, &rows.chain([sum]).collect::<Vec<_>>());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for segment in &report.segments {
        for damage in &segment.damage {
            line(format!(
                "damage: segment {} at {}: {}",
                name(segment),
                damage.offset,
                damage.what
            ));
        }
    }
    for (file, what) in &report.damage {
        line(format!("damage: {file}: {what}"));
    }
    for file in &report.unfinished {
        line(format!("unfinished file: {file}: the next start removes it"));
    }
    for name in &report.unknown {
        let kind = if name.ends_with('/') { "folder" } else { "file" };
        line(format!("unknown {kind}: {name}"));
    }
    line(if report.is_sound() { "sound" } else { "damaged" }.to_owned());
    out
}

fn row(name: &str, state: &str, sums: &Sums, damage: usize) -> Vec<String> {
    let counts = [sums.records, sums.bodies, sums.references, sums.dangling, sums.removals];
    let mut row = vec![name.to_owned(), state.to_owned()];
    row.extend(counts.map(|count| count.to_string()));
    row.extend([bytes(sums.bytes), damage.to_string()]);
    row
}

fn show(report: &StoreReport) -> Value {
    let segment = |segment: &SegmentReport| {
        let damage = segment.damage.iter();
        let damage = damage.map(|damage| json!({ "offset": damage.offset, "what": damage.what }));
        let mut told = show_sums(&segment.sums);
        told["segment"] = json!(name(segment));
        told["sealed"] = json!(segment.is_sealed);
        told["damage"] = damage.collect();
        told
    };
    let files = report.damage.iter().map(|(file, what)| json!({ "file": file, "what": what }));
    json!({
        "sound": report.is_sound(),
        "sum": show_sums(&report.sums()),
        "segments": report.segments.iter().map(segment).collect::<Value>(),
        "damage": files.collect::<Value>(),
        "unfinished": report.unfinished,
        "unknown": report.unknown,
    })
}

fn show_sums(sums: &Sums) -> Value {
    json!({
        "records": sums.records,
        "bodies": sums.bodies,
        "references": sums.references,
        "dangling": sums.dangling,
        "removals": sums.removals,
        "bytes": sums.bytes,
    })
}

/// A segment's number as its file is called.
fn name(segment: &SegmentReport) -> String {
    format!("{:016x}", segment.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Damage;

    #[test]
    fn a_report_is_described() {
        let sums =
            Sums { records: 3, bodies: 2, references: 1, dangling: 0, removals: 0, bytes: 2048 };
        let damage = vec![Damage { offset: 64, what: "the body is not what was written" }];
        let report = StoreReport {
            segments: vec![
                SegmentReport { id: 10, is_sealed: true, sums, damage: Vec::new() },
                SegmentReport { id: 11, is_sealed: false, sums, damage },
            ],
            damage: vec![("purges.journal".to_owned(), "it is of another log".to_owned())],
            unfinished: vec!["recency.new".to_owned()],
            unknown: vec!["notes.txt".to_owned(), "old/".to_owned()],
            ..StoreReport::default()
        };
        let expected = "\
segment           state   records  bodies  references  dangling  removals  in use  damage
000000000000000a  sealed  3        2       1           0         0         2 KiB   0
000000000000000b  open    3        2       1           0         0         2 KiB   1
sum                       6        4       2           0         0         4 KiB   1
damage: segment 000000000000000b at 64: the body is not what was written
damage: purges.journal: it is of another log
unfinished file: recency.new: the next start removes it
unknown file: notes.txt
unknown folder: old/
damaged
";
        assert_eq!(describe(&report), expected);
        let told = show(&report);
        assert_eq!(told["sound"], false);
        assert_eq!(told["sum"]["records"], 6);
        assert_eq!(told["segments"][1]["damage"][0]["offset"], 64);
    }
}
