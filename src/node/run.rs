//! `headland run`: a node in the foreground, told by signals.

use std::path::Path;
use std::process::ExitCode;

use super::{Node, StartError};
use crate::config::Config;
use crate::door::{Signals, Told, in_foreground};
use crate::telemetry::{TraceFormat, start_tracing};

/// Runs a node until SIGTERM or SIGINT, then drains. SIGHUP reads config and certificates again.
pub fn run(path: &Path) -> ExitCode {
    let trace = |config: &Config| start_tracing(&config.logging.level, TraceFormat::Text);
    in_foreground(Config::read(path), trace, |config| {
        serve(config, path).map_err(|error| format!("{}: {error}", path.display()))
    })
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
