//! A control plane that is brought back from a backup: what was purged is not served again without
//! asking the origin, whether the backup knows of the purge or not.

use serde_json::json;

use crate::support::client::{Client, Protocol};
use crate::support::control::ControlProcess;
use crate::support::door::Door;
use crate::support::process::{Home, NodeProcess};
use crate::support::{Origin, Reply, eventually};

const DISK: &str = "memory = \"1MiB\"\ndisk = { path = \"cache\", size = \"64MiB\" }";

/// Origins whose two pages are of these versions, each with a tag of its own.
fn say(origin: &Origin, versions: [u64; 2]) {
    for (path, version) in ["/one", "/two"].into_iter().zip(versions) {
        let reply = Reply::fresh(format!("version {version}")).field("surrogate-key", path);
        origin.now(path, reply.field("etag", &format!("\"{version}\"")));
    }
}

/// A node of the fleet, and what its clients see.
struct Edge {
    home: Home,
    node: NodeProcess,
    client: Client,
}

impl Edge {
    async fn start(control: &ControlProcess, name: &str, on_loss: &str, origin: &Origin) -> Self {
        Self::of(Home::new(&control.node(name, on_loss, origin).cache(DISK))).await
    }

    async fn of(home: Home) -> Self {
        let node = home.start().await;
        let client = Client::to(node.place(), Protocol::H1).await.unwrap();
        Self { home, node, client }
    }

    async fn killed(self) -> Home {
        self.node.signal("KILL");
        assert!(!self.node.ended().await.success());
        self.home
    }

    async fn door(&self) -> Door {
        Door::at(self.node.address("admin"), self.node.place()).await
    }

    async fn is_trusted(&self) {
        let door = self.door().await;
        let trusted = async || door.data("/v1/status").await["fenced"] == false;
        eventually("a lease", trusted).await;
    }

    /// Both pages, and whether each was served without asking.
    async fn pages(&self) -> [(String, bool); 2] {
        let page = async |path| {
            let seen = self.client.get(path).await;
            (seen.text().to_owned(), seen.is_hit())
        };
        [page("/one").await, page("/two").await]
    }

    /// Until both pages are stored, on disk as well.
    async fn stores(&self) {
        let stored = async || self.pages().await.iter().all(|(_, is_hit)| *is_hit);
        eventually("hits", stored).await;
        let door = self.door().await;
        let on_disk = async || {
            let status = door.data("/v1/status").await;
            status["tiers"][1]["objects"].as_u64().is_some_and(|objects| objects >= 2)
        };
        eventually("the pages on disk", on_disk).await;
    }
}

fn versions(versions: [u64; 2], is_hit: bool) -> [(String, bool); 2] {
    versions.map(|version| (format!("version {version}"), is_hit))
}

#[tokio::test]
async fn what_was_purged_stays_purged_over_a_restore() {
    let origin = Origin::start().await;
    let control = ControlProcess::start().await;
    let away = Edge::start(&control, "fra-1", "revalidate", &origin).await;
    let stays = Edge::start(&control, "nyc-1", "serve", &origin).await;
    for edge in [&away, &stays] {
        edge.is_trusted().await;
    }
    say(&origin, [1, 1]);
    away.stores().await;
    stays.stores().await;
    let home = away.killed().await;
    let purge = |path: &str| json!({ "kind": "tag", "value": path });

    // The one that is away misses both: the backup knows of one.
    say(&origin, [2, 1]);
    control.door().await.purge(purge("/one")).await;
    let backup = control.backup().await;
    say(&origin, [2, 2]);
    control.door().await.purge(purge("/two")).await;
    stays.stores().await;
    assert_eq!(stays.pages().await, versions([2, 2], true));
    // One that serves on is another process by the time of the restore, and not the first since.
    let mut stays = stays;
    for _ in 0..2 {
        stays = Edge::of(stays.killed().await).await;
        stays.is_trusted().await;
    }

    let control = control.restored(&backup).await;
    let away = Edge::of(home).await;
    assert_eq!(away.pages().await, versions([2, 2], false));
    let door = control.door().await;
    let told = door.get("/v1/purges").await.text().to_owned();
    assert!(told.contains("\"value\":\"/one\"") && !told.contains("\"value\":\"/two\""), "{told}");

    // The new log is followed as any other, by all who were registered.
    for edge in [&away, &stays] {
        edge.is_trusted().await;
        edge.stores().await;
    }
    say(&origin, [3, 2]);
    let receipt = door.purge(purge("/one")).await;
    let nodes = receipt["data"]["nodes"].as_array().unwrap();
    let states: Vec<_> = nodes.iter().map(|it| (&it["name"], &it["state"])).collect();
    let applied = |name: &str| states.contains(&(&name.into(), &"applied".into()));
    assert!(nodes.len() == 3 && applied("fra-1") && applied("nyc-1"), "{receipt}");
    assert_eq!(receipt["data"]["sequence"]["number"], 2);
    for edge in [&away, &stays] {
        assert_eq!(
            edge.pages().await,
            [versions([3, 3], false)[0].clone(), versions([2, 2], true)[1].clone()]
        );
    }
}
