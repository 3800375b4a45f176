//! A client over a limit gets the status that the RFCs name; others notice nothing.

use bytes::Bytes;
use futures_util::future::join_all;

use crate::support::door::Door;
use crate::support::wire::Wire;
use crate::support::{
    Ask, Client, Gate, Protocol, Reply, Scene, eventually, over_each_protocol, within,
};

over_each_protocol!(
    what_is_too_large_is_refused,
    a_body_of_unknown_length_is_refused_where_it_grows_too_large,
    streams_at_once_are_bounded,
    a_connection_ends_after_its_requests,
    an_address_has_so_many_connections,
    a_node_has_so_many_connections,
    a_client_that_takes_too_slowly_is_cut_off,
    an_upload_that_stands_still_is_ended,
);

async fn what_is_too_large_is_refused(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.limits(
            "url = \"100B\"\nheaders = 20\nheader_bytes = \"2KiB\"\nrequest_body = \"1KiB\"",
        )
    })
    .await;
    scene.origin.on("/", Reply::fresh("hello"));
    scene.origin.on("/form", Reply::ok("thanks"));
    let many = (0..30).fold(Ask::get("/"), |ask, index| ask.field(&format!("x-{index}"), "x"));
    for (what, ask, status) in [
        ("url", Ask::get(&format!("/{}", "x".repeat(200))), 414),
        ("headers", many, 431),
        ("header_bytes", Ask::get("/").field("x", &"x".repeat(4000)), 431),
        ("request_body", Ask::new("POST", "/form").content(vec![b'x'; 2000]), 413),
    ] {
        // Another connection: a server may end the one that asked too much.
        let client = Client::of(&scene.node, protocol).await;
        let refused = client.ask(ask).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(refused.status, status, "{what}");
        assert_eq!(scene.get("/").await.text(), "hello", "{what}");
    }
    let fits = Ask::new("POST", "/form").content(vec![b'x'; 1024]);
    assert_eq!(scene.ask(fits).await.text(), "thanks");
    assert_eq!(scene.origin.count(), 2);
}

async fn a_body_of_unknown_length_is_refused_where_it_grows_too_large(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.limits("request_body = \"100KiB\"")).await;
    scene.origin.on("/", Reply::ok("thanks"));
    let (ask, upload) = Ask::new("POST", "/").streamed();
    let sending = async { while upload.send(vec![b'x'; 64 * 1024].into()).await.is_ok() {} };
    let client = Client::of(&scene.node, protocol).await;
    let seen = tokio::select! {
        seen = client.ask(ask) => seen,
        () = async { sending.await; std::future::pending().await } => unreachable!(),
    };
    // A server may end the connection under a client that still sends.
    assert!(seen.is_err() || seen.is_ok_and(|seen| seen.status == 413));
    assert!(scene.origin.asked().iter().all(|asked| !asked.whole), "the origin took it for whole");
}

async fn streams_at_once_are_bounded(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.limits("streams = 2")).await;
    let gate = Gate::new();
    let crowd = scene.crowd(6).await;
    // The first answer comes with the server's settings: before them a client guesses.
    assert_eq!(crowd[0].get("/settings").await.status, 404);
    let own = |index: usize| format!("/{index}");
    for index in 0..crowd.len() {
        scene.origin.on(&own(index), Reply::ok("x").held(&gate));
    }
    let asking = async {
        join_all(
            crowd.iter().enumerate().map(async |(index, client)| client.get(&own(index)).await),
        )
        .await
    };
    let holding = async {
        // HTTP/1.1 has a connection for each.
        let at_once = if protocol == Protocol::H1 { 6 } else { 2 };
        scene.origin.until_asked(1 + at_once).await;
        assert_eq!(scene.origin.count(), 1 + at_once);
        gate.open();
    };
    let (answers, ()) = tokio::join!(asking, holding);
    assert!(answers.iter().all(|seen| seen.status == 200));
    assert_eq!(scene.origin.count(), 7);
}

async fn a_connection_ends_after_its_requests(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.limits("requests_per_connection = 3")).await;
    scene.origin.on("/", Reply::fresh("hello"));
    let mut served = 0;
    for _ in 0..4 {
        // A client that finds its connection ended opens another, and loses no request.
        let client = Client::of(&scene.node, protocol).await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.text(), "hello");
            served += 1;
        }
    }
    assert_eq!((served, scene.origin.count()), (12, 1));
    if protocol == Protocol::H1 {
        let mut wire = Wire::to(scene.node.http()).await;
        for last in [false, false, true] {
            wire.say("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await;
            let (head, _) = wire.response().await;
            assert_eq!(head.contains("connection: close\r\n"), last, "{head}");
        }
        assert_eq!(wire.rest().await, "");
    }
}

async fn an_address_has_so_many_connections(protocol: Protocol) {
    two_connections_at_once(protocol, "connections_per_address").await;
}

async fn a_node_has_so_many_connections(protocol: Protocol) {
    two_connections_at_once(protocol, "connections").await;
}

async fn two_connections_at_once(protocol: Protocol, limit: &str) {
    let scene = Scene::with(protocol, |setup| setup.limits(&format!("{limit} = 2"))).await;
    let door = Door::of(&scene.node).await;
    scene.origin.on("/", Reply::fresh("hello"));
    // HTTP/1.1 clients connect when they ask.
    assert_eq!(scene.get("/").await.text(), "hello");
    let second = Client::of(&scene.node, protocol).await;
    assert_eq!(second.get("/").await.text(), "hello");
    let third = Client::to(scene.place(), protocol).await;
    let refused = match third {
        Ok(third) => third.ask(Ask::get("/")).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "a third connection was served");
    assert!(scene.get("/").await.is_hit() && second.get("/").await.is_hit());
    let metric = format!("headland_connections_refused_total{{reason=\"{limit}\"");
    assert!(door.metric(&metric).await >= 1.0);
    drop(second);
    let freed = async || match Client::to(scene.place(), protocol).await {
        Ok(next) => next.ask(Ask::get("/")).await.is_ok(),
        Err(_) => false,
    };
    eventually("the place of the one that left", freed).await;
}

async fn an_upload_that_stands_still_is_ended(protocol: Protocol) {
    let limits = "idle_timeout = \"2s\"\nmin_rate = \"0B/s\"";
    let scene = Scene::with(protocol, |setup| setup.limits(limits)).await;
    scene.origin.on("/form", Reply::ok("thanks"));
    scene.origin.on("/", Reply::fresh("hello"));
    let (ask, upload) = Ask::new("POST", "/form").streamed();
    upload.send("part".into()).await.unwrap();
    let client = Client::of(&scene.node, protocol).await;
    let seen = within("an end", client.ask(ask)).await;
    assert!(seen.is_err() || seen.is_ok_and(|seen| seen.status == 408));
    assert!(scene.origin.asked().iter().all(|asked| !asked.whole), "the origin took it for whole");
    drop(upload);
    let client = Client::of(&scene.node, protocol).await;
    assert_eq!(client.get("/").await.text(), "hello");
}

async fn a_client_that_takes_too_slowly_is_cut_off(protocol: Protocol) {
    let limits = "min_rate = \"1KiB/s\"\nmin_rate_grace = \"1s\"";
    let scene = Scene::with(protocol, |setup| setup.limits(limits)).await;
    // Far more than all buffers on the way can hold.
    let large = Bytes::from(vec![b'x'; 256 << 20]);
    scene.origin.on("/large", Reply::ok(large).field("cache-control", "no-store"));
    scene.origin.on("/", Reply::fresh("hello"));
    let slow = Client::of(&scene.node, protocol).await;
    let response = within("a head", slow.open(Ask::get("/large"))).await.unwrap();
    scene.origin.until("the end of the fetch", |asked| asked[0].left).await;
    assert!(within("an end", response.whole()).await.is_err(), "ended as if whole");
    assert_eq!(Client::of(&scene.node, protocol).await.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let scene = slow("handshake_timeout = \"50ms\"").await;
    let door = Door::of(&scene.node).await;
    let mut silent = Wire::to(scene.node.https()).await;
    assert_eq!(silent.rest().await, "");
    let metric = "headland_connections_refused_total{reason=\"timeout\"";
    let counted = async || door.metric(metric).await >= 1.0;
    eventually("the count of the handshake", counted).await;
    assert_eq!(scene.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_timed_out() {
    let scene = slow("header_timeout = \"50ms\"").await;
    let mut wire = Wire::to(scene.node.http()).await;
    wire.say("GET / HTTP/1.1\r\nhost: shop.ex").await;
    assert!(wire.rest().await.starts_with("HTTP/1.1 408 "));
    assert_eq!(scene.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_connection_at_rest_is_ended() {
    let scene = slow("idle_timeout = \"50ms\"").await;
    let mut wire = Wire::to(scene.node.http()).await;
    wire.say("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await;
    let (head, _) = wire.response().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(wire.rest().await, "");
    assert_eq!(scene.get("/").await.text(), "hello");
}

#[tokio::test]
async fn an_upload_that_stands_still_is_timed_out() {
    let scene = slow("min_rate = \"1KiB/s\"\nmin_rate_grace = \"1s\"").await;
    let mut wire = Wire::to(scene.node.http()).await;
    wire.say("POST /form HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\n\r\nhe").await;
    let answer = wire.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(scene.origin.asked().iter().all(|asked| !asked.whole));
    assert_eq!(scene.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_request_has_a_time_in_all() {
    let scene = slow("request_timeout = \"50ms\"").await;
    let never = Gate::new();
    scene.origin.on("/never", Reply::ok("x").held(&never));
    let mut wire = Wire::to(scene.node.http()).await;
    wire.say("GET /never HTTP/1.1\r\nhost: shop.example\r\n\r\n").await;
    let answer = wire.rest().await;
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer:?}");
    assert_eq!(scene.get("/").await.text(), "hello");
}

async fn slow(limits: &str) -> Scene {
    let scene = Scene::with(Protocol::H1, |setup| setup.limits(limits)).await;
    scene.origin.on("/", Reply::fresh("hello"));
    scene.origin.on("/form", Reply::ok("thanks"));
    scene
}

/// CVE-2023-44487: a client that begins streams only to reset them is sent away.
async fn resets_end_a_connection(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.limits("resets_per_connection = 10")).await;
    let never = Gate::new();
    scene.origin.on("/", Reply::fresh("hello"));
    scene.origin.on("/never", Reply::ok("x").held(&never));
    let restless = Client::of(&scene.node, protocol).await;
    let mut refused = false;
    for begun in 1..100 {
        let target = format!("/never?{begun}");
        tokio::select! {
            answer = restless.open(Ask::get(&target)) => {
                assert!(answer.is_err());
                refused = true;
                break;
            }
            () = scene.origin.until_asked(begun) => {}
        }
    }
    assert!(refused, "a connection outlived {} resets", scene.origin.count());
    assert_eq!(scene.get("/").await.text(), "hello");
}

mod resets_h2 {
    crate::support::mount! { H2: resets_end_a_connection }
}

mod resets_h3 {
    crate::support::mount! { H3: resets_end_a_connection }
}
