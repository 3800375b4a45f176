//! Sites and origins that a control plane publishes: first to a share of the nodes, promoted, taken
//! back; and nodes that start without it.

use serde_json::{Value, json};

use crate::support::client::{Client, Protocol};
use crate::support::control::ControlProcess;
use crate::support::door::Door;
use crate::support::process::{Home, NodeProcess};
use crate::support::tiers::{Tiers, is_trusted};
use crate::support::{Ask, HOST, Origin, Reply, eventually, within};

/// A name among the first tenth of all, and one that is not.
const FIRST: &str = "edge-1";
const LATER: &str = "edge-2";

const DISK: &str = "memory = \"1MiB\"\ndisk = { path = \"cache\", size = \"64MiB\" }";

/// A text whose site says in each response which one it is.
fn text(server: &str, mark: &str) -> String {
    format!(
        "[[origin]]\nname = \"app\"\nservers = [{{ url = \"http://{server}\" }}]\n\
         [[site]]\nname = \"shop\"\nhosts = [\"{HOST}\"]\norigin = \"app\"\n\
         [site.headers.response]\nset = {{ x-config = \"{mark}\" }}\n"
    )
}

/// The status of a page, and which text its site is of.
async fn served(client: &Client) -> (u16, String) {
    let seen = within("a response", client.ask(Ask::get("/"))).await.unwrap();
    (seen.status, seen.field("x-config"))
}

async fn serves(client: &Client, mark: &str) {
    let is_so = async || served(client).await == (200, mark.to_owned());
    eventually(mark, is_so).await;
}

/// What the control plane says of a node's config.
async fn config_of(control: &Door, name: &str) -> Value {
    let nodes = control.data("/v1/nodes").await;
    let node = nodes.as_array().unwrap().iter().find(|node| node["name"] == name);
    node.map_or(Value::Null, |node| node["config"].clone())
}

/// Waits until it stands so.
async fn stands(control: &Door, name: &str, state: &str, wanted: u64) -> Value {
    let mut found = Value::Null;
    eventually(state, async || {
        found = config_of(control, name).await;
        found["state"] == state && found["wanted"] == wanted
    })
    .await;
    found
}

#[tokio::test]
async fn a_version_is_for_its_share_then_for_all_and_is_taken_back() {
    let origin = Origin::start().await;
    origin.on("/", Reply::ok("x").field("cache-control", "no-store"));
    let control = ControlProcess::start().await;
    let door = control.door().await;
    let nodes = [FIRST, LATER].map(|name| control.node(name, "serve", &origin).start());
    let mut clients = Vec::new();
    for node in &nodes {
        is_trusted(node).await;
        clients.push(Client::of(node, Protocol::H2).await);
        assert_eq!(served(&clients[clients.len() - 1]).await, (200, String::new()), "its own");
    }
    let server = origin.address.to_string();
    door.post("/v1/config", json!({ "toml": text(&server, "1") })).await;
    for client in &clients {
        serves(client, "1").await;
    }
    let two = json!({ "toml": text(&server, "2"), "share": 10, "after": 1 });
    assert_eq!(door.post("/v1/config", two).await["state"], "candidate");
    serves(&clients[0], "2").await;
    stands(&door, FIRST, "applied", 2).await;
    stands(&door, LATER, "applied", 1).await;
    assert_eq!(served(&clients[1]).await.1, "1");
    let status = Door::of(&nodes[0]).await.data("/v1/status").await;
    assert!(status["config_version"].as_str().unwrap().starts_with("2-"), "{status}");

    door.post("/v1/config/promote", json!({ "version": 2 })).await;
    serves(&clients[1], "2").await;
    let back = door.post("/v1/config/rollback", json!({})).await;
    assert_eq!((&back["version"], &back["restores"]), (&json!(3), &json!(1)));
    for (client, name) in clients.iter().zip([FIRST, LATER]) {
        serves(client, "1").await;
        stands(&door, name, "applied", 3).await;
    }
}

#[tokio::test]
async fn what_one_node_cannot_serve_by_is_told_and_changes_nothing_there() {
    let origin = Origin::start().await;
    origin.on("/", Reply::ok("x").field("cache-control", "no-store"));
    let server = origin.address.to_string();
    let control = ControlProcess::start().await;
    let door = control.door().await;
    let home = |name| Home::new(&control.node(name, "serve", &origin).cache(DISK));
    let nodes = [
        home("with").variable("HEADLAND_TEST_APP", &server).start().await,
        home("without").start().await,
    ];
    let mut clients = Vec::new();
    for node in &nodes {
        clients.push(Client::to(node.place(), Protocol::H1).await.unwrap());
    }
    door.post("/v1/config", json!({ "toml": text(&server, "1") })).await;
    for client in &clients {
        serves(client, "1").await;
    }
    door.post("/v1/config", json!({ "toml": text("${HEADLAND_TEST_APP}", "2") })).await;
    serves(&clients[0], "2").await;
    let found = stands(&door, "without", "failed", 2).await;
    assert_eq!(found["version"], 1);
    let fault = found["fault"].as_str().unwrap();
    let expected = "version 2:3:20: origin[0].servers[0].url: ${HEADLAND_TEST_APP} is not set";
    assert!(fault.starts_with(expected), "{fault}");
    assert_eq!(served(&clients[1]).await, (200, "1".to_owned()));
    let config = door.data("/v1/config").await;
    assert_eq!(config["current"]["nodes"], json!({ "applied": 1, "pending": 0, "failed": 1 }));
    door.post("/v1/config/rollback", json!({})).await;
    assert_eq!(stands(&door, "without", "applied", 3).await["fault"], Value::Null);
    serves(&clients[0], "1").await;
}

/// The text of the file in which a node keeps what was published.
fn kept(node: &NodeProcess) -> std::path::PathBuf {
    node.folder().join("cache/config")
}

#[tokio::test]
async fn a_node_starts_by_what_it_kept_whether_the_control_plane_is_there_or_not() {
    let origin = Origin::start().await;
    origin.on("/", Reply::ok("x").field("cache-control", "no-store"));
    let server = origin.address.to_string();
    let mut control = ControlProcess::start().await;
    let home = Home::new(&control.node("fra-1", "serve", &origin).cache(DISK).bare());
    let node = home.start().await;
    let client = Client::to(node.place(), Protocol::H1).await.unwrap();
    let ready = async |node: &NodeProcess| {
        Door::at(node.address("admin"), node.place()).await.get("/readyz").await.status
    };
    assert_eq!((served(&client).await.0, ready(&node).await), (421, 503));
    control.door().await.post("/v1/config", json!({ "toml": text(&server, "1") })).await;
    serves(&client, "1").await;
    assert_eq!(ready(&node).await, 200);
    stands(&control.door().await, "fra-1", "applied", 1).await;
    node.signal("HUP");
    node.logged("reloaded").await;
    assert_eq!(served(&client).await, (200, "1".to_owned()), "the file has no sites");

    control.kill();
    let mut before = node;
    for damaged in [false, true] {
        before.signal("KILL");
        let file = kept(&before);
        before.ended().await;
        if damaged {
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, text.replace("shop", "shoq")).unwrap();
        }
        before = home.start().await;
        let client = Client::to(before.place(), Protocol::H1).await.unwrap();
        let expected = if damaged { (421, String::new()) } else { (200, "1".to_owned()) };
        assert_eq!(served(&client).await, expected, "without a control plane");
    }
    before.logged("are lost until the control plane is reached").await;
    // What was published outlives the control plane.
    let control = control.restart().await;
    let client = Client::to(before.place(), Protocol::H1).await.unwrap();
    serves(&client, "1").await;
    let door = control.door().await;
    assert_eq!(stands(&door, "fra-1", "applied", 1).await["version"], 1);
    assert_eq!(door.data("/v1/config/1").await["toml"], text(&server, "1"));
}

/// What is purged while a node goes on by its own file, whose sites are others, is purged.
#[tokio::test]
async fn a_node_whose_published_origins_need_what_is_gone_goes_on_by_its_own_file() {
    let origin = Origin::start().await;
    let control = ControlProcess::start().await;
    let door = control.door().await;
    let home = Home::new(&control.node("fra-1", "serve", &origin).cache(DISK));
    let (ca, roots) = (home.path().join("ca.pem"), home.path().join("roots.pem"));
    let home = home.variable("SSL_CERT_FILE", &roots).variable("SSL_CERT_DIR", "");
    let begin = async || {
        let node = home.start().await;
        let admin = Door::at(node.address("admin"), node.place()).await;
        let trusted = async || admin.data("/v1/status").await["fenced"] == false;
        eventually("a lease", trusted).await;
        let client = Client::to(node.place(), Protocol::H1).await.unwrap();
        (node, client)
    };
    let end = async |node: NodeProcess| {
        node.signal("TERM");
        node.ended().await;
    };
    let says = |version: u64| origin.now("/", Reply::fresh(format!("version {version}")));
    let toml = text(&origin.address.to_string(), "1").replace("\"shop\"", "\"outlet\"")
        + "[[origin]]\nname = \"other\"\nservers = [{ url = \"https://other.example\" }]\n";
    says(1);
    std::fs::copy(&ca, &roots).unwrap();
    let (node, client) = begin().await;
    door.post("/v1/config", json!({ "toml": toml })).await;
    serves(&client, "1").await;
    let seen = client.get("/").await;
    assert_eq!((seen.text(), seen.is_hit()), ("version 1", true));
    end(node).await;

    std::fs::remove_file(&roots).unwrap();
    let (node, client) = begin().await;
    let warned = node.logged("those of its own file are served: origin: no trusted root").await;
    assert!(warned.contains("version=1"), "{warned}");
    assert_eq!(served(&client).await.1, "", "its own");
    assert!(stands(&door, "fra-1", "failed", 1).await["fault"].is_string());
    says(2);
    door.purge(json!({ "kind": "site", "value": "outlet" })).await;
    end(node).await;

    std::fs::copy(&ca, &roots).unwrap();
    let (_node, client) = begin().await;
    let seen = client.get("/").await;
    assert_eq!((seen.text(), &*seen.field("x-config")), ("version 2", "1"));
}

/// While the edge has other sites than its shield, a purge may cover here what it does not there.
#[tokio::test]
async fn a_purge_holds_where_edge_and_shield_read_it_otherwise() {
    let tiers = Tiers::start(1, 1).await;
    let client = &tiers.clients().await[0];
    let says = |version: u64| tiers.origin.now("/", Reply::fresh(format!("version {version}")));
    let page = async || client.get("/").await.text().to_owned();
    says(1);
    assert_eq!(page().await, "version 1");
    // The host belongs to another site, for the edge alone.
    let toml = text(&tiers.origin.address.to_string(), "1").replace("\"shop\"", "\"outlet\"");
    let door = tiers.control.door().await;
    door.post("/v1/config", json!({ "toml": toml, "share": 10 })).await;
    serves(client, "1").await;
    stands(&door, "shield-1", "applied", 0).await;
    let purge = json!({ "kind": "site", "value": "outlet" });
    for version in 2..5 {
        says(version);
        tiers.purge(purge.clone()).await;
        assert_eq!(page().await, format!("version {version}"));
        assert!(client.get("/").await.is_hit());
    }
    door.post("/v1/config/promote", json!({})).await;
    stands(&door, "shield-1", "applied", 1).await;
    says(5);
    tiers.purge(purge).await;
    let seen = client.get("/").await;
    assert_eq!(seen.text(), "version 5");
    let both =
        "shield-1; fwd=miss; fwd-status=200; stored, edge-1; fwd=miss; fwd-status=200; stored";
    assert_eq!(seen.cache_status(), both);
}
