//! The events on disk, so that they outlive the process: one line of JSON each.
//!
//! ```text
//!  note ── queue ──► thread: all that has gathered, one write, one sync ──► audit.log
//!                            so many lines ── renamed: the ones before ───► audit.log.1
//! ```
//!
//! Nobody waits for the disk: what finds no room in the queue, or on the disk, is in memory alone,
//! and that is told. A line that was torn by the end of a process, or is damaged, is left out.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::Event;
use crate::durable::beside;

/// Events that wait for the disk.
const QUEUE: usize = 1024;

/// Events that are written at once.
const AT_ONCE: usize = 64;

/// The file of a process, until this is dropped: then all that was noted is written.
#[derive(Debug)]
pub(super) struct AuditFile {
    /// None once it is dropped.
    queue: Option<SyncSender<String>>,
    /// None where no thread could be started.
    thread: Option<JoinHandle<()>>,
    /// Whether the disk lags, which was told.
    lags: bool,
}

impl AuditFile {
    /// Goes on with the file at `path`, which begins anew after `lines_max` lines. Blocks.
    pub(super) fn open(path: PathBuf, lines_max: usize) -> Self {
        let (queue, events) = sync_channel(QUEUE);
        let writer = Writer { path, lines_max, open: None, has_failed: false };
        let thread = thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || writer.run(&events));
        let thread = thread.inspect_err(|error| tracing::error!(%error, "no audit is written"));
        Self { queue: Some(queue), thread: thread.ok(), lags: false }
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
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the audit ended by a panic");
        }
    }
}

/// The newest events of the file at `path`, with their numbers, in their order. Blocks.
pub(super) fn read(path: &Path, events_max: usize) -> VecDeque<(u64, Event)> {
    let mut events = VecDeque::new();
    for path in [beside(path, "1"), path.to_owned()] {
        match File::open(&path) {
            Ok(file) => read_into(&mut events, BufReader::new(file), &path, events_max),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::error!("the audit {} cannot be read: {error}", path.display()),
        }
    }
    events
}

fn read_into(
    events: &mut VecDeque<(u64, Event)>,
    file: BufReader<File>,
    path: &Path,
    events_max: usize,
) {
    let mut damaged = 0_usize;
    for line in file.split(b'\n') {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                tracing::error!("the audit {} cannot be read: {error}", path.display());
                return;
            }
        };
        let last = events.back().map_or(0, |(number, _)| *number);
        match from_line(&line).filter(|(number, _)| *number > last) {
            Some(event) => {
                if events.len() == events_max {
                    events.pop_front();
                }
                events.push_back(event);
            }
            None => damaged += usize::from(!line.is_empty()),
        }
    }
    if damaged > 0 {
        tracing::warn!("the audit {} has {damaged} lines that cannot be read", path.display());
    }
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
        while let Ok(mut lines) = events.recv() {
            let mut count = 1;
            while let Some(line) = (count < AT_ONCE).then(|| events.try_recv().ok()).flatten() {
                lines.push_str(&line);
                count += 1;
            }
            let written = self.write(&lines, count);
            let (path, had_failed) = (self.path.display(), self.has_failed);
            match &written {
                Ok(()) if had_failed => tracing::info!("the audit {path} is written again"),
                Err(error) if !had_failed => tracing::error!(
                    "the audit {path} cannot be written: {error}; events are in memory alone until \
                     it can"
                ),
                _ => {}
            }
            self.has_failed = written.is_err();
        }
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
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
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
    format!("{json}\n")
}

fn from_line(line: &[u8]) -> Option<(u64, Event)> {
    let json: Value = serde_json::from_slice(line).ok()?;
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
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_gone_and_the_next_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/audit.log");
        let mut writer = Writer { path: path.clone(), lines_max: 2, open: None, has_failed: false };
        assert!(writer.write("1\n", 1).is_err());
        fs::create_dir(folder.path().join("log")).unwrap();
        writer.write("2\n3\n", 2).unwrap();
        // There is no way to begin anew.
        fs::create_dir(beside(&path, "1")).unwrap();
        assert!(writer.write("4\n", 1).is_err());
        assert!(writer.write("5\n", 1).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n3\n", "it stays bounded");
        fs::remove_dir(beside(&path, "1")).unwrap();
        writer.write("6\n", 1).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "6\n");
    }
}
