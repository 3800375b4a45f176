//! Credentials as they are held: asked for when they are first needed, renewed before they end.
//!
//! ```text
//!           obtained          renew ─ ─ ─ ─ ─ ends
//!  ── none ─┤     held        │  held, renewed │ none ──►
//!   waited for                └ behind requests┘ waited for
//! ```
//!
//! Invariants: one renewal at a time; one that fails leaves what is held until it ends, and holds
//! the next one back for a moment.

mod ask;
mod instance;
mod source;
mod web_identity;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use parking_lot::Mutex;

pub(super) use self::source::Source;

/// How long before they end credentials are renewed; those that are good for less than twice as
/// long, after half of it.
const BEFORE_THE_END: Duration = Duration::from_mins(5);

/// How long a failed renewal holds the next one back.
const PAUSE: Duration = Duration::from_secs(5);

/// Why there are no credentials: the source, and what was expected of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(pub(super) Arc<str>);

/// The credentials of one bucket.
pub(super) struct Keeper {
    source: Source,
    /// The calendar, by which credentials end.
    now: Calendar,
    held: Mutex<Held>,
    /// Whoever has it renews.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Tells the time.
pub(super) type Calendar = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What is known of them.
#[derive(Debug, Default)]
struct Held {
    credentials: Option<Credentials>,
    /// When they are to be renewed; `None` for never.
    renew: Option<SystemTime>,
    /// The last renewal, where it failed.
    failed: Option<(SystemTime, Unavailable)>,
}

/// What can be had of them at some moment.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Good(Credentials),
    /// Good still, and to be renewed.
    Due(Credentials),
    /// To be waited for.
    Absent,
    Failed(Unavailable),
}

impl Held {
    fn at(&self, now: SystemTime) -> State {
        let pauses = |(at, _): &&(SystemTime, Unavailable)| now < *at + PAUSE && now >= *at;
        let failed = self.failed.as_ref().filter(pauses);
        let is_good = |held: &&Credentials| held.expiry().is_none_or(|ends| now < ends);
        match (self.credentials.as_ref().filter(is_good), failed) {
            (Some(held), None) if self.renew.is_some_and(|renew| now >= renew) => {
                State::Due(held.clone())
            }
            (Some(held), _) => State::Good(held.clone()),
            (None, Some((_, why))) => State::Failed(why.clone()),
            (None, None) => State::Absent,
        }
    }

    fn obtained(&mut self, credentials: Credentials, again: Option<Duration>, now: SystemTime) {
        let before_the_end = |ends: SystemTime| {
            let left = ends.duration_since(now).unwrap_or_default();
            ends - BEFORE_THE_END.min(left / 2)
        };
        let renew = credentials.expiry().map(before_the_end);
        self.renew = renew.or(again.map(|again| now + again));
        self.credentials = Some(credentials);
        self.failed = None;
    }
}

impl Keeper {
    pub(super) fn new(source: Source, now: Calendar) -> Self {
        Self { source, now, held: Mutex::default(), turn: Arc::default() }
    }

    /// Where they come from, in a word.
    pub(super) fn source_name(&self) -> &'static str {
        self.source.name()
    }

    /// Credentials that are good now.
    ///
    /// Cancel safe: whoever leaves while it renews lets the next who waits do so.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Credentials, Unavailable> {
        match self.state() {
            State::Good(held) => return Ok(held),
            State::Due(held) => {
                self.renew_behind();
                return Ok(held);
            }
            State::Failed(why) => return Err(why),
            State::Absent => {}
        }
        let _turn = self.turn.lock().await;
        match self.state() {
            State::Good(held) | State::Due(held) => Ok(held),
            State::Failed(why) => Err(why),
            State::Absent => self.renew().await,
        }
    }

    fn state(&self) -> State {
        self.held.lock().at((self.now)())
    }

    fn renew_behind(self: &Arc<Self>) {
        if let Ok(turn) = self.turn.clone().try_lock_owned() {
            let keeper = self.clone();
            tokio::spawn(async move {
                // What went wrong has been told.
                let _ = keeper.renew().await;
                drop(turn);
            });
        }
    }

    async fn renew(&self) -> Result<Credentials, Unavailable> {
        let outcome = self.source.obtain().await;
        let (now, source) = ((self.now)(), self.source.name());
        let outcome = outcome.and_then(|obtained| match obtained.expiry() {
            Some(ends) if ends <= now => Err("they ended before they came".to_owned()),
            _ => Ok(obtained),
        });
        let mut held = self.held.lock();
        match outcome {
            Ok(obtained) => {
                held.obtained(obtained.clone(), self.source.changes_after(), now);
                Ok(obtained)
            }
            Err(why) => {
                tracing::warn!(source, why, "no credentials of S3");
                let why = Unavailable(format!("{source} credentials: {why}").into());
                held.failed = Some((now, why.clone()));
                Err(why)
            }
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("source", &self.source).finish_non_exhaustive()
    }
}
