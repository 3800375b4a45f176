//! `headland demo`: an origin with real files, and a node in front of it, on loopback.
//!
//! ```text
//!  you, curl, the tour ──► edge-1 (h1, h2, h3) ──► origin (a folder of files)
//! ```
//!
//! Everything is made in a temporary folder, which goes when the demo ends.

mod ask;
mod files;
mod origin;
mod stage;
mod tour;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::stage::{Stage, StageError};

/// Runs the demo: until Ctrl-C, or, with `once`, until the tour has been checked.
pub fn run(once: bool, json: bool) -> ExitCode {
    match demo(once, json) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("headland demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(once: bool, json: bool) -> Result<bool, StageError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _running = runtime.enter();
    let stage = runtime.block_on(Stage::set(!once))?;
    if json {
        println!("{}", stage.describe());
    }
    let passed = if once {
        runtime.block_on(tour::walk(&stage))
    } else {
        if !json {
            print!("{}", stage.invitation());
        }
        runtime.block_on(told_to_end())?;
        true
    };
    // The origin stays until the node has finished what it began.
    stage.strike();
    Ok(passed)
}

/// Waits for Ctrl-C, or for the word of whoever started the demo.
async fn told_to_end() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        told = tokio::signal::ctrl_c() => told,
        _ = terminate.recv() => Ok(()),
    }
}
