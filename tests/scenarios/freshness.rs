//! How long a stored response may be used (RFC 9111 section 4.2), and which are not stored at all.

use crate::support::{Ask, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    the_most_specific_lifetime_holds,
    what_is_stale_is_asked_for_again,
    what_is_not_to_be_stored_is_not,
    what_is_badly_separated_restricts_all_the_same,
    what_cannot_be_read_is_read_as_stale,
    a_status_is_stored_where_it_must_be_understood_and_is,
    an_age_beyond_the_clock_is_told_as_the_greatest,
    what_a_site_says_of_lifetimes_holds,
);

/// Whether a second request is a hit.
async fn is_stored(scene: &Scene, target: &str) -> bool {
    scene.get(target).await;
    scene.get(target).await.is_hit()
}

async fn the_most_specific_lifetime_holds(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let past = "Thu, 01 Jan 1970 00:00:00 GMT";
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let ten_years_before = "Thu, 08 Nov 1984 08:49:37 GMT";
    let fresh = [
        Reply::ok("x").field("cache-control", "max-age=60"),
        Reply::ok("x").field("cache-control", "max-age=0, s-maxage=60"),
        Reply::ok("x").field("cache-control", "max-age=60").field("expires", past),
        Reply::ok("x").field("expires", "Fri, 31 Dec 2100 00:00:00 GMT"),
        Reply::ok("x").field("cache-control", "no-store").field("cdn-cache-control", "max-age=60"),
        Reply::ok("x").field("cache-control", "no-store").field("surrogate-control", "max-age=60"),
        // What is for this device displaces what is for all.
        Reply::ok("x")
            .field("cache-control", "no-store")
            .field("surrogate-control", "no-store, max-age=60;headland"),
        // RFC 9213 section 2.2: the most specific field counts, whatever the others say.
        Reply::ok("x")
            .field("cache-control", "no-store")
            .field("cdn-cache-control", "no-store")
            .field("headland-cdn-cache-control", "max-age=60"),
        // RFC 9213 section 2.2 knows the one field, and its own comes first.
        Reply::ok("x")
            .field("surrogate-control", "no-store")
            .field("cdn-cache-control", "max-age=60"),
        // RFC 9111 section 4.2.2: a tenth of the time since it changed, and a day at most.
        Reply::ok("x").field("last-modified", ten_years_before),
        Reply::new(404).field("cache-control", "max-age=60"),
        Reply::new(301).field("cache-control", "max-age=60").field("location", "/"),
    ];
    for (index, reply) in fresh.into_iter().enumerate() {
        let target = format!("/fresh/{index}");
        scene.origin.on(&target, reply);
        assert!(is_stored(&scene, &target).await, "{target}");
    }
    let stale = [
        Reply::ok("x").field("cache-control", "max-age=60, s-maxage=0"),
        Reply::ok("x").field("expires", past),
        Reply::ok("x").field("expires", "0"),
        Reply::ok("x").field("cache-control", "max-age=60").field("cdn-cache-control", "max-age=0"),
        Reply::ok("x").field("cache-control", "max-age=60").field("age", "60"),
        Reply::ok("x")
            .field("cdn-cache-control", "max-age=60")
            .field("headland-cdn-cache-control", "max-age=0"),
        Reply::ok("x")
            .field("cache-control", "max-age=60")
            .field("surrogate-control", "max-age=60, no-store;headland"),
        Reply::ok("x").field("cache-control", "max-age=60").field("surrogate-control", "no-store"),
        // RFC 9111 section 4.2.2: a heuristic needs a Last-Modified to go by.
        Reply::ok("x"),
        Reply::new(500).field("last-modified", ten_years_before).field("date", date),
    ];
    for (index, reply) in stale.into_iter().enumerate() {
        let target = format!("/stale/{index}");
        scene.origin.on(&target, reply);
        assert!(!is_stored(&scene, &target).await, "{target}");
    }
}

async fn what_is_stale_is_asked_for_again(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::stale("\"1\"", "old"));
    scene.origin.on("/", Reply::fresh("new"));
    assert_eq!(scene.get("/").await.text(), "old");
    let again = scene.get("/").await;
    assert_eq!(again.text(), "new");
    assert!(again.cache_status().starts_with("edge; fwd=stale"), "{}", again.cache_status());
    assert!(scene.get("/").await.is_hit());
    assert_eq!(scene.origin.count(), 2);
}

async fn what_is_not_to_be_stored_is_not(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let refused = [
        Reply::ok("x").field("cache-control", "no-store, max-age=60"),
        Reply::ok("x").field("cache-control", "private, max-age=60"),
        Reply::fresh("x").field("set-cookie", "session=1"),
        Reply::fresh("x").field("vary", "*"),
    ];
    for (index, reply) in refused.into_iter().enumerate() {
        let target = format!("/{index}");
        scene.origin.on(&target, reply);
        assert!(!is_stored(&scene, &target).await, "{target}");
    }
    // RFC 9111 section 3.5.
    let with_authorization = async |target: &str| {
        scene.ask(Ask::get(target).field("authorization", "Basic eDp5")).await;
        scene.ask(Ask::get(target).field("authorization", "Basic ejp6")).await.is_hit()
    };
    scene.origin.on("/mine", Reply::fresh("x"));
    assert!(!with_authorization("/mine").await);
    scene.origin.on("/ours", Reply::ok("x").field("cache-control", "public, max-age=60"));
    assert!(with_authorization("/ours").await);
}

/// All of them have a Last-Modified that a guess could go by.
async fn what_is_badly_separated_restricts_all_the_same(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let controlled = |control: &str| {
        let modified = "Tue, 06 Nov 1984 08:49:37 GMT";
        Reply::ok("x").field("last-modified", modified).field("cache-control", control)
    };
    for (index, control) in [
        "private; max-age=60",
        "max-age=60; private",
        "private;, max-age=60",
        "no-store; max-age=60",
        "no-store;",
        "\"no-store\"",
        "private no-store",
        "no-cache; no-store; must-revalidate",
        "no-cache; max-age=0",
        "no-cach; max-age=60",
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{index}");
        scene.origin.on(&target, controlled(control));
        assert!(!is_stored(&scene, &target).await, "{control}");
    }
    scene.origin.on("/sound", controlled("x=\"no-store; private\""));
    assert!(is_stored(&scene, "/sound").await);
}

async fn what_cannot_be_read_is_read_as_stale(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let future = "Fri, 31 Dec 2100 00:00:00 GMT";
    for (index, (fields, stored)) in [
        // RFC 9111 section 5.3.
        (&[("expires", "tomorrow")][..], false),
        (&[("expires", "Fri, 31 Dec 2100 00:00:00 CET")], false),
        (&[("expires", future), ("expires", "-1")], false),
        // RFC 9110 section 6.6.1: without a Date, the time of receipt counts.
        (&[("expires", future), ("date", "today")], true),
        (&[("cache-control", "max-age=60"), ("date", "")], true),
        // RFC 9111 section 5.1.
        (&[("cache-control", "max-age=60"), ("age", "-70")], true),
        (&[("cache-control", "max-age=60"), ("age", "70, x")], false),
        (&[("cache-control", "max-age=1m")], false),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{index}");
        let reply = fields.iter().fold(Reply::ok("x"), |it, (name, value)| it.field(name, value));
        scene.origin.on(&target, reply);
        assert_eq!(is_stored(&scene, &target).await, stored, "{fields:?}");
    }
}

/// RFC 9111 section 5.2.2.3.
async fn a_status_is_stored_where_it_must_be_understood_and_is(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    for (index, (status, control, stored)) in [
        (200, "must-understand, no-store, max-age=60", true),
        (200, "no-store, max-age=60", false),
        (299, "max-age=60", true),
        (299, "must-understand, max-age=60", false),
        (200, "must-understand; no-store, max-age=60", false),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{index}");
        scene.origin.on(&target, Reply::new(status).piece("x").field("cache-control", control));
        assert_eq!(is_stored(&scene, &target).await, stored, "{status} {control}");
    }
}

/// RFC 9111 section 1.2.2.
async fn an_age_beyond_the_clock_is_told_as_the_greatest(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let old = Reply::ok("x").field("cache-control", "max-age=2147483647");
    let old = old.field("age", "2147483648").field("etag", "\"1\"");
    scene.origin.on("/", old);
    for _ in 0..2 {
        let seen = scene.get("/").await;
        assert!(!seen.is_hit(), "{}", seen.cache_status());
        assert!(
            seen.field("age").parse::<u64>().unwrap() >= 2_147_483_648,
            "{}",
            seen.field("age")
        );
    }
    assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
}

async fn what_a_site_says_of_lifetimes_holds(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        let freshness = "default = \"60s\"\nnegative = { \"404\" = \"10s\", \"5xx\" = \"1s\" }";
        setup.site(&format!("[site.freshness]\n{freshness}"))
    })
    .await;
    scene.origin.on("/silent", Reply::ok("x"));
    scene.origin.on("/explicit", Reply::ok("x").field("cache-control", "no-store"));
    assert!(is_stored(&scene, "/silent").await);
    assert!(is_stored(&scene, "/missing").await);
    assert!(!is_stored(&scene, "/explicit").await);
}
