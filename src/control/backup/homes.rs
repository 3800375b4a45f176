//! Takes a backup of where the log lives, and brings it back.
//!
//! A backup reads the files of the folder, or the stream, beside the process that has them open:
//! so it needs no token and no process that runs, and one whose process does not start any more can
//! still be had. What is read of a log's file is its beginning, which is a log; the registrations
//! and what is published are read after it, so that they are not older than it is.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::{Backup, joined};
use crate::config::control_plane::{Backend, ControlPlane, PurgeLog as Settings};
use crate::control::clock;
use crate::control::fleet::Registration;
use crate::control::fleet::registrations;
use crate::control::home::{self, HomeError};
use crate::control::lead::Lead;
use crate::control::log::embedded::{self, FileError, Held};
use crate::control::log::nats::{self, NatsLog};
use crate::control::log::{Kept, LogError, PurgeLog};
use crate::control::nats::NatsError;
use crate::control::publish::folder::FolderShelf;
use crate::control::publish::nats::NatsShelf;
use crate::control::publish::shelf::{Shelf, ShelfError, Shelved};
use crate::control::registry::{NatsRegistry, Registry, RegistryError};
use crate::object::{LogId, Position};

/// Why nothing was backed up, or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The home of the log.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no log.
    #[error("there is no purge log in {}", .0.display())]
    Nothing(PathBuf),
    /// There is a log, or somebody is registered.
    #[error(
        "{0} is not empty; expected another place, or --force, which gives up the purge log and \
         the published config there and keeps the nodes registered there beside those of the backup"
    )]
    NotEmpty(String),
    /// Another process leads.
    #[error("a control plane runs on these servers; stop it first")]
    Runs,
    /// The registrations.
    #[error(transparent)]
    Registrations(#[from] RegistryError),
    /// What is published.
    #[error(transparent)]
    Published(#[from] ShelfError),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
}

impl From<FileError> for BackupError {
    fn from(error: FileError) -> Self {
        Self::Home(error.into())
    }
}

impl From<NatsError> for BackupError {
    fn from(error: NatsError) -> Self {
        Self::Home(error.into())
    }
}

/// What became of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// How far the log goes, and its new identity.
    pub head: Position,
    /// Nodes that are registered.
    pub nodes: usize,
}

/// Takes a backup of the control plane that a config describes, which may run meanwhile. Blocks.
/// Where what is published cannot be read the rest is taken, and why is told with it.
///
/// # Errors
/// Why there is none.
pub fn take(config: &ControlPlane) -> Result<(Backup, Option<ShelfError>), BackupError> {
    let settings = &config.purge_log;
    let runtime = runtime()?;
    let (log, nodes, published) = match settings.backend {
        Backend::Embedded => {
            let log = embedded::look(&settings.path)?;
            let log = log.ok_or_else(|| BackupError::Nothing(settings.path.clone()))?;
            let nodes = registrations::read(&settings.path).map_err(RegistryError::from)?;
            let nodes = nodes.unwrap_or_default();
            (log, nodes, runtime.block_on(FolderShelf::new(settings.path.clone()).look()))
        }
        Backend::Nats => runtime.block_on(take_from_nats(settings))?,
    };
    let (published, lacks) = match published {
        Ok(published) => (published, None),
        Err(error) => (Shelved::default(), Some(error)),
    };
    let (at, lease) = (clock::unix_ms(), config.fleet.lease);
    Ok((Backup { at, lease, nodes, published, log }, lacks))
}

async fn take_from_nats(
    settings: &Settings,
) -> Result<(Kept, Vec<Registration>, Result<Shelved, ShelfError>), BackupError> {
    let nats = home::connect(settings).await?;
    let (registry, shelf) = (NatsRegistry::new(&nats).await?, NatsShelf::new(&nats).await?);
    let log = NatsLog::open(nats, home::bounds(settings)).await?;
    log.refresh().await?;
    let nodes = registry.look().await?.unwrap_or_default();
    Ok((Kept::of(&log).await?, nodes, shelf.look().await))
}

/// Brings a backup back where a config says, under a new identity. No control plane may run there.
/// What is there already is given up if `forces`, but for its registrations. Blocks.
///
/// # Errors
/// Why not. Nothing has changed, unless the file system or NATS failed while it was written.
pub fn restore(
    config: &ControlPlane,
    backup: Backup,
    forces: bool,
) -> Result<Restored, BackupError> {
    let settings = &config.purge_log;
    let Backup { lease, nodes, published, log, .. } = backup;
    let lease = lease.max(config.fleet.lease);
    let log = log.under(LogId(fastrand::u128(..)));
    let head = log.head();
    let runtime = runtime()?;
    let nodes = match settings.backend {
        Backend::Embedded => {
            let held = Held::new(&settings.path)?;
            let shelf = FolderShelf::new(settings.path.clone());
            let nodes = joined(nodes, registered(settings, forces)?, lease);
            runtime.block_on(check_shelf(&shelf, &settings.path.display(), forces))?;
            runtime.block_on(put(&shelf, published))?;
            registrations::write(&settings.path, &nodes).map_err(RegistryError::from)?;
            held.put(&log)?;
            known(&nodes)
        }
        Backend::Nats => {
            let joined = |registered| joined(nodes, registered, lease);
            runtime.block_on(restore_to_nats(config, (&log, joined, published), forces))?
        }
    };
    Ok(Restored { head, nodes })
}

/// How many of them are real.
fn known(nodes: &[Registration]) -> usize {
    nodes.iter().filter(|node| !node.is_unknown()).count()
}

/// Who is registered in a folder that may be restored to.
fn registered(settings: &Settings, forces: bool) -> Result<Vec<Registration>, BackupError> {
    let folder = &settings.path;
    // Damaged ones are never given up here: what was purged would wait for none of them.
    let nodes = registrations::read(folder).map_err(RegistryError::from)?.unwrap_or_default();
    let is_empty = match embedded::look(folder) {
        Ok(log) => log.is_none_or(|log| log.is_empty()),
        Err(_) => false,
    };
    match forces || is_empty && nodes.is_empty() {
        true => Ok(nodes),
        false => Err(BackupError::NotEmpty(folder.display().to_string())),
    }
}

/// `joined` makes of who is registered there who is to be.
async fn restore_to_nats(
    config: &ControlPlane,
    (log, joined, published): (&Kept, impl FnOnce(Vec<Registration>) -> Vec<Registration>, Shelved),
    forces: bool,
) -> Result<usize, BackupError> {
    let settings = &config.purge_log;
    let nats = home::connect(settings).await?;
    let (registry, shelf) = (NatsRegistry::new(&nats).await?, NatsShelf::new(&nats).await?);
    let contest = home::contest(&nats, Lead::none(), config.fleet.lease).await?;
    if !contest.take_for_a_term().await {
        return Err(BackupError::Runs);
    }
    // Nobody else writes from here on.
    let restored = async {
        let registered = registry.look().await?.unwrap_or_default();
        let is_empty = nats::is_empty(&nats).await? && registered.is_empty();
        let place = format!("the stream {:?}", settings.stream);
        if !is_empty && !forces {
            return Err(BackupError::NotEmpty(place));
        }
        check_shelf(&shelf, &place, forces).await?;
        let nodes = joined(registry.take_up().await?.unwrap_or_default());
        put(&shelf, published).await?;
        let count = known(&nodes);
        registry.write(nodes).await?;
        nats::restore(&nats, log).await?;
        Ok(count)
    };
    let restored = restored.await;
    contest.leave().await;
    restored
}

/// Whether what is published in a place may be given up.
async fn check_shelf(
    shelf: &dyn Shelf,
    place: &dyn Display,
    forces: bool,
) -> Result<(), BackupError> {
    match shelf.look().await {
        _ if forces => Ok(()),
        Ok(there) if there.texts.is_empty() => Ok(()),
        _ => Err(BackupError::NotEmpty(place.to_string())),
    }
}

/// Puts what was published in the place of all that is there.
async fn put(shelf: &dyn Shelf, published: Shelved) -> Result<(), BackupError> {
    shelf.seize().await?;
    // Every text is written: one of the same number may be another.
    Ok(shelf.write(Arc::default(), Arc::new(published)).await?)
}

fn runtime() -> Result<Runtime, BackupError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
