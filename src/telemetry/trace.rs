//! Starts `tracing`: events to stderr, as text or as JSON lines, and a filter that a reload can
//! change. Uses nothing of ours.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceFormat {
    /// One line of text an event, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Changes the filter of a running process.
#[derive(Clone, Debug)]
pub struct TraceLevel(reload::Handle<EnvFilter, Registry>);

/// Why tracing cannot start or change.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The directives are not of the form `info` or `headland::net=debug,warn`.
    #[error("log filter {directives:?}: {source}")]
    Filter {
        /// What was given.
        directives: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Tracing runs in this process already.
    #[error("tracing was started before: {0}")]
    Started(#[from] TryInitError),
    /// The subscriber is gone.
    #[error("log filter cannot be changed: {0}")]
    Gone(#[from] reload::Error),
}

/// Starts `tracing` for this process with `directives`, for example `info` or
/// `info,headland::store=debug`.
///
/// # Errors
/// If the directives cannot be read, or tracing was started before.
pub fn start_tracing(directives: &str, format: TraceFormat) -> Result<TraceLevel, TraceError> {
    let (filter, handle) = reload::Layer::new(parse(directives)?);
    let subscriber = tracing_subscriber::registry().with(filter);
    let events = fmt::layer().with_writer(stderr);
    match format {
        TraceFormat::Text => {
            subscriber.with(events.with_ansi(stderr().is_terminal())).try_init()?;
        }
        TraceFormat::Json => subscriber.with(events.json()).try_init()?,
    }
    Ok(TraceLevel(handle))
}

impl TraceLevel {
    /// Replaces the filter; on an error the old one stays.
    ///
    /// # Errors
    /// If the directives cannot be read.
    pub fn set(&self, directives: &str) -> Result<(), TraceError> {
        let filter = parse(directives)?;
        Ok(self.0.reload(filter)?)
    }
}

fn parse(directives: &str) -> Result<EnvFilter, TraceError> {
    EnvFilter::builder()
        .parse(directives)
        .map_err(|source| TraceError::Filter { directives: directives.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_checked_before_anything_changes() {
        assert!(parse("info,headland::store=debug").is_ok());
        let error = parse("headland=louder").expect_err("no such level");
        assert!(error.to_string().contains("headland=louder"), "{error}");
    }

    #[test]
    fn starts_once_and_changes_while_running() {
        let level = start_tracing("warn", TraceFormat::Json).expect("first start");
        level.set("info").expect("a good filter");
        assert!(matches!(level.set("=,="), Err(TraceError::Filter { .. })));
        let again = start_tracing("warn", TraceFormat::Text);
        assert!(matches!(again, Err(TraceError::Started(_))));
    }
}
