//! How the tier fares: errors counted, and whether it has stepped aside.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus::IntCounter;

/// Counters and state, for status and metrics.
#[derive(Debug)]
pub(super) struct Health {
    errors: IntCounter,
    evictions: AtomicU64,
    refused: AtomicU64,
    aside: Mutex<Option<String>>,
}

impl Health {
    /// A tier in good health; `errors` counts what fails.
    pub(super) fn new(errors: IntCounter) -> Self {
        Self {
            errors,
            evictions: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            aside: Mutex::new(None),
        }
    }

    /// A read or a write failed, or what was read is not what was written.
    pub(super) fn error(&self) {
        self.errors.inc();
    }

    /// Errors counted so far.
    #[cfg(test)]
    pub(super) fn errors(&self) -> u64 {
        self.errors.get()
    }

    /// Responses were given up for room.
    pub(super) fn evicted(&self, count: u64) {
        self.evictions.fetch_add(count, Ordering::Relaxed);
    }

    /// A response was not stored: no room in the queue or on the disk.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing is written until the disk can be used again.
    pub(super) fn step_aside(&self, why: String) {
        self.error();
        let mut aside = self.aside.lock();
        if aside.is_none() {
            tracing::error!(%why, "the disk tier steps aside: nothing is written to it");
        }
        *aside = Some(why);
    }

    /// The disk can be used again.
    pub(super) fn come_back(&self) {
        if self.aside.lock().take().is_some() {
            tracing::info!("the disk tier is back");
        }
    }

    /// Why nothing is written, if so.
    pub(super) fn aside(&self) -> Option<String> {
        self.aside.lock().clone()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    pub(super) fn refusals(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
