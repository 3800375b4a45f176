//! Which refusals are noted in the audit: a few a second of each holder, or of each address that
//! shows no token that is known. How many were left out stands in the next that is noted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::rate::RateLimit;
use super::{Asking, Door, Problem};

/// Of one holder or address, in a second.
const PER_SECOND: usize = 10;

/// Holders and addresses, in a second.
const NAMES_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Refusals {
    rate: RateLimit,
    left_out: AtomicU64,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { rate: RateLimit::new(PER_SECOND, NAMES_MAX), left_out: AtomicU64::new(0) }
    }

    /// Whether one is noted, and then how many before it were not.
    fn take(&self, name: &str, now: Duration) -> Option<u64> {
        let is_noted = self.rate.take(name, now);
        if !is_noted {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        is_noted.then(|| self.left_out.swap(0, Ordering::Relaxed))
    }
}

impl Door {
    /// Notes that somebody was refused at the door.
    pub(super) fn note_refused(&self, asking: &Asking, problem: &Problem) {
        let (holder, address) = (&asking.caller.name, asking.peer.address.ip().to_string());
        let name = if holder.is_empty() { &address } else { holder };
        let Some(left_out) = self.refusals.take(name, (self.parts.clock)()) else { return };
        if !holder.is_empty() {
            tracing::warn!(
                holder,
                what = asking.what,
                detail = problem.detail,
                "a token is refused"
            );
        }
        let detail = match left_out {
            0 => problem.detail.clone(),
            more => format!("{} (and {more} refusals before that are not noted)", problem.detail),
        };
        self.note(asking, problem.status, detail);
    }
}
