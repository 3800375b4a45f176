//! How often mapped bytes were lost: pages of a mapped file that could not be read, in whose place
//! the reader got zeros.
//!
//! Bytes made up in this way must not leave as if they were right, and no reader is told at the
//! place where it reads. So whoever makes output from shared bytes takes a [`Mark`] before it asks
//! for them, and looks at it after it has read them and before it sends.
//!
//! ```text
//! sender           Mark::now ── reads bytes ───────────────── holds? ── sends, or cuts
//! fault handler                       raise ── maps zeros ──┘
//! ```
//!
//! Invariant: the count is raised before the first made-up byte can be read, so a mark that holds
//! after the reading vouches for all that was read since it was taken.

#[cfg(test)]
pub(crate) mod alone;

use std::sync::atomic::{AtomicU64, Ordering, fence};

static LOSSES: AtomicU64 = AtomicU64::new(0);

/// Losses since the process began.
pub fn count() -> u64 {
    LOSSES.load(Ordering::Acquire)
}

/// Counts one loss. Async-signal-safe; to be called before the bytes are replaced.
pub fn raise() {
    LOSSES.fetch_add(1, Ordering::SeqCst);
    // The bytes are replaced by a system call, which is no barrier on every machine.
    fence(Ordering::SeqCst);
}

/// A point in time from which on nothing may be lost.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// This point. What is read after it is vouched for while the mark holds.
    pub fn now() -> Self {
        Self(count())
    }

    /// Whether nothing was lost since: all that was read before this call is as it was stored.
    pub fn holds(self) -> bool {
        // Bytes already read must not be read again later, nor the count earlier than they.
        fence(Ordering::Acquire);
        self.0 == LOSSES.load(Ordering::Relaxed)
    }
}
