//! The hot counters: one block for each event loop, summed by a scrape. Uses nothing of ours.
//!
//! ```text
//! Shards ─┬─ spare ───────► Shard   threads that never attached (blocking pools, tests)
//!         └─ attached[n] ─► Shard   one event loop each; its thread keeps the other reference
//!                            │
//!                            ├─ hits, misses, collapsed, connections
//!                            ├─ seconds[result]: buckets and sum
//!                            └─ sites[site] ─► SiteBlock, made at the site's first request
//!                                               ├─ bytes[source]
//!                                               └─ rows[protocol, result] ─► counts[status]
//! ```
//!
//! Invariant: a counter is only ever added to, by its own thread or, in the spare shard, by any;
//! blocks and rows are made once and stay. So a scrape reads without stopping anyone, and no two
//! event loops write to one cache line. All operations are relaxed: counters order nothing.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::labels::{Protocol, STATUS_SLOTS, Source, Tier};

/// Upper bounds of the buckets of the request histogram; one bucket more counts the rest.
pub(super) const BOUNDS: [Duration; 17] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// The shards of one [`Metrics`](super::Metrics).
pub(super) struct Shards {
    id: u64,
    sites_max: usize,
    results: usize,
    spare: Arc<Shard>,
    attached: Mutex<Vec<Arc<Shard>>>,
}

impl Shards {
    pub(super) fn new(sites_max: usize, results: usize) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            sites_max,
            results,
            spare: Arc::new(Shard::new(sites_max, results)),
            attached: Mutex::new(Vec::new()),
        }
    }

    /// Gives the calling thread a shard of its own until it ends.
    ///
    /// The shard of a thread that has ended is taken over with its counts, so there are never
    /// more shards than threads that were attached at one moment.
    pub(super) fn attach(&self) {
        ATTACHED.with_borrow_mut(|mine| {
            if mine.iter().any(|(id, _)| *id == self.id) {
                return;
            }
            // Entries that only this thread still refers to belong to metrics that are gone.
            mine.retain(|(_, shard)| Arc::strong_count(shard) > 1);
            let mut attached = self.attached.lock();
            let orphan = attached.iter().find(|shard| Arc::strong_count(shard) == 1).cloned();
            let shard = orphan.unwrap_or_else(|| {
                let fresh = Arc::new(Shard::new(self.sites_max, self.results));
                attached.push(Arc::clone(&fresh));
                fresh
            });
            mine.push((self.id, shard));
        });
    }

    /// Runs `count` on the shard of the calling thread.
    pub(super) fn here(&self, count: impl Fn(&Shard)) {
        let found = ATTACHED.try_with(|mine| {
            let mine = mine.borrow();
            let shard = mine.iter().find(|(id, _)| *id == self.id);
            shard.map(|(_, shard)| count(shard)).is_some()
        });
        if found != Ok(true) {
            count(&self.spare);
        }
    }

    /// The sum of one counter over all shards.
    pub(super) fn sum(&self, read: impl Fn(&Shard) -> u64) -> u64 {
        let attached = self.attached.lock();
        attached.iter().map(|shard| read(shard)).fold(read(&self.spare), u64::wrapping_add)
    }

    /// Visits all shards.
    pub(super) fn each(&self, mut visit: impl FnMut(&Shard)) {
        visit(&self.spare);
        self.attached.lock().iter().for_each(|shard| visit(shard));
    }
}

thread_local! {
    /// The shards of this thread, by the identity of their metrics: one entry, except where
    /// several nodes live in one process.
    static ATTACHED: RefCell<Vec<(u64, Arc<Shard>)>> = const { RefCell::new(Vec::new()) };
}

/// One thread's counters. Aligned to two cache lines, as processors fetch lines in pairs.
#[repr(align(128))]
pub(super) struct Shard {
    pub(super) hits: [AtomicU64; Tier::ALL.len()],
    pub(super) misses: [AtomicU64; Tier::ALL.len()],
    pub(super) collapsed: AtomicU64,
    /// Opened less closed. One shard alone may be below zero (and wrap) when a connection is
    /// closed on another thread; the wrapping sum is right.
    pub(super) connections: [AtomicU64; Protocol::ALL.len()],
    pub(super) seconds: Box<[Seconds]>,
    sites: Box<[OnceLock<Box<SiteBlock>>]>,
    results: usize,
}

impl Shard {
    fn new(sites_max: usize, results: usize) -> Self {
        Self {
            hits: Default::default(),
            misses: Default::default(),
            collapsed: AtomicU64::new(0),
            connections: Default::default(),
            seconds: (0..results).map(|_| Seconds::default()).collect(),
            sites: (0..sites_max).map(|_| OnceLock::new()).collect(),
            results,
        }
    }

    /// The block of a site, made at its first use. `site` must be below the bound.
    pub(super) fn site(&self, site: usize) -> &SiteBlock {
        self.sites[site].get_or_init(|| Box::new(SiteBlock::new(self.results)))
    }

    /// The block of a site if this thread has ever served it.
    pub(super) fn site_if_used(&self, site: usize) -> Option<&SiteBlock> {
        self.sites.get(site)?.get().map(Box::as_ref)
    }
}

/// The counters of one site in one shard.
#[repr(align(128))]
pub(super) struct SiteBlock {
    pub(super) bytes: [AtomicU64; Source::ALL.len()],
    rows: Box<[OnceLock<Box<Row>>]>,
    results: usize,
}

/// Requests by status slot.
#[repr(align(128))]
struct Row([AtomicU64; STATUS_SLOTS]);

impl SiteBlock {
    fn new(results: usize) -> Self {
        Self {
            bytes: Default::default(),
            rows: (0..Protocol::ALL.len() * results).map(|_| OnceLock::new()).collect(),
            results,
        }
    }

    pub(super) fn requests(&self, protocol: Protocol, result: usize, slot: usize) -> &AtomicU64 {
        let row = self.rows[protocol as usize * self.results + result]
            .get_or_init(|| Box::new(Row([const { AtomicU64::new(0) }; STATUS_SLOTS])));
        &row.0[slot]
    }

    /// Adds this block to `totals`, which is indexed by protocol, result and status slot.
    pub(super) fn add_requests_to(&self, totals: &mut [u64]) {
        for (row, totals) in self.rows.iter().zip(totals.chunks_mut(STATUS_SLOTS)) {
            let Some(row) = row.get() else { continue };
            for (count, total) in row.0.iter().zip(totals) {
                *total += count.load(Relaxed);
            }
        }
    }
}

/// The histogram of one result in one shard. Buckets are not cumulative: one addition a sample.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Seconds {
    pub(super) buckets: [AtomicU64; BOUNDS.len() + 1],
    pub(super) sum_nanos: AtomicU64,
}

impl Seconds {
    pub(super) fn observe(&self, duration: Duration) {
        // Hits end in the first buckets, so a scan from the left beats a binary search.
        let bucket = BOUNDS.iter().position(|bound| duration <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }
}
