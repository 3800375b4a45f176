//! What waits for the writer: bounded in bytes, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, SyncSender};

use tokio::sync::oneshot;

use super::index::Ticket;
use crate::object::{CacheKey, Stored};

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    /// A newer record for a key.
    Store {
        key: CacheKey,
        ticket: Ticket,
        /// Whether an older record would be found again after a restart.
        lingers: bool,
        what: Offer,
    },
    /// The key is removed.
    Remove { key: CacheKey },
    /// What is found no more is to be released.
    Release,
    /// Tells when all that came before is written.
    Flush(SyncSender<()>),
    /// The same, to who waits on an event loop.
    Tell(oneshot::Sender<()>),
    /// The end.
    Stop,
}

/// What a record is to hold.
#[derive(Clone, Debug)]
pub(super) enum Offer {
    /// A response.
    Response(Arc<Stored>),
    /// The encoded head of what tells by which fields a resource varies.
    Varies(Vec<u8>),
}

impl Offer {
    /// Bytes that it holds while it waits.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Response(stored) => stored.payload(),
            Self::Varies(head) => head.len() as u64,
        }
    }
}

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: Sender<Job>,
    bytes: Arc<AtomicU64>,
    bound: u64,
}

impl Queue {
    /// A queue of at most `bound` bytes of responses; `bytes` counts those that wait.
    pub(super) fn new(jobs: Sender<Job>, bytes: Arc<AtomicU64>, bound: u64) -> Self {
        Self { jobs, bytes, bound }
    }

    /// Makes room for `bytes`; false if there is none.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        let fits = |present: u64| (present + bytes <= self.bound).then_some(present + bytes);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    pub(super) fn send(&self, job: Job) {
        // The writer is gone only when the tier is being closed.
        let _closed = self.jobs.send(job).is_err();
    }
}
