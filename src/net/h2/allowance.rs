//! How many frames that move no content a peer may send. Pure.
//!
//! Settings, pings, priorities, window updates, resets of finished streams and empty DATA cost us
//! more than they cost the peer (CVE-2019-9511 to 9518). A connection has some to spend in each
//! window of time, and earns more with each request and each frame of content, since an honest peer
//! answers content with window updates.

use std::time::Duration;

use tokio::time::Instant;

/// Frames to spend in a window of time.
const FRAMES: u32 = 1000;

/// Earned with a request or a frame of content: twice the window updates that it may cause.
const EARNED: u32 = 4;

/// When the whole allowance comes back.
const WINDOW: Duration = Duration::from_secs(10);

/// What a peer may still spend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    frames: u32,
    window_end: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { frames: FRAMES, window_end: now + WINDOW }
    }

    /// Spends one frame; false if there is none left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        if now >= self.window_end {
            *self = Self::new(now);
        }
        let left = self.frames.checked_sub(1);
        self.frames = left.unwrap_or(0);
        left.is_some()
    }

    /// A request began, or a frame of content went either way.
    pub(super) fn earn(&mut self) {
        self.frames = (self.frames + EARNED).min(FRAMES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_with_content_and_with_time() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!((0..FRAMES).all(|_| allowance.spend(start)));
        assert!(!allowance.spend(start));
        allowance.earn();
        assert!((0..EARNED).all(|_| allowance.spend(start)));
        assert!(!allowance.spend(start));
        assert!(allowance.spend(start + WINDOW));
    }
}
