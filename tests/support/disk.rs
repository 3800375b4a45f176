//! A node with a disk tier in a process of its own, which ends and starts again over the same
//! folder.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::client::{Ask, Client, Place, Protocol, Seen};
use super::door::Door;
use super::process::{Home, NodeProcess};
use super::{Origin, Setup, eventually, within};

/// Lines of `[cache]` with the smallest memory, so that what is asked for comes from the disk.
pub(crate) const SMALL: &str = r#"
memory = "1MiB"
hit_for_miss = "0s"
disk = { path = "cache", size = "64MiB", checkpoint = "1s" }
"#;

/// Origin, node and client in a row, and the node's folder.
pub(crate) struct DiskScene {
    pub(crate) protocol: Protocol,
    pub(crate) origin: Origin,
    pub(crate) home: Home,
    run: Option<Run>,
}

/// One run of the node.
struct Run {
    node: NodeProcess,
    place: Arc<Place>,
    client: Client,
    door: Door,
}

impl DiskScene {
    /// A node with the [smallest](SMALL) tiers.
    pub(crate) async fn new(protocol: Protocol) -> Self {
        Self::with(protocol, SMALL, |home| home).await
    }

    /// A node with these lines of `[cache]`, and a home of one's own.
    pub(crate) async fn with(
        protocol: Protocol,
        cache: &str,
        set: impl FnOnce(Home) -> Home,
    ) -> Self {
        let origin = Origin::start().await;
        let home = set(Home::new(&Setup::new(&origin).cache(cache)));
        Self::at(protocol, origin, home).await
    }

    /// A node with the [smallest](SMALL) tiers, and a site with these lines.
    pub(crate) async fn serving(protocol: Protocol, site: &str) -> Self {
        let origin = Origin::start().await;
        let home = Home::new(&Setup::new(&origin).cache(SMALL).site(site));
        Self::at(protocol, origin, home).await
    }

    async fn at(protocol: Protocol, origin: Origin, home: Home) -> Self {
        let mut scene = Self { protocol, origin, home, run: None };
        scene.start().await;
        scene
    }

    /// Starts the node, and waits until it has found what is stored.
    pub(crate) async fn start(&mut self) {
        let node = self.home.start().await;
        node.logged("the disk tier is recovered").await;
        let place = node.place();
        let client = Client::to(place.clone(), self.protocol).await.unwrap();
        let door = Door::at(node.address("admin"), place.clone()).await;
        self.run = Some(Run { node, place, client, door });
    }

    /// Ends the node by a signal, and waits for its end.
    pub(crate) async fn end(&mut self, signal: &str) {
        let Run { node, .. } = self.run.take().expect("a node that runs");
        node.signal(signal);
        node.ended().await;
    }

    /// Ends the node as an operator does, and starts it again.
    pub(crate) async fn restart(&mut self) {
        self.end("TERM").await;
        self.start().await;
    }

    /// Ends the node, has its files changed, and starts it again.
    pub(crate) async fn restart_over(&mut self, change: impl FnOnce(&Self)) {
        self.end("TERM").await;
        change(self);
        self.start().await;
    }

    fn run(&self) -> &Run {
        self.run.as_ref().expect("a node that runs")
    }

    /// The process.
    pub(crate) fn node(&self) -> &NodeProcess {
        &self.run().node
    }

    /// Whether the process has not ended.
    pub(crate) fn lives(&mut self) -> bool {
        self.run.as_mut().is_some_and(|run| run.node.lives())
    }

    /// The admin door.
    pub(crate) fn door(&self) -> &Door {
        &self.run().door
    }

    /// Where the node is.
    pub(crate) fn place(&self) -> Arc<Place> {
        self.run().place.clone()
    }

    /// Another client, on a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::to(self.place(), self.protocol).await.unwrap()
    }

    /// Asks by GET.
    pub(crate) async fn get(&self, target: &str) -> Seen {
        self.run().client.get(target).await
    }

    /// Asks.
    pub(crate) async fn ask(&self, ask: Ask) -> Seen {
        within("a response", self.run().client.ask(ask)).await.unwrap()
    }

    /// Asks by GET with one field.
    pub(crate) async fn get_with(&self, target: &str, name: &str, value: &str) -> Seen {
        self.ask(Ask::get(target).field(name, value)).await
    }

    /// The folder of the disk tier.
    pub(crate) fn cache(&self) -> PathBuf {
        self.home.path().join("cache")
    }

    /// The segment files, from the oldest to the newest.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.cache()).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|name| name == "segment"));
        paths.sort();
        paths
    }

    /// What `/v1/status` says of the disk tier.
    pub(crate) async fn tier(&self) -> Value {
        let status: Value =
            serde_json::from_slice(&self.door().get("/v1/status").await.body).unwrap();
        let tiers = status["data"]["tiers"].as_array().unwrap();
        tiers.iter().find(|tier| tier["tier"] == "disk").expect("a disk tier").clone()
    }

    /// Whether a purge of the URL with this target is carried out.
    pub(crate) async fn can_purge(&self, target: &str) -> bool {
        let url = format!("https://shop.example{target}");
        self.door().tries_to_purge(json!({ "kind": "url", "value": url })).await
    }

    /// Waits until the disk tier has so many objects.
    pub(crate) async fn stored(&self, count: u64) {
        let is_stored = async || self.tier().await["objects"] == count;
        eventually("the objects on disk", is_stored).await;
    }

    /// Waits until the disk tier has stepped aside, or is back.
    pub(crate) async fn aside(&self, is_aside: bool) {
        let is_so = async || self.tier().await["aside"].is_string() == is_aside;
        eventually("the disk tier steps aside or comes back", is_so).await;
    }

    /// Objects that the disk tier gave up so far.
    pub(crate) async fn evictions(&self) -> u64 {
        self.door().metric("headland_evictions_total{tier=\"disk\"}").await as u64
    }

    /// Hits of the disk tier so far.
    pub(crate) async fn disk_hits(&self) -> u64 {
        self.door().metric("headland_hits_total{tier=\"disk\"}").await as u64
    }

    /// Failures of the disk tier so far.
    pub(crate) async fn disk_errors(&self) -> u64 {
        self.door().metric("headland_disk_errors_total").await as u64
    }
}

/// Bytes that differ with `name`, and compress badly.
pub(crate) fn body(name: &str, length: usize) -> Bytes {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut out);
    out.into()
}
