//! Conditions of clients, answered from what is stored (RFC 9110 section 13).

use crate::support::{Ask, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    conditions_are_judged_against_what_is_stored,
    a_304_tells_what_a_200_would,
    conditions_hold_for_a_miss_too,
    what_does_not_say_when_it_changed_did_when_it_was_made,
);

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Mon, 07 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sat, 05 Nov 1994 08:49:37 GMT";

fn page() -> Reply {
    let reply = Reply::fresh("hello").field("etag", "\"1\"").field("last-modified", DATE);
    reply.field("content-type", "text/plain").field("vary", "x-plan")
}

async fn conditions_are_judged_against_what_is_stored(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", page());
    scene.get("/").await;
    for (conditions, status) in [
        (&[("if-none-match", "\"1\"")][..], 304),
        (&[("if-none-match", "W/\"1\"")], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"0\", \"1\"")], 304),
        (&[("if-none-match", "\"2\"")], 200),
        (&[("if-modified-since", DATE)], 304),
        (&[("if-modified-since", LATER)], 304),
        (&[("if-modified-since", BEFORE)], 200),
        (&[("if-modified-since", "yesterday")], 200),
        // RFC 9110 section 13.1.3: an entity tag is asked for, so the date is ignored.
        (&[("if-none-match", "\"2\""), ("if-modified-since", DATE)], 200),
        (&[("if-match", "\"1\"")], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "W/\"1\"")], 412),
        (&[("if-match", "\"2\"")], 412),
        (&[("if-unmodified-since", DATE)], 200),
        (&[("if-unmodified-since", BEFORE)], 412),
        (&[("if-match", "\"2\""), ("if-none-match", "\"1\"")], 412),
    ] {
        let with = |ask: Ask, (name, value): &(&str, &str)| ask.field(name, value);
        for method in ["GET", "HEAD"] {
            let seen = scene.ask(conditions.iter().fold(Ask::new(method, "/"), with)).await;
            assert_eq!(seen.status, status, "{method} {conditions:?}");
            let body = if (method, status) == ("GET", 200) { "hello" } else { "" };
            assert_eq!(seen.text(), body, "{method} {conditions:?}");
        }
    }
    assert_eq!(scene.origin.count(), 1);
}

async fn a_304_tells_what_a_200_would(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", page());
    let whole = scene.get("/").await;
    let unchanged = scene.get_with("/", "if-none-match", "\"1\"").await;
    assert!(unchanged.is_hit(), "{}", unchanged.cache_status());
    for name in ["etag", "date", "cache-control", "vary", "last-modified", "via"] {
        assert_eq!(unchanged.field(name), whole.field(name), "{name}");
    }
    assert_eq!(unchanged.field("content-type"), "");
    assert!(!unchanged.field("age").is_empty());
}

async fn conditions_hold_for_a_miss_too(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", page());
    // The whole is fetched and stored, whatever this client has.
    assert_eq!(scene.get_with("/", "if-none-match", "\"1\"").await.status, 304);
    assert_eq!(scene.origin.last().field("if-none-match"), "");
    let whole = scene.get("/").await;
    assert_eq!((whole.is_hit(), whole.text()), (true, "hello"));
    assert_eq!(scene.origin.count(), 1);
}

async fn what_does_not_say_when_it_changed_did_when_it_was_made(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let far = Reply::ok("hello").field("cache-control", "max-age=4294967295").field("date", DATE);
    scene.origin.on("/", far);
    scene.get("/").await;
    for (since, status) in [(BEFORE, 200), (DATE, 304), (LATER, 304)] {
        let seen = scene.get_with("/", "if-modified-since", since).await;
        assert_eq!((seen.status, seen.is_hit()), (status, true), "{since}");
    }
}
