//! The slots, the queue, and the one thread that writes. Uses nothing of ours.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

use super::time::Clock;
use super::{BUFFER_BYTES, FULL_BYTES, OpenError, Target};

/// How long a line may lie in a slot that does not fill up.
const TICK: Duration = Duration::from_millis(200);

/// Lines of one thread that are not yet with the writer.
pub(super) struct Slot(Mutex<Pending>);

struct Pending {
    lines: Vec<u8>,
    clock: Clock,
}

/// What the threads that log and the writer share.
pub(super) struct Shared {
    slots: Mutex<Vec<Arc<Slot>>>,
    queue: Mutex<Queue>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes those who flush.
    done: Condvar,
    queue_max: usize,
    dropped: IntCounter,
}

#[derive(Default)]
struct Queue {
    full: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    /// Flushes asked for, and how many of them are done.
    flushes_asked: u64,
    flushes_done: u64,
    reopen: bool,
    closed: bool,
}

impl Queue {
    /// An empty buffer.
    fn spare(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }
}

impl Shared {
    pub(super) fn new(queue_max: usize, dropped: IntCounter) -> Self {
        Self {
            slots: Mutex::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            queue_max,
            dropped,
        }
    }

    pub(super) fn new_slot(&self) -> Arc<Slot> {
        let pending = Pending { lines: Vec::new(), clock: Clock::new() };
        let slot = Arc::new(Slot(Mutex::new(pending)));
        self.slots.lock().push(Arc::clone(&slot));
        slot
    }

    /// Lets `format` append a line to the slot, and hands the buffer over when it is full.
    pub(super) fn append(&self, slot: &Slot, format: impl FnOnce(&mut Vec<u8>, &mut Clock)) {
        let mut pending = slot.0.lock();
        let Pending { lines, clock } = &mut *pending;
        format(lines, clock);
        if lines.len() < FULL_BYTES {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.full.len() < self.queue_max {
            let spare = queue.spare();
            queue.full.push_back(mem::replace(lines, spare));
            drop(queue);
            self.work.notify_one();
        } else {
            drop(queue);
            self.count_dropped(count_lines(lines));
            lines.clear();
        }
    }

    pub(super) fn count_dropped(&self, lines: u64) {
        self.dropped.inc_by(lines);
    }

    pub(super) fn reopen(&self) {
        self.queue.lock().reopen = true;
        self.work.notify_one();
    }

    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.work.notify_one();
    }

    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let mut queue = self.queue.lock();
        queue.flushes_asked += 1;
        let ticket = queue.flushes_asked;
        self.work.notify_one();
        let waiting = |queue: &mut Queue| queue.flushes_done < ticket;
        !self.done.wait_while_for(&mut queue, waiting, timeout).timed_out()
    }

    /// Queues what lies in the slots. The bound does not count here: it is one buffer a thread.
    fn collect(&self) {
        let mut slots = self.slots.lock();
        for slot in slots.iter() {
            let mut pending = slot.0.lock();
            if !pending.lines.is_empty() {
                let mut queue = self.queue.lock();
                let spare = queue.spare();
                queue.full.push_back(mem::replace(&mut pending.lines, spare));
            }
        }
        // The thread of a slot that nobody else refers to has ended.
        slots.retain(|slot| Arc::strong_count(slot) > 1 || !slot.0.lock().lines.is_empty());
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Starts the writer; it ends when the log is closed and all is written.
pub(super) fn start(shared: Arc<Shared>, output: Output) -> io::Result<()> {
    let run = move || {
        let mut writer = Writer { shared, output, next_tick: Instant::now(), failing: false };
        while writer.round() {}
    };
    thread::Builder::new().name("access-log".to_owned()).spawn(run).map(drop)
}

struct Writer {
    shared: Arc<Shared>,
    output: Output,
    next_tick: Instant,
    /// Whether the last write failed: one event for a disk that stays full, not one a tick.
    failing: bool,
}

impl Writer {
    /// Waits for work and does it; false when the log is closed and empty.
    fn round(&mut self) -> bool {
        let asked = self.wait();
        if asked.collect {
            self.shared.collect();
            self.next_tick = Instant::now() + TICK;
        }
        self.drain();
        if asked.reopen
            && let Err(error) = self.output.reopen()
        {
            tracing::error!(%error, "access log not reopened; the old file stays in use");
        }
        if asked.flushes > 0 {
            let mut queue = self.shared.queue.lock();
            queue.flushes_done = queue.flushes_done.max(asked.flushes);
            drop(queue);
            self.shared.done.notify_all();
        }
        !asked.closed
    }

    fn wait(&self) -> Asked {
        let mut queue = self.shared.queue.lock();
        let idle = |queue: &mut Queue| {
            let flush = queue.flushes_asked > queue.flushes_done;
            queue.full.is_empty() && !flush && !queue.reopen && !queue.closed
        };
        self.shared.work.wait_while_until(&mut queue, idle, self.next_tick);
        let flushes =
            if queue.flushes_asked > queue.flushes_done { queue.flushes_asked } else { 0 };
        let reopen = mem::take(&mut queue.reopen);
        let tick = Instant::now() >= self.next_tick;
        let collect = tick || flushes > 0 || reopen || queue.closed;
        Asked { collect, reopen, flushes, closed: queue.closed }
    }

    /// Writes what is queued now. What comes meanwhile is for the next round, so that busy
    /// threads cannot keep the writer from the slots of idle ones.
    fn drain(&mut self) {
        let queued = self.shared.queue.lock().full.len();
        for _ in 0..queued {
            let Some(mut lines) = self.shared.queue.lock().full.pop_front() else {
                return;
            };
            self.write(&lines);
            lines.clear();
            let mut queue = self.shared.queue.lock();
            if queue.spare.len() < self.shared.queue_max {
                queue.spare.push(lines);
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        match self.output.write(lines) {
            Ok(()) => self.failing = false,
            Err(Unwritten { error, lines }) => {
                self.shared.count_dropped(lines);
                if !mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "access log not written; lines are dropped");
                }
            }
        }
    }
}

/// What woke the writer.
struct Asked {
    collect: bool,
    reopen: bool,
    /// The last flush asked for; 0 if none waits.
    flushes: u64,
    closed: bool,
}

/// The open target.
pub(super) struct Output {
    sink: Box<dyn Write + Send>,
    path: Option<PathBuf>,
    /// Whether the last write ended within a line.
    torn: bool,
}

/// A write that failed, and the lines that are lost by it.
pub(super) struct Unwritten {
    error: io::Error,
    lines: u64,
}

impl Output {
    /// Opens the target; `None` if the log is off.
    pub(super) fn open(target: &Target) -> Result<Option<Self>, OpenError> {
        Ok(match target {
            Target::Off => None,
            Target::Stdout => Some(Self::to(Box::new(io::stdout()))),
            Target::Stderr => Some(Self::to(Box::new(io::stderr()))),
            Target::File(path) => {
                let failed = |source| OpenError::File { path: path.clone(), source };
                let file = append_to(path).map_err(failed)?;
                Some(Self { path: Some(path.clone()), ..Self::to(Box::new(file)) })
            }
        })
    }

    pub(super) fn to(sink: Box<dyn Write + Send>) -> Self {
        Self { sink, path: None, torn: false }
    }

    fn reopen(&mut self) -> Result<(), OpenError> {
        if let Some(path) = &self.path {
            let failed = |source| OpenError::File { path: path.clone(), source };
            self.sink = Box::new(append_to(path).map_err(failed)?);
            self.torn = false;
        }
        Ok(())
    }

    /// Writes whole lines.
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let mut rest = lines;
        let written = self.write_all(&mut rest);
        written.map_err(|error| Unwritten { error, lines: count_lines(rest) })
    }

    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.torn {
            self.sink.write_all(b"\n")?;
            self.torn = false;
        }
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = rest[count - 1] != b'\n';
                    *rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Standard output keeps an unfinished line to itself; there is none, but it must leave.
        self.sink.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
