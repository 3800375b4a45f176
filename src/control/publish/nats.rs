//! Published versions in the bucket on NATS.
//!
//! ```text
//!  config             <holder, 16 hex>                      one key, replaced by compare-and-set
//!                     {"candidate":9,"current":7,"share":10}
//!                     …
//!  config.7.<hash>    the text of version 7
//! ```
//!
//! The index is held by one process at a time (`control::nats::held`).

use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use super::shelf::{Shelf, ShelfError, Shelved};
use super::versions::{Version, Versions};
use crate::control::log::Later;
use crate::control::nats::held::HeldKey;
use crate::control::nats::{Nats, NatsError};

const KEY: &str = "config";

/// Texts that are asked for before the first is there.
const AT_ONCE: usize = 16;

/// Versions in the bucket.
#[derive(Debug)]
pub struct NatsShelf(HeldKey);

impl NatsShelf {
    /// Those of a bucket.
    ///
    /// # Errors
    /// The bucket cannot be had.
    pub async fn new(nats: &Nats) -> Result<Self, NatsError> {
        Ok(Self(HeldKey::new(nats, KEY, "the published config").await?))
    }

    /// The versions of what stands at the key.
    fn versions(&self, text: &str) -> Result<Versions, NatsError> {
        match text.is_empty() {
            true => Ok(Versions::default()),
            false => Versions::from_lines(text).ok_or_else(|| self.0.failed("read", "damaged")),
        }
    }

    async fn with_texts(&self, versions: Versions) -> Result<Shelved, NatsError> {
        let keys: Vec<_> = versions.iter().map(text_key).collect();
        let texts = some_at_a_time(keys.into_iter().map(|key| self.text(key)));
        let texts: Vec<_> = texts.try_collect().await?;
        let mut shelved = Shelved { versions: versions.clone(), ..Shelved::default() };
        for (version, text) in versions.iter().zip(texts) {
            if !text.is_some_and(|text| shelved.insert(version, text)) {
                let why = format!("version {} is damaged", version.number);
                return Err(self.0.failed("read", why));
            }
        }
        Ok(shelved)
    }

    async fn text(&self, key: String) -> Result<Option<String>, NatsError> {
        let text = self.0.bucket().get(key).await;
        let text = text.map_err(|error| self.0.failed("read", error))?;
        Ok(text.and_then(|bytes| String::from_utf8(bytes.into()).ok()))
    }

    async fn put(&self, before: &Shelved, next: &Shelved) -> Result<(), NatsError> {
        let bucket = self.0.bucket();
        for (version, text) in next.beyond(before) {
            let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
            self.0.check_size(bytes.len())?;
            let put = bucket.put(text_key(version), bytes).await;
            put.map_err(|error| self.0.failed("written", error))?;
        }
        self.0.put(&next.versions.to_lines()).await?;
        for (version, _) in before.beyond(next) {
            let key = format!("{}{}", bucket.prefix, text_key(version));
            if let Err(error) = bucket.stream.purge().filter(key).await {
                // It takes room, and no more.
                tracing::warn!("{}", self.0.failed("cleared away", error));
            }
        }
        Ok(())
    }
}

impl Shelf for NatsShelf {
    fn look(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        Box::pin(async {
            let versions = self.versions(&self.0.look().await?)?;
            Ok(self.with_texts(versions).await?)
        })
    }

    fn take_up(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        Box::pin(async {
            let versions = self.0.take(|text| self.versions(text)).await?;
            Ok(self.with_texts(versions).await?)
        })
    }

    fn seize(&self) -> Later<'_, Result<(), ShelfError>> {
        Box::pin(async { Ok(self.0.seize().await?) })
    }

    fn write(&self, before: Arc<Shelved>, next: Arc<Shelved>) -> Later<'_, Result<(), ShelfError>> {
        Box::pin(async move { Ok(self.put(&before, &next).await?) })
    }
}

/// What each of them gives, in their order.
fn some_at_a_time<F: Future>(them: impl Iterator<Item = F>) -> impl Stream<Item = F::Output> {
    stream::iter(them).buffered(AT_ONCE)
}

fn text_key(version: &Version) -> String {
    format!("{KEY}.{}.{}", version.number, version.hash.to_hex())
}

#[cfg(test)]
#[tokio::test]
async fn texts_do_not_wait_for_one_another() {
    let asked = std::cell::Cell::new(0);
    let never = (0..100).map(async |_| {
        asked.set(asked.get() + 1);
        std::future::pending::<()>().await;
    });
    let mut answers = Box::pin(some_at_a_time(never));
    assert!(futures_util::poll!(answers.next()).is_pending());
    assert_eq!(asked.get(), AT_ONCE);
}

#[cfg(test)]
impl NatsShelf {
    /// Every key of the bucket.
    pub(super) async fn keys(&self) -> Vec<String> {
        self.0.bucket().keys().await.unwrap().try_collect().await.unwrap()
    }
}
