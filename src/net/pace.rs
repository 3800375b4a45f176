//! The least that is asked of a peer that is waited for: that bytes move, and fast enough.

use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// Judges a peer window by window, so that one burst does not pay for a long stall; and a peer that
/// stands still is not given the whole of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    /// A rate that is too low for less than this is never held against the peer.
    window: Duration,
    window_end: Instant,
    moved: u64,
    /// Nor is standing still for less than this.
    idle: Duration,
    moved_at: Instant,
    paused: Option<Instant>,
}

impl Pace {
    /// Starts to wait for a peer at `now`, by the minimum rate, its grace, and the idle timeout of
    /// `limits`.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            bytes_per_second: limits.min_rate,
            window: limits.min_rate_grace,
            window_end: now + limits.min_rate_grace,
            moved: 0,
            idle: limits.idle_timeout,
            moved_at: now,
            paused: None,
        }
    }

    /// The peer sent or took `bytes`.
    pub(super) fn moved(&mut self, bytes: usize, now: Instant) {
        if bytes > 0 {
            self.moved += bytes as u64;
            self.moved_at = now;
        }
    }

    /// The peer is not waited for until [`resume`](Self::resume).
    pub(super) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// The peer is waited for; a pause is not held against it.
    pub(super) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            let pause = now.saturating_duration_since(since);
            self.window_end += pause;
            self.moved_at += pause;
        }
    }

    /// Whether the peer is not waited for.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// When [`judge`](Self::judge) is next to be asked, if nothing ends the wait before.
    pub(super) fn next_judgement(&self) -> Instant {
        self.window_end.min(self.moved_at + self.idle)
    }

    /// Whether the peer may go on. Begins a new window when one has passed.
    pub(super) fn judge(&mut self, now: Instant) -> bool {
        if self.is_paused() {
            return true;
        }
        if now >= self.moved_at + self.idle {
            return false;
        }
        if now < self.window_end {
            return true;
        }
        let needed = u128::from(self.bytes_per_second) * self.window.as_millis();
        let enough = u128::from(self.moved) * 1000 >= needed;
        (self.window_end, self.moved) = (now + self.window, 0);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WINDOW: Duration = Duration::from_secs(10);

    fn pace(min_rate: u64, idle_timeout: Duration, start: Instant) -> Pace {
        let limits = Limits { min_rate, min_rate_grace: WINDOW, idle_timeout, ..Limits::default() };
        Pace::new(&limits, start)
    }

    #[test]
    fn each_window_is_judged_by_itself() {
        let start = Instant::now();
        let mut pace = pace(100, WINDOW * 9, start);
        pace.moved(5000, start);
        assert!(pace.judge(start + WINDOW / 2), "the window is not over");
        assert!(pace.judge(start + WINDOW), "5000 bytes in ten seconds");
        pace.moved(999, start + WINDOW);
        assert!(!pace.judge(start + WINDOW * 2), "999 bytes in ten seconds");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let start = Instant::now();
        assert!(pace(0, WINDOW * 10, start).judge(start + WINDOW * 9));
    }

    #[test]
    fn standing_still_is_limited_by_itself() {
        let start = Instant::now();
        let mut pace = pace(0, SECOND * 3, start);
        pace.moved(1, start + SECOND);
        pace.moved(0, start + SECOND * 2);
        assert_eq!(pace.next_judgement(), start + SECOND * 4);
        assert!(pace.judge(start + SECOND * 3));
        assert!(!pace.judge(start + SECOND * 4));
    }

    #[test]
    fn a_pause_is_not_held_against_the_peer_and_excuses_nothing() {
        let start = Instant::now();
        let mut pace = pace(100, WINDOW * 9, start);
        pace.pause(start + SECOND);
        assert!(pace.judge(start + WINDOW * 20));
        pace.resume(start + WINDOW * 20);
        assert_eq!(pace.next_judgement(), start + WINDOW * 21 - SECOND);
        assert!(!pace.judge(start + WINDOW * 21 - SECOND));
    }
}
