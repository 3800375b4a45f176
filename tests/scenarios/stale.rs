//! What may be served though it is stale (RFC 5861).

use crate::support::{Gate, Protocol, Reply, Scene, eventually, over_each_protocol, within};

over_each_protocol!(
    one_request_refreshes_behind_stale_answers,
    a_refresh_that_fails_leaves_what_is_stored,
    an_origin_that_fails_is_invisible_for_a_while,
    an_error_of_a_client_is_not_hidden,
    an_origin_that_cannot_be_asked_is_invisible_where_nothing_forbids_it,
);

fn stale(control: &str) -> Reply {
    let reply = Reply::ok("old").field("etag", "\"1\"").field("age", "60");
    reply.field("cache-control", &format!("max-age=60, {control}"))
}

async fn one_request_refreshes_behind_stale_answers(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", stale("stale-while-revalidate=600"));
    scene.origin.on("/", Reply::fresh("new").held(&gate));
    scene.get("/").await;
    let crowd = scene.crowd(20).await;
    let answers = futures_util::future::join_all(crowd.iter().map(|client| client.get("/"))).await;
    for answer in answers {
        assert_eq!((answer.status, answer.text()), (200, "old"));
        let status = answer.cache_status();
        assert!(status.starts_with("edge; hit; ttl=-") || status.contains("; ttl=0"), "{status}");
        assert!(status.ends_with("detail=stale-while-revalidate"), "{status}");
        // RFC 9111 section 5.5 has done away with it.
        assert_eq!(answer.field("warning"), "");
    }
    scene.origin.until_asked(2).await;
    assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
    gate.open();
    let refreshed = async { while scene.get("/").await.text() != "new" {} };
    within("the refreshed page", refreshed).await;
    assert_eq!(scene.origin.count(), 2);
}

async fn a_refresh_that_fails_leaves_what_is_stored(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", stale("stale-while-revalidate=600"));
    scene.origin.on("/", Reply::new(503));
    scene.get("/").await;
    for count in 2..4 {
        // One that comes while a refresh is under way, or soon after one that failed, begins none.
        let asked_again = async || {
            assert_eq!(scene.get("/").await.text(), "old");
            scene.origin.count() >= count
        };
        eventually("one more refresh", asked_again).await;
    }
}

async fn an_origin_that_fails_is_invisible_for_a_while(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    for (target, failure) in [
        ("/500", Reply::new(500)),
        ("/503", Reply::new(503)),
        ("/504", Reply::new(504)),
        ("/reset", Reply::reset()),
        ("/nonsense", Reply::raw("nonsense\r\n\r\n")),
    ] {
        scene.origin.on(target, stale("stale-if-error=600"));
        scene.origin.on(target, failure.clone());
        scene.get(target).await;
        let answer = scene.get(target).await;
        assert_eq!((answer.status, answer.text()), (200, "old"), "{target}");
        // Outside its window the failure shows.
        let control = "max-age=60, stale-if-error=10";
        let late = Reply::ok("old").field("etag", "\"1\"").field("age", "600");
        let target = format!("{target}/late");
        scene.origin.on(&target, late.field("cache-control", control));
        scene.origin.on(&target, failure);
        scene.get(&target).await;
        assert!(scene.get(&target).await.status >= 500, "{target}");
    }
}

async fn an_error_of_a_client_is_not_hidden(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", stale("stale-if-error=600"));
    scene.origin.on("/", Reply::new(410).piece("gone"));
    scene.get("/").await;
    assert_eq!(scene.get("/").await.status, 410);
}

async fn an_origin_that_cannot_be_asked_is_invisible_where_nothing_forbids_it(protocol: Protocol) {
    // No answer within a moment, and then nobody who listens.
    let hasty = "response_timeout = \"100ms\"\nretries = 0";
    let scene = Scene::with(protocol, |setup| setup.origin(hasty)).await;
    let never = Gate::new();
    let controls = [
        // RFC 9111 section 4.2.4: the origin has said nothing of it, and the site gives an hour.
        ("max-age=60", 200),
        ("max-age=60, must-revalidate", 504),
        ("max-age=60, proxy-revalidate", 504),
        ("s-maxage=60", 504),
        ("no-cache", 504),
    ];
    for (index, (control, status)) in controls.into_iter().enumerate() {
        let target = format!("/{index}");
        let reply = Reply::ok("old").field("etag", "\"1\"").field("age", "60");
        scene.origin.on(&target, reply.field("cache-control", control));
        scene.origin.on(&target, Reply::fresh("late").held(&never));
        scene.get(&target).await;
        assert_eq!(scene.get(&target).await.status, status, "{control}");
    }
    scene.origin.stop();
    for (index, (control, status)) in controls.into_iter().enumerate() {
        let found = scene.get(&format!("/{index}")).await.status;
        assert_eq!(found == 200, status == 200, "{control}: {found}");
    }
}
