//! `headland demo`: a small CDN on loopback, in one process: an origin with real files, two edges
//! behind a shield, and the control plane that purges them.
//!
//! ```text
//!                       ┌──► edge-1 ──┐
//!  you, curl, the tour ─┤             ├──► shield-1 ──► origin (a folder of files)
//!           │           └──► edge-2 ──┘       ▲
//!           │                   ▲             │ the purge log
//!           └─ purges ──► control plane ──────┘
//! ```
//!
//! Everything is made in a temporary folder, which goes when the demo ends.

mod ask;
mod files;
mod fleet;
mod folder;
mod invitation;
mod keys;
mod origin;
mod stage;
mod tour;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::folder::Folder;
use self::invitation::invitation;
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
    // The first to come is the last to go.
    let folder = Folder::make()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let running = runtime.enter();
    let mut told_to_end = Signals::new()?;
    let mut stage = Stage::set(&folder, !once)?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = play(&mut stage, once, json) => outcome,
            () = told_to_end.any() => Ok(!once),
        }
    });
    // The origin stays until the nodes have finished what they began.
    stage.strike();
    drop(running);
    outcome
}

async fn play(stage: &mut Stage, once: bool, json: bool) -> Result<bool, StageError> {
    stage.settled().await?;
    if json {
        super::say(&format!("{}\n", stage.describe()));
    }
    if once {
        return Ok(tour::walk(stage).await);
    }
    if !json {
        super::say(&invitation(stage));
    }
    std::future::pending().await
}

/// Ctrl-C, and the word of whoever started the demo, or of a terminal that goes.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// Cancel safe.
    async fn any(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
