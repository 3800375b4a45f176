//! Event loops: one thread and one single-threaded runtime each, known by its index.
//!
//! ```text
//! Workers ─┬─ thread loop-0 ─ runtime ─ main(0) ─ tasks
//!          └─ thread loop-1 ─ runtime ─ main(1) ─ tasks
//! ```
//!
//! A loop lives until its main future ends; tasks that are left then are dropped. A task that
//! panics ends alone.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, spawn_blocking};

use super::sys;

/// Threads of a loop for what blocks (name resolution, certificate files). Bulk work has its own.
const BLOCKING_THREADS: usize = 8;

/// How long a loop that ends waits for those.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// The index of the event loop that runs this, from 0; 0 outside of every loop.
pub fn index() -> usize {
    INDEX.get()
}

/// Runs what blocks, a file's sync above all, on a thread where that holds up no event loop.
///
/// Not cancelled with the future: what was begun is done whoever waits.
///
/// # Errors
/// It panicked, or the runtime ends.
pub async fn off_loop<T: Send + 'static>(
    act: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(test)]
    if let Some(takes) = BLOCKS_FOR.get() {
        return tokio::spawn(in_its_time(act, takes)).await;
    }
    spawn_blocking(act).await
}

#[cfg(test)]
thread_local! {
    /// How long what blocks takes on the event loops of this thread, told anew each time, by their
    /// own clock and without a thread of its own; `None`: as long as it takes.
    pub(crate) static BLOCKS_FOR: Cell<Option<fn() -> Duration>> = const { Cell::new(None) };
}

/// Acts in the midst of the time that it takes, so that a loop may end before and behind the act.
#[cfg(test)]
async fn in_its_time<T>(act: impl FnOnce() -> T, takes: fn() -> Duration) -> T {
    use tokio::time::{Instant, sleep_until};
    let half = takes() / 2;
    sleep_until(Instant::now() + half).await;
    let done = act();
    sleep_until(Instant::now() + half).await;
    done
}

/// The running event loops.
#[derive(Debug)]
pub struct Workers(Vec<JoinHandle<()>>);

/// A loop whose main future panicked.
#[derive(Debug, thiserror::Error)]
#[error("event loop {index} ended by a panic")]
pub struct Panicked {
    /// The loop's index.
    pub index: usize,
}

impl Workers {
    /// Starts `count` loops, each bound to a core of its own if `pin` says so, and runs `main` on
    /// each, given the loop's index. Either all loops start or none.
    pub fn start<F, M>(count: usize, pin: bool, main: F) -> io::Result<Self>
    where
        F: Fn(usize) -> M + Send + Sync + 'static,
        M: Future<Output = ()> + 'static,
    {
        let main = Arc::new(main);
        let mut threads = Vec::with_capacity(count);
        let mut gates = Vec::with_capacity(count);
        for index in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .thread_name(format!("blocking-{index}"))
                .build()?;
            let (gate, opened) = mpsc::sync_channel(1);
            let main = main.clone();
            let body = move || {
                // A closed gate means that another loop could not start.
                if opened.recv().is_ok() {
                    run(index, pin, &runtime, &*main);
                    runtime.shutdown_timeout(BLOCKING_GRACE);
                }
            };
            threads.push(std::thread::Builder::new().name(format!("loop-{index}")).spawn(body)?);
            gates.push(gate);
        }
        for gate in gates {
            gate.send(()).map_err(io::Error::other)?;
        }
        Ok(Self(threads))
    }

    /// Waits until every loop has ended. Blocks the calling thread.
    pub fn join(self) -> Result<(), Panicked> {
        // All are waited for, whichever of them panicked.
        let ends: Vec<_> = self.0.into_iter().map(JoinHandle::join).collect();
        match ends.iter().position(Result::is_err) {
            Some(index) => Err(Panicked { index }),
            None => Ok(()),
        }
    }
}

fn run<M: Future<Output = ()>>(
    index: usize,
    pin: bool,
    runtime: &Runtime,
    main: &impl Fn(usize) -> M,
) {
    INDEX.set(index);
    if pin && let Err(error) = sys::pin_to_core(index) {
        tracing::warn!(index, %error, "event loop is not bound to a core");
    }
    runtime.block_on(main(index));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn each_loop_knows_its_index() {
        let seen = Arc::new(AtomicUsize::new(0));
        let told = seen.clone();
        let workers = Workers::start(3, true, move |index| {
            let told = told.clone();
            async move {
                let found = tokio::spawn(async { super::index() }).await.unwrap();
                assert_eq!(found, index);
                told.fetch_add(1 << found, SeqCst);
            }
        });
        workers.unwrap().join().unwrap();
        assert_eq!(seen.load(SeqCst), 0b111);
    }

    #[test]
    fn a_task_that_panics_ends_alone_and_a_main_that_does_is_told() {
        let workers = Workers::start(2, false, |index| async move {
            assert!(tokio::spawn(async { panic!("of a task") }).await.is_err());
            assert_ne!(index, 1, "of a main future");
        });
        assert_eq!(workers.unwrap().join().unwrap_err().index, 1);
    }
}
