//! `GET /v1/log`: the log as a stream that stays open, one JSON object a line.
//!
//! ```text
//!  {"head":9,"head_hash":"…","log":"…","resume":"entries"}   how the node goes on, and the head
//!  {"command":{…},"number":3}                                after "snapshot": a line a purge,
//!  {"head":9,"head_hash":"…","log":"…"}                      and the position behind them
//!  {"at":…,"by":"…","commands":[…],"first":10,…}             then every entry
//!                                                            an empty line when all is quiet
//!  {"commands":[…],"survey":"…"}                             to whoever prefers surveys
//! ```
//!
//! It ends when the log becomes another one, when the node is so slow that what it reads is not
//! kept any more, when its token expires or is taken from the config, and when the control plane
//! stops: the node asks again, and is told how it goes on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::sleep;

use crate::config::moment::Moment;
use crate::control::log::{LogError, PurgeLog, Resume, resume};
use crate::door::{Access, Caller, Need};
use crate::message::{BodyError, BodyStream, Piece};
use crate::net::DrainWatch;
use crate::object::{LogId, Position, PurgeCommand};
use crate::telemetry::metrics::ControlMetrics;

/// How long it is quiet before an empty line shows that the connection lives.
const QUIET: Duration = Duration::from_secs(2);

/// Entries that are read at a time.
const ENTRIES: usize = 64;

/// Bytes of a snapshot that are written at a time.
const PIECE: usize = 64 << 10;

/// What a node reads.
pub(super) struct Feed {
    ready: VecDeque<Bytes>,
    next: Option<Step>,
}

/// The next lines and where it is then; `None` at the end.
type Step = Pin<Box<dyn Future<Output = Option<(VecDeque<Bytes>, Reader)>> + Send>>;

/// What it ends by, beside the log.
pub(super) struct End {
    /// The control plane stops.
    pub(super) drain: DrainWatch,
    /// The tokens do not let the node in any more.
    pub(super) access: watch::Receiver<Arc<Access>>,
    /// Whom they let in.
    pub(super) caller: Caller,
    /// Milliseconds since 1970.
    pub(super) calendar: fn() -> u64,
}

/// Where it is.
struct Reader {
    log: Arc<dyn PurgeLog>,
    identity: LogId,
    /// Of the snapshot, what is still to be told.
    rules: std::vec::IntoIter<(u64, PurgeCommand)>,
    /// The position behind the snapshot, if that is still to be told.
    behind: Option<Position>,
    /// The last purge that was told.
    after: u64,
    head: watch::Receiver<Position>,
    end: End,
    /// What is asked beside the log, of whoever wants that.
    surveys: Option<broadcast::Receiver<Bytes>>,
    _open: Open,
}

/// Counted while it lives.
struct Open(Arc<ControlMetrics>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.feeds().dec();
    }
}

impl Feed {
    /// The log for a node that shows `position`, or none.
    ///
    /// # Errors
    /// The log's.
    pub(super) async fn open(
        log: Arc<dyn PurgeLog>,
        position: Option<Position>,
        end: End,
        surveys: Option<broadcast::Receiver<Bytes>>,
        metrics: Arc<ControlMetrics>,
    ) -> Result<Self, LogError> {
        let head = log.head();
        let (how, at, after, rules) = match resume(&*log, position).await? {
            Resume::Entries => {
                let at = *head.borrow();
                ("entries", at, position.map_or(at.number, |from| from.number), Vec::new())
            }
            Resume::Snapshot(snapshot) => {
                ("snapshot", snapshot.at, snapshot.at.number, snapshot.commands)
            }
            Resume::Foreign(at) => ("foreign", at, at.number, Vec::new()),
        };
        let mut first = show(at);
        first["resume"] = how.into();
        let behind = (how == "snapshot").then_some(at);
        let (identity, rules) = (at.log, rules.into_iter());
        metrics.feeds().inc();
        let _open = Open(metrics);
        let reader = Reader { log, identity, rules, behind, after, head, end, surveys, _open };
        Ok(Self { ready: [line(&first.to_string())].into(), next: Some(Box::pin(reader.next())) })
    }
}

impl BodyStream for Feed {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Piece::Data(bytes))));
            }
            let Some(next) = &mut self.next else { return Poll::Ready(None) };
            self.next = match ready!(next.as_mut().poll(cx)) {
                Some((lines, reader)) => {
                    self.ready = lines;
                    Some(Box::pin(reader.next()))
                }
                None => None,
            };
        }
    }
}

impl End {
    /// A token that expires while all is quiet is noticed with the next line.
    fn is_there(&mut self) -> bool {
        let now = Moment((self.calendar)() / 1000);
        let access = self.access.borrow_and_update();
        self.drain.is_draining() || !access.admits_still(Need::Follow, &self.caller, now)
    }
}

impl Reader {
    /// The next lines; `None` at the end.
    async fn next(mut self) -> Option<(VecDeque<Bytes>, Self)> {
        loop {
            if self.head.borrow_and_update().log != self.identity || self.end.is_there() {
                return None;
            }
            let rules = self.next_rules();
            if !rules.is_empty() {
                return Some(([rules].into(), self));
            }
            if let Some(behind) = self.behind.take() {
                return Some(([line(&show(behind).to_string())].into(), self));
            }
            let entries = self.log.read(self.after, ENTRIES).await.ok()??;
            if let Some(last) = entries.last() {
                self.after = last.last();
                return Some((entries.iter().map(|entry| entry.line().clone()).collect(), self));
            }
            tokio::select! {
                biased;
                () = self.end.drain.draining() => return None,
                moved = self.head.changed() => moved.ok()?,
                changed = self.end.access.changed() => changed.ok()?,
                line = asked(&mut self.surveys) => return Some(([line].into(), self)),
                () = sleep(QUIET) => return Some(([Bytes::from_static(b"\n")].into(), self)),
            }
        }
    }

    fn next_rules(&mut self) -> Bytes {
        let mut lines = String::new();
        while lines.len() < PIECE {
            let Some((number, command)) = self.rules.next() else { break };
            let rule = json!({ "number": number, "command": command.to_json() });
            lines.push_str(&rule.to_string());
            lines.push('\n');
        }
        lines.into()
    }
}

/// The next line beside the log. Cancel safe.
async fn asked(surveys: &mut Option<broadcast::Receiver<Bytes>>) -> Bytes {
    use broadcast::error::RecvError;
    while let Some(lines) = surveys {
        match lines.recv().await {
            Ok(line) => return line,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *surveys = None,
        }
    }
    std::future::pending().await
}

fn show(Position { log, number, hash }: Position) -> Value {
    json!({ "log": log.to_string(), "head": number, "head_hash": hash.to_string() })
}

fn line(json: &str) -> Bytes {
    format!("{json}\n").into()
}
