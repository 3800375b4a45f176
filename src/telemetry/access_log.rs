//! The access log: one line a request, formatted on its event loop, written by a thread.
//!
//! ```text
//! event loop ──format──► Slot (its own buffer) ──full: 64 KiB──► Queue ──► writer ──► file
//!                          ▲                                     bounded     │
//!                          └──── every 200 ms: takes what is there ──────────┘
//! ```
//!
//! A slot is locked by its own thread for each line, and by the writer for the exchange of two
//! buffers five times a second, so the lock is hardly ever waited for and no two event loops
//! share one. Buffers go round between slots, queue and writer. Lock order: slot, then queue.
//!
//! Invariants: the lines of one thread keep their order; a request never waits for the file; a
//! line that cannot be queued or written is counted, and never torn into the next one.
//! Uses nothing of ours.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod line;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::IntCounter;

pub use self::time::rfc3339;

use self::writer::{Output, Shared, Slot};

/// The size of a buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// A slot hands its buffer over when it holds this much: then the usual line fits in the rest,
/// and the buffer need not grow.
const FULL_BYTES: usize = BUFFER_BYTES - 4 * 1024;

/// The access log of one node. Shared by `Arc`; when dropped, the writer ends once it has written
/// what is there.
pub struct AccessLog(Option<Open>);

struct Open {
    id: u64,
    format: Format,
    shared: Arc<Shared>,
}

/// Where the lines go, in which form, and how much may wait.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// Where the lines go.
    pub target: Target,
    /// How a line is written.
    pub format: Format,
    /// Bytes that may wait for the writer, in whole buffers of 64 KiB, at least one; beside them
    /// each thread holds one buffer. What comes beyond is dropped and counted.
    pub queue_bytes_max: usize,
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere: nothing is formatted.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to and made if missing.
    File(PathBuf),
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line; [`Entry`] documents the keys.
    #[default]
    Json,
    /// Common Log Format.
    Common,
    /// Common Log Format with referer and user agent.
    Combined,
}

/// One finished request. Each field names its JSON key; keys of absent values are left out.
/// Static texts come from lists of ours and are written as they are; all else is escaped.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// `time`: when the request's head was complete, milliseconds since 1970, as RFC 3339 in UTC.
    pub unix_millis: u64,
    /// `client`: the address, without port.
    pub client: IpAddr,
    /// `method`.
    pub method: &'a [u8],
    /// `scheme`: http or https.
    pub scheme: &'static str,
    /// `host`: as asked for.
    pub host: &'a [u8],
    /// `target`: path and query, as asked for.
    pub target: &'a [u8],
    /// `protocol`: such as HTTP/1.1.
    pub protocol: &'static str,
    /// `status` sent.
    pub status: u16,
    /// `bytes`: of the body, as sent.
    pub bytes: u64,
    /// `duration_us`: from the head of the request to the end of the response.
    pub duration: Duration,
    /// `ttfb_us`: from the head of the request to the first byte of the response.
    pub ttfb: Option<Duration>,
    /// `result`: hit, miss, ….
    pub result: &'static str,
    /// `reason`: why it was that.
    pub reason: &'static str,
    /// `site`: its configured name; empty if none was found.
    pub site: &'a str,
    /// `origin_status`: answered by the origin or shield, if it was asked.
    pub origin_status: Option<u16>,
    /// `range`: the request's Range field.
    pub range: Option<&'a [u8]>,
    /// `referer`.
    pub referer: Option<&'a [u8]>,
    /// `user_agent`.
    pub user_agent: Option<&'a [u8]>,
    /// `trace_id`: of the W3C trace context.
    pub trace_id: Option<&'a str>,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened for appending.
    #[error("{}: {source}", path.display())]
    File {
        /// The configured path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The writer's thread cannot be started.
    #[error("writer: {0}")]
    Thread(io::Error),
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessLog({})", if self.0.is_some() { "open" } else { "off" })
    }
}

impl AccessLog {
    /// Opens the target and starts the writer. Each line lost is counted in `dropped`.
    ///
    /// # Errors
    /// If the file cannot be opened or the thread not started.
    pub fn open(config: &AccessConfig, dropped: IntCounter) -> Result<Self, OpenError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let Some(output) = Output::open(&config.target)? else {
            return Ok(Self(None));
        };
        let queue_max = (config.queue_bytes_max / BUFFER_BYTES).max(1);
        let shared = Arc::new(Shared::new(queue_max, dropped));
        writer::start(Arc::clone(&shared), output).map_err(OpenError::Thread)?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self(Some(Open { id, format: config.format, shared })))
    }

    /// Writes a line about `entry`: on disk about 200 ms later. Never waits for the file.
    pub fn log(&self, entry: &Entry<'_>) {
        let Some(open) = &self.0 else { return };
        let logged = SLOTS.try_with(|slots| {
            let mut slots = slots.borrow_mut();
            let known = slots.iter().position(|(id, _)| *id == open.id);
            let index = known.unwrap_or_else(|| {
                // Slots that only this thread still refers to belong to logs that are gone.
                slots.retain(|(_, slot)| Arc::strong_count(slot) > 1);
                slots.push((open.id, open.shared.new_slot()));
                slots.len() - 1
            });
            open.shared.append(&slots[index].1, |lines, clock| {
                line::write(lines, clock, open.format, entry);
            });
        });
        if logged.is_err() {
            // The thread is ending and its slot is gone.
            open.shared.count_dropped(1);
        }
    }

    /// Opens the path anew, for rotation: lines logged before the call go to the old file, lines
    /// logged after it to the new one. If it cannot be opened, the old one stays in use.
    pub fn reopen(&self) {
        if let Some(open) = &self.0 {
            open.shared.reopen();
        }
    }

    /// Waits until every line logged before the call is written, at most for `timeout`; true if
    /// that was reached. Blocks: not for an event loop that still serves.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.0.as_ref().is_none_or(|open| open.shared.flush(timeout))
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.shared.close();
        }
    }
}

thread_local! {
    /// The slots of this thread, by the identity of their log: one entry, except where several
    /// nodes live in one process.
    static SLOTS: RefCell<Vec<(u64, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}
