//! What is stored and what is not; what is asked upstream and what is said of it.

use http::Method;

use super::world::{End, Got, Step, World, read, say, text};

const FRESH: &str = "cache-control: max-age=60";

#[tokio::test]
async fn a_miss_is_stored_and_then_a_hit() {
    let world = World::new("", |_, _| vec![say("200 OK", &[FRESH, "x: 1"], "body")]).await;
    let miss = world.get("/a").got().await;
    assert_eq!(miss.cache(), "fwd=miss; fwd-status=200; stored");
    assert_eq!((miss.status, &*miss.body, miss.served), (200, "body", "miss"));
    let hit = world.get("/a").at(9).got().await;
    assert_eq!(hit.cache(), "hit; ttl=51");
    assert_eq!(
        (&*hit.body, hit.line("age"), hit.line("via")),
        ("body", Some("9"), Some("1.1 node"))
    );
    assert_eq!((hit.served, hit.length, world.origin.count()), ("hit", Some(4), 1));
    assert!(hit.line("date").is_some());
}

#[tokio::test]
async fn schemes_share_what_is_stored_but_no_redirect_between_them() {
    let world = World::new("", |head, _| match head.starts_with("GET /a ") {
        true => vec![say("200 OK", &[FRESH], "body")],
        false => vec![say("301 Moved", &[FRESH, "location: https://h/b"], "")],
    })
    .await;
    world.get("/a").got().await;
    assert_eq!(world.get("/a").https().got().await.served, "hit");
    world.get("/b").got().await;
    assert_ne!(world.get("/b").https().got().await.served, "hit");
    let heads = world.origin.heads();
    assert!(heads[0].contains("\r\nhost: h\r\n"), "{}", heads[0]);
    assert!(heads[1].contains("\r\nx-forwarded-proto: http\r\n"));
    assert!(heads[2].contains("\r\nx-forwarded-proto: https\r\n"));
}

#[tokio::test]
async fn a_fetch_asks_for_what_the_key_says() {
    let site = "[site.key]\nquery = { ignore = [\"utm_*\"], sort = true }";
    let world = World::new(site, |_, _| vec![say("200 OK", &[FRESH], "body")]).await;
    let mut ask = world.get("/x/../a?b=2&utm_x=1&a=1");
    for (name, value) in [
        ("Range", "bytes=0-1"),
        ("If-None-Match", "\"x\""),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Original-URL", "/evil"),
        ("Connection", "close, x-hop"),
        ("X-Hop", "1"),
        ("TE", "trailers"),
        ("Traceparent", "00-11-22-01"),
    ] {
        ask = ask.with(name, value);
    }
    let got = ask.got().await;
    assert_eq!((got.status, &*got.body), (206, "bo"));
    let head = &world.origin.heads()[0];
    assert!(head.starts_with("GET /a?a=1&b=2 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ntraceparent: 00-11-22-01\r\n"), "{head}");
    assert!(head.contains("\r\ncdn-loop: node\r\n") && head.contains("\r\nvia: 1.1 node\r\n"));
    assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"));
    assert!(head.contains("\r\nrange: bytes=0-15\r\n"), "the slice of it: {head}");
    for gone in ["bytes=0-1\r\n", "if-none-match", "evil", "x-hop", "connection", "te:", "utm"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
}

#[tokio::test]
async fn a_pass_is_handed_on_as_it_is() {
    let world = World::new("", |_, _| {
        vec![say("206 Partial Content", &["content-range: bytes 0-0/9", "age: 7"], "x")]
    });
    let world = world.await;
    let ask = world.ask(Method::POST, "/%61?utm=1").with("Range", "bytes=0-0");
    let got = ask.with("If-Match", "\"x\"").got().await;
    assert_eq!((got.status, got.cache()), (206, "fwd=method; fwd-status=206; detail=method"));
    assert_eq!((got.line("age"), got.line("content-range")), (Some("7"), Some("bytes 0-0/9")));
    let head = &world.origin.heads()[0];
    assert!(head.starts_with("POST /a?utm=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: H:8080\r\n") && head.contains("range: bytes=0-0"), "{head}");
    assert!(head.contains("if-match"), "{head}");
}

#[tokio::test]
async fn what_is_not_to_be_shared_is_passed_and_remembered() {
    for field in ["set-cookie: a=b", "cache-control: private", "vary: *"] {
        let world = World::new("", move |_, _| vec![say("200 OK", &[FRESH, field], "x")]).await;
        let first = world.get("/a").got().await;
        assert_eq!(first.served, "pass", "{field}");
        assert!(first.cache().starts_with("fwd=miss; fwd-status=200; detail="), "{field}");
        let second = world.get("/a").got().await;
        assert_eq!(second.cache(), "fwd=miss; fwd-status=200; detail=hit-for-miss", "{field}");
        assert_eq!((&*second.body, world.origin.count()), ("x", 2));
    }
}

#[tokio::test]
async fn a_resource_that_may_be_shared_again_is() {
    let world = World::new("", |_, number| {
        let field = if number == 0 { "set-cookie: a=b" } else { "x: y" };
        vec![say("200 OK", &[FRESH, field], "x")]
    });
    let world = world.await;
    let served: Vec<_> = [
        world.get("/a").got().await.served,
        world.get("/a").got().await.served,
        world.get("/a").got().await.served,
        world.get("/a").got().await.served,
    ]
    .into();
    assert_eq!(served, ["pass", "pass", "miss", "hit"]);
}

#[tokio::test]
async fn credentials_are_answered_apart() {
    let world = World::new("", |_, _| vec![say("200 OK", &[FRESH], "x")]).await;
    let first = world.get("/a").with("Authorization", "x").got().await;
    assert!(first.cache().ends_with("detail=authorization"), "{}", first.cache());
    assert_eq!(world.get("/a").got().await.served, "miss");
    assert_eq!(world.get("/a").got().await.served, "hit");
}

#[tokio::test]
async fn what_is_too_large_is_relayed_whole() {
    let body = "0123456789".repeat(20);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{FRESH}\r\ntransfer-encoding: chunked\r\n\r\nc8\r\n{body}\r\n0\r\n\r\n"
    );
    let sized = say("200 OK", &[FRESH], &body);
    for step in [sized, text(&chunked)] {
        let world = World::new("", move |_, _| vec![step.clone()]).await;
        let got = world.get("/a").got().await;
        assert_eq!((&got.body, &got.end), (&body, &End::Whole), "{}", got.cache());
        let again = world.get("/a").with("Range", "bytes=0-1").got().await;
        assert_eq!((again.served, world.origin.count()), ("pass", 2));
        assert!(world.origin.heads()[1].contains("range: bytes=0-1"));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_cut_and_not_stored() {
    let broken = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 9\r\n\r\nbody";
    let world = World::new("", move |_, number| match number {
        0 => vec![text(broken), Step::Wait, Step::Close],
        _ => vec![say("200 OK", &[FRESH], "whole")],
    });
    let world = world.await;
    let (response, served) = world.get("/a").reply().await;
    world.origin.go_on(1);
    let cut = read(response, served).await;
    assert_eq!((&*cut.body, cut.end), ("body", End::Cut));
    let whole = world.get("/a").got().await;
    assert_eq!((&*whole.body, whole.served), ("whole", "miss"));
}

#[tokio::test]
async fn until_close_is_passed() {
    let open = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nbody";
    let world = World::new("", move |_, _| vec![text(open), Step::Close]).await;
    let got = world.get("/a").got().await;
    assert_eq!((&*got.body, got.served, got.end), ("body", "pass", End::Whole));
    assert_eq!(got.cache(), "fwd=miss; fwd-status=200; detail=until-close");
}

#[tokio::test]
async fn variants_are_told_apart() {
    let world = World::new("", |head, _| {
        let body = if head.contains("accept-language: de") { "Hallo" } else { "Hello" };
        vec![say("200 OK", &[FRESH, "vary: Accept-Language"], body)]
    });
    let world = world.await;
    for (served, round) in [("miss", 0), ("hit", 1)] {
        for (language, body) in [("de", "Hallo"), ("en", "Hello")] {
            let got = world.get("/a").with("Accept-Language", language).got().await;
            assert_eq!((&*got.body, got.served), (body, served), "round {round}");
        }
    }
}

#[tokio::test]
async fn what_other_caches_say_is_told_once() {
    let world = World::new("", |_, _| {
        vec![say("200 OK", &[FRESH, "cache-status: far; hit", "age: 5"], "x")]
    });
    let world = world.await;
    let members = |got: &Got| {
        let lines = got.lines.iter().filter(|(name, _)| name == "cache-status");
        lines.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let miss = world.get("/a").got().await;
    assert_eq!(members(&miss), ["far; hit", "node; fwd=miss; fwd-status=200; stored"]);
    assert_eq!(miss.line("age"), Some("5"));
    assert_eq!(members(&world.get("/a").got().await), ["node; hit; ttl=55"]);
}

#[tokio::test]
async fn an_unsafe_request_invalidates() {
    let world = World::new("", |head, _| match head.starts_with("GET") {
        true => vec![say("200 OK", &[FRESH], "x")],
        false => vec![text("HTTP/1.1 204 No Content\r\n\r\n")],
    });
    let world = world.await;
    world.get("/a").got().await;
    assert_eq!(world.get("/a").got().await.served, "hit");
    let deleted = world.ask(Method::DELETE, "/a").got().await;
    assert_eq!((deleted.status, deleted.length), (204, None));
    assert_eq!(world.get("/a").https().got().await.served, "miss");
}

#[tokio::test]
async fn targets_and_methods_that_go_nowhere() {
    let world = World::new("allow = [\"GET\"]", |_, _| vec![]).await;
    let cases = [
        (Method::GET, "a", 400),
        (Method::GET, "*", 400),
        (Method::GET, "/a#b", 400),
        (Method::GET, "/a\nb", 400),
        (Method::POST, "/a", 405),
        (Method::TRACE, "/a", 405),
        (Method::CONNECT, "h:1", 405),
    ];
    for (method, target, status) in cases {
        let got = world.ask(method.clone(), target).got().await;
        assert_eq!(got.status, status, "{method} {target}");
        assert!(got.line("date").is_some());
        assert!(status != 405 || target == "h:1" || got.line("allow") == Some("GET"));
    }
    let looped = world.get("/a").with("CDN-Loop", "other, node").got().await;
    assert_eq!((looped.status, world.origin.count()), (508, 0));
}
