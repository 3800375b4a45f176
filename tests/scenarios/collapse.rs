//! Requests for one object share one fetch.

use bytes::Bytes;
use futures_util::future::join_all;

use crate::support::client::Opened;
use crate::support::{Ask, Gate, Protocol, Reply, Scene, eventually, over_each_protocol, within};

over_each_protocol!(
    a_leader_that_leaves_leaves_the_flight_whole,
    a_client_alone_that_leaves_still_fills_the_store,
    a_leader_that_fails_hands_over_once,
    a_fetch_that_breaks_off_breaks_off_for_all,
    what_may_not_be_shared_releases_all_at_once,
    what_may_not_be_shared_is_remembered,
    a_slow_follower_holds_nobody_back,
    a_wait_has_a_limit,
);

/// Bytes of a piece that fills more than one buffer on the way.
const PIECE: usize = 256 * 1024;

fn piece(letter: u8) -> Vec<u8> {
    vec![letter; PIECE]
}

async fn open(client: &crate::support::Client) -> Opened {
    within("a head", client.open(Ask::get("/"))).await.unwrap()
}

async fn a_leader_that_leaves_leaves_the_flight_whole(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh(piece(b'a')).gate(&gate).piece(piece(b'b')));
    let mut crowd = scene.crowd(3).await;
    let leader = crowd.remove(0);
    let mut first = open(&leader).await;
    first.at_least(1).await.unwrap();
    let mut followers = Vec::new();
    for client in &crowd {
        let mut follower = open(client).await;
        follower.at_least(1).await.unwrap();
        followers.push(follower);
    }
    drop((first, leader));
    gate.open();
    for follower in followers {
        let seen = within("the rest", follower.whole()).await.unwrap();
        assert!(seen.cache_status().contains("collapsed"), "{}", seen.cache_status());
        assert!(seen.body.ends_with(&piece(b'b')));
    }
    let hit = scene.get("/").await;
    assert_eq!((hit.is_hit(), hit.body.len()), (true, 2 * PIECE));
    assert_eq!(scene.origin.count(), 1);
}

async fn a_client_alone_that_leaves_still_fills_the_store(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh(piece(b'a')).gate(&gate).piece("end"));
    let mut crowd = scene.crowd(1).await;
    let mut first = open(&crowd[0]).await;
    first.at_least(1).await.unwrap();
    drop(first);
    crowd.clear();
    gate.open();
    let filled = async || scene.get("/").await.is_hit();
    eventually("a hit", filled).await;
    assert_eq!(scene.origin.count(), 1);
}

async fn a_leader_that_fails_hands_over_once(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.origin("retries = 0")).await;
    let (first, second) = (Gate::new(), Gate::new());
    scene.origin.on("/", Reply::reset().gate(&first));
    scene.origin.on("/", Reply::fresh("hello").held(&second));
    let crowd = scene.crowd(20).await;
    let asking = async { join_all(crowd.iter().map(|client| client.ask(Ask::get("/")))).await };
    let failing = async {
        scene.origin.until_asked(1).await;
        first.open();
        scene.origin.until_asked(2).await;
        second.open();
    };
    let (answers, ()) = tokio::join!(asking, failing);
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let failed = answers.iter().filter(|answer| answer.status == 502).count();
    let served = answers.iter().filter(|answer| answer.text() == "hello").count();
    assert_eq!((failed, served), (1, 19));
    assert_eq!(scene.origin.count(), 2);
}

async fn a_fetch_that_breaks_off_breaks_off_for_all(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene
        .origin
        .on("/", Reply::fresh(piece(b'a')).gate(&gate).claims(2 * PIECE as u64).then_reset());
    scene.origin.on("/", Reply::fresh("whole"));
    let crowd = scene.crowd(5).await;
    let mut opened = Vec::new();
    for client in &crowd {
        opened.push(open(client).await);
    }
    gate.open();
    for response in opened {
        assert!(within("an end", response.whole()).await.is_err(), "ended as if whole");
    }
    assert_eq!(scene.get("/").await.text(), "whole");
    assert_eq!(scene.origin.count(), 2);
}

async fn what_may_not_be_shared_releases_all_at_once(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let (head, rest) = (Gate::new(), Gate::new());
    let own = || Reply::ok("own").field("set-cookie", "session=1");
    scene.origin.on("/", own().held(&head));
    // All go at once: each is held until all have been seen.
    scene.origin.on("/", own().held(&rest));
    const CROWD: usize = 20;
    let crowd = scene.crowd(CROWD).await;
    let asking = async { join_all(crowd.iter().map(|client| client.get("/"))).await };
    let releasing = async {
        scene.origin.until_asked(1).await;
        head.open();
        scene.origin.until_asked(CROWD).await;
        rest.open();
    };
    let (answers, ()) = tokio::join!(asking, releasing);
    assert!(answers.iter().all(|answer| answer.text() == "own"));
    assert_eq!(scene.origin.count(), CROWD);
}

async fn what_may_not_be_shared_is_remembered(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    let own = || Reply::ok("own").field("cache-control", "no-store");
    scene.origin.on("/", own());
    scene.origin.on("/", own().held(&gate));
    scene.get("/").await;
    let crowd = scene.crowd(10).await;
    let asking = async { join_all(crowd.iter().map(|client| client.get("/"))).await };
    let none_waits = async {
        scene.origin.until_asked(11).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(asking, none_waits);
    assert!(answers.iter().all(|answer| answer.cache_status().contains("hit-for-miss")));
}

async fn a_slow_follower_holds_nobody_back(protocol: Protocol) {
    // Too large to store: only a window of it is kept.
    let scene = Scene::with(protocol, |setup| {
        setup.cache("max_object = \"64KiB\"").limits("relay_window = \"16MiB\"")
    })
    .await;
    let gate = Gate::new();
    let all = Bytes::from(vec![b'b'; 64 << 20]);
    let reply = Reply::fresh(piece(b'a')).gate(&gate).piece(all.clone());
    scene.origin.on("/", reply);
    let crowd = [scene.crowd(1).await, scene.crowd(1).await].concat();
    let slow = open(&crowd[0]).await;
    let quick = open(&crowd[1]).await;
    gate.open();
    let seen = within("all of it", quick.whole()).await.unwrap();
    assert_eq!(seen.body.len(), PIECE + all.len());
    // The slow one is cut visibly, or has its own way to the whole.
    let slow = within("an end", slow.whole()).await;
    assert!(slow.is_err() || slow.is_ok_and(|seen| seen.body.len() == PIECE + all.len()));
}

async fn a_wait_has_a_limit(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.cache("collapse_wait = \"10ms\"")).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh("late").held(&gate));
    scene.origin.on("/", Reply::fresh("soon"));
    let crowd = scene.crowd(2).await;
    let leading = crowd[0].get("/");
    let following = async {
        scene.origin.until_asked(1).await;
        let seen = crowd[1].get("/").await;
        gate.open();
        seen
    };
    let (late, soon) = tokio::join!(leading, following);
    assert_eq!((late.text(), soon.text()), ("late", "soon"));
}
