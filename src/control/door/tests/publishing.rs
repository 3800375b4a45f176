//! Publishing, and what nodes and people are told of it.

use super::*;

/// A text of one site.
fn text(host: &str) -> String {
    format!(
        "[[origin]]\nname = \"app\"\nservers = [{{ url = \"http://${{APP}}\" }}]\n\
         [[site]]\nname = \"shop\"\nhosts = [\"{host}\"]\norigin = \"app\"\n"
    )
}

impl Stage {
    async fn publish(&self, body: Value) -> Told {
        self.ask("POST", "/v1/config", "", body).await
    }

    async fn config(&self) -> Value {
        self.get("/v1/config").await.data()
    }

    /// What the node of that name is to have, as its heartbeat is told.
    async fn wanted(&self, name: &str, config: Value) -> Value {
        self.beat_with(name, 1, 0, json!({ "config": config })).await.data()["config"].clone()
    }

    /// The newest events of the audit: who, what, how it went, and what of.
    async fn audited(&self, by: &str) -> Vec<String> {
        let events = self.ask("GET", "/v1/audit", by, Value::Null).await.data();
        let events = events.as_array().unwrap().iter();
        let words = |event: &Value| {
            ["by", "what", "status", "detail"].map(|key| match &event[key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        };
        events.map(|event| words(event).join(" ")).collect()
    }
}

/// A name that a share of ten percent covers, or one that it does not.
fn name(is_first: bool) -> String {
    use crate::control::publish::rollout::Share;
    let share = Share::percent(10).unwrap();
    let mut names = (0..).map(|number| format!("edge-{number}"));
    names.find(|name| share.covers(name) == is_first).unwrap()
}

#[tokio::test]
async fn a_version_is_published_to_a_share_promoted_and_rolled_back() {
    let stage = Stage::open().await;
    let (first, later) = (name(true), name(false));
    assert_eq!(stage.wanted(&first, json!(null)).await, json!(null), "nothing is known");
    let one = stage.publish(json!({ "toml": text("a.example"), "after": 0 })).await;
    assert_eq!(one.status, 200, "{}", one.text);
    let one = one.data();
    assert_eq!(
        (&one["version"], &one["state"], &one["by"]),
        (&json!(1), &json!("current"), &json!("local"))
    );
    assert_eq!(one["nodes"], json!({ "applied": 0, "pending": 1, "failed": 0 }));
    let told = json!({ "version": 1, "hash": one["hash"] });
    for name in [&first, &later] {
        assert_eq!(stage.wanted(name, json!({ "version": 0 })).await, told);
        stage.wanted(name, told.clone()).await;
    }
    assert_eq!(stage.config().await["current"]["nodes"]["applied"], 2);

    let two = stage.publish(json!({ "toml": text("b.example"), "share": 10 })).await.data();
    assert_eq!((&two["state"], &two["share"]), (&json!("candidate"), &json!(10)));
    let wanted = stage.wanted(&first, told.clone()).await;
    assert_eq!(wanted, json!({ "version": 2, "hash": two["hash"] }));
    assert_eq!(stage.wanted(&later, told.clone()).await, told);
    let mut failed = told.clone();
    failed["failed"] = wanted.clone();
    failed["failed"]["fault"] = "${APP} is not set".into();
    stage.wanted(&first, failed).await;
    let config = stage.config().await;
    assert_eq!(config["candidate"]["nodes"], json!({ "applied": 0, "pending": 0, "failed": 1 }));
    assert_eq!(config["current"]["nodes"], json!({ "applied": 1, "pending": 0, "failed": 0 }));
    let nodes = stage.get("/v1/nodes").await.data();
    let node = nodes.as_array().unwrap().iter().find(|node| node["name"] == first).unwrap();
    let expected =
        json!({ "version": 1, "wanted": 2, "state": "failed", "fault": "${APP} is not set" });
    assert_eq!(node["config"], expected);

    let promote = async |body| stage.ask("POST", "/v1/config/promote", "", body).await;
    assert_eq!(promote(json!({ "version": 2, "share": 60 })).await.data()["share"], 60);
    assert_eq!(promote(json!({})).await.data()["state"], "current");
    let back = stage.ask("POST", "/v1/config/rollback", "", json!({ "version": 2 })).await.data();
    assert_eq!((&back["version"], &back["restores"]), (&json!(3), &json!(1)));
    let states: Vec<_> = stage.config().await["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| format!("{} {}", version["version"], version["state"]))
        .collect();
    assert_eq!(states, ["3 \"current\"", "2 \"past\"", "1 \"past\""]);
    let shown = stage.get("/v1/config/3").await.data();
    assert_eq!((&shown["toml"], &shown["hash"]), (&json!(text("a.example")), &one["hash"]));
    assert_eq!(stage.get("/v1/config/4").await.status, 404);
    let page = stage.get("/v1/config?limit=1&cursor=3").await.json();
    assert_eq!(
        (&page["data"]["versions"][0]["version"], &page["meta"]["next"]),
        (&json!(2), &json!("2"))
    );
    assert_eq!(stage.get("/v1/status").await.data()["config_version"], "3");

    let stage = stage.restarted().await;
    assert_eq!(
        stage.wanted(&later, json!(null)).await,
        json!({ "version": 3, "hash": one["hash"] })
    );
    assert_eq!(stage.get("/v1/config/2").await.data()["toml"], text("b.example"));
}

#[tokio::test]
async fn a_first_candidate_that_is_dropped_leaves_the_nodes_own_file() {
    let stage = Stage::open().await;
    stage.publish(json!({ "toml": text("a.example"), "share": 10 })).await;
    assert_eq!(stage.wanted(&name(true), json!(null)).await["version"], 1);
    assert_eq!(stage.wanted(&name(false), json!(null)).await, json!({ "version": 0 }));
    let back = stage.ask("POST", "/v1/config/rollback", "", json!({})).await;
    assert_eq!((back.status, back.data()), (200, Value::Null));
    assert_eq!(stage.wanted(&name(true), json!(null)).await, json!({ "version": 0 }));
}

#[tokio::test]
async fn a_bad_text_is_refused_with_every_place() {
    let stage = Stage::open().await;
    let bad = text("a.example") + "[limits]\nheaders = 7\n[[site]]\nname = \"shop\"\nhosts = []\n";
    for target in ["/v1/config", "/v1/config?dry_run=true"] {
        let told = stage.ask("POST", target, "", json!({ "toml": bad })).await;
        assert_eq!(told.status, 422, "{}", told.text);
        let detail = told.detail();
        let lines: Vec<_> = detail.lines().collect();
        let limits = "toml:8:1: limits: expected [[origin]] and [[site]] alone, found what each \
                      node has of its own";
        assert_eq!((lines[0], lines.last()), (limits, Some(&"4 faults")), "{detail}");
        let fault = &told.json()["faults"][2];
        let place = [&fault["line"], &fault["column"], &fault["key"], &fault["wrong"]];
        let wrong = json!("found \"shop\" again, as in line 5");
        assert_eq!(place, [&json!(11), &json!(1), &json!("site[1].name"), &wrong]);
    }
    assert_eq!(stage.config().await, json!({ "current": null, "candidate": null, "versions": [] }));
    let audited = stage.audited("").await;
    assert!(audited[0].starts_with("local POST /v1/config 422 toml:8:1: limits: "), "{audited:?}");
}

#[tokio::test]
async fn what_makes_no_sense_or_comes_too_late_is_refused() {
    let stage = Stage::open().await;
    let sound = text("a.example");
    let checked = json!({ "toml": sound });
    let checked = stage.ask("POST", "/v1/config?dry_run=true", "", checked).await.data();
    assert_eq!((&checked["sites"], &checked["after"]), (&json!(1), &json!(0)));
    stage.publish(json!({ "toml": sound })).await;
    let (publish, promote, rollback) = ("/v1/config", "/v1/config/promote", "/v1/config/rollback");
    let cases = [
        (publish, json!([]), 400, "body: expected a JSON object"),
        (publish, json!({}), 400, "toml: expected a text with [[origin]] and [[site]] tables"),
        (
            publish,
            json!({ "toml": "", "shar": 1 }),
            400,
            "shar: expected no such field; there are: ",
        ),
        (publish, json!({ "toml": "", "share": 0 }), 400, "share: expected a number of percent, "),
        (
            publish,
            json!({ "toml": "", "after": "1" }),
            400,
            "after: expected the number of a version",
        ),
        (
            publish,
            json!({ "toml": "#".repeat(2049) }),
            413,
            "toml: expected at most 2048 bytes, found 2049",
        ),
        (publish, json!({ "toml": "#".repeat(20_000) }), 413, "body: expected at most 10240 bytes"),
        (
            publish,
            json!({ "toml": sound, "after": 0 }),
            409,
            "after: expected 1, the latest version",
        ),
        (promote, json!({}), 409, "version: expected a candidate, found none"),
        (
            rollback,
            json!({ "version": 7 }),
            409,
            "version: expected 1, which all nodes are to have",
        ),
        (rollback, json!({}), 409, "version: expected a version to go back to, found none"),
        (rollback, json!({ "share": 7 }), 400, "share: expected no such field"),
        ("/v1/config?wait=true", json!({}), 400, "wait: unknown parameter; expected dry_run"),
        ("/v1/config/promote?dry_run=true", json!({}), 400, "dry_run: unknown parameter"),
    ];
    for (target, body, status, detail) in cases {
        let told = stage.ask("POST", target, "", body).await;
        assert_eq!(told.status, status, "{}", told.text);
        assert!(told.detail().starts_with(detail), "{}", told.text);
    }
    assert_eq!(stage.config().await["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_admin_publishes_and_everything_is_audited() {
    let stage = Stage::new(&[
        ("ops", TokenRole::Admin, &[]),
        ("shop", TokenRole::Admin, &["shop"]),
        ("deploy", TokenRole::Purge, &[]),
        ("viewer", TokenRole::View, &[]),
        ("edge", TokenRole::Node, &[]),
    ])
    .await;
    let publish = async |by| {
        stage.ask("POST", "/v1/config", by, json!({ "toml": text("a.example") })).await.status
    };
    let mut refused = Vec::new();
    for by in ["shop", "deploy", "viewer", "edge", "nobody"] {
        refused.push(publish(by).await);
    }
    assert_eq!(refused, [403, 403, 403, 403, 401]);
    assert_eq!(publish("ops").await, 200);
    let mut read = Vec::new();
    for by in ["shop", "deploy", "viewer", "edge", "nobody"] {
        let list = stage.ask("GET", "/v1/config", by, Value::Null).await.status;
        read.push((list, stage.ask("GET", "/v1/config/1", by, Value::Null).await.status));
    }
    assert_eq!(read, [(200, 403), (200, 200), (200, 200), (403, 200), (401, 401)]);
    stage.ask("POST", "/v1/config/rollback", "ops", json!({})).await;
    let audited = stage.audited("ops").await;
    let expected = [
        "ops POST /v1/config/rollback 409 version: expected a version to go back to",
        "ops POST /v1/config 200 version 1 for all nodes",
        " POST /v1/config 401 authorization: the token is not known here",
        "edge POST /v1/config 403 authorization: expected a token of role admin, found node",
        "viewer POST /v1/config 403 authorization: expected a token of role admin, found view",
        "deploy POST /v1/config 403 authorization: expected a token of role admin, found purge",
        "shop POST /v1/config 403 authorization: expected a token for all sites",
    ];
    for line in expected {
        assert!(audited.iter().any(|event| event.starts_with(line)), "{line}: {audited:#?}");
    }
}

#[tokio::test]
async fn what_is_damaged_stops_publishing_alone() {
    let stage = Stage::open().await;
    stage.publish(json!({ "toml": text("a.example") })).await;
    let index = stage.folder.path().join("config/index");
    let whole = std::fs::read(&index).unwrap();
    std::fs::write(&index, "headland config 1 x\n").unwrap();
    let stage = stage.restarted().await;
    let damaged = format!("the published config {} is damaged; ", index.display());
    assert!(
        stage.get("/v1/status").await.data()["config_fault"]
            .as_str()
            .unwrap()
            .starts_with(&damaged)
    );
    let sound = json!({ "toml": text("b.example") });
    for (method, target, body) in [
        ("POST", "/v1/config", sound.clone()),
        ("POST", "/v1/config?dry_run=true", sound.clone()),
        ("POST", "/v1/config/promote", json!({})),
        ("POST", "/v1/config/rollback", json!({})),
        ("GET", "/v1/config", Value::Null),
        ("GET", "/v1/config/1", Value::Null),
    ] {
        let told = stage.ask(method, target, "", body).await;
        assert_eq!(told.status, 503, "{method} {target}: {}", told.text);
        assert!(told.detail().starts_with(&format!("config: {damaged}")), "{}", told.text);
    }
    // Nodes are told nothing, and keep what they have; and purges go on.
    assert_eq!(stage.wanted("fra-1", json!(null)).await, Value::Null);
    assert_eq!(stage.purge("", tag("a")).await.status, 202);
    assert_eq!(stage.get("/v1/nodes").await.status, 200);

    std::fs::write(&index, whole).unwrap();
    stage.plane.publish_on().await;
    assert_eq!(stage.wanted("fra-1", json!(null)).await["version"], 1);
    assert_eq!(stage.get("/v1/status").await.data()["config_fault"], Value::Null);
    assert_eq!(stage.publish(sound).await.data()["version"], 2);
}

/// As many as there are fetch it at once.
#[tokio::test]
async fn texts_are_not_rationed() {
    let stage = Stage::new(&[("ops", TokenRole::Admin, &[]), ("edge", TokenRole::Node, &[])]).await;
    stage.ask("POST", "/v1/config", "ops", json!({ "toml": text("a.example") })).await;
    for _ in 0..200 {
        let told = stage.ask("GET", "/v1/config/1", "edge", Value::Null).await;
        assert_eq!(told.status, 200);
    }
}
