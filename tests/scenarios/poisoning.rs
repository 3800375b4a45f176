//! One client does not spoil what others get: nothing that the key does not hold makes a stored
//! response.

use crate::support::{Ask, Gate, HOST, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    an_error_that_a_request_provoked_is_its_own,
    nobody_waits_for_what_a_request_may_provoke,
    what_a_request_provoked_leaves_what_is_stored,
    a_class_of_errors_leaves_out_those_that_requests_provoke,
    fields_that_name_another_request_go_no_further,
    fields_spelled_like_others_make_no_stored_response,
    a_cookie_that_origins_may_read_otherwise_is_shared_with_nobody,
    what_malformed_fields_provoke_is_not_stored,
    trailers_are_held_to_the_rules_of_fields,
    content_of_a_get_makes_no_stored_response,
    spellings_of_a_path_are_one,
    cookies_are_shared_where_a_site_says_so_alone,
);

async fn an_error_that_a_request_provoked_is_its_own(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let long = "x".repeat(6000);
    let odd = [
        ("/size", "x-long", long.as_str()),
        ("/cookie", "cookie", long.as_str()),
        ("/meta", "x-meta", "caf\u{e9}"),
        ("/type", "content-type", "\\"),
    ];
    for (target, name, value) in odd {
        for status in [400, 404, 413, 431, 500, 501] {
            let target = format!("{target}/{status}");
            let error = Reply::new(status).field("cache-control", "public, max-age=60");
            scene.origin.on(&target, error.clone());
            let provoked = scene.get_with(&target, name, value).await;
            assert_eq!(provoked.status, status, "{target}");
            let told = provoked.cache_status();
            assert!(told.contains("detail=provoked") && !told.contains("stored"), "{told}");
            // Others ask for themselves, and what their own requests bring is stored.
            scene.origin.now(&target, Reply::fresh("well"));
            assert_eq!(scene.get(&target).await.text(), "well", "{target}");
            assert!(scene.get_with(&target, name, value).await.is_hit(), "{target}");
        }
    }
    // RFC 9111 section 3: an error that nobody provoked is stored if its origin says so.
    scene.origin.on("/", Reply::new(400).field("cache-control", "max-age=60"));
    scene.get("/").await;
    assert!(scene.get("/").await.is_hit());
}

async fn nobody_waits_for_what_a_request_may_provoke(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let never = Gate::new();
    scene.origin.on("/", Reply::new(400).held(&never));
    scene.origin.on("/", Reply::fresh("well"));
    let others = scene.crowd(1).await;
    let odd = others[0].ask(Ask::get("/").field("x-long", &"x".repeat(6000)));
    let others = async {
        scene.origin.until_asked(1).await;
        scene.get("/").await
    };
    tokio::select! {
        _ = odd => panic!("a gate that is closed was passed"),
        seen = others => assert_eq!(seen.text(), "well"),
    }
    assert!(scene.get("/").await.is_hit());
}

async fn what_a_request_provoked_leaves_what_is_stored(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::stale("\"1\"", "well"));
    scene.origin.on("/", Reply::new(400).field("cache-control", "max-age=60"));
    scene.get("/").await;
    let provoked = scene.get_with("/", "x-long", &"x".repeat(6000)).await;
    assert_eq!(provoked.status, 400);
    // It is still there to be validated, and to stand in for an origin that is gone.
    scene.origin.now("/", Reply::reset());
    assert_eq!(scene.get("/").await.text(), "well");
    assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
}

async fn a_class_of_errors_leaves_out_those_that_requests_provoke(protocol: Protocol) {
    let negative = "freshness.negative = { \"4xx\" = \"60s\", \"5xx\" = \"60s\" }";
    let scene = Scene::with(protocol, |setup| setup.site(negative)).await;
    for (status, stored) in [
        (404, true),
        (410, true),
        (503, true),
        (400, false),
        (403, false),
        (405, false),
        (413, false),
        (414, false),
        (429, false),
        (431, false),
        (501, false),
    ] {
        let target = format!("/{status}");
        scene.origin.on(&target, Reply::new(status));
        scene.get(&target).await;
        assert_eq!(scene.get(&target).await.is_hit(), stored, "{status}");
    }
    // Nor is one stored that the class means, where the request may be to blame.
    scene.origin.on("/odd", Reply::new(404));
    scene.get_with("/odd", "x-meta", "caf\u{e9}").await;
    assert!(!scene.get("/odd").await.is_hit());
}

async fn fields_that_name_another_request_go_no_further(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("x"));
    let names = [
        "forwarded",
        "proxy",
        "surrogate-capability",
        "true-client-ip",
        "x-client-ip",
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forward-host",
        "x-host",
        "x-host-override",
        "host-override",
        "proxy-host",
        "proxy-anything",
        "script-name",
        "x-script-name",
        "x-scheme",
        "x-override-url",
        "x-proxy-url",
        "x-envoy-original-path",
        "x-envoy-original-dst-host",
        "x-backend-host",
        "x-uri",
        "x-now-route-matches",
        "x-invoke-path",
        "x-invoke-query",
        "x-matched-path",
        "x-middleware-subrequest",
        "headland-floor",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-url",
        "x-original-uri",
        "x-real-ip",
        "x-rewrite-url",
        // A gateway to programs reads them as those above.
        "x_forwarded_host",
        "x_http_method_override",
        "x_original_url",
        "x.original.url",
        "script_name",
        "headland_device",
    ];
    for method in ["GET", "POST"] {
        let ask = names.iter().fold(Ask::new(method, "/"), |ask, name| ask.field(name, "evil"));
        scene.ask(ask.field("x-uris", "a").field("x-kept", "b")).await;
        let asked = scene.origin.last();
        for name in names {
            assert_ne!(asked.field(name), "evil", "{method} {name}");
        }
        assert_eq!(asked.field("x-forwarded-host"), HOST);
        assert_eq!(asked.field("surrogate-capability"), "headland=\"Surrogate/1.0\"");
        assert_eq!((asked.field("x-kept"), asked.field("x-uris")), ("b".into(), "a".into()));
    }
}

async fn fields_spelled_like_others_make_no_stored_response(protocol: Protocol) {
    let site = "key.headers = [\"x-tier\"]\nheaders.request.set = { x_own = \"1\" }";
    let scene = Scene::with(protocol, |setup| setup.site(site)).await;
    scene.origin.on("/", Reply::fresh("x").field("vary", "accept-language"));
    let spelled = ["x_tier", "accept_language", "api_key", "x-kept"];
    let ask = |method| spelled.iter().fold(Ask::new(method, "/"), |ask, it| ask.field(it, "evil"));
    scene.ask(ask("GET")).await;
    let asked = scene.origin.last();
    assert_eq!(spelled.map(|name| asked.field(name)), ["", "", "", "evil"]);
    assert_eq!(asked.field("x_own"), "1");
    assert!(scene.get("/").await.is_hit());
    assert!(!scene.get_with("/", "x-tier", "gold").await.is_hit());
    // What nobody else is given goes on as it is.
    scene.ask(ask("POST")).await;
    assert_eq!(scene.origin.last().field("api_key"), "evil");
}

async fn a_cookie_that_origins_may_read_otherwise_is_shared_with_nobody(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.site("key.cookies = [\"tier\"]")).await;
    scene.origin.on("/", Reply::fresh("by what the origin read"));
    for cookie in [
        "tier =gold",
        "tier=basic; tier=gold",
        "tier=basic; tier =gold",
        "Tier=gold",
        "a=\"; tier=gold; b=\"",
    ] {
        let told = scene.get_with("/", "cookie", cookie).await;
        let why = "fwd=bypass; fwd-status=200; detail=ambiguous-key";
        assert!(told.cache_status().contains(why), "{}", told.cache_status());
        assert_eq!(scene.origin.last().field("cookie"), cookie);
        // Nor does it take away what is stored for others.
        scene.ask(Ask::new("HEAD", "/").field("cookie", cookie)).await;
    }
    for cookie in ["a=1", "tier=basic", "tier=gold"] {
        assert!(!scene.get_with("/", "cookie", cookie).await.is_hit(), "{cookie}");
        assert!(scene.get_with("/", "cookie", cookie).await.is_hit(), "{cookie}");
    }
}

async fn what_malformed_fields_provoke_is_not_stored(protocol: Protocol) {
    let negative = "freshness.negative = { \"4xx\" = \"60s\", \"5xx\" = \"60s\" }";
    let scene = Scene::with(protocol, |setup| setup.site(negative)).await;
    for (index, name) in
        ["accept", "accept-language", "accept-encoding", "cookie", "referer", "origin"]
            .into_iter()
            .enumerate()
    {
        for status in [301, 404, 418, 500] {
            let target = format!("/{index}/{status}");
            let reply = Reply::new(status).field("location", "/elsewhere");
            scene.origin.on(&target, reply.field("cache-control", "max-age=60"));
            scene.get_with(&target, name, "@@@").await;
            scene.origin.now(&target, Reply::fresh("well"));
            assert_eq!(scene.get(&target).await.text(), "well", "{name} {status}");
        }
    }
    // What only a server on the way would read is not sent.
    scene.get_with("/", "max-forwards", "x").await;
    assert_eq!(scene.origin.last().field("max-forwards"), "");
}

async fn trailers_are_held_to_the_rules_of_fields(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let names = ["x-forwarded-host", "x_original_url", "headland-floor", "x-sum"];
    let reply = Reply::ok("x").trailer("surrogate-key", "a").trailer("x-hop", "1");
    let reply = reply.trailer("set-cookie", "a=1").trailer("x-sum", "42");
    let reply = reply.field("connection", "x-hop");
    for control in ["no-store", "max-age=60"] {
        scene.origin.now("/", reply.clone().field("cache-control", control));
        let (ask, content) = match control {
            "no-store" => {
                let ask = names.iter().fold(Ask::new("POST", "/"), |ask, it| ask.trailer(it, "1"));
                let (ask, content) = ask.streamed();
                (ask, Some(content))
            }
            _ => (Ask::get("/"), None),
        };
        let mut ask = ask.field("te", "trailers");
        if protocol == Protocol::H1 {
            ask = ask.field("connection", "te");
        }
        let (seen, ()) = tokio::join!(scene.ask(ask), async {
            if let Some(content) = content {
                content.send("hello".into()).await.unwrap();
            }
        });
        let told: Vec<_> = seen.trailers.keys().map(|name| name.as_str()).collect();
        assert_eq!(told, ["x-sum"], "{control}");
    }
    let asked = scene.origin.asked();
    assert_eq!(asked[0].trailers, [("x-sum".to_owned(), "1".to_owned())]);
}

async fn content_of_a_get_makes_no_stored_response(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("by content"));
    let fat = || Ask::get("/").content("q=evil");
    let first = scene.ask(fat()).await;
    assert!(first.cache_status().contains("fwd=bypass; fwd-status=200; detail=request-body"));
    assert_eq!(scene.origin.last().body, b"q=evil");
    scene.origin.now("/", Reply::fresh("well"));
    assert_eq!(scene.get("/").await.text(), "well");
    assert!(scene.get("/").await.is_hit());
    // What is stored answers no question that it was not asked.
    assert!(!scene.ask(fat()).await.is_hit());
}

async fn spellings_of_a_path_are_one(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.otherwise(|target| Reply::fresh(target.to_owned()));
    for (spelled, meant) in [
        ("/a/../admin", "/admin"),
        ("/%61dmin", "/admin"),
        ("/./admin", "/admin"),
        ("/x/%2e%2e/admin", "/admin"),
        // What a server may tell apart is told apart, and asked for as it is.
        ("/a%2fadmin", "/a%2Fadmin"),
        ("//admin", "//admin"),
        ("/admin/", "/admin/"),
        ("/ADMIN", "/ADMIN"),
        ("/admin;x", "/admin;x"),
        ("/admin%00", "/admin%00"),
        ("/admin%", "/admin%"),
    ] {
        assert_eq!(scene.get(spelled).await.text(), meant, "{spelled}");
        assert!(scene.get(meant).await.is_hit(), "{spelled}");
    }
}

async fn cookies_are_shared_where_a_site_says_so_alone(protocol: Protocol) {
    for (said, is_stored, cookies) in
        [("pass", false, ["a=1", "a=2"]), ("remove", true, ["", ""]), ("store", true, ["a=1"; 2])]
    {
        let line = format!("freshness.set_cookie = \"{said}\"");
        let scene = Scene::with(protocol, |setup| setup.site(&line)).await;
        for value in ["a=1", "a=2"] {
            scene.origin.on("/", Reply::fresh("x").field("set-cookie", value));
        }
        for cookie in cookies {
            assert_eq!(scene.get("/").await.field("set-cookie"), cookie, "{said}");
        }
        assert_eq!(scene.get("/").await.is_hit(), is_stored, "{said}");
    }
}
