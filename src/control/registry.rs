//! Where registrations are kept, behind one trait: a file of the control process, or one key of a
//! bucket on NATS, which whoever leads takes over by compare-and-set.

use std::path::PathBuf;

use async_nats::jetstream::kv::{Operation, Store};
use tokio::sync::Mutex;

use super::fleet::Registration;
use super::fleet::registrations::{self, RegistrationsError};
use super::log::Later;
use super::nats::{Nats, NatsError};
use crate::net::worker::off_loop;

/// Keeps the registrations of a fleet.
pub trait Registry: Send + Sync {
    /// What is registered now. Whoever writes goes on.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn look(&self) -> Later<'_, Result<Vec<Registration>, RegistryError>>;

    /// What is registered. What was written before by another process is in it, and what it writes
    /// from now on fails.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn take_up(&self) -> Later<'_, Result<Vec<Registration>, RegistryError>>;

    /// Makes registrations durable in the place of those before.
    ///
    /// # Errors
    /// They may or may not be durable.
    fn write(&self, nodes: Vec<Registration>) -> Later<'_, Result<(), RegistryError>>;
}

/// Why registrations cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file's.
    #[error(transparent)]
    File(#[from] RegistrationsError),
    /// The bucket's.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// A thread that failed.
    #[error("the registrations' thread failed: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Registrations in a folder of this process alone.
#[derive(Clone, Debug)]
pub struct FolderRegistry(PathBuf);

impl FolderRegistry {
    /// Those of a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }
}

impl Registry for FolderRegistry {
    fn look(&self) -> Later<'_, Result<Vec<Registration>, RegistryError>> {
        self.take_up()
    }

    fn take_up(&self) -> Later<'_, Result<Vec<Registration>, RegistryError>> {
        let folder = self.0.clone();
        Box::pin(async move { Ok(off_loop(move || registrations::read(&folder)).await??) })
    }

    fn write(&self, nodes: Vec<Registration>) -> Later<'_, Result<(), RegistryError>> {
        let folder = self.0.clone();
        Box::pin(async move { Ok(off_loop(move || registrations::write(&folder, &nodes)).await??) })
    }
}

/// Registrations in the bucket: all in one key, so that one compare-and-set fences whoever led
/// before.
#[derive(Debug)]
pub struct NatsRegistry {
    bucket: Store,
    value_max: usize,
    /// What stands there as far as this process knows.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    revision: u64,
    text: String,
}

const KEY: &str = "nodes";

/// How often a key is read again that another process writes meanwhile.
const TRIES: usize = 16;

impl NatsRegistry {
    /// Those of a bucket.
    ///
    /// # Errors
    /// The bucket cannot be had.
    pub async fn new(nats: &Nats) -> Result<Self, NatsError> {
        let (bucket, value_max) = (nats.bucket().await?, nats.payload_max());
        Ok(Self { bucket, value_max, known: Mutex::default() })
    }

    async fn read(&self) -> Result<Known, NatsError> {
        let entry = self.bucket.entry(KEY).await.map_err(|error| failed("read", error))?;
        let Some(entry) = entry else { return Ok(Known::default()) };
        let text = match entry.operation {
            Operation::Put => String::from_utf8(entry.value.into())
                .map_err(|_| failed("read", "they are damaged"))?,
            Operation::Delete | Operation::Purge => String::new(),
        };
        Ok(Known { revision: entry.revision, text })
    }

    /// Reads, and writes the same again: whoever knows the revision before writes no more.
    async fn take(&self) -> Result<Vec<Registration>, NatsError> {
        let mut why = failed("taken over", "another process writes them");
        for _ in 0..TRIES {
            let Known { revision, text } = self.read().await?;
            let nodes = nodes(&text)?;
            let text = registrations::encode(&nodes);
            match self.bucket.update(KEY, text.clone().into(), revision).await {
                Ok(revision) => {
                    *self.known.lock().await = Known { revision, text };
                    return Ok(nodes);
                }
                Err(error) => why = failed("taken over", error),
            }
        }
        Err(why)
    }

    async fn put(&self, nodes: Vec<Registration>) -> Result<(), NatsError> {
        let text = registrations::encode(&nodes);
        if text.len() > self.value_max {
            let max = self.value_max;
            let why = format!(
                "they need {} bytes, and the servers take messages of up to {max}; expected a \
                 higher max_payload",
                text.len()
            );
            return Err(failed("written", why));
        }
        let mut known = self.known.lock().await;
        let mut why = failed("written", "another process writes them");
        for _ in 0..2 {
            match self.bucket.update(KEY, text.clone().into(), known.revision).await {
                Ok(revision) => {
                    *known = Known { revision, text };
                    return Ok(());
                }
                Err(error) => why = failed("written", error),
            }
            // An answer may have been lost, now or earlier: what stands there is ours then.
            let found = self.read().await?;
            if found.text == text {
                *known = found;
                return Ok(());
            }
            if found.text != known.text {
                break;
            }
            known.revision = found.revision;
        }
        Err(why)
    }
}

impl Registry for NatsRegistry {
    fn look(&self) -> Later<'_, Result<Vec<Registration>, RegistryError>> {
        Box::pin(async { Ok(nodes(&self.read().await?.text)?) })
    }

    fn take_up(&self) -> Later<'_, Result<Vec<Registration>, RegistryError>> {
        Box::pin(async { Ok(self.take().await?) })
    }

    fn write(&self, nodes: Vec<Registration>) -> Later<'_, Result<(), RegistryError>> {
        Box::pin(async { Ok(self.put(nodes).await?) })
    }
}

/// The nodes of what stands at the key.
fn nodes(text: &str) -> Result<Vec<Registration>, NatsError> {
    match text.is_empty() {
        true => Ok(Vec::new()),
        false => registrations::decode(text).ok_or_else(|| failed("read", "they are damaged")),
    }
}

fn failed(act: &str, why: impl std::fmt::Display) -> NatsError {
    NatsError::new(format!("the registrations cannot be {act}"), why)
}

#[cfg(test)]
mod tests;
