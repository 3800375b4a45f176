//! Frees in the background what hard purges cover.
//!
//! ```text
//!  publish ─► asked ─► memory ─► disk ─► rest as long as that took ─┐
//!               ▲                                                   │ asked meanwhile
//!               └───────────────────────────────────────────────────┘
//! ```
//!
//! A purge is whole without it: what a rule covers is not served, swept or not. So it goes slowly,
//! purges that come while it runs share the next round, and a start does not sweep: what a restart
//! finds again on disk goes with the next purge, or when room is needed.
//!
//! A thread of its own, which ends when this is dropped: what it walks over may have to be read
//! from a disk.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

use crate::store::{Store, Tally};
use crate::telemetry::metrics::{Metrics, Tier};

/// How many objects are looked at in memory in the time that one on disk takes.
const MEMORY_PACE: u64 = 20;

/// The least rest between two rounds.
const REST: Duration = Duration::from_secs(1);

/// How often is looked whether the disk tier has found all that it holds.
const RECOVERY: Duration = Duration::from_millis(100);

/// The thread.
#[derive(Debug)]
pub(super) struct Sweep {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
pub(super) struct Sweeper {
    pub(super) store: Arc<Store>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: fn() -> Instant,
    /// Objects a second on disk.
    pub(super) rate: u64,
}

#[derive(Debug, Default)]
struct Orders {
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    is_asked: bool,
    is_stopped: bool,
}

impl Sweep {
    /// Waits to be asked.
    pub(super) fn start(sweeper: Sweeper) -> io::Result<Self> {
        let orders = Arc::<Orders>::default();
        let told = orders.clone();
        let thread = std::thread::Builder::new().name("purge-sweep".to_owned());
        let thread = thread.spawn(move || {
            let Break(()) = sweeper.rounds(&told);
        })?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Has a round begin that judges by all that is published, at once or after the one that runs.
    pub(super) fn ask(&self) {
        self.orders.told.lock().is_asked = true;
        self.orders.changed.notify_one();
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.orders.told.lock().is_stopped = true;
        self.orders.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sweep of what was purged panicked");
        }
    }
}

impl Sweeper {
    fn rounds(&self, orders: &Orders) -> ControlFlow<(), Infallible> {
        loop {
            orders.asked()?;
            let begun = (self.clock)();
            self.round(orders)?;
            let took = (self.clock)().saturating_duration_since(begun);
            orders.pause(took.max(REST))?;
        }
    }

    fn round(&self, orders: &Orders) -> ControlFlow<()> {
        let memory_rate = self.rate.saturating_mul(MEMORY_PACE);
        let mut memory = Pacer::new(self, orders, Tier::Memory, memory_rate);
        self.store.free_memory(&mut |looks, freed| memory.pace(looks, freed))?;
        while self.store.is_recovering() {
            orders.pause(RECOVERY)?;
        }
        let mut disk = Pacer::new(self, orders, Tier::Disk, self.rate);
        self.store.free_disk(&mut |looks, freed| disk.pace(looks, freed))?;
        let (in_memory, on_disk) = (memory.freed.objects, disk.freed.objects);
        if in_memory + on_disk > 0 {
            let bytes = memory.freed.bytes + disk.freed.bytes;
            tracing::info!(in_memory, on_disk, bytes, "freed what was purged");
        }
        Continue(())
    }
}

/// Has the walk over one tier go slowly, and counts what it frees.
struct Pacer<'a> {
    orders: &'a Orders,
    clock: fn() -> Instant,
    rate: u64,
    counter: IntCounter,
    freed: Tally,
    last: Instant,
}

impl<'a> Pacer<'a> {
    fn new(sweeper: &Sweeper, orders: &'a Orders, tier: Tier, rate: u64) -> Self {
        let (clock, counter) = (sweeper.clock, sweeper.metrics.purged_objects(tier));
        Self { orders, clock, rate, counter, freed: Tally::default(), last: clock() }
    }

    fn pace(&mut self, looks: u64, freed: Tally) -> ControlFlow<()> {
        self.counter.inc_by(freed.objects);
        self.freed += freed;
        let spent = (self.clock)().saturating_duration_since(self.last);
        self.orders.pause(rest(self.rate, looks, spent))?;
        self.last = (self.clock)();
        Continue(())
    }
}

/// How long to wait after `looks` that took `spent`, lest `rate` a second be exceeded.
fn rest(rate: u64, looks: u64, spent: Duration) -> Duration {
    let nanos = u128::from(looks) * 1_000_000_000 / u128::from(rate.max(1));
    let due = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    due.saturating_sub(spent)
}

impl Orders {
    /// Waits until asked for a round, which takes the order.
    fn asked(&self) -> ControlFlow<()> {
        let mut told = self.told.lock();
        self.changed.wait_while(&mut told, |told| !told.is_asked && !told.is_stopped);
        told.is_asked = false;
        if told.is_stopped { Break(()) } else { Continue(()) }
    }

    /// Waits so long, unless stopped.
    fn pause(&self, time: Duration) -> ControlFlow<()> {
        let mut told = self.told.lock();
        // Whether it has stopped is told below; that the time has passed is no news.
        let _ = self.changed.wait_while_for(&mut told, |told| !told.is_stopped, time);
        if told.is_stopped { Break(()) } else { Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept() {
        let cases =
            [(1000, 256, 0, 256), (1000, 256, 100, 156), (1000, 1, 900, 0), (20_000, 256, 0, 12)];
        for (rate, looks, spent, waits) in cases {
            let waited = rest(rate, looks, Duration::from_millis(spent));
            assert_eq!(waited.as_millis(), waits, "{rate} {looks} {spent}");
        }
    }

    #[test]
    fn orders_that_gather_are_one() {
        let orders = Orders::default();
        for _ in 0..3 {
            orders.told.lock().is_asked = true;
        }
        assert_eq!(orders.asked(), Continue(()));
        assert!(!orders.told.lock().is_asked);
        orders.told.lock().is_stopped = true;
        assert_eq!((orders.asked(), orders.pause(Duration::MAX)), (Break(()), Break(())));
    }
}
