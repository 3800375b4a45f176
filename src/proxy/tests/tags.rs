//! Purges by tag, which nobody can judge before there is a head.

use serde_json::{Value, json};

use super::world::{Step, World, read, say, text};

const TAGGED: [&str; 3] = ["cache-control: max-age=60", "etag: \"v\"", "surrogate-key: a p42"];

fn tag(tag: &str) -> Value {
    json!({"kind": "tag", "value": tag, "site": "s"})
}

#[tokio::test]
async fn a_tag_covers_what_has_it_and_nothing_else() {
    let world = World::new("", |head, number| match head.starts_with("GET /tagged ") {
        true => vec![say("200 OK", &TAGGED, &format!("body {number}"))],
        false => vec![say("200 OK", &TAGGED[..2], "other")],
    })
    .await;
    assert_eq!(world.get("/tagged").got().await.line("surrogate-key"), None);
    world.get("/other").got().await;
    world.publish(tag("p4"));
    assert_eq!(world.get("/tagged").got().await.served, "hit");
    world.publish(tag("p42"));
    assert_eq!(world.get("/tagged").got().await.body, "body 2");
    assert_eq!(world.get("/other").got().await.served, "hit");
    world.publish(json!({"kind": "tag", "value": "a", "soft": true}));
    world.get("/tagged").got().await;
    assert!(world.origin.heads()[3].contains("if-none-match: \"v\""));
}

#[tokio::test]
async fn who_waited_for_a_head_judges_its_tags() {
    let world = World::new("", |_, number| match number {
        0 => vec![Step::Wait, say("200 OK", &TAGGED, "old")],
        _ => vec![say("200 OK", &TAGGED, "new")],
    })
    .await;
    let leading = world.get("/a").started().await;
    world.origin.asked(1).await;
    world.publish(tag("p42"));
    // A request after the purge cannot know yet that the flight is covered.
    let following = world.get("/a").started().await;
    world.origin.go_on(1);
    assert_eq!(following.await.unwrap().body, "new");
    assert_eq!(leading.await.unwrap().body, "new");
    assert_eq!(world.get("/a").got().await.body, "new");
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn nobody_joins_a_body_whose_tags_are_purged() {
    let world = World::new("", |_, number| match number {
        0 => {
            let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncache-tag: p42\r\n";
            let begun = format!("{head}content-length: 6\r\n\r\nold");
            vec![text(&begun), Step::Wait, text("old")]
        }
        _ => vec![say("200 OK", &TAGGED, "new")],
    })
    .await;
    let (leading, served) = world.get("/a").reply().await;
    world.publish(tag("p42"));
    assert_eq!(world.get("/a").got().await.body, "new");
    world.origin.go_on(1);
    assert_eq!(read(leading, served).await.body, "oldold");
    assert_eq!(world.get("/a").got().await.body, "new");
    assert_eq!(world.origin.count(), 2);
}

/// A page of `fields` that is stale, and is being validated when its tag is purged: the 304 says
/// that it has `tags` now. Gives what whoever asked is told.
async fn purged_while_validating(fields: &'static [&str], tags: &'static str) -> (World, String) {
    let world =
        World::new("", move |head, number| match (head.contains("if-none-match"), number) {
            (true, 1) => {
                let told = format!("surrogate-key: {tags}\r\netag: \"v\"\r\n\r\n");
                vec![Step::Wait, text(&format!("HTTP/1.1 304 Not Modified\r\n{told}"))]
            }
            _ => vec![say("200 OK", fields, &format!("body {number}"))],
        })
        .await;
    world.get("/a").got().await;
    let validating = world.get("/a").at(70).started().await;
    world.origin.asked(2).await;
    world.publish(tag("p42"));
    world.origin.go_on(1);
    let got = validating.await.unwrap();
    (world, got.body)
}

#[tokio::test]
async fn a_304_that_takes_a_tag_away_does_not_outrun_its_purge() {
    let (world, body) = purged_while_validating(&TAGGED, "other").await;
    assert_eq!(body, "body 2");
    assert!(!world.origin.heads()[2].contains("if-none-match"));
}

#[tokio::test]
async fn a_304_that_brings_a_tag_does_not_outrun_its_purge() {
    let (world, body) = purged_while_validating(&TAGGED[..2], "p42").await;
    assert_eq!(body, "body 2");
    assert_eq!(world.get("/a").at(71).got().await.body, "body 2");
}

#[tokio::test]
async fn an_error_has_the_tags_of_what_it_replaced() {
    let site = "[site.freshness]\nnegative = { \"404\" = \"60s\" }";
    let world = World::new(site, |_, number| match number {
        0 => vec![say("200 OK", &TAGGED[..], "there")],
        1 => vec![say("404 Not Found", &[], "gone")],
        _ => vec![say("200 OK", &TAGGED, "again")],
    })
    .await;
    world.get("/a").got().await;
    world.publish(tag("p42"));
    assert_eq!(world.get("/a").got().await.status, 404);
    assert_eq!(world.get("/a").got().await.served, "hit");
    world.publish(tag("p42"));
    assert_eq!(world.get("/a").got().await.body, "again");
}

#[tokio::test]
async fn a_slice_has_the_tags_of_its_whole() {
    let body = "0123456789abcdef".repeat(8);
    let world = World::new("", move |head, _| {
        let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        let (start, end) = range.and_then(|range| range.split_once('-')).unwrap();
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        let fields = format!("content-range: bytes {start}-{end}/128");
        let fields = [&TAGGED[..], &[&fields]].concat();
        vec![say("206 Partial Content", &fields, &body[start..=end])]
    })
    .await;
    let ask = || world.get("/film").with("range", "bytes=16-31");
    assert_eq!(ask().got().await.body, "0123456789abcdef");
    let asked = world.origin.count();
    assert_eq!(ask().got().await.served, "hit");
    assert_eq!(world.origin.count(), asked);
    world.publish(tag("p42"));
    assert_eq!(ask().got().await.body, "0123456789abcdef");
    assert!(world.origin.count() > asked);
}

#[tokio::test]
async fn what_waits_for_a_slice_is_judged_again_when_it_comes() {
    let world = World::new("", |head, number| {
        let version = if number < 2 { "v" } else { "w" };
        let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        let (etag, range) = (format!("etag: \"{version}\""), range.unwrap());
        let part = format!("content-range: bytes {range}/128");
        let fields = ["cache-control: max-age=60", "surrogate-key: p42", &etag, &part];
        let part = say("206 Partial Content", &fields, &version.repeat(16));
        if number == 1 { vec![Step::Wait, part] } else { vec![part] }
    })
    .await;
    let ask = |range| world.get("/film").with("range", range);
    assert_eq!(ask("bytes=16-31").got().await.body, "v".repeat(16));
    let waiting = ask("bytes=64-79").started().await;
    world.origin.asked(2).await;
    world.publish(tag("p42"));
    world.origin.go_on(1);
    assert_eq!(waiting.await.unwrap().body, "w".repeat(16));
}
