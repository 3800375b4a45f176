//! Nodes that follow a control plane: purges reach every one of them, whatever is killed meanwhile.

use serde_json::{Value, json};

use crate::support::client::{Client, Protocol};
use crate::support::control::ControlProcess;
use crate::support::door::Door;
use crate::support::process::Home;
use crate::support::tiers::is_trusted;
use crate::support::{Ask, Origin, Reply, TestNode, eventually, within};

const DISK: &str = "memory = \"1MiB\"\ndisk = { path = \"cache\", size = \"64MiB\" }";

fn tag(tag: &str) -> Value {
    json!({ "kind": "tag", "value": tag })
}

/// An origin whose page is of a version, with a tag.
fn says(origin: &Origin, version: u64) {
    origin.now("/page", Reply::fresh(format!("version {version}")).field("surrogate-key", "p42"));
}

async fn page(client: &Client) -> (String, bool) {
    let seen = client.get("/page").await;
    (seen.text().to_owned(), seen.is_hit())
}

/// How many nodes a receipt says have a state.
fn count(receipt: &Value, state: &str) -> usize {
    let nodes = receipt["data"]["nodes"].as_array().unwrap();
    nodes.iter().filter(|node| node["state"] == state).count()
}

#[tokio::test]
async fn a_purge_reaches_every_node_before_its_receipt() {
    let origin = Origin::start().await;
    let control = ControlProcess::start().await;
    let nodes = ["fra-1", "nyc-1"].map(|name| control.node(name, "serve", &origin).start());
    let door = control.door().await;
    let mut clients = Vec::new();
    for node in &nodes {
        is_trusted(node).await;
        clients.push(Client::of(node, Protocol::H2).await);
    }
    for version in 0..10 {
        says(&origin, version);
        let receipt = door.purge(tag("p42")).await;
        assert_eq!(count(&receipt, "applied"), 2, "{receipt}");
        assert!(receipt["data"]["nodes"].as_array().unwrap().iter().all(|n| n["ms"].is_number()));
        for client in &clients {
            assert_eq!(page(client).await, (format!("version {version}"), false));
            assert_eq!(page(client).await, (format!("version {version}"), true));
        }
    }
    let own = Door::of(&nodes[0]).await;
    assert!(!own.tries_to_purge(tag("p42")).await, "purges come from the control plane");
    let status: Value = serde_json::from_slice(&own.get("/v1/status").await.body).unwrap();
    assert_eq!(status["data"]["purge"]["position"], 10);
}

/// An origin, and two nodes before it that a control plane purges.
async fn two_nodes() -> (Origin, ControlProcess, [TestNode; 2]) {
    let origin = Origin::start().await;
    let control = ControlProcess::start().await;
    let nodes = ["fra-1", "nyc-1"].map(|name| control.node(name, "serve", &origin).start());
    for node in &nodes {
        is_trusted(node).await;
    }
    (origin, control, nodes)
}

#[tokio::test]
async fn nodes_tell_what_they_do_not_serve_and_how_they_are() {
    let (origin, control, nodes) = two_nodes().await;
    says(&origin, 1);
    let client = Client::of(&nodes[0], Protocol::H1).await;
    assert!(!page(&client).await.1);
    assert!(page(&client).await.1);
    let door = control.door().await;
    let elsewhere = json!({ "kind": "url", "value": "https://elsewhere.example/" });
    let misspelled = json!({ "kind": "tag", "value": "p42", "site": "misspelled" });
    for (purge, matched) in [(elsewhere, 0), (misspelled, 0), (tag("p42"), 2)] {
        let receipt = door.purge(purge).await;
        assert_eq!(count(&receipt, "applied"), 2, "{receipt}");
        assert_eq!(receipt["data"]["matched"], matched, "{receipt}");
    }
    let says_all = async || {
        let told: Value = serde_json::from_slice(&door.get("/v1/nodes").await.body).unwrap();
        let fra = &told["data"][0];
        let status = &fra["status"];
        fra["applied_ms"].is_number()
            && (&status["state"], &status["ready"]) == (&json!("serving"), &json!(true))
            && (&status["hits"], &status["misses"]) == (&json!(1), &json!(1))
            && status["hit_ratio"] == 0.5
            && told["data"][1]["status"]["hits"] == 0
    };
    eventually("figures of a real node", says_all).await;
}

#[tokio::test]
async fn a_dry_run_tells_what_a_purge_frees_on_every_node() {
    let (origin, control, nodes) = two_nodes().await;
    says(&origin, 1);
    let body = "version 1".len() as u64;
    page(&Client::of(&nodes[0], Protocol::H1).await).await;
    let door = control.door().await;
    let elsewhere = json!({ "kind": "site", "value": "elsewhere" });
    let told = door.dry_run(json!([elsewhere, tag("p42")])).await["data"].clone();
    let figures = |told: &Value| [&told["objects"], &told["bytes"]].map(|it| it.as_u64().unwrap());
    assert_eq!(figures(&told[0]), [0, 0], "no site of the nodes");
    assert_eq!((figures(&told[1])[0], &told[1]["estimate"]), (1, &json!(false)), "{told}");
    assert!(figures(&told[1])[1] >= body, "{told}");
    let rows = told[1]["nodes"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| figures(row)[0]).collect::<Vec<_>>(), [1, 0]);
    // One that has left is not asked.
    let [_stays, leaves] = nodes;
    drop(leaves);
    let is_alone = async || {
        let told = door.dry_run(tag("p42")).await["data"].clone();
        let count = told["nodes"].as_array().unwrap().len();
        count == 1 && figures(&told)[0] == 1 && told["estimate"] == false
    };
    eventually("an answer of one", is_alone).await;
}

#[tokio::test]
async fn a_node_that_was_away_comes_back_clean() {
    let origin = Origin::start().await;
    let control = ControlProcess::start().await;
    let home = Home::new(&control.node("fra-1", "revalidate", &origin).cache(DISK));
    let node = home.start().await;
    let client = Client::to(node.place(), Protocol::H1).await.unwrap();
    says(&origin, 1);
    let stored = async || page(&client).await.1;
    eventually("a hit", stored).await;
    let door = Door::at(node.address("admin"), node.place()).await;
    let on_disk = async || {
        let status: Value = serde_json::from_slice(&door.get("/v1/status").await.body).unwrap();
        status["data"]["tiers"][1]["objects"].as_u64().is_some_and(|objects| objects > 0)
    };
    eventually("the page on disk", on_disk).await;
    node.signal("KILL");
    assert!(!node.ended().await.success());
    says(&origin, 2);
    // Without a lease it trusts nothing: so the purge need not wait for it.
    let receipt = control.door().await.purge(tag("p42")).await;
    assert_eq!(count(&receipt, "fenced"), 1, "{receipt}");
    let node = home.start().await;
    let client = Client::to(node.place(), Protocol::H1).await.unwrap();
    assert_eq!(page(&client).await.0, "version 2");
}

#[tokio::test]
async fn a_control_plane_that_is_killed_loses_nothing_and_nodes_serve_on() {
    let origin = Origin::start().await;
    let mut control = ControlProcess::start().await;
    let node = control.node("fra-1", "serve", &origin).start();
    is_trusted(&node).await;
    let client = Client::of(&node, Protocol::H1).await;
    says(&origin, 1);
    let receipt = control.door().await.purge(tag("p42")).await;
    let log = receipt["data"]["sequence"]["log"].clone();
    page(&client).await;
    control.kill();
    assert_eq!(page(&client).await, ("version 1".to_owned(), true));
    let control = control.restart().await;
    says(&origin, 2);
    let receipt = control.door().await.purge(tag("p42")).await;
    assert_eq!(receipt["data"]["sequence"], json!({ "log": log, "number": 2 }));
    assert_eq!(page(&client).await.0, "version 2");
}

#[tokio::test]
async fn a_node_that_must_ask_does_so_while_the_control_plane_is_away() {
    let origin = Origin::start().await;
    let mut control = ControlProcess::start().await;
    let node = control.node("fra-1", "revalidate", &origin).start();
    is_trusted(&node).await;
    let client = Client::of(&node, Protocol::H1).await;
    origin.now("/page", Reply::fresh("hello").field("etag", "\"1\""));
    page(&client).await;
    assert!(page(&client).await.1);
    control.kill();
    origin.now("/page", Reply::new(304).field("cache-control", "max-age=3600"));
    let asks = async || {
        let seen = within("a response", client.ask(Ask::get("/page"))).await.unwrap();
        assert_eq!(seen.text(), "hello");
        !seen.is_hit()
    };
    eventually("validation", asks).await;
    assert_eq!(origin.last().field("if-none-match"), "\"1\"");
}
