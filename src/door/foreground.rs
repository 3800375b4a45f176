//! A process in the foreground: from its config to its exit code.

use std::fmt::Display;
use std::process::ExitCode;

use crate::config::fault::Report;

/// Exit code of a bad config.
const BAD_CONFIG: u8 = 2;

/// Tells every fault of a config on stderr, or begins to `trace` as it says and serves until
/// `serve` returns.
pub fn in_foreground<C, L, T: Display, E: Display>(
    config: Result<C, Report>,
    trace: impl FnOnce(&C) -> Result<L, T>,
    serve: impl FnOnce(C) -> Result<(), E>,
) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(report) => {
            eprintln!("{report}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    if let Err(error) = trace(&config) {
        eprintln!("headland: {error}");
        return ExitCode::from(BAD_CONFIG);
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headland: {error}");
            ExitCode::FAILURE
        }
    }
}
