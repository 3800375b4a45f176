//! Where registrations are kept, behind one trait: a file of the control process, or one key of a
//! bucket on NATS, which whoever leads takes over by compare-and-set.
//!
//! Nobody's are written down before the first purge of a log is taken. So where nothing is written
//! down beside a log, what was is lost.

use std::path::PathBuf;

use super::fleet::Registration;
use super::fleet::registrations::{self, RegistrationsError};
use super::log::Later;
use super::nats::held::HeldKey;
use super::nats::{Nats, NatsError};
use crate::net::worker::off_loop;

/// Keeps the registrations of a fleet.
pub trait Registry: Send + Sync {
    /// Writes down that nobody is registered, for a log that is new. What is there already stays.
    ///
    /// # Errors
    /// It may or may not be durable.
    fn begin(&self) -> Later<'_, Result<(), RegistryError>>;

    /// What is registered now; `None` where nothing is written down. Whoever writes goes on.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn look(&self) -> Later<'_, Result<Known, RegistryError>>;

    /// What is registered; `None` where nothing is written down. What was written before by another
    /// process is in it, and what it writes from now on fails.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn take_up(&self) -> Later<'_, Result<Known, RegistryError>>;

    /// Makes registrations durable in the place of those before.
    ///
    /// # Errors
    /// They may or may not be durable.
    fn write(&self, nodes: Vec<Registration>) -> Later<'_, Result<(), RegistryError>>;
}

/// What is written down.
pub type Known = Option<Vec<Registration>>;

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
    fn begin(&self) -> Later<'_, Result<(), RegistryError>> {
        Box::pin(async {
            match self.look().await? {
                Some(_) => Ok(()),
                None => self.write(Vec::new()).await,
            }
        })
    }

    fn look(&self) -> Later<'_, Result<Known, RegistryError>> {
        self.take_up()
    }

    fn take_up(&self) -> Later<'_, Result<Known, RegistryError>> {
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
pub struct NatsRegistry(HeldKey);

impl NatsRegistry {
    /// Those of a bucket.
    ///
    /// # Errors
    /// The bucket cannot be had.
    pub async fn new(nats: &Nats) -> Result<Self, NatsError> {
        Ok(Self(HeldKey::new(nats, "nodes", "the registrations").await?))
    }

    /// The nodes of what stands at the key.
    fn nodes(&self, text: &str) -> Result<Known, NatsError> {
        match text.is_empty() {
            true => Ok(None),
            false => registrations::decode(text).map(Some).ok_or_else(|| {
                let why = "damaged; take them from a backup, or delete the key \"nodes\" of the \
                           bucket once no node runs that serves on without the control plane: no \
                           purge completes within one fleet.lease then, which is to be as long as \
                           it was";
                self.0.failed("read", why)
            }),
        }
    }
}

impl Registry for NatsRegistry {
    fn begin(&self) -> Later<'_, Result<(), RegistryError>> {
        Box::pin(async { Ok(self.0.begin(&registrations::encode(&[])).await?) })
    }

    fn look(&self) -> Later<'_, Result<Known, RegistryError>> {
        Box::pin(async { Ok(self.nodes(&self.0.look().await?)?) })
    }

    fn take_up(&self) -> Later<'_, Result<Known, RegistryError>> {
        Box::pin(async { Ok(self.0.take(|text| self.nodes(text)).await?) })
    }

    fn write(&self, nodes: Vec<Registration>) -> Later<'_, Result<(), RegistryError>> {
        Box::pin(async move { Ok(self.0.put(&registrations::encode(&nodes)).await?) })
    }
}

#[cfg(test)]
mod tests;
