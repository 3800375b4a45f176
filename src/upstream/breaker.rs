//! A circuit breaker: who fails again and again is left alone for a while, then tried by one
//! request. Pure: the caller tells the time.
//!
//! ```text
//!            failures in a row             the pause is over: one probe
//!   closed ───────────────────▶ open ─────────────────────────────▶ half-open
//!     ▲                          ▲  the probe failed: twice the pause   │
//!     │                          └──────────────────────────────────────┤
//!     └────────────── any answer, whoever asked ────────────────────────┘
//! ```
//!
//! Invariant: of the requests that ask for admission while it is not closed, at most one a pause is
//! let through. A probe of which nothing is heard for a pause, as when its client left, is taken
//! for lost, and the next is let through: nobody has to give a probe back.

use std::time::{Duration, Instant};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct BreakerConfig {
    /// Failures in a row that open it, at least 1.
    pub(super) failures: usize,
    /// The first pause.
    pub(super) pause: Duration,
    /// The longest pause.
    pub(super) pause_max: Duration,
}

/// The breaker of one server.
#[derive(Debug)]
pub(super) struct Breaker {
    config: BreakerConfig,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All is well but for so many failures in a row.
    Closed { failures: usize },
    /// Left alone until then.
    Open { until: Instant, pause: Duration },
    /// One request tries; its answer is waited for until then.
    HalfOpen { until: Instant, pause: Duration },
}

/// How a request was let through; told again with its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// As any other.
    Usual,
    /// As the one that tries whether the server is back.
    Probe,
    /// Though the breaker is open: there is nobody else to ask.
    Forced,
}

/// What an outcome changed for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The server is left alone from now on.
    Opened,
    /// The server is asked again.
    Closed,
}

impl Breaker {
    /// A server is thought well until shown otherwise.
    pub(super) fn new(config: BreakerConfig) -> Self {
        Self { config, state: State::Closed { failures: 0 } }
    }

    /// Whether the server is thought well.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Whether a request that asked now would be let through.
    pub(super) fn would_admit(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until, .. } | State::HalfOpen { until, .. } => until <= now,
        }
    }

    /// Lets a request through, or not. Its outcome is to be told, unless nothing is heard of it.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Admission> {
        if !self.would_admit(now) {
            return None;
        }
        match self.state {
            State::Closed { .. } => Some(Admission::Usual),
            State::Open { pause, .. } | State::HalfOpen { pause, .. } => {
                self.state = State::HalfOpen { until: now + pause, pause };
                Some(Admission::Probe)
            }
        }
    }

    /// The server answered, whoever asked.
    pub(super) fn answered(&mut self) -> Option<Change> {
        let was_closed = self.is_closed();
        self.state = State::Closed { failures: 0 };
        (!was_closed).then_some(Change::Closed)
    }

    /// The server failed a request that was let through as `admission`.
    pub(super) fn failed(&mut self, admission: Admission, now: Instant) -> Option<Change> {
        let BreakerConfig { failures: most, pause: first, pause_max } = self.config;
        match self.state {
            State::Closed { failures } if failures + 1 < most => {
                self.state = State::Closed { failures: failures + 1 };
                None
            }
            State::Closed { .. } => {
                let pause = first.min(pause_max);
                self.state = State::Open { until: now + pause, pause };
                Some(Change::Opened)
            }
            State::HalfOpen { pause, .. } if admission == Admission::Probe => {
                let pause = (pause * 2).min(pause_max);
                self.state = State::Open { until: now + pause, pause };
                None
            }
            // What was under way when it opened, or was forced, tells nothing new.
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig {
        failures: 2,
        pause: Duration::from_secs(1),
        pause_max: Duration::from_secs(3),
    };

    /// What happens at a time in milliseconds.
    enum Event {
        /// Somebody asks, and this is the answer.
        Asks(Option<Admission>),
        /// An outcome, and what it changes.
        Answers(Option<Change>),
        Fails(Admission, Option<Change>),
    }

    fn play(events: &[(u64, Event)]) {
        use Event::{Answers, Asks, Fails};
        let start = Instant::now();
        let mut breaker = Breaker::new(CONFIG);
        for (number, (millis, event)) in events.iter().enumerate() {
            let now = start + Duration::from_millis(*millis);
            match event {
                Asks(expected) => {
                    assert_eq!(breaker.would_admit(now), expected.is_some(), "{number}");
                    assert_eq!(breaker.admit(now), *expected, "{number}");
                }
                Answers(expected) => assert_eq!(breaker.answered(), *expected, "{number}"),
                Fails(admission, expected) => {
                    assert_eq!(breaker.failed(*admission, now), *expected, "{number}");
                }
            }
        }
    }

    use Admission::{Forced, Probe, Usual};
    use Event::{Answers, Asks, Fails};

    /// Two failures in a row at 0: open until 1000.
    const OPENED: [(u64, Event); 2] =
        [(0, Fails(Usual, None)), (0, Fails(Usual, Some(Change::Opened)))];

    fn play_opened(events: impl IntoIterator<Item = (u64, Event)>) {
        play(&OPENED.into_iter().chain(events).collect::<Vec<_>>());
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        play(&[
            (0, Asks(Some(Usual))),
            (0, Fails(Usual, None)),
            (0, Answers(None)),
            (0, Fails(Usual, None)),
            (0, Asks(Some(Usual))),
            (0, Fails(Usual, Some(Change::Opened))),
            (0, Asks(None)),
            (999, Asks(None)),
        ]);
    }

    #[test]
    fn one_probe_a_pause_tries_it() {
        play_opened([
            (1000, Asks(Some(Probe))),
            (1000, Asks(None)),
            (1500, Answers(Some(Change::Closed))),
            (1500, Asks(Some(Usual))),
            (1500, Asks(Some(Usual))),
            (1500, Fails(Usual, None)),
        ]);
    }

    #[test]
    fn the_pause_doubles_up_to_its_longest() {
        play_opened([
            (1000, Asks(Some(Probe))),
            (1100, Fails(Probe, None)),
            (3099, Asks(None)),
            (3100, Asks(Some(Probe))),
            (3100, Fails(Probe, None)),
            (6099, Asks(None)),
            (6100, Asks(Some(Probe))),
            (6100, Fails(Probe, None)),
            (9100, Asks(Some(Probe))),
            (9100, Answers(Some(Change::Closed))),
            // The next time begins with the first pause.
            (9200, Fails(Usual, None)),
            (9200, Fails(Usual, Some(Change::Opened))),
            (10_199, Asks(None)),
            (10_200, Asks(Some(Probe))),
        ]);
    }

    #[test]
    fn a_lost_probe_is_followed_by_another() {
        play_opened([
            (1000, Asks(Some(Probe))),
            (1999, Asks(None)),
            (2000, Asks(Some(Probe))),
            (2000, Asks(None)),
        ]);
    }

    #[test]
    fn what_was_no_probe_does_not_prolong_the_pause() {
        play_opened([
            (500, Fails(Usual, None)),
            (900, Fails(Forced, None)),
            (1000, Asks(Some(Probe))),
            (1000, Fails(Forced, None)),
            (2000, Asks(Some(Probe))),
        ]);
    }

    #[test]
    fn any_answer_closes_it() {
        play_opened([(10, Answers(Some(Change::Closed))), (10, Asks(Some(Usual)))]);
    }
}
