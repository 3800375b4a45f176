//! Coded copies that outlive a while: purged, validated, served stale, found after a restart.

use serde_json::json;

use super::{CODINGS, ON, decoded, fresh, page, scene, taking};
use crate::support::door::Door;
use crate::support::{Ask, DiskScene, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    a_purge_covers_every_coding,
    what_still_holds_is_not_coded_again,
    a_stale_page_is_coded_as_well,
    an_unsafe_request_takes_every_coding_away,
    coded_copies_are_hits_after_a_restart,
    the_copies_of_the_next_body_take_the_places_of_those_before,
);

async fn a_purge_covers_every_coding(protocol: Protocol) {
    let scene = scene(protocol).await;
    let door = Door::of(&scene.node).await;
    let commands = [
        json!({ "kind": "url", "value": "https://shop.example/" }),
        json!({ "kind": "tag", "site": "shop", "value": "front" }),
        json!({ "kind": "site", "value": "shop" }),
    ];
    for (round, command) in commands.into_iter().enumerate() {
        let page = page(100 + round);
        // The tag of the origin is the same: a purge says that it lies.
        scene.origin.now("/", fresh(page.clone()).field("surrogate-key", "front"));
        if round > 0 {
            door.purge(command.clone()).await;
        }
        for coding in ["", "zstd", "br", "gzip"] {
            assert!(decoded(&taking(&scene, coding, "/").await, coding) == page, "{command}");
            assert!(taking(&scene, coding, "/").await.is_hit());
        }
        assert_eq!(scene.origin.count(), round + 1);
    }
}

async fn what_still_holds_is_not_coded_again(protocol: Protocol) {
    let scene = scene(protocol).await;
    let door = Door::of(&scene.node).await;
    let (first, second) = (page(500), page(600));
    let stale = |etag: &str, page| Reply::stale(etag, page).field("content-type", "text/css");
    scene.origin.on("/", stale("\"1\"", first.clone()));
    for coding in CODINGS {
        assert!(decoded(&taking(&scene, coding, "/").await, coding) == first);
        let holds = Reply::new(304).field("etag", "\"1\"").field("x-round", coding);
        scene.origin.now("/", holds.field("cache-control", "max-age=60").field("age", "60"));
    }
    let begun = door.metric("headland_compressions_total").await;
    for coding in CODINGS {
        let seen = taking(&scene, coding, "/").await;
        assert!(decoded(&seen, coding) == first, "{coding}");
        assert_eq!(seen.field("etag"), "W/\"1\"");
        assert_eq!(seen.field("x-round"), "gzip");
        assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
    }
    assert_eq!(door.metric("headland_compressions_total").await, begun);
    scene.origin.now("/", stale("\"2\"", second.clone()));
    for coding in CODINGS {
        let seen = taking(&scene, coding, "/").await;
        assert!(decoded(&seen, coding) == second, "{coding}");
        assert_eq!(seen.field("etag"), "W/\"2\"");
    }
    // It must be left as it is from now on.
    let holds = Reply::new(304).field("etag", "\"2\"").field("cache-control", "no-transform");
    scene.origin.now("/", holds);
    let seen = taking(&scene, "gzip", "/").await;
    assert!(decoded(&seen, "") == second);
}

async fn a_stale_page_is_coded_as_well(protocol: Protocol) {
    let set = format!("{ON}\nfreshness = {{ stale_while_revalidate = \"1h\" }}");
    let scene = Scene::with(protocol, |setup| setup.site(&set)).await;
    let page = page(500);
    let stale = Reply::stale("\"1\"", page.clone()).field("content-type", "text/html");
    scene.origin.on("/", stale.clone());
    scene.origin.on("/", Reply::new(500));
    for coding in ["gzip", "gzip", "br", "br"] {
        assert!(decoded(&taking(&scene, coding, "/").await, coding) == page);
    }
}

async fn an_unsafe_request_takes_every_coding_away(protocol: Protocol) {
    let scene = scene(protocol).await;
    let (first, second) = (page(500), page(600));
    scene.origin.on("/", fresh(first.clone()));
    for coding in CODINGS {
        assert!(decoded(&taking(&scene, coding, "/").await, coding) == first);
    }
    scene.origin.now("/", Reply::new(204));
    scene.ask(Ask::new("PUT", "/").content("x")).await;
    scene.origin.now("/", fresh(second.clone()));
    for coding in CODINGS {
        assert!(decoded(&taking(&scene, coding, "/").await, coding) == second);
    }
    assert_eq!(scene.origin.count(), 3);
}

async fn coded_copies_are_hits_after_a_restart(protocol: Protocol) {
    let mut scene = DiskScene::serving(protocol, ON).await;
    let pages = [("/a", page(100)), ("/b", page(9000))];
    let ask = |target: &str, coding| Ask::get(target).field("accept-encoding", coding);
    for (target, page) in &pages {
        scene.origin.on(target, fresh(page.clone()));
        for coding in CODINGS {
            assert!(decoded(&scene.ask(ask(target, coding)).await, coding) == *page);
        }
    }
    // Each of them in identity and three codings.
    scene.stored(8).await;
    scene.origin.stop();
    scene.restart().await;
    for (target, page) in &pages {
        for coding in CODINGS {
            let hit = scene.ask(ask(target, coding)).await;
            assert!(hit.is_hit() && decoded(&hit, coding) == *page, "{target} {coding}");
            assert_eq!(hit.field("content-length"), hit.body.len().to_string());
        }
    }
    assert_eq!(scene.door().metric("headland_compressions_total").await, 0.0);
    assert_eq!(scene.origin.count(), 2);
}

async fn the_copies_of_the_next_body_take_the_places_of_those_before(protocol: Protocol) {
    let mut scene = DiskScene::serving(protocol, ON).await;
    for round in 0..9 {
        let (page, coding) = (page(100 + round), CODINGS[round % 3]);
        let reply = Reply::stale(&format!("\"{round}\""), page.clone());
        scene.origin.now("/", reply.field("content-type", "text/html"));
        let ask = || Ask::get("/").field("accept-encoding", coding);
        assert!(decoded(&scene.ask(ask()).await, coding) == page);
    }
    // One identity and three codings.
    scene.stored(4).await;
    scene.restart().await;
    scene.stored(4).await;
}
