//! What was stored is there after a restart, and what was taken out is not.

use bytes::Bytes;
use serde_json::json;

use crate::support::disk::{SMALL, body};
use crate::support::{Ask, DiskScene, Film, Protocol, Reply, eventually, over_each_protocol};

over_each_protocol!(
    what_was_stored_is_a_hit_after_a_restart,
    ranges_and_conditions_are_answered_after_a_restart,
    variants_are_told_apart_after_a_restart,
    a_purge_holds_after_a_restart,
    an_unsafe_method_invalidates_over_a_restart,
    what_is_replaced_stays_replaced,
    equal_bodies_are_stored_once_and_each_is_served,
    what_is_used_often_is_served_from_memory,
    a_range_of_a_large_object_is_a_hit_after_a_restart,
);

/// Sizes from one unit of the format to many windows of a mapped body.
const SIZES: [usize; 7] = [0, 1, 100, 4096, 70_000, 600_000, 1 << 20];

async fn what_was_stored_is_a_hit_after_a_restart(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    let name = |size: usize| format!("/{size}");
    for size in SIZES {
        let reply = Reply::fresh(body(&name(size), size)).field("x-size", &size.to_string());
        scene.origin.on(&name(size), reply);
        scene.get(&name(size)).await;
    }
    scene.origin.on("/gone", Reply::new(404).field("cache-control", "max-age=60"));
    scene.get("/gone").await;
    scene.stored(SIZES.len() as u64 + 1).await;
    scene.origin.stop();
    for _ in 0..2 {
        scene.restart().await;
        for size in SIZES {
            let hit = scene.get(&name(size)).await;
            assert!(hit.is_hit(), "{size}: {}", hit.cache_status());
            assert_eq!(hit.field("x-size"), size.to_string());
            assert_eq!(hit.field("content-length"), size.to_string());
            assert!(hit.body == body(&name(size), size), "{size}: other bytes");
            let head = scene.ask(Ask::new("HEAD", &name(size))).await;
            assert!(head.is_hit() && head.body.is_empty());
        }
        assert_eq!(scene.get("/gone").await.status, 404);
        assert!(scene.get("/gone").await.is_hit());
        assert_eq!(scene.disk_errors().await, 0);
    }
    assert_eq!(scene.origin.count(), SIZES.len() + 1);
}

async fn ranges_and_conditions_are_answered_after_a_restart(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    let bytes = body("/", 1 << 20);
    let modified = "Sat, 01 Aug 2026 00:00:00 GMT";
    let reply = Reply::fresh(bytes.clone()).field("etag", "\"1\"").field("last-modified", modified);
    scene.origin.on("/", reply);
    scene.get("/").await;
    scene.stored(1).await;
    scene.origin.stop();
    scene.restart().await;
    let ranges = [(0, 0), (1, 4096), (255 * 1024, 257 * 1024), (500_000, (1 << 20) - 1)];
    for (first, last) in ranges {
        let part = scene.get_with("/", "range", &format!("bytes={first}-{last}")).await;
        assert_eq!(part.status, 206);
        assert!(part.is_hit() && part.body == bytes[first..=last], "{first}-{last}");
    }
    let several = scene.get_with("/", "range", "bytes=0-9,700000-700009").await;
    assert_eq!(several.status, 206);
    for part in [&bytes[0..10], &bytes[700_000..700_010]] {
        assert!(memchr::memmem::find(&several.body, part).is_some());
    }
    assert_eq!(scene.get_with("/", "range", "bytes=1048576-").await.status, 416);
    assert_eq!(scene.get_with("/", "if-none-match", "\"1\"").await.status, 304);
    assert_eq!(scene.get_with("/", "if-modified-since", modified).await.status, 304);
    assert_eq!(scene.get_with("/", "if-match", "\"2\"").await.status, 412);
    let stale = Ask::get("/").field("range", "bytes=0-9").field("if-range", "\"2\"");
    assert_eq!(scene.ask(stale).await.body, bytes);
    assert_eq!(scene.origin.count(), 1);
}

async fn variants_are_told_apart_after_a_restart(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    let plans = ["1", "2", "3"];
    for plan in plans {
        scene.origin.on("/", Reply::fresh(body(plan, 100_000)).field("vary", "x-plan"));
    }
    for plan in plans {
        scene.get_with("/", "x-plan", plan).await;
    }
    // By which fields it varies is an object of its own.
    scene.stored(4).await;
    scene.restart().await;
    for plan in plans {
        let hit = scene.get_with("/", "x-plan", plan).await;
        assert!(hit.is_hit() && hit.body == body(plan, 100_000), "{plan}: {}", hit.cache_status());
    }
    assert_eq!(scene.origin.count(), 3);
    assert!(!scene.get_with("/", "x-plan", "4").await.is_hit());
    // A purge covers those that only the disk has.
    scene.restart().await;
    scene.door().purge_url("https://shop.example/").await;
    scene.restart().await;
    for plan in plans {
        assert!(!scene.get_with("/", "x-plan", plan).await.is_hit(), "{plan}");
    }
}

async fn a_purge_holds_after_a_restart(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    for target in ["/hard", "/soft", "/kept", "/tagged"] {
        let reply = Reply::fresh("old").field("etag", "\"old\"");
        scene.origin.on(target, reply.field("surrogate-key", &format!("all {}", &target[1..])));
        scene.get(target).await;
    }
    scene.stored(4).await;
    scene.door().purge_url("https://shop.example/hard").await;
    let soft = json!({ "kind": "url", "value": "https://shop.example/soft", "soft": true });
    scene.door().purge(soft).await;
    // Whatever ends it: the receipts were complete.
    scene.end("KILL").await;
    scene.start().await;
    scene.origin.now("/hard", Reply::reset());
    assert_eq!(scene.get("/hard").await.status, 502);
    assert_eq!(scene.origin.last().field("if-none-match"), "");
    scene.origin.now("/hard", Reply::fresh("new"));
    assert_eq!(scene.get("/hard").await.text(), "new");
    let unchanged = Reply::new(304).field("cache-control", "max-age=3600").field("etag", "\"old\"");
    scene.origin.now("/soft", unchanged);
    assert_eq!(scene.get("/soft").await.text(), "old");
    assert_eq!(scene.origin.last().field("if-none-match"), "\"old\"");
    assert!(scene.get("/kept").await.is_hit());
    // What was fetched since is not covered after another restart either.
    scene.stored(4).await;
    scene.restart().await;
    for (target, text) in [("/hard", "new"), ("/soft", "old"), ("/kept", "old")] {
        let hit = scene.get(target).await;
        assert!(hit.is_hit() && hit.text() == text, "{target}: {}", hit.cache_status());
    }
    // The tags of what only the disk has are known to purges that come after a restart.
    scene.restart().await;
    scene.door().purge(json!({ "kind": "tag", "value": "tagged" })).await;
    scene.origin.now("/tagged", Reply::fresh("new"));
    let tagged = scene.get("/tagged").await;
    assert!(!tagged.is_hit() && tagged.text() == "new", "{}", tagged.cache_status());
    assert!(scene.get("/kept").await.is_hit());
}

async fn a_range_of_a_large_object_is_a_hit_after_a_restart(protocol: Protocol) {
    let cache = format!("{SMALL}slice = \"64KiB\"\nmax_object = \"256KiB\"\n");
    let mut scene = DiskScene::with(protocol, &cache, |home| home).await;
    let film = Film::new(1 << 30);
    scene.origin.on("/film", Reply::film(film));
    let ask = || Ask::get("/film").field("range", "bytes=500000000-500199999");
    let bytes = film.bytes(500_000_000, 500_200_000);
    assert!(scene.ask(ask()).await.body == bytes);
    // The head, and the slices that the range touches.
    let stored = 1 + (500_200_000_u64).div_ceil(65_536) - 500_000_000 / 65_536;
    scene.stored(stored).await;
    assert!(scene.tier().await["bytes"].as_u64().unwrap() < 400_000, "more than was asked for");
    scene.origin.stop();
    for _ in 0..2 {
        scene.restart().await;
        let hit = scene.ask(ask()).await;
        assert_eq!(hit.status, 206);
        assert!(hit.is_hit() && hit.body == bytes, "{}", hit.cache_status());
        assert_eq!(scene.disk_hits().await, 1, "one object, from the disk");
        assert_eq!(scene.disk_errors().await, 0);
    }
}

async fn an_unsafe_method_invalidates_over_a_restart(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    for target in ["/form", "/kept"] {
        scene.origin.on(target, Reply::fresh("old"));
        scene.get(target).await;
    }
    scene.stored(2).await;
    scene.restart().await;
    scene.origin.now("/form", Reply::ok("thanks"));
    assert_eq!(scene.ask(Ask::new("POST", "/form").content("x")).await.text(), "thanks");
    scene.origin.now("/form", Reply::fresh("new"));
    scene.restart().await;
    let after = scene.get("/form").await;
    assert!(!after.is_hit() && after.text() == "new");
    assert!(scene.get("/kept").await.is_hit());
}

async fn what_is_replaced_stays_replaced(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    scene.origin.on("/", Reply::stale("\"1\"", body("old", 100_000)));
    scene.origin.on("/", Reply::fresh(body("new", 50_000)));
    scene.get("/").await;
    scene.stored(1).await;
    scene.get("/").await;
    let one_of_two = async || scene.tier().await["bytes"].as_u64().unwrap() < 100_000;
    eventually("the newer one in its place", one_of_two).await;
    scene.restart().await;
    let hit = scene.get("/").await;
    assert!(hit.is_hit() && hit.body == body("new", 50_000));
}

async fn equal_bodies_are_stored_once_and_each_is_served(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    let bytes = body("equal", 500_000);
    let name = |index: u64| format!("/{index}");
    for index in 0..5 {
        let own = index.to_string();
        scene.origin.on(&name(index), Reply::fresh(bytes.clone()).field("x-own", &own));
        scene.get(&name(index)).await;
        scene.stored(index + 1).await;
    }
    let taken = scene.tier().await["bytes"].as_u64().unwrap();
    assert!(taken < 600_000, "{taken} bytes");
    // The one that brought the body goes.
    scene.ask(Ask::new("DELETE", "/0")).await;
    scene.stored(4).await;
    for _ in 0..2 {
        for index in 1..5 {
            let hit = scene.get(&name(index)).await;
            assert!(hit.is_hit() && hit.body == bytes, "{index}: {}", hit.cache_status());
            assert_eq!(hit.field("x-own"), index.to_string());
        }
        scene.restart().await;
    }
    assert!(!scene.get("/0").await.is_hit());
}

async fn what_is_used_often_is_served_from_memory(protocol: Protocol) {
    let mut scene = DiskScene::new(protocol).await;
    scene.origin.on("/", Reply::fresh(Bytes::from_static(b"hello")));
    scene.get("/").await;
    scene.stored(1).await;
    scene.restart().await;
    let from_memory = async || {
        let before = scene.disk_hits().await;
        assert_eq!(scene.get("/").await.text(), "hello");
        scene.disk_hits().await == before
    };
    assert!(!from_memory().await, "memory was not empty");
    eventually("a hit from memory", from_memory).await;
    assert_eq!(scene.origin.count(), 1);
}
