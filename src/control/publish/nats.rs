//! Published versions in the bucket on NATS.
//!
//! ```text
//!  config             <holder, 16 hex>                      one key, replaced by compare-and-set
//!                     {"candidate":9,"current":7,"share":10}
//!                     …
//!  config.7.<hash>    the text of version 7
//! ```
//!
//! The holder is the process that wrote last. Whoever leads takes the key over by writing it anew
//! under its own name, and one that finds another's name there writes no more.

use std::sync::Arc;

use async_nats::jetstream::kv::{Operation, Store};
use tokio::sync::Mutex;

use super::shelf::{Shelf, ShelfError, Shelved};
use super::versions::{Version, Versions};
use crate::control::log::Later;
use crate::control::nats::{Nats, NatsError};

const KEY: &str = "config";

/// How often a key is read again that another process writes meanwhile.
const TRIES: usize = 16;

/// Versions in the bucket.
#[derive(Debug)]
pub struct NatsShelf {
    bucket: Store,
    value_max: usize,
    /// Random, of this process.
    holder: String,
    /// The revision of the key as this process last saw it.
    revision: Mutex<u64>,
}

/// What stands at the key.
#[derive(Default)]
struct Found {
    revision: u64,
    holder: String,
    lines: String,
}

impl NatsShelf {
    /// Those of a bucket.
    ///
    /// # Errors
    /// The bucket cannot be had.
    pub async fn new(nats: &Nats) -> Result<Self, NatsError> {
        let holder = format!("{:016x}", fastrand::u64(..));
        let (bucket, value_max) = (nats.bucket().await?, nats.payload_max());
        Ok(Self { bucket, value_max, holder, revision: Mutex::default() })
    }

    async fn read(&self) -> Result<Found, NatsError> {
        let entry = self.bucket.entry(KEY).await.map_err(|error| failed("read", error))?;
        let Some(entry) = entry else { return Ok(Found::default()) };
        let revision = entry.revision;
        if entry.operation != Operation::Put {
            return Ok(Found { revision, ..Found::default() });
        }
        let text = std::str::from_utf8(&entry.value).ok().and_then(|text| text.split_once('\n'));
        let (holder, lines) = text.ok_or_else(damaged)?;
        Ok(Found { revision, holder: holder.to_owned(), lines: lines.to_owned() })
    }

    async fn take(&self) -> Result<Shelved, NatsError> {
        let mut why = failed("taken over", "another process writes it");
        for _ in 0..TRIES {
            let Found { revision, lines, .. } = self.read().await?;
            let versions = versions(&lines)?;
            match self.bucket.update(KEY, self.value(&versions).into(), revision).await {
                Ok(revision) => {
                    *self.revision.lock().await = revision;
                    return self.with_texts(versions).await;
                }
                Err(error) => why = failed("taken over", error),
            }
        }
        Err(why)
    }

    async fn with_texts(&self, versions: Versions) -> Result<Shelved, NatsError> {
        let mut shelved = Shelved { versions: versions.clone(), ..Shelved::default() };
        for version in versions.iter() {
            let text = self.bucket.get(text_key(version)).await;
            let text = text.map_err(|error| failed("read", error))?;
            let text = text.and_then(|bytes| String::from_utf8(bytes.into()).ok());
            if !text.is_some_and(|text| shelved.insert(version, text)) {
                return Err(failed("read", format!("version {} is damaged", version.number)));
            }
        }
        Ok(shelved)
    }

    async fn put(&self, before: &Shelved, next: &Shelved) -> Result<(), NatsError> {
        for (version, text) in next.beyond(before) {
            let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
            self.check_size(bytes.len())?;
            let put = self.bucket.put(text_key(version), bytes).await;
            put.map_err(|error| failed("written", error))?;
        }
        self.put_index(self.value(&next.versions)).await?;
        for (version, _) in before.beyond(next) {
            let key = format!("{}{}", self.bucket.prefix, text_key(version));
            if let Err(error) = self.bucket.stream.purge().filter(key).await {
                // It takes room, and no more.
                tracing::warn!("{}", failed("cleared away", error));
            }
        }
        Ok(())
    }

    async fn put_index(&self, value: String) -> Result<(), NatsError> {
        self.check_size(value.len())?;
        let mut revision = self.revision.lock().await;
        let mut why = failed("written", "another process writes it");
        for _ in 0..2 {
            match self.bucket.update(KEY, value.clone().into(), *revision).await {
                Ok(written) => {
                    *revision = written;
                    return Ok(());
                }
                Err(error) => why = failed("written", error),
            }
            let found = self.read().await?;
            if found.holder != self.holder {
                break;
            }
            // An answer was lost, now or earlier.
            *revision = found.revision;
            if value == format!("{}\n{}", found.holder, found.lines) {
                return Ok(());
            }
        }
        Err(why)
    }

    fn value(&self, versions: &Versions) -> String {
        format!("{}\n{}", self.holder, versions.to_lines())
    }

    fn check_size(&self, bytes: usize) -> Result<(), NatsError> {
        if bytes <= self.value_max {
            return Ok(());
        }
        let max = self.value_max;
        let why = format!(
            "it needs {bytes} bytes, and the servers take messages of up to {max}; expected a \
             higher max_payload"
        );
        Err(failed("written", why))
    }
}

impl Shelf for NatsShelf {
    fn look(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        Box::pin(async {
            let versions = versions(&self.read().await?.lines)?;
            Ok(self.with_texts(versions).await?)
        })
    }

    fn take_up(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        Box::pin(async { Ok(self.take().await?) })
    }

    fn write(&self, before: Arc<Shelved>, next: Arc<Shelved>) -> Later<'_, Result<(), ShelfError>> {
        Box::pin(async move { Ok(self.put(&before, &next).await?) })
    }
}

fn versions(lines: &str) -> Result<Versions, NatsError> {
    match lines.is_empty() {
        true => Ok(Versions::default()),
        false => Versions::from_lines(lines).ok_or_else(damaged),
    }
}

fn text_key(version: &Version) -> String {
    format!("{KEY}.{}.{}", version.number, version.hash.to_hex())
}

fn damaged() -> NatsError {
    failed("read", "it is damaged")
}

fn failed(act: &str, why: impl std::fmt::Display) -> NatsError {
    NatsError::new(format!("the published config cannot be {act}"), why)
}

#[cfg(test)]
impl NatsShelf {
    /// Every key of the bucket.
    pub(super) async fn keys(&self) -> Vec<String> {
        use futures_util::TryStreamExt;
        self.bucket.keys().await.unwrap().try_collect().await.unwrap()
    }
}
