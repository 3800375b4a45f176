//! The messages of the stream in their order, from some sequence on, as they come.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::control::nats::NatsError;

/// How long a pull waits for messages; the server shows that it lives five times meanwhile.
const PULL: Duration = Duration::from_secs(5);
/// Messages of a pull.
const PULL_MESSAGES: usize = 256;
/// How long the server remembers a reader that is gone.
const FORGET: Duration = Duration::from_secs(30);
/// How long a message that is there may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the stream. What it is owed and does not get is an error: then one begins anew.
pub(super) struct Messages(pull::Stream);

/// A message.
pub(super) struct Read {
    pub(super) sequence: u64,
    /// How many there are behind it.
    pub(super) pending: u64,
    pub(super) payload: Bytes,
}

impl Messages {
    /// Reads from the message `sequence` on, or from the first that is there behind it; and tells
    /// how many there are now.
    pub(super) async fn open(stream: &Stream, sequence: u64) -> Result<(Self, u64), NatsError> {
        let config = pull::Config {
            description: Some("Headland: a control process".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: sequence.max(1) },
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGET,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(failed)?;
        let pending = consumer.cached_info().num_pending;
        let pull = consumer.stream().max_messages_per_batch(PULL_MESSAGES);
        let messages = pull.expires(PULL).heartbeat(PULL / 5).messages().await.map_err(failed)?;
        Ok((Self(messages), pending))
    }

    /// The next message, whenever it comes.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Read, NatsError> {
        let message = self.0.next().await.ok_or_else(|| failed("the consumer ended"))?;
        let message = message.map_err(failed)?;
        let info = message.info().map_err(failed)?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        Ok(Read { sequence, pending, payload: message.message.payload })
    }

    /// The next message, which is there or about to be.
    pub(super) async fn next_soon(&mut self) -> Result<Read, NatsError> {
        let next = timeout(PATIENCE, self.next()).await;
        next.unwrap_or_else(|_| Err(failed("a message does not come")))
    }
}

fn failed(why: impl std::fmt::Display) -> NatsError {
    NatsError::new("the purge log cannot be read", why)
}
