//! The log's home on NATS JetStream: a stream that several control processes read and write, and
//! what is read in memory.
//!
//! ```text
//!  append ── room? ──► Queue ──► Keeper: all that has gathered as one message, expected behind
//!                                │       the last one that was read
//!     stream ──► every message ──┴─► Tail ──► History ──► head ──► told, if it is what was sent
//! ```
//!
//! Numbers are given by whoever comes first: JetStream takes a message only behind the sequence
//! that its sender has read, so two processes never fork the log; who lost goes on behind what came
//! instead. A message that is sent again, because its answer was lost, is the same bytes at the
//! same place, and stands there once.
//!
//! Invariants:
//! - an entry is published and told only when it was read back out of the stream, in its place,
//!   number and hash: then JetStream has stored it, and nothing else stands there;
//! - what cannot be proven to go on as it was begins a log of a new identity, in the stream itself,
//!   so that all who read it agree (`tail`);
//! - messages are let go only when a snapshot stands for them (`saved`).

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod keeper;
mod messages;
mod reading;
mod restore;
mod saved;
mod tail;
#[cfg(test)]
mod tests;

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use self::restore::{is_empty, is_new, restore};

use self::keeper::Keeper;
use super::history::{Bounds, History};
use super::{Asked, Entries, Later, LogBounds, LogError, Logged, PurgeLog, Snapshot};
use crate::control::nats::{Nats, NatsError};
use crate::object::{BATCH_MAX, EntryHash, Position};

/// How long an entry waits for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log in a stream.
#[derive(Debug)]
pub struct NatsLog {
    nats: Nats,
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    history: Mutex<History>,
    queue: Mutex<Queue>,
    waiting_max: usize,
    /// Told when something waits.
    asked: Notify,
    head: watch::Sender<Position>,
    /// Sequence of the last message that was read.
    at: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: std::collections::VecDeque<Waiting>,
    purges: usize,
}

#[derive(Debug)]
struct Waiting {
    asked: Asked,
    told: Told,
    since: Instant,
}

type Told = oneshot::Sender<Result<Arc<Logged>, LogError>>;

impl NatsLog {
    /// Reads the log of a stream, or begins one there.
    ///
    /// # Errors
    /// NATS does not answer, or what is there is not to be used.
    pub async fn open(nats: Nats, bounds: LogBounds) -> Result<Self, NatsError> {
        let LogBounds { entries, rules, waiting } = bounds;
        let (keeper, messages) =
            Keeper::open(nats.clone(), Bounds { entries, rules }, waiting).await?;
        let shared = keeper.shared().clone();
        Ok(Self { nats, shared, keeper: tokio::spawn(keeper.run(messages)) })
    }
}

impl Drop for NatsLog {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl PurgeLog for NatsLog {
    fn head(&self) -> watch::Receiver<Position> {
        self.shared.head.subscribe()
    }

    fn refresh(&self) -> Later<'_, Result<(), LogError>> {
        Box::pin(async {
            let stream = self.nats.stream().await;
            let stream = stream.map_err(|error| LogError::Failed(error.to_string()))?;
            let last = stream.cached_info().state.last_sequence;
            let mut at = self.shared.at.subscribe();
            let read = timeout(PATIENCE, at.wait_for(|at| *at >= last)).await;
            read.ok().and_then(Result::ok).map(drop).ok_or(LogError::Late)
        })
    }

    fn append(&self, asked: Asked) -> Later<'_, Result<Arc<Logged>, LogError>> {
        let answer = self.shared.accept(asked);
        Box::pin(async move {
            // The answer fails to come only where the runtime ends.
            let answer = timeout(PATIENCE, answer?).await;
            answer.ok().and_then(Result::ok).unwrap_or(Err(LogError::Late))
        })
    }

    fn read(&self, after: u64, max: usize) -> Later<'_, Result<Entries, LogError>> {
        Box::pin(ready(Ok(self.shared.history.lock().read(after, max))))
    }

    fn recent(&self, max: usize) -> Later<'_, Result<Vec<Arc<Logged>>, LogError>> {
        Box::pin(ready(Ok(self.shared.history.lock().recent(max))))
    }

    fn hash_at(&self, number: u64) -> Later<'_, Result<Option<EntryHash>, LogError>> {
        Box::pin(ready(Ok(self.shared.history.lock().hash_at(number))))
    }

    fn snapshot(&self) -> Later<'_, Result<Snapshot, LogError>> {
        Box::pin(ready(Ok(self.shared.history.lock().snapshot())))
    }
}

impl Shared {
    fn accept(
        &self,
        asked: Asked,
    ) -> Result<oneshot::Receiver<Result<Arc<Logged>, LogError>>, LogError> {
        let count = asked.commands.len();
        assert!((1..=BATCH_MAX).contains(&count), "an entry is of 1 to {BATCH_MAX} purges");
        let mut queue = self.queue.lock();
        if queue.purges + count > self.waiting_max {
            return Err(LogError::Busy);
        }
        let (told, answer) = oneshot::channel();
        queue.purges += count;
        queue.waiting.push_back(Waiting { asked, told, since: Instant::now() });
        drop(queue);
        self.asked.notify_one();
        Ok(answer)
    }
}
