//! Requests that share a fetch, and those that leave it.

use http::Method;

use super::world::{End, Step, World, say, text};
use crate::message::{Answer, Piece};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\netag: \"v\"\r\n\
    content-length: 8\r\n\r\nbody";

/// Says half of a body, and the rest when it is told to.
async fn halves() -> World {
    World::new("", |_, _| vec![text(HEAD), Step::Wait, text("rest")]).await
}

#[tokio::test]
async fn many_share_one_fetch_and_have_its_first_bytes_at_once() {
    let world = halves().await;
    let (mut leader, _) = world.get("/a").reply().await;
    let mut bodies = Vec::new();
    for _ in 0..50 {
        let (mut follower, served) = world.get("/a").reply().await;
        assert_eq!(served, "collapsed");
        let Some(Ok(Piece::Data(first))) = follower.body.next().await else { panic!("no bytes") };
        assert_eq!(first, "body");
        bodies.push(follower.body);
    }
    let Some(Ok(Piece::Data(first))) = leader.body.next().await else { panic!("no bytes") };
    assert_eq!(first, "body");
    world.origin.go_on(1);
    for mut body in bodies {
        let Some(Ok(Piece::Data(rest))) = body.next().await else { panic!("no bytes") };
        assert_eq!(rest, "rest");
        assert!(body.next().await.is_none());
    }
    assert_eq!(world.get("/a").got().await.served, "hit");
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn those_who_wait_for_the_head_follow() {
    let world = World::new("", |_, _| {
        vec![Step::Wait, say("200 OK", &["cache-control: max-age=60"], "body")]
    })
    .await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        tasks.push(world.get("/a").started().await);
    }
    world.origin.asked(1).await;
    world.origin.go_on(1);
    let mut served = Vec::new();
    for task in tasks {
        let got = task.await.unwrap();
        assert_eq!(got.body, "body");
        served.push((got.served, got.cache().to_owned()));
    }
    served.sort();
    served.dedup();
    let wanted = [
        ("collapsed", "fwd=miss; stored; collapsed"),
        ("miss", "fwd=miss; fwd-status=200; stored"),
    ];
    assert_eq!(served, wanted.map(|(served, cache)| (served, cache.to_owned())));
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn a_dead_origin_is_asked_twice_for_all_who_wait() {
    let world = World::new("", |_, _| vec![Step::Wait, Step::Close]).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        tasks.push(world.get("/a").started().await);
    }
    world.origin.go_on(100);
    for task in tasks {
        let got = task.await.unwrap();
        assert_eq!((got.status, got.served), (502, "error"));
    }
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn what_the_origin_breaks_is_asked_for_once() {
    let chunked = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked";
    let short = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 9";
    for answer in [format!("{chunked}\r\n\r\nno number\r\n"), format!("{short}\r\n\r\nhalf")] {
        let world = World::new("", move |_, _| vec![text(&answer), Step::Close]).await;
        for count in 1..4 {
            let got = world.get("/a").got().await;
            let is_told = (got.status, got.served) == (502, "error") || got.end == End::Cut;
            assert!(is_told, "{got:?}");
            assert_eq!(world.origin.count(), count);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_sent_on_is_not_said_to_have_been() {
    let world = World::new("", |_, _| vec![say("200 OK", &[], "x")]).await;
    let got = world.get("/a<b>").got().await;
    assert_eq!((got.status, got.cache()), (400, "detail=request-not-forwardable"));
    assert!(got.body.contains("cannot be sent on"), "{}", got.body);
    assert_eq!(world.origin.count(), 0);
}

#[tokio::test]
async fn a_leader_that_leaves_leaves_the_fetch_to_the_others() {
    let world = World::new("", |_, _| {
        vec![Step::Wait, say("200 OK", &["cache-control: max-age=60"], "body")]
    })
    .await;
    let leader = world.get("/a").started().await;
    world.origin.asked(1).await;
    let follower = world.get("/a").started().await;
    leader.abort();
    assert!(leader.await.is_err());
    world.origin.go_on(1);
    let got = follower.await.unwrap();
    assert_eq!((&*got.body, got.served, world.origin.count()), ("body", "collapsed", 1));
}

#[tokio::test]
async fn what_must_not_be_shared_releases_those_who_wait() {
    let world = World::new("", |_, number| {
        let own = format!("set-cookie: n={number}");
        vec![Step::Wait, say("200 OK", &["cache-control: max-age=60", &own], "body")]
    })
    .await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(world.get("/a").started().await);
    }
    world.origin.asked(1).await;
    world.origin.go_on(100);
    let mut cookies = Vec::new();
    for task in tasks {
        cookies.push(task.await.unwrap().line("set-cookie").unwrap().to_owned());
    }
    cookies.sort();
    cookies.dedup();
    assert_eq!((cookies.len(), world.origin.count()), (5, 5));
}

#[tokio::test]
async fn another_variant_is_fetched_by_itself() {
    let world = World::new("", |head, _| {
        let body = if head.contains("accept: b") { "for b" } else { "for a" };
        vec![Step::Wait, say("200 OK", &["cache-control: max-age=60", "vary: accept"], body)]
    })
    .await;
    let a = world.get("/a").with("Accept", "a").started().await;
    world.origin.asked(1).await;
    let b = world.get("/a").with("Accept", "b").started().await;
    world.origin.go_on(2);
    assert_eq!((a.await.unwrap().body, b.await.unwrap().body), ("for a".into(), "for b".into()));
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn a_body_older_than_its_head_is_fresh_is_not_joined() {
    let world = halves().await;
    let (old, _) = world.get("/a").reply().await;
    let (_, joined) = world.get("/a").at(59).reply().await;
    let (_, late) = world.get("/a").at(61).reply().await;
    assert_eq!((joined, late, world.origin.count()), ("collapsed", "miss", 2));
    drop(old);
}

#[tokio::test]
async fn conditions_ranges_and_head_are_answered_from_what_arrives() {
    let world = halves().await;
    let head = world.ask(Method::HEAD, "/a").got().await;
    assert_eq!((head.status, head.served), (200, "pass"), "a HEAD alone costs no body");
    world.origin.go_on(1);
    let (_leader, _) = world.get("/a").reply().await;
    let got = world.ask(Method::HEAD, "/a").got().await;
    assert_eq!((got.status, got.length, &*got.body), (200, Some(8), ""));
    let got = world.get("/a").with("If-None-Match", "\"v\"").got().await;
    assert_eq!((got.status, got.length), (304, None));
    let got = world.get("/a").with("Range", "bytes=1-2").got().await;
    assert_eq!((got.status, &*got.body, got.end), (206, "od", End::Whole));
    let got = world.get("/a").with("Range", "bytes=9-").got().await;
    assert_eq!((got.status, got.line("content-range")), (416, Some("bytes */8")));
}

#[tokio::test]
async fn an_unsafe_request_keeps_what_is_in_the_air_from_being_stored() {
    let world = World::new("", |head, number| match head.starts_with("GET") {
        true => vec![
            text("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 6\r\n\r\n"),
            Step::Wait,
            text(&format!("body {number}")),
        ],
        false => vec![say("200 OK", &[], "")],
    })
    .await;
    let old = world.get("/a").started().await;
    world.origin.asked(1).await;
    world.ask(Method::PUT, "/a").got().await;
    world.origin.go_on(2);
    assert_eq!(old.await.unwrap().body, "body 0");
    let new = world.get("/a").got().await;
    assert_eq!((&*new.body, new.served), ("body 2", "miss"));
}

#[tokio::test]
async fn a_client_that_leaves_before_there_is_a_response_harms_nobody() {
    let world = halves().await;
    let Answer::Later(future) = world.get("/a").answer() else { panic!("answered at once") };
    drop(future);
    world.origin.go_on(1);
    assert_eq!(world.get("/a").got().await.body, "bodyrest");
    assert_eq!(world.origin.count(), 1);
}
