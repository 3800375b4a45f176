//! A response is fetched once and then comes from the store, and says so.

use crate::support::{Ask, Protocol, Reply, Scene, eventually, over_each_protocol};

over_each_protocol!(
    a_miss_is_stored_and_then_a_hit,
    a_hit_tells_age_status_and_way,
    a_head_is_answered_from_a_stored_get,
    the_query_is_part_of_the_key,
    hosts_do_not_share,
    an_error_of_the_origin_is_told_apart,
    a_length_told_twice_is_one,
    a_body_without_length_is_stored_once_it_is_whole,
    a_body_that_is_cut_short_is_never_whole,
    a_body_too_large_to_store_is_relayed_whole,
);

async fn a_miss_is_stored_and_then_a_hit(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/page", Reply::fresh("hello").field("content-type", "text/plain"));
    let miss = scene.get("/page").await;
    assert_eq!((miss.status, miss.text()), (200, "hello"));
    let status = miss.cache_status();
    assert!(status.starts_with("edge; fwd=miss; fwd-status=200; stored"), "{status}");
    let hit = scene.get("/page").await;
    assert_eq!((hit.status, hit.text()), (200, "hello"));
    assert!(hit.is_hit(), "{}", hit.cache_status());
    assert_eq!(hit.field("content-type"), "text/plain");
    assert_eq!(hit.field("content-length"), "5");
    assert_eq!(scene.origin.count(), 1);
}

async fn a_hit_tells_age_status_and_way(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("x").field("age", "100").field("via", "1.0 before"));
    scene.get("/").await;
    let hit = scene.get("/").await;
    let age: u64 = hit.field("age").parse().unwrap();
    assert!((100..3600).contains(&age), "{age}");
    assert_eq!(hit.field("via"), "1.0 before, 1.1 edge");
    assert_eq!(hit.cache_status(), format!("edge; hit; ttl={}", 3600 - age));
    assert!(!hit.field("date").is_empty());
}

async fn a_head_is_answered_from_a_stored_get(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("hello"));
    scene.get("/").await;
    let head = scene.ask(Ask::new("HEAD", "/")).await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(head.field("content-length"), "5");
    assert!(head.is_hit(), "{}", head.cache_status());
    assert_eq!(scene.origin.count(), 1);
}

async fn the_query_is_part_of_the_key(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.site("[site.key]\nquery = { ignore = [\"utm_*\"], sort = true }")
    })
    .await;
    scene.origin.on("/", Reply::fresh("x"));
    scene.get("/?a=1&b=2").await;
    assert!(scene.get("/?b=2&a=1&utm_source=mail").await.is_hit());
    assert!(!scene.get("/?a=1&b=3").await.is_hit());
    let targets: Vec<_> = scene.origin.asked().into_iter().map(|asked| asked.head.target).collect();
    assert_eq!(targets, ["/?a=1&b=2", "/?a=1&b=3"]);
}

async fn hosts_do_not_share(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("x"));
    let of = |host: &'static str| scene.ask(Ask::get("/").host(host));
    assert!(!of("shop.example").await.is_hit());
    assert!(!of("one.shop.example").await.is_hit());
    assert!(of("ONE.shop.example").await.is_hit());
    let hosts: Vec<_> = scene.origin.asked().iter().map(|asked| asked.field("host")).collect();
    assert_eq!(hosts, ["shop.example", "one.shop.example"]);
}

async fn an_error_of_the_origin_is_told_apart(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/500", Reply::new(500).piece("its own words"));
    scene.origin.on("/reset", Reply::reset());
    scene.origin.on("/nonsense", Reply::raw("nonsense\r\n\r\n"));
    // RFC 9112 section 6.3: nobody would know whether the body is whole.
    for (target, fields) in [
        ("/gzip", "transfer-encoding: gzip"),
        ("/chunked,gzip", "transfer-encoding: chunked, gzip"),
        ("/gzip,chunked", "transfer-encoding: gzip, chunked"),
        ("/lengths", "content-length: 1, 2"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n{fields}\r\n\r\n");
        scene.origin.on(target, Reply::raw(format!("{head}3\r\nabc\r\n0\r\n\r\n")));
        assert_eq!(scene.get(target).await.status, 502, "{fields}");
    }
    let own = scene.get("/500").await;
    assert_eq!((own.status, own.text()), (500, "its own words"));
    for target in ["/reset", "/nonsense"] {
        let gateway = scene.get(target).await;
        assert_eq!(gateway.status, 502, "{target}");
        assert_eq!(gateway.field("content-type"), "application/problem+json");
    }
    let gone = Scene::new(protocol).await;
    gone.origin.stop();
    eventually("a port that refuses", async || {
        tokio::net::TcpStream::connect(gone.origin.address).await.is_err()
    })
    .await;
    assert_eq!(gone.get("/").await.status, 502);
}

/// RFC 9112 section 6.3.
async fn a_length_told_twice_is_one(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 3, 3\r\n\r\n";
    scene.origin.on("/", Reply::raw(format!("{head}abcdef")));
    for is_hit in [false, true] {
        let seen = scene.get("/").await;
        assert_eq!((seen.text(), seen.is_hit()), ("abc", is_hit));
        assert_eq!(seen.field("content-length"), "3");
    }
}

async fn a_body_without_length_is_stored_once_it_is_whole(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/chunked", Reply::fresh("one ").piece("two").chunked());
    scene.origin.on("/until-close", Reply::fresh("as far as it goes").until_close());
    assert_eq!(scene.get("/chunked").await.text(), "one two");
    let hit = scene.get("/chunked").await;
    assert!(hit.is_hit(), "{}", hit.cache_status());
    assert_eq!((hit.text(), hit.field("content-length").as_str()), ("one two", "7"));
    // RFC 9112 section 8: nobody knows whether it was whole.
    for _ in 0..2 {
        let seen = scene.get("/until-close").await;
        assert_eq!(seen.text(), "as far as it goes");
        assert!(!seen.is_hit());
    }
}

async fn a_body_that_is_cut_short_is_never_whole(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/short", Reply::fresh("half").claims(8).then_close());
    scene.origin.on("/reset", Reply::fresh("half").chunked().then_reset());
    let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n";
    scene.origin.on("/chunk", Reply::raw(format!("{head}\r\nno number\r\n")));
    for target in ["/short", "/reset", "/chunk"] {
        let before = scene.origin.count();
        for _ in 0..2 {
            let cut = scene.client.ask(Ask::get(target)).await;
            assert!(cut.is_err() || cut.is_ok_and(|seen| seen.status == 502), "{target}");
        }
        // Once for each request: it was not stored, and the origin may break it each time.
        assert_eq!(scene.origin.count(), before + 2, "{target}");
    }
}

async fn a_body_too_large_to_store_is_relayed_whole(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.cache("max_object = \"64KiB\"").limits("relay_window = \"64KiB\"")
    })
    .await;
    let large = vec![b'x'; 1 << 20];
    scene.origin.on("/length", Reply::fresh(large.clone()));
    scene.origin.on("/chunked", Reply::fresh(large.clone()).chunked());
    for target in ["/length", "/chunked"] {
        for _ in 0..2 {
            let seen = scene.get(target).await;
            assert!(seen.body == large && !seen.is_hit(), "{target}");
        }
    }
    assert_eq!(scene.origin.count(), 4);
}
