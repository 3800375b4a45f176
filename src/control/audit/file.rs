//! The events on disk, so that they outlive the process: one line of JSON each.
//!
//! ```text
//!  note ── queue ──► thread: all that has gathered, one write, one sync ──► audit.log
//!                            so many lines ── renamed: the ones before ───► audit.log.1
//! ```
//!
//! Nobody waits for the disk: what finds no room in the queue, or on the disk, is in memory alone,
//! and that is told. A line that was torn by the end of a process, or is damaged, is left out: each
//! ends with a hash of what stands before, lest a number that became another hide the lines behind.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::Event;
use crate::durable::beside;

/// Events that wait for the disk.
const QUEUE: usize = 1024;

/// Events that are written at once.
const AT_ONCE: usize = 64;

/// Bytes of a line, several times what the longest event needs.
const LINE_MAX: u64 = 64 << 10;

/// The highest number that whoever reads JSON holds exactly.
const NUMBER_MAX: u64 = 1 << 53;

/// How long the end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Stands before the hash of a line.
const SUM: &str = ",\"sum\":\"";

/// What is to be the file is something else, such as a device or a pipe.
#[derive(Debug, thiserror::Error)]
#[error("audit.file: {} is no regular file; expected one, or a new path", .0.display())]
pub struct NotRegular(PathBuf);

/// The file of a process, until this is dropped: then all that was noted is written, unless the
/// disk hangs.
#[derive(Debug)]
pub(super) struct AuditFile {
    /// None once it is dropped.
    queue: Option<SyncSender<String>>,
    /// None where no thread could be started.
    thread: Option<JoinHandle<()>>,
    /// Breaks off when the thread ends.
    ended: Receiver<()>,
    patience: Duration,
    /// Whether the disk lags, which was told.
    lags: bool,
}

impl AuditFile {
    /// Goes on with the file at `path`, which begins anew after `lines_max` lines. Blocks.
    pub(super) fn open(path: PathBuf, lines_max: usize) -> Self {
        let writer = Writer { path, lines_max, open: None, has_failed: false };
        Self::over(move |events| writer.run(events), PATIENCE)
    }

    /// With `write` as the thread, which the end waits for so long.
    fn over(write: impl FnOnce(&Receiver<String>) + Send + 'static, patience: Duration) -> Self {
        let (queue, events) = sync_channel(QUEUE);
        let (lives, ended) = sync_channel(0);
        let thread = thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || {
            let _lives = lives;
            write(&events);
        });
        let thread = thread.inspect_err(|error| tracing::error!(%error, "no audit is written"));
        Self { queue: Some(queue), thread: thread.ok(), ended, patience, lags: false }
    }

    /// Has an event written.
    pub(super) fn push(&mut self, number: u64, event: &Event) {
        let sent = self.queue.as_ref().map(|queue| queue.try_send(to_line(number, event)));
        let lags = matches!(sent, Some(Err(TrySendError::Full(_))));
        if lags && !self.lags {
            tracing::error!("the audit is written too slowly: events are in memory alone");
        }
        self.lags = lags;
    }
}

impl Drop for AuditFile {
    fn drop(&mut self) {
        self.queue = None;
        if self.ended.recv_timeout(self.patience) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the disk hangs: the newest events of the audit are not written");
            return;
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the audit ended by a panic");
        }
    }
}

/// The newest events of the file at `path`, with their numbers, in their order. Blocks.
///
/// # Errors
/// It is no file. What else keeps it from being read is told in the log.
pub(super) fn read(path: &Path, events_max: usize) -> Result<VecDeque<(u64, Event)>, NotRegular> {
    let mut events = VecDeque::new();
    for path in [beside(path, "1"), path.to_owned()] {
        let read = match open(File::options().read(true), &path) {
            Ok(Some(file)) => read_into(&mut events, BufReader::new(file), &path, events_max),
            Ok(None) => return Err(NotRegular(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            tracing::error!("the audit {} cannot be read: {error}", path.display());
        }
    }
    Ok(events)
}

/// Opens what is at `path`; `None` unless that is a regular file. Waits for nobody who may be at
/// the other end.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<Option<File>> {
    let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    let is_regular = file.metadata()?.is_file();
    Ok(is_regular.then_some(file))
}

fn read_into(
    events: &mut VecDeque<(u64, Event)>,
    mut file: impl BufRead,
    path: &Path,
    events_max: usize,
) -> io::Result<()> {
    let (mut damaged, mut line) = (0_usize, Vec::new());
    while file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? > 0 {
        if line.pop_if(|last| *last == b'\n').is_none() {
            file.skip_until(b'\n')?;
        }
        let last = events.back().map_or(0, |(number, _)| *number);
        match from_line(&line).filter(|(number, _)| (last + 1..=NUMBER_MAX).contains(number)) {
            Some(event) => {
                if events.len() == events_max {
                    events.pop_front();
                }
                events.push_back(event);
            }
            None => damaged += usize::from(!line.is_empty()),
        }
        line.clear();
    }
    if damaged > 0 {
        tracing::warn!("the audit {} has {damaged} lines that cannot be read", path.display());
    }
    Ok(())
}

/// The thread's side.
struct Writer {
    path: PathBuf,
    lines_max: usize,
    open: Option<Open>,
    /// Whether the last write failed, which was told.
    has_failed: bool,
}

struct Open {
    file: File,
    lines: usize,
}

impl Writer {
    fn run(mut self, events: &Receiver<String>) {
        // That it cannot be written is told before anything is lost.
        let opened = Open::at(&self.path).map(|open| self.open = Some(open));
        self.tell(&opened);
        while let Ok(mut lines) = events.recv() {
            let mut count = 1;
            while let Some(line) = (count < AT_ONCE).then(|| events.try_recv().ok()).flatten() {
                lines.push_str(&line);
                count += 1;
            }
            let written = self.write(&lines, count);
            self.tell(&written);
        }
    }

    /// Tells what has changed.
    fn tell(&mut self, written: &io::Result<()>) {
        let (path, had_failed) = (self.path.display(), self.has_failed);
        match written {
            Ok(()) if had_failed => tracing::info!("the audit {path} is written again"),
            Err(error) if !had_failed => tracing::error!(
                "the audit {path} cannot be written: {error}; events are in memory alone until it \
                 can"
            ),
            _ => {}
        }
        self.has_failed = written.is_err();
    }

    fn write(&mut self, lines: &str, count: usize) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) if open.lines < self.lines_max => open,
            Some(_) => self.begin_anew()?,
            None => match Open::at(&self.path)? {
                open if open.lines < self.lines_max => open,
                _ => self.begin_anew()?,
            },
        };
        // What fails half-way is opened anew, where the torn line is seen.
        open.file.write_all(lines.as_bytes())?;
        open.file.sync_data()?;
        open.lines += count;
        self.open = Some(open);
        Ok(())
    }

    fn begin_anew(&self) -> io::Result<Open> {
        fs::rename(&self.path, beside(&self.path, "1"))?;
        Open::at(&self.path)
    }
}

impl Open {
    /// Opens a file to go on behind its last whole line.
    fn at(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = open(options.read(true).append(true).create(true).mode(0o600), path)?;
        let mut file = file.ok_or_else(|| io::Error::other("it is no regular file"))?;
        let (mut lines, mut is_torn) = (0, false);
        let mut reader = BufReader::new(&file);
        loop {
            let bytes = reader.fill_buf()?;
            let Some(last) = bytes.last() else { break };
            is_torn = *last != b'\n';
            lines += memchr::memchr_iter(b'\n', bytes).count();
            let length = bytes.len();
            reader.consume(length);
        }
        if is_torn {
            file.write_all(b"\n")?;
        }
        Ok(Self { file, lines })
    }
}

fn to_line(number: u64, event: &Event) -> String {
    let Event { at, by, address, what, status, detail, trace } = event;
    let trace = trace.map(|trace| format!("{trace:032x}"));
    let json = json!({
        "number": number, "at": at, "by": by, "address": address.to_string(), "what": what,
        "status": status, "detail": detail, "trace": trace,
    });
    let json = json.to_string();
    format!("{}{SUM}{}\"}}\n", &json[..json.len() - 1], sum(&json))
}

/// Of a line without it.
fn sum(json: &str) -> String {
    blake3::hash(json.as_bytes()).to_hex()[..16].to_owned()
}

fn from_line(line: &[u8]) -> Option<(u64, Event)> {
    let line = str::from_utf8(line).ok()?;
    // Earlier versions wrote none.
    if let Some((json, told)) = line.rsplit_once(SUM)
        && told.strip_suffix("\"}") != Some(&*sum(&format!("{json}}}")))
    {
        return None;
    }
    let json: Value = serde_json::from_str(line).ok()?;
    let text = |field: &str| json[field].as_str().map(str::to_owned);
    let trace = json["trace"].as_str().map(|trace| u128::from_str_radix(trace, 16));
    let event = Event {
        at: json["at"].as_u64()?,
        by: text("by")?,
        address: text("address")?.parse().ok()?,
        what: text("what")?,
        status: json["status"].as_u64()?.try_into().ok()?,
        detail: text("detail")?,
        trace: trace.transpose().ok()?,
    };
    Some((json["number"].as_u64()?, event))
}

#[cfg(test)]
mod tests;
