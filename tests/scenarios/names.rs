//! The name of a node: whose it is after a kill, a cut cable, a stop, and by an operator's word.

use serde_json::{Value, json};

use crate::support::client::{Client, Protocol};
use crate::support::control::ControlProcess;
use crate::support::door::Door;
use crate::support::line::Line;
use crate::support::process::{Home, NodeProcess};
use crate::support::{Origin, Reply, Setup, eventually};

const DISK: &str = "memory = \"1MiB\"\ndisk = { path = \"cache\", size = \"64MiB\" }";

const REFUSED: &str = "strike it off: DELETE /v1/nodes/fra-1";

/// Origin and control plane, and a node called `fra-1` that serves on.
struct Scene {
    origin: Origin,
    control: ControlProcess,
    door: Door,
}

impl Scene {
    async fn new() -> Self {
        let (origin, control) = (Origin::start().await, ControlProcess::start().await);
        let door = control.door().await;
        Self { origin, control, door }
    }

    fn node(&self) -> Setup {
        self.control.node("fra-1", "serve", &self.origin)
    }

    /// The origin's page is of a version from now on.
    fn says(&self, version: u64) {
        let page = Reply::fresh(format!("version {version}")).field("surrogate-key", "p42");
        self.origin.now("/page", page);
    }

    async fn purges(&self) -> Value {
        self.door.purge(json!({ "kind": "tag", "value": "p42" })).await["data"]["nodes"].clone()
    }
}

/// A node's process, its client and its door.
struct Run {
    node: NodeProcess,
    client: Client,
    door: Door,
}

impl Run {
    async fn of(home: &Home) -> Self {
        let node = home.start().await;
        let client = Client::to(node.place(), Protocol::H1).await.unwrap();
        let door = Door::at(node.address("admin"), node.place()).await;
        Self { node, client, door }
    }

    async fn page(&self) -> (String, bool) {
        let seen = self.client.get("/page").await;
        (seen.text().to_owned(), seen.is_hit())
    }

    async fn is_fenced(&self) -> bool {
        self.door.data("/v1/status").await["fenced"] == true
    }

    async fn is_trusted(&self) {
        eventually("a lease", async || !self.is_fenced().await).await;
    }

    async fn stores(&self, page: &str) {
        eventually("a hit", async || self.page().await == (page.to_owned(), true)).await;
        let on_disk = async || {
            let tier = &self.door.data("/v1/status").await["tiers"][1];
            tier.is_null() || tier["objects"].as_u64().unwrap() > 0
        };
        eventually("the page on disk", on_disk).await;
    }

    async fn ends(self, signal: &str) {
        self.node.signal(signal);
        assert_eq!(self.node.ended().await.success(), signal == "TERM");
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_and_serves_on_keeps_its_name() {
    let scene = Scene::new().await;
    let line = Line::start().await;
    line.lead_to(scene.control.address());
    let far = scene.node().control(&scene.control.lines_by(line.address, "serve"));
    let first = Run::of(&Home::new(&far)).await;
    first.is_trusted().await;
    scene.says(1);
    first.stores("version 1").await;
    line.cut();
    let lost = async || scene.door.data("/v1/nodes").await[0]["state"] == "lost";
    eventually("the end of its lease", lost).await;
    // Its config was copied to another machine.
    let second = Run::of(&Home::new(&scene.node())).await;
    second.node.logged(REFUSED).await;
    scene.says(2);
    let receipt = scene.door.begins_to_purge(json!({ "kind": "tag", "value": "p42" })).await;
    assert_eq!(receipt["data"]["nodes"][0]["state"], "pending", "{receipt}");
    assert_eq!(first.page().await, ("version 1".to_owned(), true), "that is why");
    assert!(second.is_fenced().await);
    first.ends("KILL").await;
    scene.door.delete("/v1/nodes/fra-1").await;
    second.is_trusted().await;
    let receipt = scene.door.data("/v1/purges/1").await;
    assert_eq!(receipt["state"], "complete");
    assert_eq!(receipt["nodes"][0]["removed_by"], "local");
}

#[tokio::test]
async fn a_node_that_is_killed_takes_its_name_up_again() {
    let scene = Scene::new().await;
    let file = "identity_file = \"node.identity\"";
    let in_memory = scene.node().control(&format!("{}\n{file}", scene.control.lines("serve")));
    for setup in [in_memory, scene.node().cache(DISK)] {
        let home = Home::new(&setup);
        let node = Run::of(&home).await;
        node.is_trusted().await;
        scene.says(1);
        node.stores("version 1").await;
        node.ends("KILL").await;
        scene.says(2);
        let receipt = scene.door.begins_to_purge(json!({ "kind": "tag", "value": "p42" })).await;
        assert_eq!(receipt["data"]["state"], "pending");
        // Killed again before anybody may have heard of it.
        Run::of(&home).await.ends("KILL").await;
        let node = Run::of(&home).await;
        let number = receipt["data"]["sequence"]["number"].as_u64().unwrap();
        let path = format!("/v1/purges/{number}");
        let applied = async || scene.door.data(&path).await["nodes"][0]["state"] == "applied";
        eventually("its word", applied).await;
        node.is_trusted().await;
        assert_eq!(node.page().await.0, "version 2");
        assert!(!node.node.log().contains(REFUSED), "{}", node.node.log());
        scene.door.delete("/v1/nodes/fra-1").await;
    }
}

#[tokio::test]
async fn a_node_that_kept_nothing_waits_for_an_operators_word() {
    let scene = Scene::new().await;
    let home = Home::new(&scene.node());
    let node = Run::of(&home).await;
    node.node.logged("without cache.disk or control.identity_file").await;
    node.is_trusted().await;
    node.ends("KILL").await;
    let node = Run::of(&home).await;
    let log = node.node.logged(REFUSED).await;
    assert_eq!(log.matches(REFUSED).count(), 1, "{log}");
    assert!(node.is_fenced().await);
    scene.door.delete("/v1/nodes/fra-1").await;
    node.is_trusted().await;
}

#[tokio::test]
async fn a_node_that_is_stopped_leaves_and_comes_back_clean() {
    let scene = Scene::new().await;
    for setup in [scene.node(), scene.node().cache(DISK)] {
        let home = Home::new(&setup);
        let node = Run::of(&home).await;
        node.is_trusted().await;
        scene.says(1);
        node.stores("version 1").await;
        node.ends("TERM").await;
        assert_eq!(scene.door.data("/v1/nodes").await, json!([]));
        scene.says(2);
        assert_eq!(scene.purges().await, json!([]), "it is waited for no more");
        let node = Run::of(&home).await;
        assert_eq!(node.page().await.0, "version 2");
        node.is_trusted().await;
        node.stores("version 2").await;
        assert_eq!(scene.purges().await[0]["state"], "applied");
        node.ends("TERM").await;
    }
}

#[tokio::test]
async fn a_node_that_cannot_say_that_it_leaves_serves_on_at_its_next_start() {
    let mut scene = Scene::new().await;
    let home = Home::new(&scene.node().cache(DISK));
    let node = Run::of(&home).await;
    node.is_trusted().await;
    scene.says(1);
    node.stores("version 1").await;
    scene.control.kill();
    // Its last lease runs out: who is not heard does not try to leave.
    node.node.logged("cannot be told").await;
    node.node.signal("TERM");
    node.node.logged("may wait for this node").await;
    assert!(node.node.ended().await.success());
    let node = Run::of(&home).await;
    assert!(!node.is_fenced().await, "{}", node.node.log());
    let control = scene.control.restart().await;
    let applied = async || control.door().await.data("/v1/nodes").await[0]["state"] == "live";
    eventually("a lease", applied).await;
}

#[tokio::test]
async fn an_identity_is_one_processs() {
    let scene = Scene::new().await;
    let file = tempfile::tempdir().unwrap();
    let lines = scene.control.lines("serve");
    let path = file.path().join("it");
    let lines = format!("{lines}\nidentity_file = \"{}\"", path.display());
    let setup = scene.node().control(&lines);
    let node = Run::of(&Home::new(&setup)).await;
    node.is_trusted().await;
    let second = NodeProcess::launch(&Home::new(&setup));
    let log = second.logged("control.identity_file: ").await;
    assert!(log.contains("is in use by another node"), "{log}");
    assert!(!second.ended().await.success());
}
