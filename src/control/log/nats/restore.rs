//! Puts a log that was kept behind what a stream holds. Steps, after each of which a crash leaves a
//! log of the new identity, only with less of its past:
//!
//! 1. the message that begins it, with the base;
//! 2. the snapshot, made at that message;
//! 3. the entries;
//! 4. all before the first of these messages goes.

use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use super::saved;
use super::tail::{begin_at, is_start};
use crate::control::log::Kept;
use crate::control::log::layout::Writer;
use crate::control::nats::{Nats, NatsError};

/// Whether nothing was ever written to a stream.
///
/// # Errors
/// NATS does not answer, or the stream is not to be used.
pub async fn is_new(nats: &Nats) -> Result<bool, NatsError> {
    Ok(nats.stream().await?.cached_info().state.last_sequence == 0)
}

/// Whether a stream holds no purge.
///
/// # Errors
/// NATS does not answer, or the stream is not to be used.
pub async fn is_empty(nats: &Nats) -> Result<bool, NatsError> {
    let stream = nats.stream().await?;
    let state = &stream.cached_info().state;
    match state.messages {
        0 => Ok(true),
        1 => {
            let message = stream.get_raw_message(state.last_sequence).await.map_err(failed)?;
            Ok(is_start(&message.payload))
        }
        _ => Ok(false),
    }
}

/// Puts a log in the place of what a stream holds.
///
/// # Errors
/// NATS does not answer, or another process wrote to the stream meanwhile.
pub async fn restore(nats: &Nats, kept: &Kept) -> Result<(), NatsError> {
    let (stream, bucket) = (nats.stream().await?, nats.bucket().await?);
    let last = stream.cached_info().state.last_sequence;
    let first = send(nats, last, begin_at(kept.base).into()).await?;
    let mut snapshot = Writer::begin(kept.base.log);
    snapshot.snapshot(&kept.rules, std::iter::empty(), kept.base);
    if !saved::write(&bucket, snapshot, first).await? {
        return Err(failed("another process saved a snapshot meanwhile"));
    }
    let (mut behind, mut payload) = (first, Vec::new());
    for entry in &kept.entries {
        let line = entry.line();
        if !payload.is_empty() && payload.len() + line.len() > nats.payload_max() {
            behind = send(nats, behind, std::mem::take(&mut payload).into()).await?;
        }
        payload.extend_from_slice(line);
    }
    if !payload.is_empty() {
        send(nats, behind, payload.into()).await?;
    }
    stream.purge().sequence(first).await.map(drop).map_err(failed)
}

/// Sends a message behind the one of that sequence, and returns its own.
async fn send(nats: &Nats, behind: u64, payload: Bytes) -> Result<u64, NatsError> {
    let message = PublishMessage::build()
        .payload(payload)
        .expected_stream(nats.name())
        .expected_last_sequence(behind);
    let sent = nats.jetstream().send_publish(nats.subject(), message).await.map_err(failed)?;
    Ok(sent.await.map_err(failed)?.sequence)
}

fn failed(why: impl std::fmt::Display) -> NatsError {
    NatsError::new("the purge log cannot be restored", why)
}
