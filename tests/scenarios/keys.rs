//! What was stored under settings that a purge did not know does not come back with them.

use serde_json::json;

use crate::support::disk::SMALL;
use crate::support::{Ask, DiskScene, Gate, Protocol, Reply, Setup, eventually};

/// `x` is no part of the key.
const IGNORES: &str = "[site.key.query]\nignore = [\"x\"]";

/// A host of the first site is the second's.
const ANOTHER_SITE: &str =
    "[[site]]\nname = \"blog\"\nhosts = [\"blog.shop.example\"]\norigin = \"app\"";

fn setup(scene: &DiskScene, site: &str) -> Setup {
    Setup::new(&scene.origin).cache(SMALL).site(site)
}

/// The node's settings of keys are others from now on.
async fn reload(scene: &DiskScene, site: &str) {
    let version = async || scene.door().data("/v1/status").await["config_version"].clone();
    let before = version().await;
    scene.home.configure(&setup(scene, site));
    scene.node().signal("HUP");
    eventually("other settings", async || version().await != before).await;
}

/// A version of the page behind every URL.
fn says(scene: &DiskScene, targets: &[&str], version: u64) {
    for target in targets {
        scene.origin.now(target, Reply::fresh(format!("version {version}")));
    }
}

#[tokio::test]
async fn settings_that_come_back_bring_no_old_copy() {
    let mut scene = DiskScene::new(Protocol::H2).await;
    reload(&scene, IGNORES).await;
    says(&scene, &["/page", "/page?x=1"], 1);
    scene.get("/page?x=1").await;
    assert!(scene.get("/page?x=2").await.is_hit());
    scene.stored(1).await;
    reload(&scene, "").await;
    says(&scene, &["/page", "/page?x=1"], 2);
    let exact = json!({
        "kind": "url", "value": "https://shop.example/page?x=1", "exact": true,
    });
    scene.door().purge(exact).await;
    reload(&scene, IGNORES).await;
    assert_eq!(scene.get("/page?x=1").await.text(), "version 2");
    // The same over restarts. The first copy is out of reach, and on disk still.
    scene.stored(2).await;
    scene.restart_over(|scene| scene.home.configure(&setup(scene, ""))).await;
    says(&scene, &["/page", "/page?x=1"], 3);
    scene.restart_over(|scene| scene.home.configure(&setup(scene, IGNORES))).await;
    assert_eq!(scene.get("/page?x=1").await.text(), "version 3");
}

#[tokio::test]
async fn a_host_that_comes_back_brings_no_old_copy() {
    let scene = DiskScene::new(Protocol::H1).await;
    let page = async || scene.ask(Ask::get("/page").host("blog.shop.example")).await;
    says(&scene, &["/page"], 1);
    page().await;
    assert!(page().await.is_hit());
    reload(&scene, ANOTHER_SITE).await;
    says(&scene, &["/page"], 2);
    scene.door().purge_url("https://blog.shop.example/page").await;
    reload(&scene, "").await;
    assert_eq!(page().await.text(), "version 2");
}

#[tokio::test]
async fn a_request_from_before_other_settings_gets_no_old_copy_after_them() {
    let scene = DiskScene::new(Protocol::H1).await;
    let page = || Ask::get("/page").host("blog.shop.example");
    let gate = Gate::new();
    let control = "max-age=60, stale-if-error=600";
    let old = Reply::ok("old").field("cache-control", control).field("age", "60");
    scene.origin.on("/page", old);
    scene.origin.on("/page", Reply::new(503).held(&gate));
    assert_eq!(scene.ask(page()).await.text(), "old");
    let client = scene.client().await;
    let meanwhile = async {
        scene.origin.until_asked(2).await;
        reload(&scene, ANOTHER_SITE).await;
        scene.door().purge_url("https://blog.shop.example/page").await;
        gate.open();
    };
    let (seen, ()) = tokio::join!(client.ask(page()), meanwhile);
    assert_eq!(seen.unwrap().status, 503);
}

#[tokio::test]
async fn what_is_on_its_way_from_before_other_settings_ends_with_the_first_purge_after_them() {
    for (is_purged, text) in [(true, "new"), (false, "old")] {
        let scene = DiskScene::new(Protocol::H1).await;
        let page = Ask::get("/page").host("blog.shop.example");
        let gate = Gate::new();
        scene.origin.on("/page", Reply::fresh("old").held(&gate));
        scene.origin.on("/page", Reply::fresh("new"));
        let client = scene.client().await;
        let meanwhile = async {
            scene.origin.until_asked(1).await;
            reload(&scene, ANOTHER_SITE).await;
            if is_purged {
                scene.door().purge_url("https://blog.shop.example/page").await;
            }
            gate.open();
        };
        let (seen, ()) = tokio::join!(client.ask(page), meanwhile);
        assert_eq!(seen.unwrap().text(), text);
    }
}

#[tokio::test]
async fn settings_that_stay_keep_what_is_stored() {
    let mut scene = DiskScene::new(Protocol::H3).await;
    reload(&scene, IGNORES).await;
    says(&scene, &["/page"], 1);
    scene.get("/page").await;
    scene.stored(1).await;
    let more = format!("[site.headers.response]\nset = {{ x-new = \"1\" }}\n{IGNORES}");
    reload(&scene, &more).await;
    assert!(scene.get("/page").await.is_hit());
    scene.restart().await;
    assert!(scene.get("/page").await.is_hit());
    assert_eq!(scene.origin.count(), 1);
}

#[tokio::test]
async fn lost_generations_are_a_cold_start() {
    let mut scene = DiskScene::new(Protocol::H1).await;
    says(&scene, &["/page"], 1);
    scene.get("/page").await;
    scene.stored(1).await;
    scene.restart_over(|scene| std::fs::write(scene.cache().join("sites"), "x").unwrap()).await;
    assert!(scene.node().log().contains("the key generations of the sites are lost"));
    assert!(!scene.get("/page").await.is_hit());
    assert!(scene.get("/page").await.is_hit());
}

#[tokio::test]
async fn copies_of_other_values_come_back_unless_their_url_was_changed() {
    let site = "[site.key]\nheaders = [\"x-plan\"]";
    let mut scene = DiskScene::serving(Protocol::H2, site).await;
    for target in ["/changed", "/left"] {
        says(&scene, &[target], 1);
        for plan in ["a", "b"] {
            scene.get_with(target, "x-plan", plan).await;
        }
    }
    // Two copies of either, and what leads to them.
    scene.stored(6).await;
    scene.restart().await;
    scene.origin.now("/changed", Reply::new(204));
    scene.ask(Ask::new("DELETE", "/changed").field("x-plan", "c")).await;
    scene.end("KILL").await;
    scene.start().await;
    says(&scene, &["/changed", "/left"], 2);
    for plan in ["a", "b"] {
        assert_eq!(scene.get_with("/changed", "x-plan", plan).await.text(), "version 2");
        assert_eq!(scene.get_with("/left", "x-plan", plan).await.text(), "version 1");
    }
}
