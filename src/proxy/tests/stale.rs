//! Validation, stale responses, and purges that come between.

use std::time::Duration;

use tokio::time::timeout;

use super::world::{Step, World, say, text};
use crate::object::PurgeKind;

const TAGGED: [&str; 2] = ["cache-control: max-age=1", "etag: \"v\""];
const NOT_MODIFIED: &str = "HTTP/1.1 304 Not Modified\r\n";

fn validates(head: &str) -> bool {
    head.contains("if-none-match: \"v\"")
}

/// Says 200 at first, and `later` to every request that validates.
async fn world(site: &str, fields: &'static [&'static str], later: &'static str) -> World {
    World::new(site, move |head, number| match validates(head) {
        true => vec![text(&format!("{later}\r\n"))],
        false => vec![say("200 OK", fields, &format!("body {number}"))],
    })
    .await
}

#[tokio::test]
async fn a_304_freshens_what_is_stored() {
    let later =
        "HTTP/1.1 304 Not Modified\r\ncache-control: max-age=9\r\nx-new: 1\r\netag: \"v\"\r\n";
    let world = world("", &TAGGED, later).await;
    world.get("/a").got().await;
    let validated = world.get("/a").at(5).got().await;
    assert_eq!(validated.cache(), "fwd=stale; fwd-status=304; stored");
    assert_eq!((&*validated.body, validated.served), ("body 0", "revalidated"));
    let hit = world.get("/a").at(6).got().await;
    assert_eq!((hit.cache(), hit.line("x-new")), ("hit; ttl=8", Some("1")));
    assert_eq!(hit.line("via"), Some("1.1 node"));
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn a_304_counts_what_upstream_said_and_not_what_the_site_made_of_it() {
    let site = "[site.headers]\nresponse = { set = { \"cache-control\" = \"no-store\" } }";
    const FIELDS: [&str; 3] =
        ["cache-control: max-age=0", "headland-cdn-cache-control: max-age=4", "etag: \"v\""];
    let world = world(site, &FIELDS, NOT_MODIFIED).await;
    let miss = world.get("/a").got().await;
    assert_eq!(miss.line("cache-control"), Some("no-store"));
    assert_eq!(miss.line("headland-cdn-cache-control"), None);
    assert_eq!(world.get("/a").at(5).got().await.served, "revalidated");
    let hit = world.get("/a").at(6).got().await;
    assert_eq!((hit.cache(), hit.line("cache-control")), ("hit; ttl=3", Some("no-store")));
    assert_eq!(hit.line("headland-cdn-cache-control"), None);
}

#[tokio::test]
async fn a_cookie_of_a_304_reaches_the_one_who_asked() {
    let later = "HTTP/1.1 304 Not Modified\r\nset-cookie: a=b\r\n";
    let world = world("", &TAGGED, later).await;
    world.get("/a").got().await;
    let own = world.get("/a").at(5).got().await;
    assert_eq!((own.line("set-cookie"), &*own.body), (Some("a=b"), "body 0"));
    assert_eq!(own.cache(), "fwd=stale; fwd-status=304; detail=set-cookie");
    let next = world.get("/a").at(5).got().await;
    assert_eq!((next.line("set-cookie"), next.served), (None, "pass"));
}

#[tokio::test]
async fn a_304_of_something_else_validates_nothing() {
    for later in [
        "HTTP/1.1 304 Not Modified\r\netag: \"other\"\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: W/\"other\"\r\n",
        "HTTP/1.1 304 Not Modified\r\nvary: cookie\r\n",
    ] {
        let world = world("", &TAGGED, later).await;
        world.get("/a").got().await;
        let got = world.get("/a").at(5).got().await;
        assert_eq!(
            (&*got.body, got.served, world.origin.count()),
            ("body 2", "miss", 3),
            "{later}"
        );
    }
}

#[tokio::test]
async fn a_304_without_a_tag_is_held_against_the_date() {
    const DATED: [&str; 2] =
        ["cache-control: max-age=1", "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"];
    for (later, same) in [
        ("", true),
        ("last-modified: Sunday, 06-Nov-94 08:49:37 GMT\r\n", true),
        ("last-modified: nonsense\r\n", true),
        ("last-modified: Sun, 06 Nov 1994 08:49:38 GMT\r\n", false),
    ] {
        let world = World::new("", move |head, number| match head.contains("if-modified-since") {
            true => vec![text(&format!("{NOT_MODIFIED}{later}\r\n"))],
            false => vec![say("200 OK", &DATED, &format!("body {number}"))],
        })
        .await;
        world.get("/a").got().await;
        let got = world.get("/a").at(5).got().await;
        assert_eq!(got.body, if same { "body 0" } else { "body 2" }, "{later}");
    }
}

#[tokio::test]
async fn what_is_hard_purged_sends_no_validator() {
    let world = world("", &TAGGED, NOT_MODIFIED).await;
    world.get("/a").got().await;
    world.purge(PurgeKind::Hard, "/a");
    let got = world.get("/a").got().await;
    assert_eq!((&*got.body, got.served), ("body 1", "miss"));
    assert!(!world.origin.heads()[1].contains("if-"));
    world.purge(PurgeKind::Soft, "/a");
    let got = world.get("/a").got().await;
    assert_eq!((&*got.body, got.served), ("body 1", "revalidated"));
}

#[tokio::test]
async fn a_purge_while_validating_is_not_undone_by_the_304() {
    let world = World::new("", |head, number| match validates(head) {
        true => vec![Step::Wait, text(&format!("{NOT_MODIFIED}\r\n"))],
        false => vec![say("200 OK", &TAGGED, &format!("body {number}"))],
    })
    .await;
    world.get("/a").got().await;
    let leader = world.get("/a").at(5).started().await;
    world.origin.asked(2).await;
    world.purge(PurgeKind::Hard, "/a");
    world.origin.go_on(1);
    assert_eq!(leader.await.unwrap().body, "body 2");
    assert_eq!(world.get("/a").at(5).got().await.body, "body 2");
}

#[tokio::test]
async fn a_response_that_a_purge_overtook_is_for_nobody() {
    let world = World::new("", |_, number| {
        let body = format!("body {number}");
        vec![Step::Wait, say("200 OK", &["cache-control: max-age=60"], &body)]
    })
    .await;
    let old = world.get("/a").started().await;
    world.origin.asked(1).await;
    world.purge(PurgeKind::Hard, "/a");
    let new = world.get("/a").started().await;
    world.origin.asked(2).await;
    world.origin.go_on(2);
    assert_eq!(new.await.unwrap().body, "body 1");
    assert_eq!(old.await.unwrap().body, "body 1");
    assert_eq!(world.origin.count(), 2);
    assert_eq!(world.get("/a").got().await.body, "body 1");
}

#[tokio::test]
async fn a_failing_origin_is_invisible_within_the_window() {
    // With and without a validator; by status and by a connection that closes.
    for fields in [&TAGGED[..], &TAGGED[..1]] {
        for error in [vec![say("503 Busy", &[], "no")], vec![Step::Close]] {
            let closes = matches!(error[0], Step::Close);
            let world =
                World::new("[site.freshness]\nstale_if_error = \"1m\"", move |_, n| match n {
                    0 => vec![say("200 OK", fields, "body")],
                    _ => error.clone(),
                })
                .await;
            world.get("/a").got().await;
            let got = world.get("/a").at(5).got().await;
            assert_eq!((got.status, &*got.body, got.served), (200, "body", "stale"));
            let status = if closes { "" } else { " fwd-status=503;" };
            let wanted = format!("fwd=stale;{status} ttl=-4; detail=stale-if-error");
            assert_eq!(got.cache(), wanted);
            let late = world.get("/a").at(70).got().await;
            assert_eq!(late.status, if closes { 502 } else { 503 });
        }
    }
}

#[tokio::test]
async fn what_is_hard_purged_stands_in_for_nobody() {
    let world = World::new("", |_, number| match number {
        0 => vec![say("200 OK", &TAGGED, "body")],
        _ => vec![say("503 Busy", &[], "no")],
    })
    .await;
    world.get("/a").got().await;
    world.purge(PurgeKind::Hard, "/a");
    assert_eq!(world.get("/a").at(5).got().await.status, 503);
}

#[tokio::test]
async fn one_refresh_goes_on_behind_stale_responses() {
    const FIELDS: [&str; 1] = ["cache-control: max-age=1, stale-while-revalidate=60"];
    let world = World::new("", |_, number| match number {
        0 => vec![say("200 OK", &FIELDS, "old")],
        _ => vec![Step::Wait, say("200 OK", &["cache-control: max-age=60"], "new")],
    })
    .await;
    world.get("/a").got().await;
    for _ in 0..5 {
        let got = world.get("/a").at(5).got().await;
        assert_eq!((&*got.body, got.served), ("old", "stale"));
        assert_eq!(got.cache(), "hit; ttl=-4; detail=stale-while-revalidate");
    }
    world.origin.asked(2).await;
    world.origin.go_on(1);
    let refreshed = async {
        loop {
            let got = world.get("/a").at(5).got().await;
            if got.served == "hit" {
                return got;
            }
            tokio::task::yield_now().await;
        }
    };
    let last = timeout(Duration::from_secs(30), refreshed).await.unwrap();
    assert_eq!((&*last.body, world.origin.count()), ("new", 2));
}

#[tokio::test]
async fn a_refresh_that_fails_holds_the_next_one_back() {
    const FIELDS: [&str; 1] = ["cache-control: max-age=1, stale-while-revalidate=60"];
    let world = World::new("", |_, number| match number {
        0 => vec![say("200 OK", &FIELDS, "old")],
        _ => vec![say("503 Busy", &[], "no")],
    })
    .await;
    world.get("/a").got().await;
    for _ in 0..3 {
        assert_eq!(world.get("/a").at(5).got().await.body, "old");
    }
    world.origin.asked(2).await;
    for target in ["/b", "/c", "/d"] {
        // Goes to the origin and back, as a refresh would.
        assert_eq!(world.get(target).got().await.status, 503);
        assert_eq!(world.get("/a").at(5).got().await.body, "old");
    }
    let heads = world.origin.heads();
    assert_eq!(heads.iter().filter(|head| head.starts_with("GET /a ")).count(), 2);
}

#[tokio::test]
async fn what_became_private_is_no_longer_there() {
    let world = World::new("", |_, number| match number {
        0 => vec![say("200 OK", &TAGGED, "public")],
        1 => vec![say("200 OK", &["cache-control: private"], "private")],
        _ => vec![say("503 Busy", &[], "no")],
    })
    .await;
    world.get("/a").got().await;
    assert_eq!(world.get("/a").at(5).got().await.body, "private");
    assert_eq!(world.get("/a").at(5).got().await.status, 503);
}

#[tokio::test]
async fn behind_a_fence_each_request_asks_for_itself() {
    let world = world("", &["cache-control: max-age=600", "etag: \"v\""], NOT_MODIFIED).await;
    world.get("/a").got().await;
    world.proxy.store().rules().fence(true);
    for asked in 2..5 {
        let got = world.get("/a").got().await;
        assert_eq!((&*got.body, got.served), ("body 0", "revalidated"));
        assert_eq!(world.origin.count(), asked);
    }
    world.proxy.store().rules().fence(false);
    assert_eq!(world.get("/a").got().await.served, "hit");
}

#[tokio::test]
async fn what_is_on_its_way_when_the_log_becomes_another_is_asked_for_anew() {
    let world = World::new("", |_, number| {
        let fields = ["cache-control: max-age=600"];
        vec![Step::Wait, say("200 OK", &fields, &format!("body {number}"))]
    })
    .await;
    let under_way = world.get("/a").started().await;
    world.origin.asked(1).await;
    let rules = world.proxy.store().rules();
    rules.distrust(rules.head().number + 1);
    world.origin.go_on(2);
    assert_eq!(under_way.await.unwrap().body, "body 1");
}
