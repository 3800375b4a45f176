//! The minimum transfer rate: whether a peer that is waited for moves bytes fast enough.

use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// Judges a peer window by window, so that one burst does not pay for a long stall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    /// A stall shorter than this is never held against the peer.
    window: Duration,
    window_end: Instant,
    moved: u64,
}

impl Pace {
    /// Starts to wait for a peer at `now`, by the minimum rate of `limits` and its grace.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self::starting(limits.min_rate, limits.min_rate_grace, now)
    }

    fn starting(bytes_per_second: u64, window: Duration, now: Instant) -> Self {
        Self { bytes_per_second, window, window_end: now + window, moved: 0 }
    }

    /// The peer sent or took `bytes`.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
    }

    /// When [`judge`](Self::judge) is next to be asked, if nothing ends the wait before.
    pub(super) fn next_judgement(&self) -> Instant {
        self.window_end
    }

    /// Whether the peer may go on. Begins a new window when one has passed.
    pub(super) fn judge(&mut self, now: Instant) -> bool {
        if now < self.window_end {
            return true;
        }
        let needed = u128::from(self.bytes_per_second) * self.window.as_millis();
        let enough = u128::from(self.moved) * 1000 >= needed;
        *self = Self::starting(self.bytes_per_second, self.window, now);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn each_window_is_judged_by_itself() {
        let start = Instant::now();
        let mut pace = Pace::starting(100, WINDOW, start);
        pace.moved(5000);
        assert!(pace.judge(start + WINDOW / 2), "the window is not over");
        assert!(pace.judge(start + WINDOW), "5000 bytes in ten seconds");
        pace.moved(999);
        assert!(!pace.judge(start + WINDOW * 2), "999 bytes in ten seconds");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let start = Instant::now();
        assert!(Pace::starting(0, WINDOW, start).judge(start + WINDOW * 9));
    }
}
