//! What would become of a request is told as it then comes to pass.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::door::Door;
use crate::support::{Ask, HOST, Protocol, Reply, Scene, Setup, eventually};

const SITE: &str = r#"key = { query = { ignore = ["utm_*"] } }
[site.freshness]
stale_if_error = "10m"
[[site.route]]
path = "/media/*"
freshness = { default = "1h" }
[[site.route]]
path = "/static/*"
allow = ["GET", "HEAD"]
"#;

struct Asking {
    scene: Scene,
    door: Door,
    config: String,
}

impl Asking {
    async fn new() -> Self {
        Self::of(SITE).await
    }

    async fn of(site: &str) -> Self {
        let mut config = String::new();
        let set = |setup: Setup| {
            let setup = setup.site(site);
            config = setup.config();
            setup
        };
        let scene = Scene::with(Protocol::H1, set).await;
        let door = Door::of(&scene.node).await;
        Self { scene, door, config }
    }

    /// What is told of a GET for `target`, with more parameters behind it.
    async fn told(&self, target: &str, more: &str) -> Value {
        let url = format!("https://{HOST}{target}").replace('?', "%3F").replace('&', "%26");
        self.door.data(&format!("/v1/explain?url={url}{more}")).await
    }

    /// The line of the config that holds a text.
    fn line(&self, text: &str) -> Value {
        json!(self.config.lines().position(|line| line.contains(text)).unwrap() + 1)
    }

    /// Verdict, reason and tier.
    async fn verdict(&self, target: &str) -> [Value; 3] {
        let told = self.told(target, "").await;
        ["verdict", "reason", "tier"].map(|key| told[key].clone())
    }
}

/// The rule whose source has this name.
fn rule<'v>(told: &'v Value, name: &str) -> &'v Value {
    let rules = told["rules"].as_array().unwrap();
    rules.iter().find(|rule| rule["name"] == name).unwrap_or_else(|| panic!("{name}: {told:#}"))
}

#[tokio::test]
async fn each_verdict_is_told_before_it_comes_to_pass() {
    let asking = Asking::new().await;
    let Asking { scene, door, .. } = &asking;
    let url = format!("https://{HOST}/a");
    scene.origin.on("/a", Reply::fresh("one").field("etag", "\"1\""));
    scene.origin.now("/a", Reply::fresh("two").field("etag", "\"2\""));
    assert_eq!(asking.verdict("/a").await, [json!("fetch"), json!("miss"), json!(null)]);
    assert_eq!(scene.origin.count(), 0, "nothing is fetched");
    let hits = door.metric("headland_requests_total").await;
    assert!(!scene.get("/a").await.is_hit());
    assert_eq!(asking.verdict("/a").await, [json!("serve"), json!("fresh"), json!("memory")]);
    assert!(scene.get("/a").await.is_hit());
    // A request is counted once its client has all of the response.
    let counted = async || door.metric("headland_requests_total").await >= hits + 2.0;
    eventually("both requests are counted", counted).await;
    assert_eq!(door.metric("headland_requests_total").await, hits + 2.0, "nor counted");
    door.purge(json!({ "kind": "url", "value": url, "soft": true })).await;
    let soft = asking.told("/a", "").await;
    assert_eq!((&soft["verdict"], &soft["reason"]), (&json!("revalidate"), &json!("soft-purged")));
    assert_eq!((&soft["purge"]["state"], &soft["purge"]["reflects"]), (&json!("soft"), &json!(0)));
    assert_eq!(soft["purge"]["position"], 1);
    assert!(scene.get("/a").await.cache_status().contains("fwd=stale"));
    door.purge_url(&url).await;
    // The sweep may have freed it by now.
    let [verdict, reason, _] = asking.verdict("/a").await;
    assert!(verdict == "fetch" && (reason == "hard-purged" || reason == "miss"), "{reason}");
    let told = asking.told("/a", "&method=POST").await;
    assert_eq!((&told["verdict"], &told["reason"]), (&json!("pass"), &json!("method")));
    assert_eq!(rule(&told, "method")["says"], "POST");
}

#[tokio::test]
async fn rules_are_told_with_the_header_or_line_that_gives_them() {
    let asking = Asking::new().await;
    let scene = &asking.scene;
    let reply = Reply::ok("x").field("vary", "accept-encoding").field("surrogate-key", "p42 it's");
    scene.origin.on("/media/a?b=1", reply);
    let target = "/media/a?utm_source=x&b=1";
    scene.get(target).await;
    let told = asking.told(target, "").await;
    assert_eq!((&told["site"], &told["route"]), (&json!("shop"), &json!("/media/*")));
    assert_eq!((&told["origin"], &told["freshness"]["lifetime"]), (&json!("app"), &json!(3600)));
    for (name, text) in [
        ("site[0].hosts", "hosts ="),
        ("site[0].origin", "origin = "),
        ("site[0].key.query.ignore", "utm_"),
        ("site[0].freshness.stale_if_error", "stale_if_error"),
        ("site[0].route[0].path", "/media/"),
        ("site[0].route[0].freshness.default", "default = \"1h\""),
    ] {
        let rule = rule(&told, name);
        assert_eq!((&rule["source"], &rule["file"]), (&json!("config"), &json!("test.toml")));
        assert_eq!(rule["line"], asking.line(text), "{name}");
    }
    assert_eq!(rule(&told, "vary")["says"], "accept-encoding");
    let needs = [
        json!({ "kind": "url", "value": format!("https://{HOST}/media/a?b=1") }),
        json!({ "kind": "tag", "value": "p42", "site": "shop" }),
        json!({ "kind": "tag", "value": "it's", "site": "shop" }),
        json!({ "kind": "site", "value": "shop" }),
    ];
    assert_eq!(told["purge"]["needs"], json!(needs));
    // Another variant is another key, and not there.
    let other = asking.told(target, "&header=Accept-Encoding:%20br").await;
    assert_eq!((&other["verdict"], &other["reason"]), (&json!("fetch"), &json!("miss")));
    assert_ne!(other["key"], told["key"]);
    for need in needs {
        asking.door.purge(need.clone()).await;
        assert_eq!(asking.verdict(target).await[0], "fetch", "{need}");
        scene.origin.now("/media/a?b=1", Reply::ok("x").field("surrogate-key", "p42 it's"));
        scene.get(target).await;
    }
}

#[tokio::test]
async fn what_is_refused_or_not_understood_is_told() {
    let asking = Asking::new().await;
    let told = asking.door.data("/v1/explain?url=http://elsewhere.example/").await;
    assert_eq!(
        told,
        json!({
            "url": "http://elsewhere.example/", "method": "GET",
            "verdict": "refuse", "reason": "unknown-host", "status": 421,
        })
    );
    let told = asking.told("/static/a", "&method=PUT").await;
    assert_eq!((&told["reason"], &told["status"]), (&json!("method-not-allowed"), &json!(405)));
    assert_eq!(rule(&told, "site[0].route[1].allow")["says"], "GET, HEAD");
    for (query, detail) in [
        ("", "url: expected an absolute URL, found none"),
        (
            "?url=/a",
            "url: expected an absolute URL such as https://shop.example/app.js, found \"/a\"",
        ),
        (
            "?url=ftp://a/",
            "url: expected an absolute URL such as https://shop.example/app.js, found \"ftp://a/\"",
        ),
        ("?url=http://a/&method=G%20T", "method: expected a method, found \"G T\""),
        (
            "?url=http://a/&header=x",
            "header: expected \"Name: value\" but for Host, 64 times at most, found \"x\"",
        ),
        ("?url=http://a/&client=h", "client: expected an address, found \"h\""),
        ("?uri=x", "uri: unknown parameter; expected url, method, header or client"),
    ] {
        let seen = asking.door.get(&format!("/v1/explain{query}")).await;
        let problem: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((seen.status, &problem["detail"]), (400, &json!(detail)));
    }
}

#[tokio::test]
async fn the_command_tells_people_and_programs() {
    let asking = Asking::new().await;
    asking.scene.origin.on("/media/a", Reply::ok("x").field("surrogate-key", "it's"));
    asking.scene.get("/media/a").await;
    let node = format!("http://{}", asking.scene.node.admin());
    let run = async |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
        command.args(["explain", "--node", &node, &format!("https://{HOST}/media/a")]).args(more);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let people = run(&["-H", "Accept: */*", "-H", "Range: bytes=0-0"]).await;
    for part in [
        &format!("GET https://{HOST}/media/a: serve, for fresh\n"),
        "shop  /media/*  app",
        "site[0].route[0].freshness.default",
        "fresh for 1h",
        "bytes=0-0",
        "206     1 B",
        r"headland purge tag 'it'\''s' --site shop",
    ] {
        assert!(people.contains(part), "{part}\n{people}");
    }
    let json: Value = serde_json::from_str(&run(&["--json"]).await).unwrap();
    assert_eq!(json["data"]["verdict"], "serve");
}

const EDGE: &str = r#"
ip_deny = ["192.0.2.0/24"]
rate_limit = { rate = "1/h", burst = 2 }
[site.redirects]
rules = [
    { from = "/old/*", to = "/new/*", status = 302 },
    { from = "/a", to = "/b" },
]
[[site.route]]
path = "/closed/*"
[site.route.maintenance]
enabled = true
allow = ["198.51.100.7"]
[[site.route]]
path = "/signed/*"
signed_urls = { keys = [{ secret = "a secret of some length" }] }
[[site.route]]
path = "/pages/*"
hotlink = { hosts = ["shop.example"] }
[site.route.cors]
origins = ["https://app.example"]
[[site.route]]
path = "/robots.txt"
respond = { body = "none" }
[[site.route]]
path = "/few/*"
allow = ["GET"]
"#;

#[tokio::test]
async fn what_the_rules_at_the_edge_do_is_told_with_their_lines() {
    let asking = Asking::of(EDGE).await;
    let preflight = "&method=OPTIONS&header=Access-Control-Request-Method:%20PUT&header=Origin:%20";
    let evil = format!("{preflight}https://evil.example");
    let good = format!("{preflight}https://app.example");
    let cases = [
        ("/x", "&client=192.0.2.9", 403, "address-denied", "ip_deny", "192.0.2.0"),
        ("/a", "", 308, "redirect", "redirects.rules[1]", "from = \"/a\""),
        ("/old/1", "", 302, "redirect", "redirects.rules[0]", "/old/*"),
        ("/closed/1", "", 503, "maintenance", "route[0].maintenance.enabled", "enabled = true"),
        ("/signed/1", "", 403, "signature-missing", "route[1].signed_urls.keys", "signed_urls"),
        ("/pages/1", &evil, 403, "origin-denied", "route[2].cors.origins", "origins ="),
        ("/pages/1", &good, 204, "preflight", "route[2].cors.origins", "origins ="),
        (
            "/pages/1",
            "&header=Referer:%20https://evil.example/",
            403,
            "referer-denied",
            "route[2].hotlink.hosts",
            "hotlink",
        ),
        ("/robots.txt", "", 200, "respond", "route[3].respond", "respond"),
        ("/few/1", "&method=PUT", 405, "method-not-allowed", "route[4].allow", "allow = [\"GET\"]"),
    ];
    for (target, more, status, reason, key, line) in cases {
        let told = asking.told(target, more).await;
        let is_answer = matches!(reason, "redirect" | "preflight" | "respond");
        assert_eq!(told["verdict"], if is_answer { "answer" } else { "refuse" }, "{target}{more}");
        assert_eq!((&told["reason"], &told["status"]), (&json!(reason), &json!(status)));
        let rule = rule(&told, &format!("site[0].{key}"));
        assert_eq!(rule["line"], asking.line(line), "{target}{more}");
    }
    let moved = asking.told("/old/1", "").await;
    let effect = format!("302 to https://{HOST}/new/1");
    assert_eq!(rule(&moved, "site[0].redirects.rules[0]")["effect"], effect);
    let open = asking.told("/closed/1", "&client=198.51.100.7").await;
    assert_eq!((&open["verdict"], &open["status"]), (&json!("fetch"), &json!(null)));
    let page = asking.told("/pages/1", "&header=Origin:%20https://app.example").await;
    let effect = "pages of this origin may read the response";
    assert_eq!(rule(&page, "site[0].route[2].cors.origins")["effect"], effect);
    assert_eq!(asking.scene.origin.count(), 0);
}

#[tokio::test]
async fn rules_about_addresses_are_asked_of_a_client_and_take_nothing_from_it() {
    let asking = Asking::of(EDGE).await;
    let scene = &asking.scene;
    // What they need is told where no client is.
    let told = asking.told("/x", "").await;
    assert_eq!(told["verdict"], "fetch");
    for (key, line) in [("ip_deny", "192.0.2.0"), ("rate_limit", "rate_limit")] {
        let rule = rule(&told, &format!("site[0].{key}"));
        assert_eq!(
            (&rule["line"], &rule["says"]),
            (&asking.line(line), &json!("by the client's address"))
        );
    }
    let told = asking.told("/closed/1", "").await;
    assert_eq!(
        rule(&told, "site[0].route[0].maintenance.allow")["effect"],
        "not known: none is given"
    );
    // However often it is asked, the client may ask as often as before.
    scene.origin.on("/x", Reply::fresh("x"));
    let here = scene.node.http().ip();
    let verdict = async || asking.told("/x", &format!("&client={here}")).await;
    for statuses in [[200, 200], [429, 429]] {
        for status in statuses {
            for _ in 0..3 {
                let told = verdict().await;
                assert_eq!(told["verdict"] == "refuse", status == 429, "{told:#}");
            }
            assert_eq!(scene.get("/x").await.status, status);
        }
    }
    let told = verdict().await;
    let rule = rule(&told, "site[0].rate_limit");
    assert_eq!(
        (&told["reason"], &rule["line"]),
        (&json!("rate-limited"), &asking.line("rate_limit"))
    );
    assert_eq!(rule["says"], "Too many requests come from this address.");
}

#[tokio::test]
async fn what_the_fields_of_a_request_do_is_told_before_they_do_it() {
    let asking = Asking::of("compress = {}\n[site.freshness]\nrequest_directives = \"obey\"").await;
    let scene = &asking.scene;
    let page = "<p>one line of it</p>\n".repeat(100);
    let reply =
        Reply::fresh(page.clone()).field("content-type", "text/html").field("etag", "\"1\"");
    scene.origin.now("/a", reply);
    scene.get("/a").await;
    let told = async |name: &str, value: &str| {
        let value = value.replace('"', "%22").replace(' ', "%20");
        asking.told("/a", &format!("&header={name}:%20{value}")).await
    };
    let whole = page.len();
    for (name, value, status, bytes, effect) in [
        ("range", "bytes=0-9", 206, json!(10), "cut from what is stored"),
        ("range", "bytes=99999-", 416, json!(0), "nothing of what is stored is in it"),
        ("range", "lines=1-2", 200, json!(whole), "not heeded"),
        ("if-none-match", "\"1\"", 304, json!(null), "the client has what is stored"),
        ("if-none-match", "\"2\"", 200, json!(whole), "the client gets what is stored"),
        ("if-match", "\"2\"", 412, json!(0), "what is stored is not what is wanted"),
        ("cache-control", "max-age=60", 200, json!(whole), "nothing is done otherwise for it"),
    ] {
        let told = told(name, value).await;
        let response = json!({ "status": status, "bytes": bytes });
        assert_eq!((&told["verdict"], &told["response"]), (&json!("serve"), &response), "{value}");
        let rule = rule(&told, name);
        assert_eq!((&rule["says"], &rule["effect"]), (&json!(value), &json!(effect)));
        assert_eq!(scene.get_with("/a", name, value).await.status, status);
    }
    let fresh = told("cache-control", "no-cache").await;
    assert_eq!(
        (&fresh["verdict"], &fresh["reason"]),
        (&json!("revalidate"), &json!("request-directive"))
    );
    let effect = "what is stored is not fresh enough for it";
    assert_eq!(
        (&fresh["response"], &rule(&fresh, "cache-control")["effect"]),
        (&json!(null), &json!(effect))
    );
    let none = asking.told("/none", "&header=Cache-Control:%20only-if-cached").await;
    assert_eq!((&none["verdict"], &none["reason"]), (&json!("refuse"), &json!("only-if-cached")));
    let odd =
        asking.told("/none", "&header=Content-Type:%20x&header=Authorization:%20secret").await;
    assert_eq!(rule(&odd, "fields")["says"], "of a kind on which servers fail");
    assert_eq!(rule(&odd, "authorization")["says"], "it is there");
    let ignored = Asking::of("").await.told("/", "&header=Pragma:%20no-cache").await;
    let rule = rule(&ignored, "site[0].freshness.request_directives");
    assert_eq!((&rule["source"], &rule["says"]), (&json!("default"), &json!("ignore")));
}

#[tokio::test]
async fn a_copy_in_the_coding_of_a_request_is_told() {
    let asking = Asking::of("compress = {}").await;
    let scene = &asking.scene;
    let page =
        Reply::fresh("<p>one line of it</p>\n".repeat(100)).field("content-type", "text/html");
    scene.origin.on("/a", page);
    scene.origin.on("/b", Reply::fresh("small").field("content-type", "text/html"));
    let told = async |target: &str| asking.told(target, "&header=Accept-Encoding:%20gzip").await;
    let effect = |told: &Value| rule(told, "site[0].compress")["effect"].clone();
    let made = "made of what is fetched, if that is stored and worth it";
    assert_eq!(effect(&told("/a").await), made);
    scene.get("/a").await;
    scene.get("/b").await;
    let made = told("/a").await;
    assert_eq!(effect(&made), "made of what is stored");
    let response = json!({ "status": 200, "bytes": null, "coding": "gzip", "coded_copy": false });
    assert_eq!(made["response"], response);
    let sent = scene.ask(Ask::get("/a").field("accept-encoding", "gzip")).await;
    let is_stored = async || told("/a").await["response"]["coded_copy"] == true;
    eventually("the copy is stored", is_stored).await;
    let stored = told("/a").await;
    assert_eq!(effect(&stored), "the copy that is stored is sent");
    assert_eq!(stored["response"]["bytes"], sent.body.len());
    assert_eq!(effect(&told("/b").await), "not made: what is stored is not worth it");
    let plain = asking.told("/a", "").await;
    assert_eq!(effect(&plain), "none is made for this request");
    assert_eq!(plain["response"]["coding"], json!(null));
}
