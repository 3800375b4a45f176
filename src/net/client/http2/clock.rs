//! How long a server may be silent in an exchange.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::net::timer::Timer;

/// How long the server has been waited for.
pub(super) struct Clock {
    timer: Timer,
    limit: Duration,
    running: bool,
}

impl Clock {
    /// The server is waited for from now on, `limit` at a time.
    pub(super) fn new(limit: Duration) -> Self {
        Self { timer: Timer::new(Instant::now() + limit), limit, running: true }
    }

    /// The time starts anew when the server is next waited for.
    pub(super) fn stop(&mut self) {
        self.running = false;
    }

    /// Ready once the server has been waited for longer than the limit.
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.running {
            self.running = true;
            self.timer.set(Instant::now() + self.limit);
        }
        self.timer.poll_expired(cx)
    }
}
