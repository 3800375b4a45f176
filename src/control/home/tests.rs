//! What a plane over either home waits for: nobody at its first start, and whoever may have been
//! registered where that was lost.

use std::cell::Cell;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::config::control_plane::{ControlPlane, Publish};
use crate::control::fleet::FleetBounds;
use crate::control::log::Asked;
use crate::control::nats::server::NatsServer;
use crate::control::publish::Publisher;
use crate::control::{Plane, PlaneParts};
use crate::object::PurgeCommand;

const LEASE: Duration = Duration::from_secs(20);

const BOUNDS: FleetBounds = FleetBounds { lease: LEASE, forget: LEASE, nodes: 10, receipts: 10 };

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn settings(text: &str, folder: &Path) -> Settings {
    ControlPlane::parse(text, "control.toml", folder, &|_| None).unwrap().purge_log
}

/// A plane that leads, as a process has it that starts now.
async fn started(settings: &Settings, lease: Duration) -> Arc<Plane> {
    // The task that appended last may still be about to let go of a folder.
    let home = loop {
        match Box::pin(Home::open(settings, lease)).await {
            Ok(home) => break home,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let Home { log, registry, shelf, .. } = home;
    let publisher = Publisher::new(shelf, Publish::default());
    let (lead, bounds, clock) = (Lead::always(), FleetBounds { lease, ..BOUNDS }, || NOW.get());
    Plane::open(PlaneParts { log, registry, lead, publisher, bounds, clock }).await.unwrap()
}

/// Purges, and tells whether that is complete at once.
async fn purges(plane: &Plane) -> bool {
    let command = PurgeCommand::from_json(&json!({ "kind": "tag", "value": "p42" })).unwrap();
    let asked = Asked { by: "deploy".to_owned(), at: 7, commands: vec![command] };
    let number = plane.purge(asked).await.unwrap().last();
    plane.look(|fleet, _| fleet.receipt(number).unwrap().is_complete())
}

async fn waits_for_whom_it_lost(settings: &Settings, lose: impl AsyncFn()) {
    drop(started(settings, LEASE).await);
    assert!(purges(&*started(settings, LEASE).await).await, "nobody was ever registered");
    lose().await;
    drop(started(settings, LEASE).await);
    let shorter = started(settings, Duration::ZERO).await;
    assert!(!purges(&shorter).await, "nor by one that starts within the lease, with a shorter one");
}

#[tokio::test]
async fn a_folder_that_lost_its_registrations_waits_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings("[purge_log]\npath = \"log\"", folder.path());
    let lose = async || std::fs::remove_file(folder.path().join("log/nodes")).unwrap();
    waits_for_whom_it_lost(&settings, lose).await;
}

#[tokio::test]
async fn a_bucket_that_lost_its_registrations_waits_a_lease() {
    let server = NatsServer::start();
    let text = format!("[purge_log]\nbackend = \"nats\"\nservers = [{:?}]", server.url());
    let settings = settings(&text, Path::new("/"));
    let nats = connect(&settings).await.unwrap();
    let lose = async || nats.bucket().await.unwrap().delete("nodes").await.unwrap();
    waits_for_whom_it_lost(&settings, lose).await;
}

/// A node may follow a log of which nothing is purged yet.
#[tokio::test]
async fn a_log_without_purges_may_have_been_followed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings("[purge_log]\npath = \"log\"", folder.path());
    drop(started(&settings, LEASE).await);
    std::fs::remove_file(folder.path().join("log/nodes")).unwrap();
    assert!(!purges(&*started(&settings, LEASE).await).await);
}
