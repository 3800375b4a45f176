//! A deadline that moves with every request at no cost.
//!
//! Setting a runtime timer for each request would cost more than the request's parsing. The timer
//! is left where it is while the deadline moves on, and is set anew only when it fires too early.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// One deadline of one connection.
#[derive(Debug)]
pub(super) struct Timer {
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    /// A timer that expires at `deadline`.
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, sleep: Box::pin(sleep_until(deadline)) }
    }

    /// Moves the deadline.
    pub(super) fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Ready once the deadline has passed; else the task is woken when it does.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.sleep.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_deadline_moves_both_ways() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut timer = Timer::new(start + second * 5);
        timer.set(start + second * 9);
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(Instant::now(), start + second * 9);
        timer.set(start + second * 20);
        timer.set(start + second * 12);
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(Instant::now(), start + second * 12);
    }
}
