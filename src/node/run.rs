//! `headland run`: a node in the foreground, told by signals.

use std::path::Path;
use std::process::ExitCode;

use super::{Node, StartError};
use crate::config::Config;
use crate::door::{Signals, Told};
use crate::telemetry::{TraceFormat, start_tracing};

/// Exit code of a bad config.
const BAD_CONFIG: u8 = 2;

/// Runs a node until SIGTERM or SIGINT, then drains. SIGHUP reads config and certificates again.
pub fn run(path: &Path) -> ExitCode {
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(report) => {
            eprint!("{report}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    if let Err(error) = start_tracing(&config.logging.level, TraceFormat::Text) {
        eprintln!("headland: {error}");
        return ExitCode::from(BAD_CONFIG);
    }
    match serve(config, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headland: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config, path: &Path) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    // Before the node: a signal that comes early must not end it without a drain.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(StartError::Thread)?;
    let node = Node::start(config)?;
    let addresses = node.addresses();
    tracing::info!(?addresses, "serving");
    while runtime.block_on(signals.next()) == Told::Reload {
        reload(&node, path);
    }
    tracing::info!("draining");
    node.shutdown();
    Ok(())
}

/// A bad file changes nothing, and says why.
fn reload(node: &Node, path: &Path) {
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(report) => return tracing::error!("nothing was reloaded:\n{report}"),
    };
    match node.reload(config) {
        Ok(done) if done.after_restart.is_empty() => tracing::info!("reloaded"),
        Ok(done) => {
            let sections = done.after_restart.join(", ");
            tracing::warn!(sections, "reloaded; these sections take effect after a restart");
        }
        Err(error) => tracing::error!(%error, "nothing was reloaded"),
    }
}
