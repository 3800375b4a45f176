//! SIGHUP: a good config is taken for the requests that come, a bad one changes nothing.

use crate::support::client::{Ask, Client};
use crate::support::node::Authority;
use crate::support::process::NodeProcess;
use crate::support::{Gate, HOST, Origin, Protocol, Reply, Setup, within};

#[tokio::test]
async fn a_good_config_is_taken_and_a_bad_one_is_not() {
    let origin = Origin::start().await;
    origin.on("/", Reply::ok("x").field("cache-control", "no-store"));
    let setup = Setup::new(&origin);
    let node = NodeProcess::start(&setup).await;
    let client = Client::to(node.place(), Protocol::H2).await.unwrap();
    assert_eq!(client.get("/").await.field("x-config"), "");

    let with = setup.clone().site("[site.headers.response]\nset = { x-config = \"2\" }").config();
    std::fs::write(node.config_file(), with).unwrap();
    node.signal("HUP");
    node.logged("reloaded").await;
    assert_eq!(client.get("/").await.field("x-config"), "2");

    let bad = setup.clone().limits("nonsense = 1").config();
    std::fs::write(node.config_file(), bad).unwrap();
    node.signal("HUP");
    node.logged("nothing was reloaded").await;
    node.logged("limits.nonsense: ").await;
    assert_eq!(client.get("/").await.field("x-config"), "2");

    // A certificate that cannot be read changes nothing either.
    std::fs::write(node.config_file(), setup.config()).unwrap();
    std::fs::write(node.folder().join("cert.pem"), "nonsense").unwrap();
    node.signal("HUP");
    node.logged("certificate").await;
    assert_eq!(client.get("/").await.field("x-config"), "2");
    Client::to(node.place(), Protocol::H3).await.unwrap().get("/").await;
}

#[tokio::test]
async fn what_takes_a_restart_is_told() {
    let origin = Origin::start().await;
    let setup = Setup::new(&origin);
    let node = NodeProcess::start(&setup).await;
    std::fs::write(node.config_file(), setup.purge("linger = \"1s\"").config()).unwrap();
    node.signal("HUP");
    let log = node.logged("take effect after a restart").await;
    let told = log.lines().find(|line| line.contains("after a restart")).unwrap();
    assert!(told.contains("purge"), "{told}");
}

/// Puts the certificate of another authority in the place of the node's.
fn renew_certificate(node: &NodeProcess) {
    Authority::new().issue(node.folder(), "", [HOST.to_owned()]);
}

#[tokio::test]
async fn a_new_certificate_is_for_those_who_connect() {
    let origin = Origin::start().await;
    origin.on("/", Reply::fresh("x"));
    let node = NodeProcess::start(&Setup::new(&origin)).await;
    let connected = Client::to(node.place(), Protocol::H2).await.unwrap();
    // Each place has its own memory of sessions, and knows the authority of its time.
    let secure = [Protocol::H2, Protocol::H3];
    let before = secure.map(|protocol| (protocol, node.place()));
    renew_certificate(&node);
    node.signal("HUP");
    node.logged("reloaded").await;
    for (protocol, place) in before {
        assert!(Client::to(place, protocol).await.is_err(), "{protocol:?}: the old certificate");
        let after = Client::to(node.place(), protocol).await.unwrap();
        assert_eq!(after.get("/").await.text(), "x");
    }
    assert!(connected.get("/").await.is_hit());
}

#[tokio::test]
async fn a_certificate_that_changes_needs_no_signal() {
    let origin = Origin::start().await;
    origin.on("/", Reply::fresh("x"));
    let node = NodeProcess::start(&Setup::new(&origin)).await;
    renew_certificate(&node);
    node.logged("certificates reloaded").await;
    let after = Client::to(node.place(), Protocol::H2).await.unwrap();
    assert_eq!(after.get("/").await.text(), "x");
}

#[tokio::test]
async fn a_reload_does_not_disturb_what_was_begun() {
    let origin = Origin::start().await;
    let gate = Gate::new();
    origin.on("/", Reply::fresh("begun ").gate(&gate).piece("and ended"));
    let node = NodeProcess::start(&Setup::new(&origin)).await;
    let client = Client::to(node.place(), Protocol::H3).await.unwrap();
    let begun = within("a head", client.open(Ask::get("/"))).await.unwrap();
    node.signal("HUP");
    node.logged("reloaded").await;
    gate.open();
    assert_eq!(within("the rest", begun.whole()).await.unwrap().text(), "begun and ended");
    // What was stored is there still.
    assert!(client.get("/").await.is_hit());
}
