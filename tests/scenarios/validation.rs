//! What is stale is asked for by its validators, and a 304 refreshes what is stored
//! (RFC 9111 section 4.3).

use crate::support::{Ask, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    a_304_refreshes_the_stored_head,
    validators_are_those_of_what_is_stored,
    a_304_makes_no_weak_tag_strong,
    no_cache_is_validated_each_time,
    must_revalidate_is_never_served_stale,
    a_changed_response_takes_the_place_of_the_old_one,
    a_304_that_forbids_storing_is_served_once,
);

async fn a_304_refreshes_the_stored_head(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let stored = Reply::stale("\"1\"", "hello").field("x-kept", "old").field("x-changed", "old");
    let stored = stored.field("content-type", "text/plain").field("content-md5", "b2xk");
    scene.origin.on("/", stored.field("content-encoding", "gzip"));
    let update = Reply::new(304).field("etag", "\"1\"").field("cache-control", "max-age=600");
    // RFC 9111 section 3.2: what describes the stored bytes stays.
    let update = update.field("x-changed", "new").field("content-encoding", "br");
    let update = update.field("content-type", "text/plain;charset=utf-8");
    let update = update.field("content-md5", "bmV3");
    scene.origin.on("/", update);
    scene.get("/").await;
    let validated = scene.get("/").await;
    assert_eq!((validated.status, validated.text()), (200, "hello"));
    assert!(validated.cache_status().contains("fwd=stale; fwd-status=304"));
    assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
    let hit = scene.get("/").await;
    assert!(hit.is_hit(), "{}", hit.cache_status());
    assert_eq!(hit.text(), "hello");
    for (name, value) in [
        ("x-kept", "old"),
        ("x-changed", "new"),
        ("content-encoding", "gzip"),
        ("content-length", "5"),
        ("content-md5", "b2xk"),
        ("content-type", "text/plain;charset=utf-8"),
        ("cache-control", "max-age=600"),
        ("etag", "\"1\""),
        ("via", "1.1 edge"),
    ] {
        assert_eq!(hit.field(name), value, "{name}");
    }
    assert_eq!(scene.origin.count(), 2);
}

async fn validators_are_those_of_what_is_stored(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    scene.origin.on("/", Reply::stale("W/\"weak\"", "hello").field("last-modified", date));
    scene.origin.on("/", Reply::new(304).field("cache-control", "max-age=0"));
    scene.get("/").await;
    // The client's own condition is answered here, and not handed on.
    let own = scene.get_with("/", "if-none-match", "\"other\", W/\"weak\"").await;
    assert_eq!((own.status, own.text()), (304, ""));
    assert_eq!(scene.origin.last().field("if-none-match"), "W/\"weak\"");
    assert_eq!(scene.origin.last().field("if-modified-since"), date);
}

/// RFC 9111 section 4.3.4: by a weak tag nobody may put parts together.
async fn a_304_makes_no_weak_tag_strong(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let fresh = "max-age=600";
    scene.origin.on("/", Reply::stale("W/\"a\"", "hello"));
    scene.origin.on("/", Reply::new(304).field("etag", "\"a\"").field("cache-control", fresh));
    scene.get("/").await;
    assert_eq!(scene.get("/").await.field("etag"), "W/\"a\"");
    for tag in ["\"a\"", "W/\"a\""] {
        let ask = Ask::get("/").field("range", "bytes=1-2").field("if-range", tag);
        let whole = scene.ask(ask).await;
        assert!(whole.is_hit(), "{}", whole.cache_status());
        assert_eq!((whole.status, whole.text()), (200, "hello"), "{tag}");
    }
    assert_eq!(scene.get_with("/", "if-none-match", "\"a\"").await.status, 304);
    assert_eq!(scene.origin.count(), 2);
}

async fn no_cache_is_validated_each_time(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let no_cache =
        |reply: Reply| reply.field("cache-control", "no-cache, max-age=600").field("etag", "\"1\"");
    scene.origin.on("/", no_cache(Reply::ok("hello")));
    scene.origin.on("/", no_cache(Reply::new(304)));
    scene.get("/").await;
    for count in 2..5 {
        assert_eq!(scene.get("/").await.text(), "hello");
        assert_eq!(scene.origin.count(), count);
        assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
    }
}

async fn must_revalidate_is_never_served_stale(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let stale = |control: &str| {
        let reply = Reply::ok("old").field("cache-control", control);
        reply.field("age", "60").field("etag", "\"1\"")
    };
    // Without it, a site's stale-if-error of an hour would hold.
    for (target, control, status) in [
        ("/may", "max-age=60", 200),
        ("/must", "max-age=60, must-revalidate", 502),
        ("/proxy-must", "max-age=60, proxy-revalidate", 502),
        ("/shared", "s-maxage=60", 502),
    ] {
        scene.origin.on(target, stale(control));
        scene.origin.on(target, Reply::reset());
        scene.get(target).await;
        assert_eq!(scene.get(target).await.status, status, "{target}");
    }
}

async fn a_changed_response_takes_the_place_of_the_old_one(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::stale("\"1\"", "old"));
    scene.origin.on("/", Reply::fresh("new").field("etag", "\"2\""));
    scene.get("/").await;
    let changed = scene.get("/").await;
    assert_eq!(changed.text(), "new");
    assert!(changed.cache_status().contains("fwd=stale; fwd-status=200; stored"));
    let hit = scene.get("/").await;
    assert_eq!((hit.is_hit(), hit.text(), hit.field("etag").as_str()), (true, "new", "\"2\""));
}

async fn a_304_that_forbids_storing_is_served_once(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::stale("\"1\"", "hello"));
    scene.origin.on("/", Reply::new(304).field("cache-control", "no-store"));
    scene.origin.on("/", Reply::ok("anew").field("cache-control", "no-store"));
    scene.get("/").await;
    assert_eq!(scene.get("/").await.text(), "hello");
    assert_eq!(scene.ask(Ask::get("/")).await.text(), "anew");
    assert_eq!(scene.origin.last().field("if-none-match"), "");
}
