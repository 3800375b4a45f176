//! What would become of a request is told as it then comes to pass.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::door::Door;
use crate::support::{HOST, Protocol, Reply, Scene, Setup, eventually};

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
        let mut config = String::new();
        let set = |setup: Setup| {
            let setup = setup.site(SITE);
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
    let line =
        |text: &str| json!(asking.config.lines().position(|line| line.contains(text)).unwrap() + 1);
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
        assert_eq!(rule["line"], line(text), "{name}");
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
        ("?uri=x", "uri: unknown parameter; expected url, method or header"),
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
    let people = run(&["--header", "Accept: */*"]).await;
    for part in [
        &format!("GET https://{HOST}/media/a: serve, for fresh\n"),
        "shop  /media/*  app",
        "site[0].route[0].freshness.default",
        "fresh for 1h",
        r"headland purge tag 'it'\''s' --site shop",
    ] {
        assert!(people.contains(part), "{part}\n{people}");
    }
    let json: Value = serde_json::from_str(&run(&["--json"]).await).unwrap();
    assert_eq!(json["data"]["verdict"], "serve");
}
