//! The edge rules of a route, which are judged before anything is looked up.

use headland::config::secret::Secret;
use headland::site::{Grant, sign_url};

use crate::support::client::{Client, Seen};
use crate::support::door::Door;
use crate::support::mmdb;
use crate::support::process::NodeProcess;
use crate::support::{
    Ask, Gate, HOST, Origin, Protocol, Reply, Scene, Setup, eventually, over_each_protocol,
};

over_each_protocol!(
    clients_are_known_by_their_countries,
    what_is_of_the_key_tells_requests_apart,
    some_paths_are_answered_alike,
    a_closed_site_says_when_to_come_again,
    pages_of_other_hosts_do_not_embed,
    errors_have_the_pages_of_the_site,
    browsers_are_told_what_is_safe,
    no_spelling_of_a_path_evades_its_rules,
    signed_urls_hold_for_a_while,
    clients_that_ask_too_often_have_to_wait,
    clients_are_let_in_by_their_addresses,
    clients_are_sent_elsewhere,
    pages_of_other_origins_may_read,
);

/// What a refusal looks like, whoever asks.
fn is_refused(seen: &Seen, status: u16, reason: &str) {
    assert_eq!(seen.status, status, "{}", seen.cache_status());
    assert_eq!(seen.cache_status(), format!("edge; detail={reason}"));
    assert_eq!(seen.field("content-type"), "application/problem+json");
    assert_eq!(seen.field("cache-control"), "no-store");
}

async fn clients_are_let_in_by_their_addresses(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.site(
            r#"
            ip_deny = ["127.0.0.0/8", "::1"]
            [[site.route]]
            path = "/open/*"
            ip_deny = []
            [[site.route]]
            path = "/few/*"
            ip_deny = []
            ip_allow = ["127.0.0.1"]
            [[site.route]]
            path = "/others/*"
            ip_deny = []
            ip_allow = ["192.0.2.0/24"]
            "#,
        )
    })
    .await;
    for target in ["/", "/others/x"] {
        is_refused(&scene.get(target).await, 403, "address-denied");
        is_refused(&scene.ask(Ask::new("POST", target)).await, 403, "address-denied");
    }
    assert_eq!(scene.origin.count(), 0);
    for target in ["/open/x", "/few/x"] {
        scene.origin.on(target, Reply::fresh("x"));
        assert_eq!(scene.get(target).await.text(), "x");
        assert!(scene.get(target).await.is_hit());
    }
}

async fn clients_are_sent_elsewhere(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.site(
            r#"
            [site.redirects]
            https = true
            host = "shop.example"
            status = 301
            max_age = "1m"
            rules = [{ from = "/old/*", to = "/new/*", status = 302 }]
            "#,
        )
    })
    .await;
    let moved = scene.get("/old/a?b").await;
    assert_eq!((moved.status, moved.text()), (302, ""));
    assert_eq!(moved.field("location"), format!("https://{HOST}/new/a?b"));
    assert_eq!(moved.field("cache-control"), "max-age=60");
    assert_eq!(moved.cache_status(), "edge; detail=redirect");
    assert_eq!(moved.field("content-length"), "0");
    let other = scene.ask(Ask::new("POST", "/form").host(&format!("www.{HOST}"))).await;
    assert_eq!((other.status, other.field("location")), (301, format!("https://{HOST}/form")));
    assert_eq!(scene.origin.count(), 0);
    let here = scene.get("/").await;
    match protocol {
        Protocol::H1 => assert_eq!(here.cache_status(), "edge; detail=redirect-https"),
        Protocol::H2 | Protocol::H3 => assert_ne!(here.status, 301),
    }
}

async fn pages_of_other_origins_may_read(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.site(
            r#"
            allow = ["GET"]
            [site.cors]
            origins = ["https://app.example"]
            credentials = true
            [[site.route]]
            path = "/all/*"
            cors = { origins = ["*"], credentials = false }
            "#,
        )
    })
    .await;
    let reply = Reply::fresh("x").field("access-control-allow-origin", "https://origin.example");
    scene.origin.on("/", reply.field("vary", "accept"));
    scene.origin.on("/all/x", Reply::fresh("x").field("access-control-allow-credentials", "true"));
    let [named, vary, credentials] =
        ["access-control-allow-origin", "vary", "access-control-allow-credentials"];
    // The first is stored, and the others come from there.
    for origin in ["https://evil.example", "https://app.example"] {
        let seen = scene.get_with("/", "origin", origin).await;
        let expected = if origin.contains("app") { (origin, "true") } else { ("", "") };
        assert_eq!((seen.field(named).as_str(), seen.field(credentials).as_str()), expected);
        assert_eq!(seen.field(vary), "accept, origin");
        let seen = scene.get_with("/all/x", "origin", origin).await;
        assert_eq!((seen.field(named), seen.field(credentials)), ("*".into(), "".into()));
        assert_eq!(seen.field(vary), "");
    }
    assert_eq!(scene.origin.count(), 2);
    // What this node makes can be read too.
    scene.origin.on("/gone", Reply::reset());
    let failed = scene.get_with("/gone", "origin", "https://app.example").await;
    assert_eq!((failed.status, failed.field(named).as_str()), (502, "https://app.example"));
    let asked = scene.origin.count();
    let preflight = |origin| {
        let ask = Ask::new("OPTIONS", "/").field("origin", origin);
        ask.field("access-control-request-method", "PUT")
    };
    let answered = scene.ask(preflight("https://app.example")).await;
    assert_eq!((answered.status, answered.field(named).as_str()), (204, "https://app.example"));
    assert_eq!(answered.field("access-control-allow-methods"), "GET, HEAD, POST");
    assert_eq!(answered.cache_status(), "edge; detail=preflight");
    is_refused(&scene.ask(preflight("https://evil.example")).await, 403, "origin-denied");
    assert_eq!(scene.origin.count(), asked);
}

async fn clients_that_ask_too_often_have_to_wait(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.site("allow = [\"GET\"]\nrate_limit = { rate = \"2/h\", burst = 3 }")
    })
    .await;
    scene.origin.on("/", Reply::fresh("x"));
    for _ in 0..3 {
        assert_eq!(scene.get("/").await.status, 200);
    }
    let refused = scene.get("/").await;
    is_refused(&refused, 429, "rate-limited");
    let wait: u64 = refused.field("retry-after").parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    let metrics = Door::of(&scene.node).await.get("/metrics").await;
    let line = "headland_rule_refusals_total{reason=\"rate-limited\",site=\"shop\"} 1";
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

/// Limits that stay as they are go on counting; others begin anew.
#[tokio::test]
async fn limits_go_on_counting_over_a_reload() {
    let origin = Origin::start().await;
    for target in ["/", "/own/x", "/shared/x", "/late/x"] {
        origin.on(target, Reply::fresh("x"));
    }
    let site = |own: u32, more: &str| {
        let setup = Setup::new(&origin);
        setup.site(&format!(
            "rate_limit = {{ rate = \"1/h\", burst = 1 }}\n{more}\n\
             [[site.route]]\npath = \"/own/*\"\n\
             rate_limit = {{ rate = \"1/h\", burst = {own} }}\n\
             [[site.route]]\npath = \"/shared/*\"\n"
        ))
    };
    let node = NodeProcess::start(&site(2, "")).await;
    let client = Client::to(node.place(), Protocol::H1).await.unwrap();
    let status = async |target: &str| client.get(target).await.status;
    assert_eq!([status("/").await, status("/shared/x").await], [200, 429]);
    assert_eq!(
        [status("/own/x").await, status("/own/x").await, status("/own/x").await],
        [200, 200, 429]
    );
    let more = "[[site.route]]\npath = \"/late/*\"";
    std::fs::write(node.config_file(), site(2, more).config()).unwrap();
    node.signal("HUP");
    node.logged("reloaded").await;
    // A route that comes shares what the site counts.
    for target in ["/", "/shared/x", "/late/x", "/own/x"] {
        assert_eq!(status(target).await, 429, "{target}");
    }
    std::fs::write(node.config_file(), site(3, more).config()).unwrap();
    node.signal("HUP");
    eventually("its own limit is another", async || status("/own/x").await == 200).await;
    assert_eq!([status("/").await, status("/shared/x").await], [429, 429]);
}

async fn signed_urls_hold_for_a_while(protocol: Protocol) {
    let secret = "a secret of some length";
    let scene = Scene::with(protocol, |setup| {
        setup.site(&format!("[site.signed_urls]\nkeys = [{{ secret = \"{secret}\" }}]"))
    })
    .await;
    scene.origin.on("/film?q=1", Reply::fresh("x"));
    scene.origin.on("/own", Reply::ok("own").field("cache-control", "no-store"));
    let signed = |target: &str, expires| {
        let grant = Grant { key: Some("main"), expires, ip: None, prefix: None };
        let url = format!("https://{HOST}{target}");
        let url = sign_url(&url, &Secret::new(secret), &grant).unwrap();
        url.split_once(HOST).unwrap().1.to_owned()
    };
    let (film, far) = ("/film?q=1", 10_000_000_000);
    is_refused(&scene.get(film).await, 403, "signature-missing");
    is_refused(&scene.get(&signed(film, 1)).await, 403, "signature-expired");
    for (from, to) in [("film", "files"), ("q=1", "q=2")] {
        let changed = signed(film, far).replace(from, to);
        is_refused(&scene.get(&changed).await, 403, "signature-wrong");
    }
    // Who may read may not write.
    let posted = scene.ask(Ask::new("POST", &signed(film, far)).content("x")).await;
    is_refused(&posted, 403, "signature-wrong");
    assert_eq!(scene.origin.count(), 0);
    for (expires, is_hit) in [(far, false), (far, true), (far + 1, true)] {
        let seen = scene.get(&signed(film, expires)).await;
        assert_eq!((seen.text(), seen.is_hit()), ("x", is_hit));
    }
    // What is not shared is passed on without the signature as well.
    assert_eq!(scene.get(&signed("/own", far)).await.text(), "own");
    let asked = scene.origin.asked();
    assert_eq!(asked.iter().map(|asked| &asked.head.target).collect::<Vec<_>>(), [film, "/own"]);
}

/// `/private/*` is closed to all, and below `/public/` a signature is asked for.
async fn no_spelling_of_a_path_evades_its_rules(protocol: Protocol) {
    let secret = "a secret of some length";
    let scene = Scene::with(protocol, |setup| {
        let closed = "[[site.route]]\npath = \"/private/*\"\nip_deny = [\"0.0.0.0/0\", \"::/0\"]";
        let signed = "[[site.route]]\npath = \"/public/*\"\n";
        let keys = format!("signed_urls = {{ keys = [{{ secret = \"{secret}\" }}] }}");
        setup.site(&format!("{closed}\n{signed}{keys}"))
    })
    .await;
    scene.origin.otherwise(|target| Reply::fresh(target.to_owned()));
    is_refused(&scene.get("/private/film").await, 403, "address-denied");
    for path in [
        "//private/film",
        "/private%2ffilm",
        "/x/..%2fprivate/film",
        "/%/../private/film",
        "/x/..;/private/film",
        "/private;v=1/film",
        "/%252e%252e/private%252ffilm",
    ] {
        is_refused(&scene.get(path).await, 400, "ambiguous-path");
    }
    let grant = Grant { key: None, expires: 10_000_000_000, ip: None, prefix: Some("/public/") };
    let url = sign_url(&format!("https://{HOST}/public/a"), &Secret::new(secret), &grant).unwrap();
    let below = |path: &str| url.split_once(HOST).unwrap().1.replace("/public/a", path);
    is_refused(&scene.get(&below("/public/..%2fother")).await, 400, "ambiguous-path");
    assert_eq!(scene.origin.count(), 0);
    // What both readings leave to the same rules is nobody's business but the origin's.
    for path in ["/public//a", "/public/a%2fb"] {
        assert_eq!(scene.get(&below(path)).await.status, 200, "{path}");
    }
    assert_eq!(scene.get("/other//a;v=1").await.status, 200);
}

async fn some_paths_are_answered_alike(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        let respond = "respond = { body = \"User-agent: *\" }";
        setup.site(&format!("[[site.route]]\npath = \"/robots.txt\"\n{respond}"))
    })
    .await;
    let robots = scene.get("/robots.txt?x").await;
    assert_eq!((robots.status, robots.text()), (200, "User-agent: *"));
    assert_eq!(robots.cache_status(), "edge; detail=respond");
    assert_eq!(robots.field("content-type"), "text/plain; charset=utf-8");
    let head = scene.ask(Ask::new("HEAD", "/robots.txt")).await;
    assert_eq!((head.status, head.text(), head.field("content-length")), (200, "", "13".into()));
    let same = scene.get_with("/robots.txt", "if-none-match", &robots.field("etag")).await;
    assert_eq!((same.status, same.text(), same.field("etag")), (304, "", robots.field("etag")));
    assert_eq!(scene.origin.count(), 0);
}

async fn a_closed_site_says_when_to_come_again(protocol: Protocol) {
    let page = Page::of("<p>Back soon");
    let scene = Scene::with(protocol, |setup| {
        setup.site(&format!(
            r#"
            [site.maintenance]
            enabled = true
            retry_after = "10m"
            page = "{}"
            [[site.route]]
            path = "/staff/*"
            maintenance.allow = ["127.0.0.1"]
            "#,
            page.path()
        ))
    })
    .await;
    let closed = scene.get("/").await;
    assert_eq!((closed.status, closed.text()), (503, "<p>Back soon"));
    assert_eq!(closed.cache_status(), "edge; detail=maintenance");
    for (name, value) in [
        ("retry-after", "600"),
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "12"),
    ] {
        assert_eq!(closed.field(name), value);
    }
    scene.origin.on("/staff/x", Reply::ok("x"));
    assert_eq!(scene.get("/staff/x").await.text(), "x");
}

async fn pages_of_other_hosts_do_not_embed(protocol: Protocol) {
    let scene =
        Scene::with(protocol, |setup| setup.site("hotlink.hosts = [\"friend.example\"]")).await;
    scene.origin.on("/a.jpg", Reply::fresh("x"));
    for referer in [&format!("https://{HOST}/page"), "https://friend.example/", ""] {
        assert_eq!(scene.get_with("/a.jpg", "referer", referer).await.text(), "x");
    }
    let refused = scene.get_with("/a.jpg", "referer", "https://evil.example/").await;
    is_refused(&refused, 403, "referer-denied");
}

async fn errors_have_the_pages_of_the_site(protocol: Protocol) {
    let page = Page::of("<p>Sorry");
    let scene = Scene::with(protocol, |setup| {
        let files = format!("files = {{ \"404\" = \"{0}\", \"5xx\" = \"{0}\" }}", page.path());
        setup.site(&format!(
            "allow = [\"GET\", \"HEAD\"]\n[site.error_pages]\n{files}\n[[site.route]]\n\
             path = \"/all/*\"\nerror_pages.origin = true"
        ))
    })
    .await;
    scene.origin.on("/down", Reply::reset());
    let down = scene.get("/down").await;
    assert_eq!((down.status, down.text()), (502, "<p>Sorry"));
    assert_eq!(down.field("cache-control"), "no-store");
    assert_eq!(scene.ask(Ask::new("POST", "/")).await.status, 405);
    let missing = || {
        let reply = Reply::new(404).piece("its own").field("cache-control", "max-age=60");
        reply.field("content-type", "text/plain").field("etag", "\"1\"").field("x-kept", "1")
    };
    scene.origin.on("/own", missing());
    assert_eq!(scene.get("/own").await.text(), "its own");
    // Who gets the page does not wait for what it replaces; that is read and stored all the same.
    let gate = Gate::new();
    let policy = "default-src 'self'";
    let slow = missing().field("content-security-policy", policy).field("digest", "sha-256=x");
    scene.origin.on("/all/x", slow.gate(&gate).piece(", at last"));
    let is_as_it_should = |seen: &Seen| {
        assert_eq!((seen.status, seen.text()), (404, "<p>Sorry"));
        assert_eq!((seen.field("etag"), seen.field("digest")), ("".into(), "".into()));
        assert_eq!(seen.field("x-kept"), "1");
        assert_eq!(seen.field("content-security-policy"), policy);
        assert_eq!(seen.field("content-type"), "text/html; charset=utf-8");
        assert_eq!(seen.field("cache-control"), "max-age=60");
    };
    is_as_it_should(&scene.get("/all/x").await);
    gate.open();
    eventually("it is stored", async || {
        let seen = scene.get("/all/x").await;
        is_as_it_should(&seen);
        seen.is_hit()
    })
    .await;
    let asked = scene.origin.asked();
    assert_eq!(asked.iter().filter(|asked| asked.head.target == "/all/x").count(), 1);
    let head = scene.ask(Ask::new("HEAD", "/all/x")).await;
    assert_eq!((head.status, head.text(), head.field("content-length")), (404, "", "8".into()));
}

async fn browsers_are_told_what_is_safe(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.site("[site.security]\npreset = \"basic\"\nhsts = { max_age = \"1d\" }")
    })
    .await;
    scene.origin.on("/", Reply::fresh("x").field("x-frame-options", "ALLOWALL"));
    scene.origin.on("/down", Reply::reset());
    let hsts = if protocol == Protocol::H1 { "" } else { "max-age=86400" };
    for target in ["/", "/", "/down"] {
        let seen = scene.get(target).await;
        assert_eq!(seen.field("x-frame-options"), "SAMEORIGIN", "{target}");
        assert_eq!(seen.field("x-content-type-options"), "nosniff");
        assert_eq!(seen.field("strict-transport-security"), hsts);
    }
}

async fn what_is_of_the_key_tells_requests_apart(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        setup.site(
            r#"
            [site.key]
            device = true
            cookies = ["tier"]
            query = { keep = ["q"] }
            "#,
        )
    })
    .await;
    scene.origin.on("/?q=1", Reply::fresh("x"));
    let is_hit = async |target, field: Option<(&str, &str)>| {
        let ask = Ask::get(target);
        let ask = field.into_iter().fold(ask, |ask, (name, value)| ask.field(name, value));
        let seen = scene.ask(ask).await;
        assert_eq!(seen.text(), "x");
        seen.is_hit()
    };
    for (target, field, expected) in [
        ("/?q=1", None, false),
        ("/?x=2&q=1", None, true),
        ("/?q=1", Some(("user-agent", "Googlebot")), false),
        ("/?q=1", Some(("user-agent", "bingbot")), true),
        ("/?q=1", Some(("sec-ch-ua-mobile", "?1")), false),
        ("/?q=1", Some(("cookie", "tier=gold")), false),
        ("/?q=1", Some(("cookie", "session=1; tier=gold")), true),
        ("/?q=1", Some(("cookie", "session=1")), true),
    ] {
        assert_eq!(is_hit(target, field).await, expected, "{target} {field:?}");
    }
    let told: Vec<_> =
        scene.origin.asked().iter().map(|asked| asked.field("headland-device")).collect();
    assert_eq!(told, ["desktop", "bot", "mobile", "desktop"]);
    // One purge is of them all.
    Door::of(&scene.node).await.purge_url(&format!("https://{HOST}/?q=1&y")).await;
    assert!(!is_hit("/?q=1", Some(("cookie", "tier=gold"))).await);
}

async fn clients_are_known_by_their_countries(protocol: Protocol) {
    let database = Page::of(mmdb::database(&[("127.0.0.0/8", "DE"), ("::1/128", "DE")]));
    let scene = Scene::with(protocol, |setup| {
        setup.site(&format!(
            r#"
            key.country = true
            [[site.route]]
            path = "/abroad/*"
            country_deny = ["de"]
            [geo]
            database = "{}"
            "#,
            database.path()
        ))
    })
    .await;
    scene.origin.on("/", Reply::fresh("x"));
    assert_eq!(scene.get_with("/", "headland-country", "FR").await.text(), "x");
    assert!(scene.get("/").await.is_hit());
    assert_eq!(scene.origin.last().field("headland-country"), "DE");
    is_refused(&scene.get("/abroad/x").await, 403, "country-denied");
}

/// A file that the site names.
struct Page(tempfile::NamedTempFile);

impl Page {
    fn of(text: impl AsRef<[u8]>) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self(file)
    }

    fn path(&self) -> std::path::Display<'_> {
        self.0.path().display()
    }
}
