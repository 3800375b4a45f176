//! The control plane: its log and registrations in files, its door on a line.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::network::{Network, Place};
use super::node::serve;
use super::time::{calendar, now};
use super::witness::Witness;
use crate::config::control_plane::Publish;
use crate::control::audit::Audit;
use crate::control::door::{ControlDoor, DoorParts};
use crate::control::fleet::FleetBounds;
use crate::control::log::LogBounds;
use crate::control::log::embedded::EmbeddedLog;
use crate::control::publish::Publisher;
use crate::control::publish::folder::FolderShelf;
use crate::control::{FolderRegistry, Lead, Plane, PlaneParts, Registry};
use crate::net::Drain;

/// Where the control plane listens.
pub(super) const PORT: u16 = 9190;

/// Purges that a log keeps: of one seed in four so few that a node which was away is told a
/// snapshot, and that receipts are forgotten when the control plane is started again.
pub(super) fn kept(seed: u64) -> usize {
    if seed.is_multiple_of(4) { 6 } else { 1000 }
}

const FLEET: FleetBounds = FleetBounds {
    lease: Duration::from_millis(300),
    forget: Duration::from_secs(2),
    nodes: 16,
    receipts: 1000,
};

/// The file of the log.
pub(super) fn log_file(folder: &Path) -> PathBuf {
    folder.join("purges.log")
}

/// What the machine of the control plane runs, until it is ended.
pub(super) async fn process(network: Network, place: Place, folder: PathBuf, kept: usize) {
    let bounds = LogBounds { entries: kept, rules: 12, waiting: 2000 };
    let publisher = Publisher::new(Arc::new(FolderShelf::new(folder.clone())), Publish::default());
    let registry = Arc::new(FolderRegistry::new(folder.clone()));
    registry.begin().await.unwrap();
    let parts = PlaneParts {
        publisher,
        log: Arc::new(EmbeddedLog::open(&folder, bounds).unwrap()),
        registry,
        lead: Lead::always(),
        bounds: FLEET,
        clock: now,
    };
    let plane = Plane::open(parts).await.unwrap();
    // Never begins.
    let (_drain, watch) = Drain::new();
    tokio::spawn(plane.clone().run(watch.clone()));
    let parts = DoorParts {
        version: "simulated",
        address: (Ipv4Addr::LOCALHOST, PORT).into(),
        life: Arc::default(),
        plane,
        audit: Arc::new(Audit::new(1)),
        metrics: Arc::default(),
        drain: watch,
        requests_per_second: usize::MAX,
        hooks: Vec::new(),
        settle: Duration::ZERO,
        clock: now,
        calendar: || calendar().millis(),
    };
    let door = ControlDoor::new(parts, Vec::new());
    let witness = Witness { handler: door, is_fenced: || false };
    serve(network.listen(place, PORT), witness).await;
}
