//! The log's home in the control process: a file in its folder, and what is read in memory.
//!
//! ```text
//!  append ── room? ──► Queue ──► all that has gathered: one write, one sync, on a thread that may
//!                                block ── failed ──► refused, nothing was appended
//!                                   └──► History ──► head ──► told
//! ```
//!
//! Invariant: whoever gives numbers is alone, the one task that records.

mod file;

#[cfg(test)]
mod tests;

#[cfg(test)]
use std::fs::File;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

pub use file::FileError;

use self::file::{Compact, LogFile, hold};
use super::history::{Bounds, History};
use super::layout::Contents;
use super::{Asked, Entries, Kept, Later, LogBounds, LogError, Logged, PurgeLog, Snapshot};
use crate::durable::Lock;
use crate::net::worker::off_loop;
use crate::object::{BATCH_MAX, Entry, EntryHash, Position};

/// How long an entry waits for the file. A disk that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log in a file.
#[derive(Clone, Debug)]
pub struct EmbeddedLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Used by one task at a time, on threads that may block.
    file: Arc<Mutex<LogFile>>,
    history: Mutex<History>,
    queue: Mutex<Queue>,
    waiting_max: usize,
    head: watch::Sender<Position>,
    /// Held until this is dropped.
    _lock: Lock,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    purges: usize,
    /// Whether somebody records what waits.
    is_recorded: bool,
}

#[derive(Debug)]
struct Waiting {
    asked: Asked,
    told: Told,
}

impl EmbeddedLog {
    /// Opens the log of a folder, or begins one there. Blocks.
    ///
    /// # Errors
    /// Another process uses the folder, or the file system fails.
    pub fn open(folder: &Path, bounds: LogBounds) -> Result<Self, FileError> {
        let lock = hold(folder)?;
        let (file, contents) = LogFile::open(folder)?;
        let kept = Bounds { entries: bounds.entries, rules: bounds.rules };
        let mut history = History::new(kept, contents.base, contents.trail, &contents.rules);
        contents.entries.into_iter().for_each(|entry| history.push(entry));
        Ok(Self(Arc::new(Shared {
            file: Arc::new(Mutex::new(file)),
            head: watch::Sender::new(history.head()),
            history: Mutex::new(history),
            queue: Mutex::default(),
            waiting_max: bounds.waiting.max(BATCH_MAX),
            _lock: lock,
        })))
    }

    /// Whether it was begun here, where there was none before.
    pub fn is_new(&self) -> bool {
        self.0.file.lock().is_new()
    }

    /// Writes to another file from now on; the one that it wrote to.
    #[cfg(test)]
    pub fn write_to(&self, file: File) -> File {
        self.0.file.lock().write_to(file)
    }
}

/// What the log of a folder keeps, whichever process has it open; `None` where there is none.
/// Blocks.
///
/// # Errors
/// It is damaged, or the file system fails.
pub fn look(folder: &Path) -> Result<Option<Kept>, FileError> {
    let contents = file::look(folder)?;
    Ok(contents.map(|Contents { base, rules, entries, .. }| Kept { base, rules, entries }))
}

/// A folder whose log no process has open, for as long as this lives.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    _lock: Lock,
}

impl Held {
    /// Holds a folder, which is made if need be. Blocks.
    ///
    /// # Errors
    /// Another process uses it, or the file system fails.
    pub fn new(folder: &Path) -> Result<Self, FileError> {
        Ok(Self { _lock: hold(folder)?, folder: folder.to_owned() })
    }

    /// Puts a log in the place of the one that is there. Blocks.
    ///
    /// # Errors
    /// The file system's. Either log is there then.
    pub fn put(&self, kept: &Kept) -> Result<(), FileError> {
        file::put(&self.folder, kept)
    }
}

impl PurgeLog for EmbeddedLog {
    fn head(&self) -> watch::Receiver<Position> {
        self.0.head.subscribe()
    }

    fn refresh(&self) -> Later<'_, Result<(), LogError>> {
        Box::pin(ready(Ok(())))
    }

    fn append(&self, asked: Asked) -> Later<'_, Result<Arc<Logged>, LogError>> {
        let answer = self.0.accept(asked);
        Box::pin(async move {
            // The answer fails to come only where the runtime ends.
            let answer = timeout(PATIENCE, answer?).await;
            answer.ok().and_then(Result::ok).unwrap_or(Err(LogError::Late))
        })
    }

    fn read(&self, after: u64, max: usize) -> Later<'_, Result<Entries, LogError>> {
        Box::pin(ready(Ok(self.0.history.lock().read(after, max))))
    }

    fn recent(&self, max: usize) -> Later<'_, Result<Vec<Arc<Logged>>, LogError>> {
        Box::pin(ready(Ok(self.0.history.lock().recent(max))))
    }

    fn hash_at(&self, number: u64) -> Later<'_, Result<Option<EntryHash>, LogError>> {
        Box::pin(ready(Ok(self.0.history.lock().hash_at(number))))
    }

    fn snapshot(&self) -> Later<'_, Result<Snapshot, LogError>> {
        Box::pin(ready(Ok(self.0.history.lock().snapshot())))
    }
}

type Told = oneshot::Sender<Result<Arc<Logged>, LogError>>;
type Answer = oneshot::Receiver<Result<Arc<Logged>, LogError>>;

impl Shared {
    fn accept(self: &Arc<Self>, asked: Asked) -> Result<Answer, LogError> {
        let count = asked.commands.len();
        assert!((1..=BATCH_MAX).contains(&count), "an entry is of 1 to {BATCH_MAX} purges");
        let mut queue = self.queue.lock();
        if queue.purges + count > self.waiting_max {
            return Err(LogError::Busy);
        }
        let (told, answer) = oneshot::channel();
        queue.purges += count;
        queue.waiting.push(Waiting { asked, told });
        if !std::mem::replace(&mut queue.is_recorded, true) {
            tokio::spawn(self.clone().record());
        }
        Ok(answer)
    }

    /// Records what waits, all that has gathered at a time, until nothing does.
    async fn record(self: Arc<Self>) {
        while let Some(waiting) = self.take_waiting() {
            let (entries, told) = self.number(waiting);
            let written = entries.clone();
            match self.on_thread(move |file| file.append(&written).map(|()| file.is_long())).await {
                Ok(is_long) => {
                    self.publish(&entries);
                    for (told, entry) in told.into_iter().zip(entries) {
                        let _left = told.send(Ok(entry)).is_err();
                    }
                    if is_long {
                        self.compact().await;
                    }
                }
                Err(error) => {
                    tracing::error!("purges are refused: {error}");
                    for told in told {
                        let _left = told.send(Err(LogError::Failed(error.clone()))).is_err();
                    }
                }
            }
        }
    }

    fn take_waiting(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue.lock();
        let waiting = std::mem::take(&mut queue.waiting);
        queue.purges = 0;
        queue.is_recorded = !waiting.is_empty();
        queue.is_recorded.then_some(waiting)
    }

    /// The entries that what was asked becomes behind the head, and who is to be told of each.
    fn number(&self, waiting: Vec<Waiting>) -> (Vec<Arc<Logged>>, Vec<Told>) {
        let mut head = self.history.lock().head();
        let number = |Waiting { asked: Asked { by, at, commands }, told }| {
            let (first, previous) = (head.number + 1, head.hash);
            let entry = Logged::new(Entry { first, previous, at, by, commands });
            head = entry.position(head.log);
            (Arc::new(entry), told)
        };
        waiting.into_iter().map(number).unzip()
    }

    fn publish(&self, entries: &[Arc<Logged>]) {
        let mut history = self.history.lock();
        entries.iter().for_each(|entry| history.push(entry.clone()));
        let head = history.head();
        drop(history);
        self.head.send_replace(head);
    }

    /// Nothing is appended meanwhile, for the one task that appends is here.
    async fn compact(&self) {
        let kept = Compact::of(&self.history.lock());
        if let Err(error) = self.on_thread(move |file| file.compact(&kept)).await {
            tracing::error!("the purge log stays long: {error}");
        }
    }

    /// Waits for the file where that may block.
    async fn on_thread<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut LogFile) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, String> {
        let file = self.file.clone();
        match off_loop(move || act(&mut file.lock())).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(error) => Err(format!("the purge log's thread failed: {error}")),
        }
    }
}
