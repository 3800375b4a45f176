//! The one task that reads the stream, gives numbers, and sends.
//!
//! ```text
//!  follow ─┬─ a message ─► Tail ─► publish ─► settle: is it what was sent? ─► told
//!          │                                    └─ another: numbered anew behind it
//!          ├─ somebody asks ─► gather ─► send, one message at a time
//!          └─ it breaks ─► go on behind what was read, if that still stands there; else read anew
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::messages::{Messages, Read};
use super::reading::Reading;
use super::tail::Tail;
use super::{Asked, Queue, Shared, Told, Waiting, saved};
use crate::control::log::history::Bounds;
use crate::control::log::layout::Writer;
use crate::control::log::{LogError, Logged};
use crate::control::nats::{Nats, NatsError};
use crate::object::{Entry, LogId};

/// How long a message that was stored, or came instead of another, may take to be read.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one waits unsent; less than the one who asked does.
const WAITING_MAX: Duration = Duration::from_secs(8);
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Keeps what is in memory as the stream is, and the stream as it was asked.
pub(super) struct Keeper {
    nats: Nats,
    bucket: Store,
    bounds: Bounds,
    shared: Arc<Shared>,
    tail: Tail,
    /// What was sent, or is to be, and was not read yet.
    sending: Option<Sending>,
}

/// Entries on their way, as one message.
struct Sending {
    log: LogId,
    /// The sequence that it is expected behind.
    behind: u64,
    payload: Bytes,
    entries: Vec<(Arc<Logged>, Told, Instant)>,
}

/// What became of a message.
enum Answer {
    /// It is stored, or another is: it will be read.
    Decided,
    /// It is surely not stored.
    Refused(String),
    /// That is not known.
    Lost(NatsError),
}

type Answers = Pin<Box<dyn Future<Output = Answer> + Send>>;

impl Keeper {
    /// Reads the stream up to its end.
    pub(super) async fn open(
        nats: Nats,
        bounds: Bounds,
        waiting_max: usize,
    ) -> Result<(Self, Messages), NatsError> {
        let bucket = nats.bucket().await?;
        let Reading { tail, history, messages } =
            Reading::new(&nats, &bucket, bounds, None).await?;
        let shared = Arc::new(Shared {
            head: watch::Sender::new(history.head()),
            at: watch::Sender::new(tail.at()),
            history: Mutex::new(history),
            queue: Mutex::new(Queue::default()),
            waiting_max,
            asked: Notify::new(),
        });
        Ok((Self { nats, bucket, bounds, shared, tail, sending: None }, messages))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Never ends.
    pub(super) async fn run(mut self, mut messages: Messages) {
        loop {
            let mut why = self.follow(&mut messages).await;
            tracing::warn!("the purge log is not followed: {why}");
            let mut pause = PAUSE_MIN;
            messages = loop {
                match self.take_up().await {
                    Ok(messages) => break messages,
                    Err(error) => why = error,
                }
                tracing::debug!("the purge log is not followed: {why}");
                self.refuse_overdue(&why);
                sleep(pause).await;
                pause = PAUSE_MAX.min(2 * pause);
            };
            tracing::info!("the purge log is followed again");
        }
    }

    /// Reads and sends until something breaks.
    async fn follow(&mut self, messages: &mut Messages) -> NatsError {
        let shared = self.shared.clone();
        let mut answer: Option<Answers> = None;
        loop {
            if self.sending.is_none() {
                answer = None;
                self.sending = self.gather();
            }
            if answer.is_none() && self.sending.is_some() {
                match self.send().await {
                    Ok(ack) => answer = Some(ack),
                    Err(error) => return error,
                }
            }
            tokio::select! {
                read = messages.next() => {
                    let took = match read {
                        Ok(read) => self.take(&read).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = took {
                        return error;
                    }
                }
                answered = of(&mut answer) => match answered {
                    Answer::Decided => answer = Some(Box::pin(late())),
                    Answer::Refused(why) => self.refuse_sent(&why),
                    Answer::Lost(error) => return error,
                },
                () = shared.asked.notified(), if self.sending.is_none() => {}
            }
        }
    }

    /// Goes on behind the last message that was read, if it still stands there; else reads anew.
    async fn take_up(&mut self) -> Result<Messages, NatsError> {
        let messages = match self.go_on().await? {
            Some(messages) => messages,
            None => {
                let known = Some(*self.shared.head.borrow());
                let reading = Reading::new(&self.nats, &self.bucket, self.bounds, known).await?;
                self.tail = reading.tail;
                *self.shared.history.lock() = reading.history;
                reading.messages
            }
        };
        self.publish();
        self.settle();
        Ok(messages)
    }

    async fn go_on(&mut self) -> Result<Option<Messages>, NatsError> {
        let stream = self.nats.stream().await?;
        let last = stream.cached_info().state.last_sequence;
        let (mut messages, mut pending) = Messages::open(&stream, self.tail.at()).await?;
        if pending == 0 {
            return Ok(None);
        }
        let first = messages.next_soon().await?;
        if !self.tail.is_at(first.sequence, &first.payload) {
            return Ok(None);
        }
        pending = pending.min(first.pending);
        while self.tail.is_proven() && pending > 0 {
            let Read { sequence, pending: left, payload } = messages.next_soon().await?;
            self.tail.take(&mut self.shared.history.lock(), sequence, &payload);
            pending = left;
        }
        let is_whole = self.tail.is_proven() && self.tail.at() >= last;
        Ok(is_whole.then_some(messages))
    }

    async fn take(&mut self, read: &Read) -> Result<(), NatsError> {
        self.tail.take(&mut self.shared.history.lock(), read.sequence, &read.payload);
        if !self.tail.is_proven() {
            return Err(NatsError::new("the purge log", "a message does not follow"));
        }
        self.publish();
        if self.settle() {
            self.save().await;
        }
        Ok(())
    }

    /// Shows how far the log goes.
    fn publish(&self) {
        let now = self.shared.history.lock().head();
        self.shared.head.send_if_modified(|head| std::mem::replace(head, now) != now);
        self.shared.at.send_replace(self.tail.at());
    }

    /// Tells who asked for what was read; what something else came instead of waits again. Whether
    /// something was told.
    fn settle(&mut self) -> bool {
        let Some(sending) = &self.sending else { return false };
        let history = self.shared.history.lock();
        let is_log = history.head().log == sending.log;
        if is_log && self.tail.at() <= sending.behind {
            return false;
        }
        let last = sending.entries.last().map(|(entry, ..)| (entry.last(), entry.hash()));
        let has = |(number, hash)| history.hash_at(number) == Some(hash);
        let is_there = is_log && last.is_some_and(has);
        drop(history);
        let Some(Sending { entries, .. }) = self.sending.take() else { return false };
        if is_there {
            for (entry, told, _) in entries {
                let _left = told.send(Ok(entry)).is_err();
            }
        } else {
            let mut queue = self.shared.queue.lock();
            for (entry, told, since) in entries.into_iter().rev() {
                queue.put_back(&entry, told, since);
            }
        }
        is_there
    }

    /// All that waits, as far as one message takes it, numbered behind the head.
    fn gather(&self) -> Option<Sending> {
        let payload_max = self.nats.payload_max();
        let mut head = self.shared.history.lock().head();
        let (log, mut payload, mut entries) = (head.log, Vec::new(), Vec::new());
        let mut queue = self.shared.queue.lock();
        while let Some(Waiting { asked, told, since }) = queue.take() {
            let Asked { by, at, commands } = asked;
            let (first, previous) = (head.number + 1, head.hash);
            let entry = Arc::new(Logged::new(Entry { first, previous, at, by, commands }));
            let line = entry.line();
            if line.len() > payload_max {
                let length = line.len();
                let why = format!(
                    "the NATS server takes messages of up to {payload_max} bytes, and these \
                     purges need {length}; expected fewer at a time"
                );
                let _left = told.send(Err(LogError::Failed(why))).is_err();
                continue;
            }
            if payload.len() + line.len() > payload_max {
                queue.put_back(&entry, told, since);
                break;
            }
            payload.extend_from_slice(line);
            head = entry.position(log);
            entries.push((entry, told, since));
        }
        let (behind, payload) = (self.tail.at(), payload.into());
        (!entries.is_empty()).then_some(Sending { log, behind, payload, entries })
    }

    async fn send(&self) -> Result<Answers, NatsError> {
        let failed = |error| NatsError::new("purges cannot be sent", error);
        let Some(sending) = &self.sending else { return Ok(Box::pin(std::future::pending())) };
        let message = PublishMessage::build()
            .payload(sending.payload.clone())
            .expected_stream(self.nats.name())
            .expected_last_sequence(sending.behind);
        let jetstream = self.nats.jetstream();
        let sent = jetstream.send_publish(self.nats.subject(), message).await.map_err(failed)?;
        Ok(Box::pin(answered(sent)))
    }

    fn refuse_sent(&mut self, why: &str) {
        tracing::error!("purges are refused: {why}");
        for (_, told, _) in self.sending.take().into_iter().flat_map(|sending| sending.entries) {
            let _left = told.send(Err(LogError::Failed(why.to_owned()))).is_err();
        }
    }

    /// Refuses what waits for long and was never sent.
    fn refuse_overdue(&self, why: &NatsError) {
        let mut queue = self.shared.queue.lock();
        while let Some(overdue) = queue.take_older(WAITING_MAX) {
            let _left = overdue.told.send(Err(LogError::Failed(why.to_string()))).is_err();
        }
    }

    /// Lets messages go that a snapshot stands for.
    async fn save(&mut self) {
        let Some((number, sequence)) = self.tail.worth_saving() else { return };
        let snapshot = {
            let history = self.shared.history.lock();
            let Some(hash) = history.hash_at(number) else { return };
            let base = crate::object::Position { log: history.head().log, number, hash };
            let mut writer = Writer::begin(base.log);
            let trail = history.trail().take_while(|(end, _)| *end <= number);
            writer.snapshot(&history.snapshot().commands, trail, base);
            writer
        };
        self.tail.saved(number);
        let let_go = async {
            if saved::write(&self.bucket, snapshot, sequence).await? {
                let stream = self.nats.stream().await?;
                let purged = stream.purge().sequence(sequence).await;
                purged.map_err(|error| NatsError::new("old messages stay", error))?;
            }
            Ok::<_, NatsError>(())
        };
        if let Err(error) = let_go.await {
            tracing::error!("the purge log stays long: {error}");
        }
    }
}

impl Queue {
    fn take(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.purges -= waiting.asked.commands.len();
        Some(waiting)
    }

    fn take_older(&mut self, age: Duration) -> Option<Waiting> {
        let is_older = self.waiting.front()?.since.elapsed() > age;
        if is_older { self.take() } else { None }
    }

    /// It was first, and is again.
    fn put_back(&mut self, entry: &Entry, told: Told, since: Instant) {
        let Entry { by, at, commands, .. } = entry.clone();
        self.purges += commands.len();
        self.waiting.push_front(Waiting { asked: Asked { by, at, commands }, told, since });
    }
}

/// JetStream's answer to a message.
async fn answered(sent: PublishAckFuture) -> Answer {
    let Err(error) = sent.await else { return Answer::Decided };
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Answer::Decided,
        PublishErrorKind::Other => {
            let source = std::error::Error::source(&error);
            let told = source.and_then(|it| it.downcast_ref::<async_nats::jetstream::Error>());
            match told.map(|told| told.error_code()) {
                None | Some(ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::CLUSTER_NOT_LEADER) => {
                    Answer::Lost(NatsError::new("purges cannot be sent", error))
                }
                Some(_) => Answer::Refused(error.to_string()),
            }
        }
        _ => Answer::Lost(NatsError::new("purges cannot be sent", error)),
    }
}

/// What is decided has to be read soon.
async fn late() -> Answer {
    sleep(PATIENCE).await;
    Answer::Lost(NatsError::new("the purge log", "what was stored is not read"))
}

async fn of(answer: &mut Option<Answers>) -> Answer {
    match answer {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
