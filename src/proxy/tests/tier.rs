//! What a shield owes an edge: nothing that a purge covers of which the edge knows.

use std::time::Duration;

use http::Method;

use super::world::{Ask, Got, Step, World, say};
use crate::object::PurgeKind;

/// The log that is followed.
const LOG: u128 = 7;

fn at(number: u64) -> String {
    format!("{LOG:032x}/{number}")
}

fn of_another(number: u64) -> String {
    format!("{:032x}/{number}", LOG + 1)
}

/// Asked by an edge that stands at `floor`.
fn asked<'w>(world: &'w World, target: &str, floor: &str) -> Ask<'w> {
    world.get(target).by_edge().with("headland-floor", floor)
}

fn stamp(got: &Got) -> Option<&str> {
    got.line("headland-sequence")
}

const FIELDS: [&str; 3] = ["cache-control: max-age=60", "etag: \"v\"", "surrogate-key: a p42"];

/// A shield at number 10 of the log, before an origin that counts its bodies.
async fn shield() -> World {
    let world = World::new("", |head, number| {
        let etag = format!("etag: \"{number}\"");
        match head.contains("if-none-match: \"") && head.contains("/same") {
            true => vec![say("304 Not Modified", &[FIELDS[0]], "")],
            false => vec![say("200 OK", &[FIELDS[0], &etag, FIELDS[2]], &format!("{number}"))],
        }
    })
    .await;
    world.follow(LOG, 10);
    world
}

#[tokio::test]
async fn a_clean_copy_reflects_the_position_before_the_look_up() {
    let world = shield().await;
    let miss = asked(&world, "/a", &at(10)).got().await;
    assert_eq!((miss.served, stamp(&miss)), ("miss", Some(&*at(10))));
    world.purge(PurgeKind::Hard, "/other");
    for floor in [at(11), at(10), at(0)] {
        let hit = asked(&world, "/a", &floor).got().await;
        assert_eq!((hit.served, stamp(&hit)), ("hit", Some(&*at(11))));
    }
    let unasked = world.get("/a").by_edge().got().await;
    assert_eq!((unasked.served, stamp(&unasked)), ("hit", Some(&*at(11))));
    assert_eq!(stamp(&world.get("/a").got().await), None, "a client is told nothing");
    let claimed = world.get("/a").with("headland-floor", &at(99)).got().await;
    assert_eq!((claimed.served, stamp(&claimed)), ("hit", None), "nor has it a say");
}

#[tokio::test]
async fn behind_a_floor_copies_are_possibly_purged_and_what_is_fetched_reflects_it() {
    let world = shield().await;
    asked(&world, "/a", &at(10)).got().await;
    let ahead = asked(&world, "/a", &at(12)).got().await;
    assert_eq!((&*ahead.body, stamp(&ahead)), ("1", Some(&*at(12))));
    // It is not stored: the log might go on otherwise.
    let client = world.get("/a").got().await;
    assert_eq!((client.served, &*client.body), ("hit", "0"));
    world.purge(PurgeKind::Hard, "/a");
    world.purge(PurgeKind::Hard, "/other");
    let caught_up = asked(&world, "/a", &at(12)).got().await;
    assert_eq!((&*caught_up.body, stamp(&caught_up)), ("2", Some(&*at(12))));
    assert_eq!(asked(&world, "/a", &at(12)).got().await.served, "hit");
}

#[tokio::test]
async fn behind_a_floor_a_strong_validator_may_hold() {
    let world = shield().await;
    asked(&world, "/same", &at(10)).got().await;
    let validated = asked(&world, "/same", &at(12)).got().await;
    assert_eq!((validated.served, &*validated.body), ("revalidated", "0"));
    assert_eq!(stamp(&validated), Some(&*at(12)));
}

#[tokio::test]
async fn a_floor_of_another_log_is_met_by_what_is_fetched_for_it_alone() {
    let world = shield().await;
    asked(&world, "/a", &at(10)).got().await;
    for floor in [of_another(3), of_another(0), "?".to_owned()] {
        let alone = asked(&world, "/a", &floor).got().await;
        assert_eq!((alone.served, alone.cache().ends_with("detail=floor-unknown")), ("pass", true));
        let echo = if floor == "?" { None } else { Some(&*floor) };
        assert!(echo.is_none() || stamp(&alone) == echo, "{:?}", alone.lines);
    }
    assert_eq!(asked(&world, "/a", &at(10)).got().await.body, "0");
    assert_eq!(world.origin.count(), 4);
}

#[tokio::test]
async fn an_edge_with_other_settings_of_the_site_gets_nothing_that_is_stored() {
    let world = shield().await;
    assert_eq!(asked(&world, "/a", &at(10)).got().await.body, "0");
    // What a purge covers there it may not cover here.
    for (settings, floor, reflects) in
        [("0", at(10), at(10)), ("", at(12), at(12)), ("x", of_another(3), of_another(3))]
    {
        let alone = asked(&world, "/a", &floor).with("headland-site", settings).got().await;
        assert_eq!((alone.served, alone.cache().ends_with("detail=sites-differ")), ("pass", true));
        assert_eq!(stamp(&alone), Some(&*reflects), "{settings}");
    }
    let unasked = world.get("/a").by_edge().with("headland-site", "0").got().await;
    assert_eq!((unasked.served, stamp(&unasked)), ("pass", Some(&*at(10))));
    assert_eq!(world.get("/a").with("headland-site", "0").got().await.served, "hit", "a client");
    assert_eq!(asked(&world, "/a", &at(10)).got().await.body, "0");
    assert_eq!(world.origin.count(), 5);
}

#[tokio::test]
async fn a_node_that_goes_on_with_another_log_claims_nothing() {
    let world = World::new("", |_, _| vec![Step::Wait, say("200 OK", &FIELDS, "body")]).await;
    world.follow(LOG, 10);
    let under_way = asked(&world, "/a", &at(10)).started().await;
    world.origin.asked(1).await;
    world.follow(LOG + 1, 3);
    world.origin.go_on(1);
    assert_eq!(stamp(&under_way.await.unwrap()), None);
}

#[tokio::test]
async fn a_stale_copy_reflects_what_it_did_when_it_was_fetched() {
    let site = "[site.freshness]\nstale_if_error = \"1h\"";
    let world = World::new(site, |_, number| match number {
        0 => vec![say("200 OK", &FIELDS, "body")],
        _ => vec![Step::Close],
    })
    .await;
    world.follow(LOG, 10);
    asked(&world, "/a", &at(10)).got().await;
    world.purge(PurgeKind::Soft, "/a");
    let stale = asked(&world, "/a", &at(11)).got().await;
    assert_eq!((stale.served, stamp(&stale)), ("stale", Some(&*at(10))));
    // Where purges are unknown it is no stand-in.
    let unknown = asked(&world, "/a", &at(12)).got().await;
    assert_eq!((unknown.status, stamp(&unknown)), (502, Some(&*at(12))));
    assert_eq!(unknown.line("headland-failure"), Some("origin-reset"));
}

#[tokio::test]
async fn after_a_restart_a_clean_copy_reflects_the_position_and_a_stale_one_nothing() {
    let site = "[site.freshness]\nstale_while_revalidate = \"1h\"";
    let world = World::new(site, |_, _| vec![say("200 OK", &FIELDS, "body")]).await;
    world.follow(LOG, 10);
    for target in ["/clean", "/stale"] {
        world.get(target).got().await;
    }
    world.purge(PurgeKind::Soft, "/stale");
    // A start tells the numbers from where the node stands.
    world.follow(LOG, 11);
    let clean = asked(&world, "/clean", &at(11)).got().await;
    assert_eq!((clean.served, stamp(&clean)), ("hit", Some(&*at(11))));
    let stale = asked(&world, "/stale", &at(11)).got().await;
    assert_eq!((stale.served, stamp(&stale)), ("stale", Some(&*at(0))));
}

#[tokio::test]
async fn nobody_joins_a_flight_that_began_below_its_floor() {
    let world =
        World::new("", |_, number| vec![Step::Wait, say("200 OK", &FIELDS, &format!("{number}"))])
            .await;
    world.follow(LOG, 10);
    let below = asked(&world, "/a", &at(10)).started().await;
    world.origin.asked(1).await;
    let ahead = asked(&world, "/a", &at(12)).started().await;
    world.origin.asked(2).await;
    // One fetch for all who ask for as much.
    let joining = asked(&world, "/a", &at(12)).started().await;
    let lower = asked(&world, "/a", &at(11)).started().await;
    world.origin.go_on(2);
    let [below, ahead] = [below.await.unwrap(), ahead.await.unwrap()];
    assert_eq!((&*below.body, stamp(&below)), ("0", Some(&*at(10))));
    assert_eq!((&*ahead.body, stamp(&ahead)), ("1", Some(&*at(12))));
    for joined in [joining.await.unwrap(), lower.await.unwrap()] {
        assert_eq!((&*joined.body, stamp(&joined)), ("1", Some(&*at(12))));
    }
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn who_is_behind_catches_up_first() {
    let forever = Duration::from_secs(3600);
    let world = World::catching_up(forever, "", |_, number| {
        vec![say("200 OK", &FIELDS, &format!("{number}"))]
    })
    .await;
    world.follow(LOG, 10);
    asked(&world, "/a", &at(10)).got().await;
    asked(&world, "/b", &at(10)).got().await;
    let (a, b) = (asked(&world, "/a", &at(11)), asked(&world, "/b", &at(11)));
    let (a, b) = (a.started().await, b.started().await);
    world.purge(PurgeKind::Hard, "/a");
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    assert_eq!((&*a.body, stamp(&a)), ("2", Some(&*at(11))));
    assert_eq!((b.served, stamp(&b)), ("hit", Some(&*at(11))));
}

#[tokio::test]
async fn an_edge_sees_what_the_origin_said_and_the_origin_who_the_edge_asks_for() {
    let site = "[site.headers.response]\nset = { x-set = \"site\" }\nremove = [\"x-remove\"]";
    let fields = ["cache-control: max-age=60", "x-set: origin", "x-remove: 1", FIELDS[2]];
    let world = World::new(site, move |head, _| match head.starts_with("POST") {
        true => vec![say("200 OK", &fields[1..], "passed")],
        false => vec![say("200 OK", &fields, "body")],
    })
    .await;
    world.follow(LOG, 10);
    for (method, target, served) in
        [(Method::GET, "/a", "miss"), (Method::GET, "/a", "hit"), (Method::POST, "/b", "pass")]
    {
        let ask = world.ask(method.clone(), target).by_edge();
        let ask = ask.with("headland-floor", &at(10)).with("headland-peer", "secret");
        let got = ask.with("x-forwarded-for", "192.0.2.7").got().await;
        let said = ["x-set", "x-remove", "surrogate-key"].map(|name| got.line(name));
        assert_eq!(got.served, served);
        assert_eq!(said, [Some("origin"), Some("1"), Some("a p42")], "{method} {served}");
        assert_eq!(stamp(&got), Some(&*at(10)));
    }
    let got = world.get("/a").got().await;
    let said = ["x-set", "x-remove", "surrogate-key"].map(|name| got.line(name));
    assert_eq!(said, [Some("site"), None, None]);
    for head in world.origin.heads() {
        assert!(head.contains("\r\nx-forwarded-for: 192.0.2.7\r\n"), "{head}");
        assert!(!head.contains("headland-") && !head.contains("secret"), "{head}");
    }
}

#[tokio::test]
async fn what_an_origin_says_of_sequences_is_not_believed() {
    let forged = format!("headland-sequence: {}", at(99));
    let world =
        World::new("", move |_, _| vec![say("200 OK", &[FIELDS[0], &forged], "body")]).await;
    world.follow(LOG, 10);
    assert_eq!(stamp(&world.get("/a").got().await), None);
    assert_eq!(stamp(&asked(&world, "/a", &at(10)).got().await), Some(&*at(10)));
    let passed = world.ask(Method::POST, "/a").by_edge().got().await;
    assert_eq!(stamp(&passed), Some(&*at(10)));
}

#[tokio::test]
async fn an_edge_holds_ranges_against_the_tag_that_the_origin_gave() {
    let site = "[site.headers.response]\nremove = [\"etag\"]";
    let world = World::new(site, |_, _| vec![say("200 OK", &FIELDS, "body")]).await;
    world.follow(LOG, 10);
    world.get("/a").got().await;
    fn part(ask: Ask<'_>) -> Ask<'_> {
        ask.with("range", "bytes=1-2").with("if-range", "\"v\"")
    }
    let got = [
        part(asked(&world, "/a", &at(10))).got().await,
        asked(&world, "/a", &at(10)).with("if-none-match", "\"v\"").got().await,
        part(world.get("/a")).got().await,
    ];
    assert_eq!(got.map(|got| got.status), [206, 304, 200]);
}

#[tokio::test]
async fn what_tiers_tell_each_other_makes_no_variant() {
    let vary = "vary: headland-peer, headland-floor";
    let world = World::new("", move |_, _| vec![say("200 OK", &[FIELDS[0], vary], "body")]).await;
    world.follow(LOG, 10);
    for number in [10, 9] {
        let ask = asked(&world, "/a", &at(number)).with("headland-peer", "secret");
        ask.got().await;
    }
    assert_eq!(world.origin.count(), 1);
}
