//! `headland control`: a control plane in the foreground, told by signals.

use std::path::Path;
use std::process::ExitCode;

use super::serve::{Control, StartError};
use crate::config::control_plane::ControlPlane;
use crate::door::{Signals, Told, in_foreground};
use crate::telemetry::{TraceFormat, start_tracing};

/// Runs a control plane until SIGTERM or SIGINT, then drains. SIGHUP reads tokens and certificates
/// again.
pub fn run(path: &Path) -> ExitCode {
    let trace = |config: &ControlPlane| start_tracing(&config.logging.level, TraceFormat::Text);
    in_foreground(ControlPlane::read(path), trace, |config| serve(config, path))
}

fn serve(config: ControlPlane, path: &Path) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before it starts: a signal that comes early must not end it without a drain.
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let control = Control::start(config)?;
    tracing::info!(address = %control.address(), "serving");
    while runtime.block_on(signals.next()) == Told::Reload {
        reload(&control, path);
    }
    tracing::info!("draining");
    control.shutdown();
    Ok(())
}

/// A bad file changes nothing, and says why.
fn reload(control: &Control, path: &Path) {
    match ControlPlane::read(path) {
        Err(report) => tracing::error!("nothing was reloaded:\n{report}"),
        Ok(config) => match control.reload(config) {
            Ok(after_restart) if after_restart.is_empty() => {
                tracing::info!("reloaded tokens and certificates");
            }
            Ok(after_restart) => {
                let sections = after_restart.join(", ");
                tracing::warn!(
                    sections,
                    "reloaded tokens and certificates; these sections take effect after a restart"
                );
            }
            Err(error) => tracing::error!("nothing was reloaded: certificates: {error}"),
        },
    }
}
