//! SIGHUP: a good config is taken for the requests that come, a bad one changes nothing.

use crate::support::client::{Ask, Client};
use crate::support::process::NodeProcess;
use crate::support::{Gate, Origin, Protocol, Reply, Setup, within};

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
