//! What goes on to the origin and what goes back, and what goes no further.

use crate::support::wire::Wire;
use crate::support::{Ask, HOST, Origin, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    what_belongs_to_one_connection_goes_no_further,
    the_way_is_told_both_ways,
    a_request_that_goes_round_is_refused,
    who_asks_is_told_by_this_node_alone,
    trailers_pass_through,
    trailers_of_a_request_pass_through,
    trailers_are_not_stored,
    an_unknown_host_is_misdirected,
    methods_that_are_not_allowed_are_refused,
    an_unsafe_request_that_succeeds_invalidates,
    what_an_unsafe_response_names_at_its_host_is_invalidated,
    cookies_and_private_responses_are_not_shared,
    any_method_and_status_passes_through,
    a_head_that_passes_tells_the_length,
    a_site_sets_and_removes_fields,
    a_trace_context_is_carried_through,
    connections_to_the_origin_are_kept,
    a_route_may_have_an_origin_of_its_own,
);

async fn what_belongs_to_one_connection_goes_no_further(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let reply = Reply::fresh("x").field("connection", "x-own, keep-alive").field("x-own", "1");
    let reply = reply.field("keep-alive", "timeout=5").field("proxy-connection", "keep-alive");
    let reply = reply.field("proxy-authenticate", "Basic").field("upgrade", "other");
    scene.origin.on("/", reply.field("x-kept", "1"));
    let mut ask = Ask::get("/").field("te", "trailers").field("proxy-authorization", "Basic eDp5");
    if protocol == Protocol::H1 {
        // RFC 9113 section 8.2.2 and RFC 9114 section 4.2 leave no place for them.
        ask = ask.field("connection", "x-mine, keep-alive, te").field("x-mine", "1");
        ask = ask.field("keep-alive", "timeout=5").field("upgrade", "other");
        ask = ask.field("proxy-connection", "keep-alive");
    }
    let seen = scene.ask(ask.field("x-kept", "1")).await;
    let asked = scene.origin.last();
    for name in ["keep-alive", "proxy-connection", "te", "upgrade", "x-mine", "proxy-authorization"]
    {
        assert_eq!(asked.field(name), "", "{name} went on");
    }
    let hit = scene.get("/").await;
    assert!(hit.is_hit());
    for name in ["keep-alive", "proxy-connection", "upgrade", "x-own", "proxy-authenticate"] {
        assert_eq!((seen.field(name), hit.field(name)), Default::default(), "{name} went back");
    }
    assert_eq!((asked.field("x-kept").as_str(), hit.field("x-kept").as_str()), ("1", "1"));
}

async fn the_way_is_told_both_ways(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("x"));
    let version = match protocol {
        Protocol::H1 => "1.1",
        Protocol::H2 => "2",
        Protocol::H3 => "3",
    };
    let ask = Ask::get("/").field("via", "1.0 before").field("cdn-loop", "other; v=1");
    let seen = scene.ask(ask).await;
    let asked = scene.origin.last();
    assert_eq!(asked.field("via"), format!("1.0 before, {version} edge"));
    assert_eq!(asked.field("cdn-loop"), "other; v=1, edge");
    assert_eq!(seen.field("via"), "1.1 edge");
    assert_eq!(asked.field("host"), "shop.example");
}

async fn a_request_that_goes_round_is_refused(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let seen = scene.get_with("/", "cdn-loop", "other, Edge; v=1").await;
    assert_eq!(seen.status, 508);
    assert!(seen.cache_status().contains("detail=loop"), "{}", seen.cache_status());
    assert_eq!(scene.origin.count(), 0);
}

async fn who_asks_is_told_by_this_node_alone(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::ok("x"));
    let ask = Ask::get("/").field("x-forwarded-for", "1.2.3.4").field("forwarded", "for=1.2.3.4");
    let ask = ask.field("x-forwarded-host", "evil.example").field("x-forwarded-proto", "gopher");
    scene.ask(ask.field("x-original-url", "/admin")).await;
    let asked = scene.origin.last();
    let scheme = if protocol == Protocol::H1 { "http" } else { "https" };
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", scheme),
        ("forwarded", ""),
        ("x-original-url", ""),
    ] {
        assert_eq!(asked.field(name), value, "{name}");
    }
}

async fn trailers_pass_through(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let reply = Reply::ok("hello").field("cache-control", "no-store").trailer("x-sum", "42");
    scene.origin.on("/", reply.field("trailer", "x-sum"));
    let mut ask = Ask::get("/").field("te", "trailers");
    if protocol == Protocol::H1 {
        ask = ask.field("connection", "te");
    }
    let seen = scene.ask(ask).await;
    assert_eq!(seen.text(), "hello");
    assert_eq!(seen.field("trailer"), "x-sum");
    assert_eq!(seen.trailers.get("x-sum").unwrap(), "42");
}

async fn trailers_of_a_request_pass_through(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::ok("thanks"));
    let announced = || Ask::new("POST", "/").trailer("x-sum", "42").trailer("x-sign", "a, b");
    let (streamed, content) = announced().streamed();
    let (seen, ()) = tokio::join!(scene.ask(streamed), async {
        content.send("hello".into()).await.unwrap();
        drop(content);
    });
    assert_eq!((seen.status, seen.text()), (200, "thanks"));
    if protocol != Protocol::H1 {
        // These can say the length and have trailers all the same.
        scene.ask(announced().content("hello")).await;
    }
    for asked in scene.origin.asked() {
        assert_eq!(
            (asked.body.as_slice(), asked.field("content-length")),
            (&b"hello"[..], "".into())
        );
        assert_eq!(asked.field("trailer"), "x-sum, x-sign");
        let mut trailers = asked.trailers;
        trailers.sort();
        let wanted = [("x-sign", "a, b"), ("x-sum", "42")];
        assert_eq!(trailers, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

async fn trailers_are_not_stored(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let reply = Reply::fresh("hello").field("trailer", "x-sum").trailer("x-sum", "42");
    scene.origin.on("/", reply);
    scene.get("/").await;
    let hit = scene.get("/").await;
    assert!(hit.is_hit());
    assert_eq!((hit.text(), hit.field("trailer").as_str()), ("hello", ""));
    assert!(hit.trailers.is_empty());
}

async fn an_unknown_host_is_misdirected(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let seen = scene.ask(Ask::get("/").host("nobody.example")).await;
    assert_eq!(seen.status, 421);
    assert_eq!(seen.field("content-type"), "application/problem+json");
    assert_eq!(scene.origin.count(), 0);
}

async fn methods_that_are_not_allowed_are_refused(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.site("allow = [\"GET\", \"HEAD\"]")).await;
    let refused = scene.ask(Ask::new("POST", "/").content("x")).await;
    assert_eq!(refused.status, 405);
    assert_eq!(refused.field("allow"), "GET, HEAD");
    let traced = scene.ask(Ask::new("TRACE", "/")).await;
    assert_eq!(traced.status, 405);
    assert_eq!(scene.origin.count(), 0);
}

async fn an_unsafe_request_that_succeeds_invalidates(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("x"));
    scene.get("/").await;
    for (method, status, kept) in [
        ("POST", 500, true),
        ("POST", 404, true),
        ("OPTIONS", 200, true),
        ("POST", 201, false),
        ("PUT", 204, false),
        ("DELETE", 200, false),
        ("PURGEX", 303, false),
    ] {
        assert!(scene.get("/").await.is_hit());
        scene.origin.now("/", Reply::new(status));
        assert_eq!(scene.ask(Ask::new(method, "/")).await.status, status);
        scene.origin.now("/", Reply::fresh("x"));
        assert_eq!(scene.get("/").await.is_hit(), kept, "{method} {status}");
    }
}

async fn what_an_unsafe_response_names_at_its_host_is_invalidated(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/a/x?q", Reply::fresh("x"));
    for (named, kept) in [
        ("/a/x?q".to_owned(), false),
        ("/a/./%78?q#f".to_owned(), false),
        ("x?q".to_owned(), false),
        (format!("https://{HOST}:8443/a/x?q"), false),
        ("/a/x".to_owned(), true),
        ("x".to_owned(), true),
        // Another host of the same site is another host.
        (format!("https://other.{HOST}/a/x?q"), true),
        (format!("ftp://{HOST}/a/x?q"), true),
    ] {
        for field in ["location", "content-location"] {
            scene.get("/a/x?q").await;
            assert!(scene.get("/a/x?q").await.is_hit());
            scene.origin.now("/a/form", Reply::new(201).field(field, &named));
            scene.ask(Ask::new("POST", "/a/form").content("x")).await;
            assert_eq!(scene.get("/a/x?q").await.is_hit(), kept, "{field}: {named}");
        }
    }
    // What failed has changed nothing.
    scene.origin.now("/a/form", Reply::new(500).field("location", "/a/x?q"));
    scene.get("/a/x?q").await;
    scene.ask(Ask::new("POST", "/a/form").content("x")).await;
    assert!(scene.get("/a/x?q").await.is_hit());
}

async fn cookies_and_private_responses_are_not_shared(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    for (target, field, value) in [
        ("/cookie", "set-cookie", "session=1"),
        ("/private", "cache-control", "private"),
        ("/no-store", "cache-control", "no-store"),
    ] {
        scene.origin.on(target, Reply::ok("one").field(field, value));
        scene.origin.on(target, Reply::ok("two").field(field, value));
        let first = scene.get(target).await;
        assert_eq!((first.text(), first.field(field).as_str()), ("one", value));
        assert_eq!(scene.get(target).await.text(), "two", "{target} was shared");
    }
}

async fn any_method_and_status_passes_through(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::new(299).piece("odd").field("x-unknown", "\u{e4}"));
    let seen = scene.ask(Ask::new("BREW", "/?pot=1").content("coffee")).await;
    assert_eq!((seen.status, seen.text()), (299, "odd"));
    assert_eq!(seen.headers.get("x-unknown").unwrap().as_bytes(), "\u{e4}".as_bytes());
    let asked = scene.origin.last();
    assert_eq!((asked.head.method.as_str(), asked.head.target.as_str()), ("BREW", "/?pot=1"));
    assert_eq!(
        (asked.body.as_slice(), asked.field("content-length").as_str()),
        (&b"coffee"[..], "6")
    );
    scene.origin.now("/", Reply::new(204));
    let empty = scene.ask(Ask::new("DELETE", "/")).await;
    assert_eq!((empty.status, empty.text(), empty.field("content-length").as_str()), (204, "", ""));
}

async fn a_head_that_passes_tells_the_length(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::ok("hello").field("cache-control", "no-store"));
    let head = scene.ask(Ask::new("HEAD", "/")).await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(head.field("content-length"), "5");
    assert_eq!(scene.origin.last().head.method, "HEAD");
}

async fn a_site_sets_and_removes_fields(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        let request = "[site.headers.request]\nset = { x-edge = \"1\" }\nremove = [\"cookie\"]";
        let response = "[site.headers.response]\nset = { x-served = \"1\" }\nremove = [\"server\"]";
        setup.site(&format!("{request}\n{response}"))
    })
    .await;
    scene.origin.on("/", Reply::fresh("x").field("server", "scripted"));
    scene.get_with("/", "cookie", "a=1").await;
    let hit = scene.get("/").await;
    assert!(hit.is_hit());
    assert_eq!((hit.field("x-served").as_str(), hit.field("server").as_str()), ("1", ""));
    let asked = scene.origin.last();
    assert_eq!((asked.field("x-edge").as_str(), asked.field("cookie").as_str()), ("1", ""));
}

async fn a_trace_context_is_carried_through(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::ok("x"));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    scene.ask(Ask::get("/").field("traceparent", parent).field("tracestate", "a=1")).await;
    let asked = scene.origin.last();
    assert!(asked.field("traceparent").contains("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(asked.field("tracestate"), "a=1");
}

async fn connections_to_the_origin_are_kept(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::ok("x").field("cache-control", "no-store"));
    for _ in 0..20 {
        scene.get("/").await;
    }
    // Each event loop has its own, and the client sticks to one loop.
    let connections = scene.origin.asked().iter().map(|asked| asked.connection).max();
    assert_eq!(connections, Some(0));
}

async fn a_route_may_have_an_origin_of_its_own(protocol: Protocol) {
    let media = Origin::start().await;
    let scene = Scene::with(protocol, |setup| {
        let route = "[[site.route]]\npath = \"/media/*\"\norigin = \"media\"";
        let origin = format!("servers = [{{ url = \"http://{}\" }}]", media.address);
        setup.site(&format!("{route}\n[[origin]]\nname = \"media\"\n{origin}"))
    })
    .await;
    scene.origin.on("/page", Reply::fresh("page"));
    media.on("/media/film", Reply::fresh("film"));
    // No spelling of a path evades its route.
    for target in ["/media/film", "/page/../media/film", "/%6Dedia/film"] {
        assert_eq!(scene.get(target).await.text(), "film", "{target}");
    }
    assert_eq!(scene.get("/page").await.text(), "page");
    assert_eq!((scene.origin.count(), media.count()), (1, 1));
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_continue() {
    let scene = Scene::new(Protocol::H1).await;
    scene.origin.on("/", Reply::ok("thanks"));
    let mut wire = Wire::to(scene.node.http()).await;
    wire.say("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\n").await;
    wire.say("expect: 100-continue\r\n\r\n").await;
    wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    wire.say("hello").await;
    let (head, body) = wire.response().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!((body.as_str(), scene.origin.last().body.as_slice()), ("thanks", &b"hello"[..]));
    assert_eq!(scene.origin.last().field("expect"), "");
}
