//! After a purge's receipt no response begins from what it covers.

use serde_json::json;

use crate::support::door::Door;
use crate::support::{Ask, Gate, Protocol, Reply, Scene, over_each_protocol, within};

over_each_protocol!(
    after_the_receipt_old_bytes_are_not_served,
    a_fetch_begun_before_serves_nobody_after,
    a_follower_that_joined_before_gets_new_bytes,
    a_url_covers_its_queries_and_variants,
    exact_covers_one_query,
    a_soft_purge_validates_and_a_hard_one_does_not,
    a_purge_of_another_host_covers_nothing_here,
    a_prefix_a_wildcard_a_tag_and_a_site_cover_their_own,
    a_dry_run_tells_what_a_purge_frees,
);

const URL: &str = "https://shop.example/";

async fn after_the_receipt_old_bytes_are_not_served(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    // Several connections, so that every event loop has its say.
    let clients = [scene.crowd(1).await, scene.crowd(1).await, scene.crowd(1).await].concat();
    let mut last = 0;
    for round in 0..20 {
        let text = format!("round {round}");
        scene.origin.now("/", Reply::fresh(text.clone()));
        let receipt = door.purge_url(URL).await;
        let sequence = &receipt["data"]["sequence"];
        assert!(sequence["log"].is_string());
        assert!(sequence["number"].as_u64().unwrap() > last, "{receipt}");
        last = sequence["number"].as_u64().unwrap();
        for client in &clients {
            assert_eq!(client.get("/").await.text(), text);
        }
        assert!(clients[0].get("/").await.is_hit());
    }
    assert_eq!(scene.origin.count(), 20);
}

async fn a_fetch_begun_before_serves_nobody_after(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh("old ").gate(&gate).piece("bytes"));
    scene.origin.on("/", Reply::fresh("new"));
    let before = scene.crowd(1).await;
    let mut begun = within("a head", before[0].open(Ask::get("/"))).await.unwrap();
    begun.at_least(1).await.unwrap();
    door.purge_url(URL).await;
    assert_eq!(scene.get("/").await.text(), "new");
    gate.open();
    // It began before the receipt and may run on.
    within("the rest", begun.whole()).await.unwrap();
    for _ in 0..3 {
        let hit = scene.get("/").await;
        assert_eq!((hit.is_hit(), hit.text()), (true, "new"));
    }
    assert_eq!(scene.origin.count(), 2);
}

async fn a_follower_that_joined_before_gets_new_bytes(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh("old").held(&gate));
    scene.origin.on("/", Reply::fresh("new"));
    let crowd = scene.crowd(5).await;
    let leading = crowd[0].get("/");
    let following = async {
        scene.origin.until_asked(1).await;
        let all = futures_util::future::join_all(crowd[1..].iter().map(|each| each.get("/")));
        let purging = async {
            door.purge_url(URL).await;
            gate.open();
        };
        tokio::join!(all, purging).0
    };
    let (_, followers) = tokio::join!(leading, following);
    assert!(followers.iter().all(|seen| seen.text() == "new"));
    assert_eq!(scene.get("/").await.text(), "new");
}

async fn a_url_covers_its_queries_and_variants(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    scene.origin.on("/page", Reply::fresh("x").field("vary", "x-plan"));
    scene.origin.on("/other", Reply::fresh("x"));
    let asks = || {
        let plain = ["/page", "/page?a=1", "/page?b=2"].map(Ask::get);
        plain.into_iter().chain([Ask::get("/page").field("x-plan", "2")])
    };
    for ask in asks().chain([Ask::get("/other")]) {
        scene.ask(ask).await;
    }
    for ask in asks() {
        assert!(scene.ask(ask).await.is_hit());
    }
    // Neither the scheme nor the case of the host matters.
    door.purge_url("http://SHOP.example/page").await;
    for ask in asks() {
        assert!(!scene.ask(ask).await.is_hit());
    }
    assert!(scene.get("/other").await.is_hit());
}

async fn exact_covers_one_query(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    scene.origin.on("/page", Reply::fresh("x"));
    for target in ["/page", "/page?a=1", "/page?b=2"] {
        scene.get(target).await;
    }
    let exact = |value: &str| json!({ "kind": "url", "value": value, "exact": true });
    door.purge(exact("https://shop.example/page?a=1")).await;
    assert!(scene.get("/page").await.is_hit());
    assert!(scene.get("/page?b=2").await.is_hit());
    assert!(!scene.get("/page?a=1").await.is_hit());
    door.purge(exact("https://shop.example/page")).await;
    assert!(!scene.get("/page").await.is_hit());
    assert!(scene.get("/page?b=2").await.is_hit());
}

async fn a_soft_purge_validates_and_a_hard_one_does_not(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    let page = || Reply::fresh("hello").field("etag", "\"1\"");
    let unchanged = || Reply::new(304).field("cache-control", "max-age=3600");
    let soft = json!({ "kind": "url", "value": URL, "soft": true });
    scene.origin.on("/", page());
    scene.origin.on("/", unchanged());
    scene.get("/").await;
    door.purge(soft.clone()).await;
    assert_eq!(scene.get("/").await.text(), "hello");
    assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
    assert!(scene.get("/").await.is_hit());
    // A failing origin is invisible after a soft one, and not after a hard one.
    scene.origin.now("/", Reply::reset());
    door.purge(soft).await;
    assert_eq!(scene.get("/").await.text(), "hello");
    door.purge_url(URL).await;
    assert_eq!(scene.get("/").await.status, 502);
    assert_eq!(scene.origin.last().field("if-none-match"), "");
    scene.origin.now("/", page());
    assert_eq!(scene.get("/").await.text(), "hello");
}

async fn a_purge_of_another_host_covers_nothing_here(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    scene.origin.on("/", Reply::fresh("x"));
    scene.get("/").await;
    door.purge_url("https://other.shop.example/").await;
    assert!(scene.get("/").await.is_hit());
}

async fn a_prefix_a_wildcard_a_tag_and_a_site_cover_their_own(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    let targets = ["/img/a.jpg", "/img/b.png", "/css/a.css", "/css/a.css?v=1"];
    for target in targets {
        let tags = if target.starts_with("/css") { "css all" } else { "img all" };
        scene.origin.on(target, Reply::fresh("x").field("surrogate-key", tags));
        let seen = scene.get(target).await;
        assert!(seen.field("surrogate-key").is_empty(), "tags are for tiers");
    }
    let purge = |kind: &str, value: &str| json!({ "kind": kind, "value": value, "site": "shop" });
    let cases = [
        (purge("prefix", "https://shop.example/img/"), [false, false, true, true]),
        (purge("prefix", "https://shop.example/css/a.css?v"), [true, true, true, false]),
        (purge("url", "https://shop.example/*/a.*"), [false, true, false, false]),
        (purge("tag", "css"), [true, true, false, false]),
        (purge("tag", "al"), [true, true, true, true]),
        (json!({ "kind": "tag", "value": "all" }), [false, false, false, false]),
        (json!({ "kind": "site", "value": "shop" }), [false, false, false, false]),
    ];
    for (command, kept) in cases {
        let receipt = door.purge(command.clone()).await;
        assert_eq!(receipt["data"]["kind"], command["kind"]);
        for (target, kept) in targets.into_iter().zip(kept) {
            assert_eq!(scene.get(target).await.is_hit(), kept, "{target} after {command}");
            assert!(scene.get(target).await.is_hit());
        }
    }
}

async fn a_dry_run_tells_what_a_purge_frees(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let door = Door::of(&scene.node).await;
    for (target, tags) in [("/a", "x y"), ("/b", "x"), ("/c", "y")] {
        scene.origin.on(target, Reply::fresh("body").field("surrogate-key", tags));
        scene.get(target).await;
    }
    let tag = |value: &str| json!({ "kind": "tag", "value": value });
    let prefix = json!({ "kind": "prefix", "value": URL });
    let told = door.dry_run(json!([tag("x"), tag("z"), prefix])).await;
    let objects: Vec<_> =
        told["data"].as_array().unwrap().iter().map(|hit| &hit["objects"]).collect();
    assert_eq!(objects, [2, 0, 3], "{told}");
    let told = door.dry_run(tag("x")).await;
    assert_eq!((&told["data"]["kind"], &told["data"]["estimate"]), (&json!("tag"), &json!(false)));
    assert!(told["data"]["bytes"].as_u64().unwrap() > 2 * "body".len() as u64, "{told}");
    assert!(scene.get("/a").await.is_hit());
    let receipt = door.purge(tag("x")).await;
    assert_eq!(receipt["data"]["sequence"]["number"], 1, "a dry run has no number");
    let freed = async { while door.metric("headland_purged_objects_total").await < 2.0 {} };
    within("the sweep", freed).await;
    assert_eq!(door.dry_run(tag("x")).await["data"]["objects"], 0);
    assert!(scene.get("/c").await.is_hit() && !scene.get("/a").await.is_hit());
}
