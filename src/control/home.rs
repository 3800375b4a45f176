//! Where the log, the registrations and what is published live, as the config says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::clock;
use super::lead::{Contest, Lead};
use super::log::embedded::{EmbeddedLog, FileError};
use super::log::nats::{self, NatsLog};
use super::log::{LogBounds, PurgeLog};
use super::nats::{Nats, NatsError, NatsParts};
use super::publish::folder::FolderShelf;
use super::publish::nats::NatsShelf;
use super::publish::shelf::Shelf;
use super::registry::{FolderRegistry, NatsRegistry, Registry, RegistryError};
use crate::config::control_plane::{Backend, PurgeLog as Settings};

/// The shortest term for which a control process leads.
const TERM_MIN: Duration = Duration::from_secs(1);

/// What a plane is over.
pub(super) struct Home {
    pub(super) log: Arc<dyn PurgeLog>,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) lead: Lead,
    /// Where other processes may lead.
    pub(super) contest: Option<Contest>,
}

/// Why a home cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The log's file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The credentials cannot be read.
    #[error("purge_log.credentials_file: {0}")]
    Credentials(io::Error),
    /// NATS.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The registrations of a log that is new.
    #[error(transparent)]
    Registrations(#[from] RegistryError),
}

/// How much of the log is kept in memory.
pub(super) fn bounds(settings: &Settings) -> LogBounds {
    LogBounds { entries: settings.entries, rules: settings.rules, waiting: settings.queue }
}

/// Connects to the servers that the config names.
pub(super) async fn connect(settings: &Settings) -> Result<Nats, HomeError> {
    let parts = NatsParts {
        servers: settings.servers.clone(),
        credentials: settings.credentials().map_err(HomeError::Credentials)?,
        ca_file: settings.ca_file.clone(),
        stream: settings.stream.clone(),
        replicas: settings.replicas,
        checks_sync: settings.check_sync,
    };
    Ok(Nats::connect(parts).await?)
}

/// The contest for a lead that is held for a part of a lease at a time.
pub(super) async fn contest(
    nats: &Nats,
    lead: Lead,
    lease: Duration,
) -> Result<Contest, NatsError> {
    Contest::new(nats, lead, TERM_MIN.max(lease / 2), clock::monotonic).await
}

impl Home {
    /// Opens it. Blocks on files.
    pub(super) async fn open(settings: &Settings, lease: Duration) -> Result<Self, HomeError> {
        let bounds = bounds(settings);
        match settings.backend {
            Backend::Embedded => {
                let log = EmbeddedLog::open(&settings.path, bounds)?;
                let registry = FolderRegistry::new(settings.path.clone());
                if log.is_new() {
                    registry.begin().await?;
                }
                Ok(Self {
                    log: Arc::new(log),
                    registry: Arc::new(registry),
                    shelf: Arc::new(FolderShelf::new(settings.path.clone())),
                    lead: Lead::always(),
                    contest: None,
                })
            }
            Backend::Nats => {
                let (nats, lead) = (connect(settings).await?, Lead::none());
                let contest = contest(&nats, lead.clone(), lease).await?;
                let registry = NatsRegistry::new(&nats).await?;
                // Before anybody begins the log: all who find it begun find that nobody was there.
                if nats::is_new(&nats).await? {
                    registry.begin().await?;
                }
                Ok(Self {
                    registry: Arc::new(registry),
                    shelf: Arc::new(NatsShelf::new(&nats).await?),
                    log: Arc::new(NatsLog::open(nats, bounds).await?),
                    lead,
                    contest: Some(contest),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
