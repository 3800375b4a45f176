//! The threads that compress: never an event loop.
//!
//! ```text
//!  body ── poll ──► input ── Step ──► queue ──► thread ── Stepped ──► body ── poll ──► output
//! ```
//!
//! A body is one step at a time in the queue, and as many bodies are begun as there are places: so
//! the queue is bounded, a slow origin holds no thread, and a slow client holds its body back, for
//! it is not polled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::encoder::{Encoder, Then};
use crate::message::losses::Mark;

/// Threads and places for bodies that are compressed.
#[derive(Debug)]
pub(in crate::proxy) struct Compressors {
    places: Arc<Semaphore>,
    threads: usize,
    /// Once the first body was begun.
    queue: OnceLock<Sender<Step>>,
}

/// The right to compress one body.
#[derive(Debug)]
pub(super) struct Place {
    /// Held by each step as well: one whose body is dropped still waits for its turn.
    permit: Arc<OwnedSemaphorePermit>,
    queue: Sender<Step>,
}

/// What is done in one go.
struct Step {
    encoder: Box<Encoder>,
    input: Vec<Bytes>,
    then: Then,
    mark: Mark,
    done: oneshot::Sender<Stepped>,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// What came of it; `None` if it failed.
pub(super) type Stepped = Option<(Bytes, Option<Box<Encoder>>)>;

impl Compressors {
    /// So many threads, begun when they are needed, for so many bodies at once.
    pub(in crate::proxy) fn new(threads: usize, bodies: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(bodies)), threads, queue: OnceLock::new() }
    }

    /// A place, if one is free.
    pub(super) fn place(&self) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        let queue = self.queue.get_or_init(|| start(self.threads)).clone();
        Some(Place { permit: Arc::new(permit), queue })
    }
}

impl Place {
    /// Has input coded that was asked for after `mark`. Where no thread is left, nothing
    /// comes of it.
    pub(super) fn step(
        &self,
        encoder: Box<Encoder>,
        input: Vec<Bytes>,
        then: Then,
        mark: Mark,
    ) -> oneshot::Receiver<Stepped> {
        let (done, stepped) = oneshot::channel();
        let _permit = self.permit.clone();
        drop(self.queue.send(Step { encoder, input, then, mark, done, _permit }));
        stepped
    }
}

/// Starts the threads. They end with the last who could send.
fn start(threads: usize) -> Sender<Step> {
    let (queue, steps) = channel();
    let steps = Arc::new(Mutex::new(steps));
    for number in 0..threads {
        let steps = steps.clone();
        let named = std::thread::Builder::new().name(format!("compress-{number}"));
        if let Err(error) = named.spawn(move || work(&steps)) {
            tracing::error!(%error, "a thread that compresses cannot be started");
        }
    }
    queue
}

fn work(steps: &Mutex<Receiver<Step>>) {
    loop {
        // The lock is held while waiting: whoever has it is the next to work.
        let next = steps.lock().recv();
        let Ok(Step { encoder, input, then, mark, done, _permit }) = next else { return };
        let stepped = catch_unwind(AssertUnwindSafe(|| encoder.step(&input, then)));
        let stepped = match stepped {
            // Of mapped bytes that were lost nothing is made.
            Ok(Ok(stepped)) if mark.holds() => Some(stepped),
            _ => None,
        };
        drop(done.send(stepped));
    }
}
