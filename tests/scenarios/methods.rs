//! What other methods than GET do to what is stored (RFC 9110 sections 9.3.2 and 9.3.3).

use crate::support::{Ask, Gate, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    what_a_post_names_as_its_target_answers_gets,
    what_a_post_does_not_name_so_is_not_stored,
    a_post_that_asks_for_what_no_get_asks_for_is_not_stored,
    a_post_that_another_overtook_is_not_stored,
    an_options_goes_as_far_as_it_says,
    a_head_has_what_is_stale_where_the_origin_fails,
    a_head_that_tells_of_something_else_takes_it_away,
    what_changes_a_url_takes_away_every_copy_of_it,
    what_is_on_its_way_while_another_value_is_changed_is_not_stored,
);

fn posted(location: &str) -> Reply {
    Reply::fresh("new").field("content-location", location)
}

async fn what_a_post_names_as_its_target_answers_gets(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/a?b", Reply::fresh("old"));
    scene.get("/a?b").await;
    for location in ["/a?b", "http://shop.example/a?b", "?b"] {
        scene.origin.now("/a?b", posted(location).field("etag", "\"1\""));
        let post = Ask::new("POST", "/a?b").content("x").field("content-type", "text/plain");
        let first = scene.ask(post).await;
        assert_eq!((first.status, first.text()), (200, "new"), "{location}");
        assert_eq!(first.cache_status(), "edge; fwd=method; fwd-status=200; detail=method");
        scene.origin.now("/a?b", Reply::new(500));
        let get = scene.get("/a?b").await;
        assert_eq!((get.is_hit(), get.text()), (true, "new"), "{location}");
        assert!(scene.ask(Ask::new("HEAD", "/a?b")).await.is_hit());
    }
}

async fn what_a_post_does_not_name_so_is_not_stored(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let named = |field: &str, value: &str| {
        Reply::ok("new").field("content-location", "/").field(field, value)
    };
    let replies = [
        Reply::fresh("new"),
        posted("/other"),
        posted("http://other.example/"),
        posted("/").field("set-cookie", "a=b"),
        posted("/").until_close(),
        named("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        named("cache-control", "no-store"),
        named("cache-control", "private, max-age=60"),
        Reply::new(201).field("content-location", "/").field("cache-control", "max-age=60"),
    ];
    for (index, reply) in replies.into_iter().enumerate() {
        scene.origin.now("/", reply);
        scene.ask(Ask::new("POST", "/").content("x")).await;
        scene.origin.now("/", Reply::ok("asked again"));
        assert_eq!(scene.get("/").await.text(), "asked again", "reply {index}");
    }
    // Nor is one that bears credentials, and PUT is no POST.
    scene.origin.now("/", posted("/"));
    scene.ask(Ask::new("POST", "/").field("authorization", "x")).await;
    scene.ask(Ask::new("PUT", "/").content("x")).await;
    assert!(!scene.get("/").await.is_hit());
}

async fn a_post_that_asks_for_what_no_get_asks_for_is_not_stored(protocol: Protocol) {
    let site = "key = { query = { ignore = [\"utm_*\"] }, cookies = [\"tier\"] }";
    let scene = Scene::with(protocol, |setup| setup.site(site)).await;
    scene.origin.otherwise(|_| posted("/"));
    let post = |target: &str| Ask::new("POST", target).content("x");
    for (ask, why) in [
        (post("/").host("shop.example:8080"), "host"),
        (post("/?utm_source=evil"), "query"),
        (post("/").field("range", "bytes=0-1"), "range"),
        (post("/").field("if-none-match", "\"0\""), "if-none-match"),
        (post("/").field("cookie", "tier=basic; tier=gold"), "cookie"),
        (post("/").field("x_tier", "gold"), "spelling"),
    ] {
        assert_eq!(scene.ask(ask).await.text(), "new");
        assert!(!scene.get("/").await.is_hit(), "{why}");
        scene.ask(Ask::new("DELETE", "/")).await;
    }
    scene.ask(post("/")).await;
    assert!(scene.get("/").await.is_hit());
}

async fn an_options_goes_as_far_as_it_says(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::new(204));
    let options = |left: &str| Ask::new("OPTIONS", "/").field("max-forwards", left);
    let last = scene.ask(options("0")).await;
    assert_eq!((last.status, scene.origin.count()), (204, 0));
    assert_eq!(last.field("allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    assert_eq!(last.cache_status(), "edge; detail=max-forwards");
    let most = u64::MAX.to_string();
    let less = (u64::MAX - 1).to_string();
    for (left, sent) in [("1", "0"), ("10", "9"), ("x", ""), (&format!("{most}0"), &less)] {
        scene.ask(options(left)).await;
        assert_eq!(scene.origin.last().field("max-forwards"), sent, "{left}");
    }
    scene.ask(Ask::new("POST", "/").field("max-forwards", "0")).await;
    assert_eq!(scene.origin.last().field("max-forwards"), "");
}

async fn a_post_that_another_overtook_is_not_stored(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", posted("/").held(&gate));
    scene.origin.on("/", Reply::new(204));
    scene.origin.on("/", Reply::fresh("newest"));
    let others = scene.crowd(1).await;
    let overtaken = async { others[0].ask(Ask::new("POST", "/").content("1")).await.unwrap() };
    let overtaking = async {
        scene.origin.until_asked(1).await;
        scene.ask(Ask::new("DELETE", "/")).await;
        gate.open();
    };
    let (first, ()) = tokio::join!(overtaken, overtaking);
    assert_eq!(first.text(), "new");
    assert_eq!(scene.get("/").await.text(), "newest");
}

async fn a_head_has_what_is_stale_where_the_origin_fails(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let stale = |control: &str| Reply::ok("old").field("cache-control", control).field("age", "60");
    for (target, failure) in [("/503", Reply::new(503)), ("/reset", Reply::reset())] {
        // It cannot be validated: a HEAD goes on as one.
        scene.origin.on(target, stale("max-age=50, stale-if-error=600"));
        scene.origin.on(target, failure);
        scene.get(target).await;
        let head = scene.ask(Ask::new("HEAD", target)).await;
        assert_eq!((head.status, head.field("content-length").as_str()), (200, "3"), "{target}");
        assert!(head.cache_status().contains("detail=stale-if-error"), "{}", head.cache_status());
        assert_eq!(scene.origin.last().head.method, "HEAD");
    }
}

async fn a_head_that_tells_of_something_else_takes_it_away(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let stale = "max-age=50, stale-if-error=600";
    for (index, (head, kept)) in [
        (Reply::new(200).piece("old"), true),
        (Reply::new(200).piece("longer"), false),
        (Reply::new(200).piece("old").field("etag", "\"2\""), false),
        (Reply::new(404), true),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{index}");
        scene.origin.on(&target, Reply::ok("old").field("cache-control", stale).field("age", "60"));
        scene.origin.on(&target, head);
        scene.origin.on(&target, Reply::reset());
        scene.get(&target).await;
        scene.ask(Ask::new("HEAD", &target)).await;
        assert_eq!(scene.get(&target).await.status == 200, kept, "{target}");
    }
}

/// Keyed by a cookie and a field.
const KEYED: &str = "[site.key]\nheaders = [\"x-plan\"]\ncookies = [\"tier\"]";

async fn what_changes_a_url_takes_away_every_copy_of_it(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.site(KEYED)).await;
    let values = [("x-plan", "a"), ("x-plan", "b"), ("cookie", "tier=gold"), ("other", "")];
    let changes = [
        (Ask::new("POST", "/a").field("x-plan", "c").content("x"), Reply::new(200)),
        (Ask::new("DELETE", "/a").field("x-plan", "a"), Reply::new(204)),
        (Ask::new("PUT", "/other").content("x"), Reply::new(201).field("location", "/a")),
        (Ask::new("POST", "/other"), Reply::new(200).field("content-location", "/a")),
    ];
    let changed = changes.len();
    for (change, reply) in changes {
        scene.origin.now("/a", Reply::fresh("x").field("vary", "accept-language"));
        for (name, value) in values {
            scene.get_with("/a", name, value).await;
            assert!(scene.get_with("/a", name, value).await.is_hit(), "{name}: {value}");
        }
        scene.origin.now("/a", reply.clone());
        scene.origin.now("/other", reply);
        scene.ask(change).await;
        scene.origin.now("/a", Reply::fresh("x").field("vary", "accept-language"));
        for (name, value) in values {
            assert!(!scene.get_with("/a", name, value).await.is_hit(), "{name}: {value}");
        }
        scene.ask(Ask::new("DELETE", "/a")).await;
    }
    // Each value has a copy of its own, every time anew.
    assert_eq!(scene.origin.count(), changed * (2 * values.len() + 2));
    // What failed has changed nothing, nor has what only tells of one value.
    scene.get_with("/a", "x-plan", "a").await;
    scene.origin.now("/a", Reply::new(404));
    scene.ask(Ask::new("DELETE", "/a").field("x-plan", "b")).await;
    assert!(scene.get_with("/a", "x-plan", "a").await.is_hit());
}

async fn what_is_on_its_way_while_another_value_is_changed_is_not_stored(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.site(KEYED)).await;
    let gate = Gate::new();
    scene.origin.on("/a", Reply::fresh("old").held(&gate));
    scene.origin.on("/a", Reply::new(204));
    scene.origin.on("/a", Reply::fresh("new"));
    let others = scene.crowd(1).await;
    let before = async { others[0].ask(Ask::get("/a").field("x-plan", "a")).await.unwrap() };
    let change = async {
        scene.origin.until_asked(1).await;
        scene.ask(Ask::new("DELETE", "/a").field("x-plan", "b")).await;
        gate.open();
    };
    tokio::join!(before, change);
    assert_eq!(scene.get_with("/a", "x-plan", "a").await.text(), "new");
}
