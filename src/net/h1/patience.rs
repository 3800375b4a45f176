//! How long a connection waits: one deadline, a pace for each direction that is waited for, and the
//! next look at what is on its way, all on one timer.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::net::Limits;
use crate::net::pace::Pace;
use crate::net::timer::Timer;

/// The waits of one connection.
#[derive(Debug)]
pub(super) struct Patience {
    timer: Timer,
    deadline: Instant,
    limits: Arc<Limits>,
    /// Boxed, for most connections wait for neither.
    sending: Option<Box<Pace>>,
    taking: Option<Box<Pace>>,
    /// When the responses on their way are to be looked at; `None` where none waits.
    review: Option<Instant>,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The deadline has passed.
    Deadline,
    /// The client sends its content too slowly.
    Sending,
    /// The client takes the response too slowly.
    Taking,
    /// The responses on their way are to be looked at. It is over until the next is
    /// [set](Patience::review_at).
    Unreviewed,
}

impl Patience {
    /// Waits until `deadline`, and for the pace that `limits` ask for.
    pub(super) fn new(deadline: Instant, limits: Arc<Limits>) -> Self {
        let timer = Timer::new(deadline);
        Self { timer, deadline, limits, sending: None, taking: None, review: None }
    }

    /// Waits until `deadline` from now on.
    pub(super) fn wait_until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Waits until `deadline`, or until the earlier one that stands.
    pub(super) fn wait_no_longer_than(&mut self, deadline: Instant) {
        self.deadline = self.deadline.min(deadline);
    }

    /// Waits for `duration` from now on.
    pub(super) fn wait_for(&mut self, duration: Duration) {
        self.deadline = Instant::now() + duration;
    }

    /// The client is waited for to send content, after it sent `bytes`.
    pub(super) fn wait_for_sending(&mut self, bytes: usize) {
        wait(&mut self.sending, &self.limits, bytes);
    }

    /// The client is not waited for to send content until the handler wants more.
    pub(super) fn pause_sending(&mut self) {
        if let Some(pace) = self.sending.as_mut().filter(|pace| !pace.is_paused()) {
            pace.pause(Instant::now());
        }
    }

    /// The content is over.
    pub(super) fn stop_sending(&mut self) {
        self.sending = None;
    }

    /// The client is waited for to take the response, after it took `bytes`.
    pub(super) fn wait_for_taking(&mut self, bytes: usize) {
        wait(&mut self.taking, &self.limits, bytes);
    }

    /// The client is not waited for to take anything.
    pub(super) fn stop_taking(&mut self) {
        self.taking = None;
    }

    /// The responses on their way are to be looked at by then.
    pub(super) fn review_at(&mut self, at: Instant) {
        self.review = Some(at);
    }

    /// Whether it is known when they are.
    pub(super) fn is_review_set(&self) -> bool {
        self.review.is_some()
    }

    /// No response waits any more.
    pub(super) fn stop_reviews(&mut self) {
        self.review = None;
    }

    /// Ready when something is over; else the task is woken when it is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        loop {
            let paces = [&self.sending, &self.taking].into_iter().flatten();
            let paces = paces.filter(|pace| !pace.is_paused());
            let judgement = paces.map(|pace| pace.next_judgement()).chain(self.review).min();
            self.timer.set(judgement.map_or(self.deadline, |at| at.min(self.deadline)));
            let is_expired = self.timer.poll_expired(cx).is_ready();
            // The runtime tells a task that has had its share of a turn nothing of the time, and a
            // client that is fast enough lets a long response have its share each time.
            if !is_expired && self.review.is_none_or(|at| Instant::now() < at) {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(Over::Deadline);
            }
            if self.sending.as_mut().is_some_and(|pace| !pace.judge(now)) {
                return Poll::Ready(Over::Sending);
            }
            if self.taking.as_mut().is_some_and(|pace| !pace.judge(now)) {
                return Poll::Ready(Over::Taking);
            }
            if self.review.is_some_and(|at| now >= at) {
                self.review = None;
                return Poll::Ready(Over::Unreviewed);
            }
        }
    }
}

fn wait(pace: &mut Option<Box<Pace>>, limits: &Limits, bytes: usize) {
    match pace {
        // Nothing has happened, so the time need not be known.
        Some(pace) if bytes == 0 && !pace.is_paused() => {}
        Some(pace) => {
            let now = Instant::now();
            pace.resume(now);
            pace.moved(bytes, now);
        }
        None => *pace = Some(Box::new(Pace::new(limits, Instant::now()))),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_deadline_and_both_rates_end_a_wait() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let limits = Limits { min_rate: 100, min_rate_grace: second * 10, ..Limits::default() };
        let mut patience = Patience::new(start + second * 15, Arc::new(limits));
        patience.wait_for_sending(0);
        assert_eq!(poll_fn(|cx| patience.poll(cx)).await, Over::Sending);
        assert_eq!(Instant::now(), start + second * 10);
        patience.stop_sending();
        patience.wait_for_taking(0);
        patience.wait_for_taking(2000);
        assert_eq!(poll_fn(|cx| patience.poll(cx)).await, Over::Deadline);
        assert_eq!(Instant::now(), start + second * 15);
        patience.wait_for(second * 60);
        assert_eq!(poll_fn(|cx| patience.poll(cx)).await, Over::Taking);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stands_still_is_over_at_the_idle_timeout_while_it_is_waited_for() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let limits = Limits { min_rate: 0, idle_timeout: second * 5, ..Limits::default() };
        let mut patience = Patience::new(start + second * 7, Arc::new(limits));
        patience.wait_for_sending(0);
        patience.pause_sending();
        assert_eq!(poll_fn(|cx| patience.poll(cx)).await, Over::Deadline);
        patience.wait_for(second * 60);
        patience.wait_for_sending(0);
        assert_eq!(poll_fn(|cx| patience.poll(cx)).await, Over::Sending);
        assert_eq!(Instant::now(), start + second * 12);
    }
}
