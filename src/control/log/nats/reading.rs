//! Reads a stream from its beginning, or from its snapshot, until what is there is proven to be one
//! log; where it cannot be, a new one begins behind it.

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Stream;

use super::messages::Messages;
use super::saved::{self, Saved};
use super::tail::{Tail, begin};
use crate::control::log::history::{Bounds, History};
use crate::control::nats::{Nats, NatsError};
use crate::object::{LogId, Position};

/// A stream that was read up to its end, and goes on.
pub(super) struct Reading {
    pub(super) tail: Tail,
    pub(super) history: History,
    pub(super) messages: Messages,
}

impl Reading {
    /// Reads a stream. Whoever `known` that it goes on as far as that is told by a new identity
    /// where it does not.
    pub(super) async fn new(
        nats: &Nats,
        bucket: &Store,
        bounds: Bounds,
        known: Option<Position>,
    ) -> Result<Self, NatsError> {
        let stream = nats.stream().await?;
        let last = stream.cached_info().state.last_sequence;
        let from_saved = match saved::read(bucket).await? {
            Some(saved) => Self::from_saved(&stream, bounds, saved).await?,
            None => None,
        };
        let mut reading = match from_saved {
            Some(reading) => reading,
            None => Self::from_first(&stream, bounds).await?,
        };
        if reading.tail.at() < last {
            // What stood last is gone.
            reading.tail.distrust(last);
        }
        if known.is_some_and(|known| reading.has_lost(known)) {
            reading.tail.distrust(reading.tail.at());
        }
        while !reading.tail.is_proven() {
            reading.begin(nats).await?;
        }
        Ok(reading)
    }

    /// From the message of a snapshot; `None` where that is not there.
    async fn from_saved(
        stream: &Stream,
        bounds: Bounds,
        saved: Saved,
    ) -> Result<Option<Self>, NatsError> {
        let (mut messages, pending) = Messages::open(stream, saved.sequence).await?;
        if pending == 0 {
            return Ok(None);
        }
        let first = messages.next_soon().await?;
        if first.sequence != saved.sequence {
            return Ok(None);
        }
        let at = Tail::at_snapshot(bounds, saved.contents, first.sequence, &first.payload);
        let Some((tail, history)) = at else { return Ok(None) };
        let reading = Self { tail, history, messages };
        reading.up_to_end(first.pending).await.map(Some)
    }

    async fn from_first(stream: &Stream, bounds: Bounds) -> Result<Self, NatsError> {
        let (messages, pending) = Messages::open(stream, 1).await?;
        let (tail, history) = Tail::new(bounds);
        Self { tail, history, messages }.up_to_end(pending).await
    }

    async fn up_to_end(mut self, mut pending: u64) -> Result<Self, NatsError> {
        while pending > 0 {
            pending = self.take().await?;
        }
        Ok(self)
    }

    /// Takes the next message, and tells how many there are behind it.
    async fn take(&mut self) -> Result<u64, NatsError> {
        let read = self.messages.next_soon().await?;
        self.tail.take(&mut self.history, read.sequence, &read.payload);
        Ok(read.pending)
    }

    fn has_lost(&self, known: Position) -> bool {
        self.history.head().log == known.log
            && self.history.hash_at(known.number) != Some(known.hash)
    }

    /// Begins a log behind what is there, unless another process does.
    async fn begin(&mut self, nats: &Nats) -> Result<(), NatsError> {
        let failed = |error| NatsError::new("a purge log cannot be begun", error);
        let at = self.tail.at();
        let message = PublishMessage::build()
            .payload(begin(LogId(fastrand::u128(..))).into())
            .expected_stream(nats.name())
            .expected_last_sequence(at);
        let sent = nats.jetstream().send_publish(nats.subject(), message).await.map_err(failed)?;
        match sent.await {
            Ok(_) if at == 0 => tracing::info!("a purge log begins"),
            Ok(_) => tracing::warn!(
                "the purge log does not go on as it was and begins anew: nodes take all they have \
                 stored for possibly purged"
            ),
            // Another was first.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {}
            Err(error) => return Err(failed(error)),
        }
        let mut pending = self.take().await?;
        while pending > 0 {
            pending = self.take().await?;
        }
        Ok(())
    }
}
