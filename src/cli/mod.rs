//! The command line: what people and scripts ask, and how they are answered.
//!
//! Exit codes: 0 done, 1 failed, 2 bad usage or config. What was asked for goes to stdout, what
//! went wrong to stderr.

mod cache;
mod check;
mod config;
mod control;
pub mod demo;
mod door;
mod explain;
mod nodes;
mod purge;
mod purges;
mod sign;
mod status;
mod table;
mod token;
mod top;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code of bad usage or a bad config, as clap's own.
const USAGE: u8 = 2;

/// An edge-caching CDN node.
#[derive(Debug, Parser)]
#[command(name = "headland", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  headland demo
  headland check --config edge.toml
  headland run --config edge.toml
  headland control --config control.toml
  headland purge url https://static.example.com/app.js --wait
  headland nodes --control http://127.0.0.1:9190
  headland purges 42 --control http://127.0.0.1:9190
  headland config publish sites.toml --share 10 --control http://127.0.0.1:9190
  headland explain https://static.example.com/app.js
  headland status --node http://127.0.0.1:9180
  headland top --node http://127.0.0.1:9180
  headland sign https://static.example.com/film.mp4 --key-file signing.key --expires 1h
  headland cache verify --config edge.toml
  headland token new --name deploy --role purge

Exit codes: 0 done, 1 failed, 2 bad usage or config.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show it at work: an origin with real files, a shield and two edges in front of it, and the
    /// control plane that purges them, on loopback
    #[command(after_help = "\
Examples:
  headland demo           until Ctrl-C; prints what to try
  headland demo --once    a tour that checks itself; exits 0 or 1")]
    Demo {
        /// Walk the tour, check every step, and end
        #[arg(long)]
        once: bool,
        /// Print one line with every address and file first
        #[arg(long)]
        json: bool,
    },
    /// Run one node, until SIGTERM; SIGHUP reads config and certificates again
    #[command(after_help = "Example:\n  headland run --config edge.toml")]
    Run {
        /// The config of the node
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    Control(control::Args),
    Check(check::Args),
    Cache(cache::Args),
    Config(config::Args),
    Explain(explain::Args),
    Purge(purge::Args),
    Purges(purges::Args),
    Sign(sign::Args),
    Nodes(nodes::Args),
    Status(status::Args),
    Top(top::Args),
    Token(token::Args),
}

/// Reads the arguments of the process and does what they say.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo { once, json } => demo::run(once, json),
        Command::Run { config } => crate::node::run(&config),
        Command::Control(args) => control::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Purges(args) => purges::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Nodes(args) => nodes::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Token(args) => token::run(&args),
    }
}

/// Writes to stdout. A reader that went away wants no more, and that is no failure.
fn say(text: &str) {
    let _gone = std::io::stdout().write_all(text.as_bytes()).is_err();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_declared_soundly() {
        Cli::command().debug_assert();
    }
}
