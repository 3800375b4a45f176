//! Time that passes only as the simulation lets it, and the machines that it passes on.
//!
//! Every machine has a runtime of one thread whose clock is paused: it moves on to the next timer
//! whenever nothing else is left to do. The machines take turns, a step of [`STEP`] each; what one
//! sends to another takes at least as long, so the order of turns within a step does not matter.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep_until};

use super::network::random;
use crate::net::worker::BLOCKS_FOR;
use crate::semantics::time::Timestamp;

/// How far the machines may be apart.
pub(super) const STEP: Duration = Duration::from_millis(2);

/// What the calendar says at the beginning, in milliseconds.
const EPOCH: u64 = 1_800_000_000_000;

/// How long a file's sync takes, in milliseconds.
fn sync_time() -> Duration {
    Duration::from_millis(fastrand::u64(..if fastrand::u8(..12) == 0 { 120 } else { 10 }))
}

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here::Between(Duration::ZERO)) };
}

#[derive(Clone, Copy)]
enum Here {
    /// Between the turns of machines.
    Between(Duration),
    /// On a machine that was started at a time, which its own clock called so.
    On(Duration, Instant),
}

/// Time since the beginning, the same on all machines.
pub(super) fn now() -> Duration {
    match HERE.get() {
        Here::Between(now) => now,
        Here::On(started, then) => started + then.elapsed(),
    }
}

/// What the runtime of this machine calls a time to come.
pub(super) fn instant(time: Duration) -> Instant {
    Instant::now() + time.saturating_sub(now())
}

/// What the calendar says.
pub(super) fn calendar() -> Timestamp {
    Timestamp::from_millis(EPOCH + now().as_millis() as u64)
}

/// A machine that runs.
pub(super) struct Machine {
    runtime: Runtime,
    /// Whose draws are its.
    seed: [u64; 2],
    started: Duration,
    then: Instant,
}

impl Machine {
    /// Starts one now, the draws on which are those of a seed and its number.
    pub(super) fn start(seed: [u64; 2]) -> Self {
        BLOCKS_FOR.set(Some(sync_time));
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap();
        let then = {
            let _entered = runtime.enter();
            Instant::now()
        };
        Self { runtime, seed, started: now(), then }
    }

    /// Has its turn, until `time`.
    pub(super) fn run_until(&self, time: Duration) {
        let end = self.then + (time - self.started);
        let [seed, place] = self.seed;
        // Whatever order things come in within a turn, the next one draws the same.
        fastrand::seed(random(&[seed, place, time.as_micros() as u64]).u64(..));
        HERE.set(Here::On(self.started, self.then));
        // Made on the machine, by its clock.
        self.runtime.block_on(async { sleep_until(end).await });
        set(time);
    }

    /// Begins something that goes on in its turns.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }
}

/// Sets the time between turns.
pub(super) fn set(time: Duration) {
    HERE.set(Here::Between(time));
}
