//! What a request asks of caches (RFC 9111 section 5.2.1), and whether that is done.

use crate::support::{Ask, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    a_site_that_does_not_obey_serves_all_alike,
    what_is_fresh_is_validated_where_a_client_asks,
    what_is_immutable_is_not_validated_by_a_reload,
    what_is_stale_is_served_where_a_client_accepts_it,
    what_is_not_to_be_stored_is_fetched_for_one_alone,
    what_is_not_stored_is_not_fetched_where_a_client_forbids,
);

const OBEYS: &str = "freshness.request_directives = \"obey\"";

async fn obeying(protocol: Protocol) -> Scene {
    Scene::with(protocol, |setup| setup.site(OBEYS)).await
}

async fn a_site_that_does_not_obey_serves_all_alike(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("x").field("age", "30"));
    scene.get_with("/", "cache-control", "no-store, max-age=0").await;
    for asked in ["no-cache", "max-age=0", "min-fresh=9999", "no-store", "only-if-cached"] {
        assert!(scene.get_with("/", "cache-control", asked).await.is_hit(), "{asked}");
    }
    assert!(scene.get_with("/", "pragma", "no-cache").await.is_hit());
    // Nor does the origin hear of one client's wishes for what is everybody's.
    assert_eq!(scene.origin.count(), 1);
    assert_eq!(scene.origin.last().field("cache-control"), "");
    // What is for one client alone has them.
    scene.ask(Ask::new("POST", "/").field("cache-control", "no-cache")).await;
    assert_eq!(scene.origin.last().field("cache-control"), "no-cache");
}

async fn what_is_fresh_is_validated_where_a_client_asks(protocol: Protocol) {
    let scene = obeying(protocol).await;
    let reply = || Reply::fresh("x").field("age", "30").field("etag", "\"1\"");
    scene.origin.on("/", reply());
    scene.origin.on("/", Reply::new(304).field("etag", "\"1\"").field("age", "30"));
    scene.get("/").await;
    let cases = [
        ("cache-control", "no-cache"),
        ("cache-control", "max-age=29"),
        ("cache-control", "min-fresh=999999"),
        ("pragma", "no-cache"),
    ];
    for (index, (name, value)) in cases.into_iter().enumerate() {
        let seen = scene.get_with("/", name, value).await;
        assert_eq!((seen.status, seen.text()), (200, "x"), "{name}: {value}");
        let told = seen.cache_status();
        assert!(told.starts_with("edge; fwd=request; fwd-status=304"), "{value}: {told}");
        assert_eq!(scene.origin.count(), index + 2, "{name}: {value}");
        assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
    }
    for asked in ["max-age=300", "min-fresh=1", "foo", "max-stale=9"] {
        assert!(scene.get_with("/", "cache-control", asked).await.is_hit(), "{asked}");
    }
    assert!(scene.get("/").await.is_hit());
}

/// RFC 8246 section 2.
async fn what_is_immutable_is_not_validated_by_a_reload(protocol: Protocol) {
    let scene = obeying(protocol).await;
    let reply = |control| Reply::ok("x").field("cache-control", control).field("etag", "\"1\"");
    scene.origin.on("/fresh", reply("max-age=600, immutable").field("age", "30"));
    scene.origin.on("/stale", reply("max-age=30, immutable").field("age", "30"));
    scene.origin.on("/mutable", reply("max-age=600").field("age", "30"));
    for (target, asked, served) in [
        ("/fresh", "max-age=0", true),
        ("/fresh", "no-cache", false),
        ("/stale", "max-age=0", false),
        ("/mutable", "max-age=0", false),
    ] {
        scene.get(target).await;
        let seen = scene.get_with(target, "cache-control", asked).await;
        assert_eq!(seen.is_hit(), served, "{target} {asked}: {}", seen.cache_status());
    }
}

async fn what_is_stale_is_served_where_a_client_accepts_it(protocol: Protocol) {
    let scene = obeying(protocol).await;
    let stale = |control: &str| {
        Reply::ok("old").field("cache-control", control).field("age", "60").field("etag", "\"1\"")
    };
    scene.origin.on("/", stale("max-age=50"));
    scene.origin.on("/must", stale("max-age=50, must-revalidate"));
    scene.get("/").await;
    scene.get("/must").await;
    for (target, asked, served) in [
        ("/", "max-stale", true),
        ("/", "max-stale=3600", true),
        ("/", "max-stale=5", false),
        ("/", "max-stale, max-age=9", false),
        ("/must", "max-stale", false),
    ] {
        let count = scene.origin.count();
        let seen = scene.get_with(target, "cache-control", asked).await;
        assert_eq!(seen.is_hit(), served, "{target} {asked}");
        assert_eq!(scene.origin.count() == count, served, "{target} {asked}");
    }
}

async fn what_is_not_to_be_stored_is_fetched_for_one_alone(protocol: Protocol) {
    let scene = obeying(protocol).await;
    scene.origin.on("/", Reply::fresh("x"));
    let seen = scene.get_with("/", "cache-control", "no-store").await;
    let told = seen.cache_status();
    assert!(told.contains("fwd=request") && told.contains("detail=request-no-store"), "{told}");
    assert!(!scene.get("/").await.is_hit());
    // RFC 9111 section 5.2.1.5: it does not bear on what is stored.
    assert!(scene.get_with("/", "cache-control", "no-store").await.is_hit());
}

async fn what_is_not_stored_is_not_fetched_where_a_client_forbids(protocol: Protocol) {
    let scene = obeying(protocol).await;
    scene.origin.on("/", Reply::fresh("x"));
    let refused = scene.get_with("/", "cache-control", "only-if-cached").await;
    assert_eq!((refused.status, scene.origin.count()), (504, 0));
    assert!(refused.cache_status().contains("detail=not-stored"), "{}", refused.cache_status());
    scene.get("/").await;
    assert!(scene.get_with("/", "cache-control", "only-if-cached").await.is_hit());
    let both = scene.get_with("/", "cache-control", "only-if-cached, no-cache").await;
    assert_eq!((both.status, scene.origin.count()), (504, 1));
}
