//! How the tier fares: errors counted, whether its disk has room, and whether it has stepped aside.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus::IntCounter;

use super::segment::Segment;

/// Damaged places that are remembered, so that each is counted once.
const DAMAGE_MAX: usize = 4096;

/// Counters and state, for status and metrics.
#[derive(Debug)]
pub(super) struct Health {
    errors: IntCounter,
    evictions: AtomicU64,
    refused: AtomicU64,
    aside: Mutex<Option<String>>,
    short: Mutex<Option<String>>,
    /// Segments, and the bytes of them at which damage was found.
    damage: Mutex<HashSet<(u64, u64)>>,
}

impl Health {
    /// A tier in good health; `errors` counts what fails.
    pub(super) fn new(errors: IntCounter) -> Self {
        Self {
            errors,
            evictions: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            aside: Mutex::new(None),
            short: Mutex::new(None),
            damage: Mutex::default(),
        }
    }

    /// A read or a write failed, or what was read is not what was written.
    pub(super) fn error(&self) {
        self.errors.inc();
    }

    /// What stands at byte `offset` of `segment` cannot be read, or is not what was written. It is
    /// counted once, whoever comes upon it again; of each segment the first is told of, for what
    /// cut it short has damaged all that it held.
    pub(super) fn damaged(&self, segment: &Segment, offset: u64, what: &'static str) {
        let mut damage = self.damage.lock();
        if damage.len() >= DAMAGE_MAX {
            damage.clear();
        }
        let is_first = !damage.iter().any(|(id, _)| *id == segment.id);
        if damage.insert((segment.id, offset)) {
            self.error();
            let path = segment.path().display();
            match (is_first, segment.is_cut()) {
                (true, true) => tracing::warn!(%path, "a segment was cut short"),
                (true, false) => {
                    tracing::warn!(%path, offset, what, "what is stored is damaged");
                }
                (false, _) => tracing::debug!(%path, offset, what, "more of it is damaged"),
            }
        }
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

    /// Nothing is written until the disk can be used again, which is counted and told of once.
    pub(super) fn step_aside(&self, why: String) {
        let mut aside = self.aside.lock();
        if aside.is_none() {
            self.error();
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

    /// The disk has no room for what the tier may take, which is told of once.
    pub(super) fn run_short(&self, why: String) {
        let mut short = self.short.lock();
        if short.is_none() {
            tracing::warn!(%why, "the disk tier runs short: what comes replaces the oldest");
        }
        *short = Some(why);
    }

    /// The disk has room again.
    pub(super) fn has_room(&self) {
        if self.short.lock().take().is_some() {
            tracing::info!("the disk tier has room again");
        }
    }

    /// Why there is less room than the tier may take, if so.
    pub(super) fn short(&self) -> Option<String> {
        self.short.lock().clone()
    }

    pub(super) fn is_short(&self) -> bool {
        self.short.lock().is_some()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    pub(super) fn refusals(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
