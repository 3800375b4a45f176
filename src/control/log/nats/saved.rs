//! A snapshot in the bucket, so that messages at the stream's beginning may go.
//!
//! ```text
//!  saved           {"before":0,"hash":"64 hex","parts":2,"place":"9.1f…","sequence":4711}
//!  saved.9.1f….0   the bytes of an embedded log without entries, in parts
//!  saved.9.1f….1
//! ```
//!
//! It is made at the message `sequence`, which stays in the stream: its last entry is the base of
//! the snapshot, and so shows that both belong together. Steps, after each of which a crash does no
//! harm:
//!
//! 1. the parts, in a place named after the revision of `saved` that was read, and a random number;
//! 2. `saved`, if it still has that revision: of two processes one wins;
//! 3. messages before `sequence` go;
//! 4. all places of the revision before go, with what a process left there that crashed or lost.

use std::time::Duration;

use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::control::log::layout::{Contents, Writer};
use crate::control::nats::NatsError;

const KEY: &str = "saved";

/// Bytes of a part: any server takes as much.
const PART: usize = 256 << 10;

/// How often one reads again what is replaced meanwhile.
const TRIES: usize = 5;

const PAUSE: Duration = Duration::from_millis(50);

/// A snapshot, and the message it was made at.
pub(super) struct Saved {
    pub(super) contents: Contents,
    pub(super) sequence: u64,
}

/// Where the parts of a snapshot are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// The revision that the one before was named after.
    before: u64,
    /// The revision that this one is named after.
    revision: u64,
    random: u64,
    parts: usize,
    sequence: u64,
    hash: String,
}

/// The snapshot of a bucket; `None` where none is, or none that is whole.
pub(super) async fn read(bucket: &Store) -> Result<Option<Saved>, NatsError> {
    for _ in 0..TRIES {
        let Some((_, index)) = index(bucket).await? else { return Ok(None) };
        if let Some(bytes) = bytes(bucket, &index).await? {
            return Ok(match Contents::read(&bytes) {
                Ok(contents) => Some(Saved { contents, sequence: index.sequence }),
                Err(damage) => {
                    tracing::warn!("the snapshot of the purge log is damaged: {damage}");
                    None
                }
            });
        }
        // Another has taken its place, or its parts are lost.
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!("the snapshot of the purge log is not whole");
    Ok(None)
}

/// Replaces the snapshot by one of the message `sequence`; false if another process did.
pub(super) async fn write(
    bucket: &Store,
    snapshot: Writer,
    sequence: u64,
) -> Result<bool, NatsError> {
    let (revision, before) = match index(bucket).await? {
        Some((revision, index)) => (revision, Some(index)),
        None => (last_revision(bucket).await?, None),
    };
    let bytes = Bytes::from(snapshot.bytes);
    let hash = blake3::hash(&bytes).to_hex().to_string();
    // One of an earlier stream may have the sequence alone.
    let is_same = |before: &Index| before.sequence == sequence && before.hash == hash;
    if before.as_ref().is_some_and(is_same) {
        return Ok(false);
    }
    let index = Index {
        before: before.as_ref().map_or(0, |before| before.revision),
        revision,
        random: fastrand::u64(..),
        parts: bytes.len().div_ceil(PART),
        sequence,
        hash,
    };
    for part in 0..index.parts {
        let end = bytes.len().min((part + 1) * PART);
        let put = bucket.put(index.part(part), bytes.slice(part * PART..end)).await;
        put.map_err(|error| failed("written", error))?;
    }
    let written = bucket.update(KEY, index.to_json().into(), revision).await;
    if written.is_err() {
        // Whatever it is, the next one that succeeds clears the place away.
        return Ok(false);
    }
    if let Some(before) = before {
        clear(bucket, before.before).await?;
        clear(bucket, before.revision).await?;
    }
    Ok(true)
}

async fn index(bucket: &Store) -> Result<Option<(u64, Index)>, NatsError> {
    let entry = bucket.entry(KEY).await.map_err(|error| failed("read", error))?;
    Ok(entry.and_then(|entry| Some((entry.revision, Index::from_json(&entry.value)?))))
}

/// Of a key that holds no index.
async fn last_revision(bucket: &Store) -> Result<u64, NatsError> {
    let entry = bucket.entry(KEY).await.map_err(|error| failed("read", error))?;
    Ok(entry.map_or(0, |entry| entry.revision))
}

async fn bytes(bucket: &Store, index: &Index) -> Result<Option<Vec<u8>>, NatsError> {
    let mut bytes = Vec::new();
    for part in 0..index.parts {
        let part = bucket.get(index.part(part)).await.map_err(|error| failed("read", error))?;
        let Some(part) = part else { return Ok(None) };
        bytes.extend_from_slice(&part);
    }
    Ok((blake3::hash(&bytes).to_hex().as_str() == index.hash).then_some(bytes))
}

/// Takes away every place that is named after a revision.
async fn clear(bucket: &Store, revision: u64) -> Result<(), NatsError> {
    let all = format!("{}{KEY}.{revision}.>", bucket.prefix);
    let cleared = bucket.stream.purge().filter(all).await;
    cleared.map(drop).map_err(|error| failed("cleared away", error))
}

impl Index {
    pub(super) fn part(&self, part: usize) -> String {
        let Self { revision, random, .. } = self;
        format!("{KEY}.{revision}.{random:016x}.{part}")
    }

    pub(super) fn to_json(&self) -> String {
        let Self { before, revision, random, parts, sequence, hash } = self;
        let place = format!("{revision}.{random:016x}");
        json!({
            "before": before, "hash": hash, "parts": parts, "place": place, "sequence": sequence,
        })
        .to_string()
    }

    pub(super) fn from_json(bytes: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(bytes).ok()?;
        let (revision, random) = json["place"].as_str()?.split_once('.')?;
        Some(Self {
            before: json["before"].as_u64()?,
            revision: revision.parse().ok()?,
            random: u64::from_str_radix(random, 16).ok()?,
            parts: json["parts"].as_u64()?.try_into().ok()?,
            sequence: json["sequence"].as_u64()?,
            hash: json["hash"].as_str()?.to_owned(),
        })
    }
}

fn failed(act: &str, why: impl std::fmt::Display) -> NatsError {
    NatsError::new(format!("the snapshot of the purge log cannot be {act}"), why)
}
