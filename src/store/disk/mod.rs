//! The disk tier: an append-only log of segments, read through memory maps.
//!
//! May use what `store` may. Knows keys and stored responses; of HTTP and of purges nothing: those
//! are judged by whoever looks up.
//!
//! ```text
//!            event loops                              writer's thread
//!  find ──► index ──► segment's map ──► Stored      offer ──► queue ──► log ──► segment file
//!             ▲          │ cold                                            │
//!             │          └──► blocking thread: bring in, verify            │
//!             └───────────────────── publish ◄─────────────────────────────┘
//! ```
//!
//! `format` draws the bytes, `recover` says why they survive a crash, `index` how little memory it
//! takes, `reclaim` what makes room. `scrub` and `verify` look for damage: beside a running node,
//! and in a directory at rest.
//!
//! Invariants:
//! - the tier never fails a request and never delays one: what cannot be read is a miss, what
//!   cannot be written is not stored, both are counted;
//! - no byte is served that is not what was stored: heads are checked by CRC at each read, bodies
//!   by BLAKE3 at the first read after a start, or by the scrub before that;
//! - one process uses a directory at a time.

mod admission;
mod body;
mod directory;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod health;
mod index;
mod location;
mod log;
mod map;
mod queue;
mod read;
mod recency;
mod reclaim;
mod recover;
mod references;
mod scan;
mod scrub;
mod segment;
#[cfg(test)]
mod tests;
mod varies;
mod verify;
mod walk;
mod writer;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use self::body::Readers;
pub use self::directory::{Directory, OpenError, Others, is_at, may_pass};
use self::format::{Superblock, tag_of};
use self::health::Health;
use self::index::Index;
use self::location::{SEGMENT_MAX, SLOTS_MAX};
use self::queue::{Job, Offer, Queue};
pub(super) use self::read::{Found, Item, Used};
pub(super) use self::scan::Place;
use self::scrub::Scrub;
use self::segment::Segments;
pub use self::verify::{Damage, SegmentReport, StoreReport, Sums, verify};
use super::TierFigures;
use crate::config::units::ByteSize;
use crate::object::{CacheKey, Stored, VarySpec};

/// How the tier is set up.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Bytes of disk that segments may take.
    pub size: u64,
    /// Bytes of responses that may wait to be written.
    pub queue: u64,
    /// Threads that may wait for the disk at a time.
    pub readers: usize,
    /// How often is noted what was used.
    pub checkpoint: Duration,
    /// Bytes per second that are read to find damage; 0: none.
    pub scrub: u64,
    /// Counts what fails.
    pub errors: IntCounter,
}

/// The log of the purges that a store reflects.
pub struct KnownLog {
    /// Its identity.
    pub identity: u128,
    /// Called before a store is made: sees to it that the log's journal stands beside it, without
    /// which the next start would not trust it. Tells why it cannot.
    pub keep: KeepPurges,
}

/// Makes sure that purges survive a restart; tells why they do not.
type KeepPurges = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

impl fmt::Debug for KnownLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownLog").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Whether the memory tier has a key.
pub(super) type InUse = Box<dyn Fn(CacheKey) -> bool + Send + Sync>;

/// The disk tier.
pub(super) struct Disk {
    shared: Arc<Shared>,
    queue: Queue,
    writer: Option<JoinHandle<()>>,
    /// Held for its thread, which ends with the tier.
    scrub: Option<Scrub>,
}

/// What the event loops and the writer share.
struct Shared {
    index: Index,
    segments: Segments,
    segments_max: usize,
    segment: u64,
    readers: Readers,
    health: Health,
    in_use: InUse,
    /// Bytes that wait to be written.
    waiting: Arc<AtomicU64>,
    /// When the tier that ends takes nothing more from the queue.
    deadline: OnceLock<Instant>,
}

/// A directory that is held, for the writer to recover.
struct Opened {
    shared: Arc<Shared>,
    directory: Directory,
    superblock: Superblock,
    /// The segments that are there, in rising order.
    ids: Vec<u64>,
    checkpoint: Duration,
    keep: KeepPurges,
    /// Why nothing can be written yet.
    aside: Option<String>,
}

impl Disk {
    /// Begins with what the directory holds, which is found once the writer has recovered it. A
    /// store that knows the purges of another log than `log` is emptied: they may not have reached
    /// it.
    ///
    /// Where the disk is full, read-only or failing, the tier stands aside until it is not.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(super) fn open(
        directory: Directory,
        config: &DiskConfig,
        log: KnownLog,
        in_use: InUse,
    ) -> Result<Self, OpenError> {
        let path = directory.path().to_owned();
        let failed = |what| {
            let path = path.clone();
            move |error| OpenError::Io { what, path, error }
        };
        let (mut disk, opened, jobs) = Self::prepare(directory, config, log, in_use)?;
        let thread = std::thread::Builder::new().name("disk".to_owned());
        let writer = thread.spawn(move || writer::Writer::recover(opened).run(&jobs));
        disk.writer = Some(writer.map_err(failed("start the writer of"))?);
        if config.scrub > 0 {
            let scrub = Scrub::start(disk.shared.clone(), config.scrub);
            disk.scrub = Some(scrub.map_err(failed("start the scrub of"))?);
        }
        Ok(disk)
    }

    /// A tier whose writer is still to be started, with what that needs.
    fn prepare(
        directory: Directory,
        config: &DiskConfig,
        log: KnownLog,
        in_use: InUse,
    ) -> Result<(Self, Opened, Receiver<Job>), OpenError> {
        let (superblock, ids, aside) = match survey(&directory, &log, config.size) {
            Ok((superblock, ids)) => (superblock, ids, directory.fault().map(str::to_owned)),
            Err(error) if !directory.is_held() || error.may_pass() => {
                let why = directory.fault().map_or_else(|| error.to_string(), str::to_owned);
                (fresh_superblock(log.identity, config.size), Vec::new(), Some(why))
            }
            Err(error) => return Err(error),
        };
        let segments_max = usize::try_from(config.size / superblock.segment).unwrap_or(SLOTS_MAX);
        let waiting = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared {
            index: Index::new(),
            segments: Segments::new(segments_max),
            segments_max: segments_max.min(SLOTS_MAX),
            segment: superblock.segment,
            readers: Arc::new(Semaphore::new(config.readers)),
            health: Health::new(config.errors.clone()),
            in_use,
            waiting: waiting.clone(),
            deadline: OnceLock::new(),
        });
        let (sender, jobs) = mpsc::channel();
        let checkpoint = config.checkpoint;
        let keep = log.keep;
        let shared_by_writer = shared.clone();
        let opened = Opened {
            shared: shared_by_writer,
            directory,
            superblock,
            ids,
            checkpoint,
            keep,
            aside,
        };
        let queue = Queue::new(sender, waiting, config.queue);
        Ok((Self { shared, queue, writer: None, scrub: None }, opened, jobs))
    }

    /// The response for `key` that waits to be written. What this misses because it was written a
    /// moment ago, [`find`](Self::find) has.
    pub(super) fn waiting(&self, key: CacheKey) -> Option<Arc<Stored>> {
        self.shared.index.waiting(tag_of(key), key)
    }

    /// What stands under `key`, if an event loop may read it at once.
    pub(super) fn find(&self, key: CacheKey) -> Found {
        self.shared.find(key)
    }

    /// Whether `key` still stands where it was found.
    pub(super) fn still_at(&self, key: CacheKey, used: Used) -> bool {
        self.shared.still_at(key, used)
    }

    /// Lets the uses of what was found be counted anew.
    pub(super) fn cool(&self, key: CacheKey, used: Used) {
        self.shared.cool(key, used);
    }

    /// Brings in what stands under `key`. Runs on a runtime.
    pub(super) async fn bring_in(&self, key: CacheKey) -> Option<(Item, Used)> {
        self.read(move |shared| shared.find_blocking(key)).await
    }

    /// What stands under `key`; it is no use of it. Runs on a runtime.
    pub(super) async fn glance(&self, key: CacheKey) -> Option<Item> {
        self.read(move |shared| shared.glance_blocking(key)).await.map(|(item, _)| item)
    }

    /// Finds something on a thread that may block, of which there are few.
    async fn read(
        &self,
        find: impl FnOnce(&Shared) -> Found + Send + 'static,
    ) -> Option<(Item, Used)> {
        let shared = self.shared.clone();
        let permit = shared.readers.clone().acquire_owned().await.ok()?;
        let find = move || {
            let found = find(&shared);
            drop(permit);
            found
        };
        match tokio::task::spawn_blocking(find).await {
            Ok(Found::Here(item, used)) => Some((item, used)),
            _ => None,
        }
    }

    /// Offers a response to be written; an older one is not found from now on.
    pub(super) fn offer(&self, key: CacheKey, stored: &Arc<Stored>) {
        self.send(key, Offer::Response(stored.clone()));
    }

    /// Offers by which fields a resource varies.
    pub(super) fn offer_varies(&self, key: CacheKey, spec: &VarySpec, draw: u64) {
        self.send(key, Offer::Varies(varies::encode(spec, draw)));
    }

    fn send(&self, key: CacheKey, what: Offer) {
        let tag = tag_of(key);
        let response = match &what {
            Offer::Response(stored) => Some((key, stored.clone())),
            Offer::Varies(_) => None,
        };
        let (ticket, lingers) = self.shared.index.offer(tag, response);
        if self.queue.reserve(what.bytes()) {
            return self.queue.send(Job::Store { key, ticket, lingers, what });
        }
        self.shared.health.refused();
        self.shared.index.withdraw(tag, ticket);
        if lingers {
            self.queue.send(Job::Remove { key });
        }
    }

    /// Whether something stands under `key`, or under another of the same tag. It is no use of it.
    pub(super) fn holds(&self, key: CacheKey) -> bool {
        self.shared.index.peek(tag_of(key)).is_some()
            || self.shared.index.waiting(tag_of(key), key).is_some()
    }

    /// Makes `key` be found no more. False if nothing stood there.
    pub(super) fn remove(&self, key: CacheKey) -> bool {
        let was_there = self.shared.index.remove(tag_of(key));
        if was_there {
            self.queue.send(Job::Remove { key });
        }
        was_there
    }

    /// Waits until what was offered and removed is written, so that a kill of the process changes
    /// it no more, but a second at most; and not while the tier stands aside, when nothing is
    /// written. A loss of power is guarded against about a second later.
    pub(super) async fn written(&self) {
        let (done, wait) = oneshot::channel();
        self.queue.send(Job::Tell(done));
        // Errors say that it takes too long, or that the writer has ended: then nothing waits.
        let _ended = timeout(WRITTEN_MAX, wait).await.is_err();
    }

    /// Waits until what was offered is written, for as long as a node that ends has patience. The
    /// process may end then; a loss of power is guarded against about a second later.
    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        self.queue.send(Job::Flush(done));
        // An error says that it takes too long, or that the writer has ended: then nothing waits.
        let _ended = wait.recv_timeout(PATIENCE).is_err();
    }

    /// Bytes of the largest record that leaves little of a segment unused.
    pub(super) fn record_max(&self) -> u64 {
        self.shared.segment / 4
    }

    /// What the tier holds.
    pub(super) fn figures(&self) -> TierFigures {
        let shared = &self.shared;
        TierFigures {
            objects: shared.index.objects(),
            bytes: shared.index.bytes(),
            capacity_bytes: shared.capacity(),
            evictions: shared.health.evictions(),
            refused: shared.health.refusals(),
            waiting_bytes: shared.waiting.load(Ordering::Relaxed),
            index_bytes: shared.index.memory(),
        }
    }

    /// Why less than the configured size can be used, if so.
    pub(super) fn short(&self) -> Option<String> {
        self.shared.health.short()
    }

    /// Why nothing is written, if so.
    pub(super) fn aside(&self) -> Option<String> {
        self.shared.health.aside()
    }
}

impl Drop for Disk {
    /// Waits for the job under way, for what can be written of the queue within a bounded time, and
    /// for the notes on what was used.
    fn drop(&mut self) {
        // The first to set it holds.
        let _set = self.shared.deadline.set(Instant::now() + PATIENCE).is_err();
        self.queue.send(Job::Stop);
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the disk tier's writer panicked");
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("objects", &self.shared.index.objects())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether the tier ends, and has no time left for what waits.
    fn is_late(&self) -> bool {
        self.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline)
    }

    /// Bytes that segments may take; where the disk has no room for more, what they do take.
    fn capacity(&self) -> u64 {
        let segments = match self.health.is_short() {
            true => self.segments.on_disk().min(self.segments_max),
            false => self.segments_max,
        };
        segments as u64 * self.segment
    }

    /// What waited for the writer waits no more.
    fn written(&self, bytes: u64) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The store that is there, or an empty one that is made, and its segments in rising order.
fn survey(
    directory: &Directory,
    log: &KnownLog,
    size: u64,
) -> Result<(Superblock, Vec<u64>), OpenError> {
    if !directory.is_held() {
        let why = "it cannot be had yet".to_owned();
        return Err(OpenError::NoStore { path: directory.path().to_owned(), why });
    }
    if let Err(error) = directory.sweep() {
        tracing::warn!(%error, "what was left unfinished cannot be removed");
    }
    let superblock = superblock(directory, log, size)?;
    let ids = directory.segments()?;
    directory.may_open(&ids)?;
    let taken = ids.len() as u64 * superblock.segment;
    match directory.free() {
        Ok(free) if free.saturating_add(taken) < size => {
            let path = directory.path().display();
            let (size, has) = (ByteSize(size), rounded(free + taken));
            tracing::warn!(%path, "cache.disk.size is {size}, for which its disk has {has}");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "how much its disk has free cannot be told"),
    }
    Ok((superblock, ids))
}

/// Down to two digits at least of a unit that people count disks in.
fn rounded(bytes: u64) -> ByteSize {
    let unit = [40, 30].into_iter().find(|unit| bytes >> unit >= 10).unwrap_or(20);
    ByteSize(bytes >> unit << unit)
}

/// The superblock that is there, or a fresh one over an emptied directory.
fn superblock(directory: &Directory, log: &KnownLog, size: u64) -> Result<Superblock, OpenError> {
    let path = directory.path();
    let fits =
        |found: &Superblock| (SEGMENTS_MIN..SLOTS_MAX as u64).contains(&(size / found.segment));
    let why = match directory.superblock() {
        Ok(Some(found)) if found.log != log.identity => {
            "it knows the purges of another log".to_owned()
        }
        Ok(Some(found)) if fits(&found) => return Ok(found),
        Ok(Some(_)) => "its segments are too large or too small for the size".to_owned(),
        Ok(None) => String::new(),
        Err(OpenError::NoStore { why, .. }) => why,
        Err(error) => return Err(error),
    };
    let shown = path.display();
    match why.is_empty() {
        true => tracing::info!(path = %shown, "an empty disk cache is made: there is none yet"),
        false => tracing::warn!(path = %shown, why, "an empty disk cache is made: it is void"),
    }
    (log.keep)().map_err(|why| OpenError::Unkept { path: path.to_owned(), why })?;
    let fresh = fresh_superblock(log.identity, size);
    directory.format(&fresh)?;
    Ok(fresh)
}

fn fresh_superblock(log: u128, size: u64) -> Superblock {
    Superblock { store: fastrand::u128(..), log, segment: segment_length(size) }
}

/// How long who removed something waits for that to be written.
const WRITTEN_MAX: Duration = Duration::from_secs(1);

/// How long the queue may take to be written when the node ends. Of what a slower disk has left,
/// nothing is stored.
const PATIENCE: Duration = Duration::from_secs(10);

/// Segments of the smallest store: one is written, one is kept free.
const SEGMENTS_MIN: u64 = 4;

/// Bytes of a segment in a new store of `size`: a power of two, large enough for whole bodies, and
/// no larger than what a reclaim can go through while the queue waits; only the largest stores have
/// larger ones, lest there be more than can be told apart.
fn segment_length(size: u64) -> u64 {
    const LENGTH_MIN: u64 = 8 << 20;
    const LENGTH_MAX: u64 = 256 << 20;
    let wanted = (size / 32).next_power_of_two().clamp(LENGTH_MIN, LENGTH_MAX);
    let needed = (size / (SLOTS_MAX as u64 / 2)).next_power_of_two();
    wanted.max(needed).min(SEGMENT_MAX)
}
