//! What purges would hit on all nodes.

use super::feeds::Lines;
use super::*;

const PREFERS: [(&str, &str); 1] = [("prefer", "surveys")];

impl Stage {
    /// A dry run, to which `fra-1` says this.
    async fn dry_run(&self, query: &str, body: Value, says: Value) -> (Told, Told) {
        let mut lines = Lines::open_with(self, "", &PREFERS).await;
        assert_eq!(lines.json().await["resume"], "foreign");
        let telling = async {
            let asked = lines.json().await;
            let commands = body.as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
            let kinds =
                |list: &[Value]| -> Vec<_> { list.iter().map(|it| it["kind"].clone()).collect() };
            assert_eq!(kinds(asked["commands"].as_array().unwrap()), kinds(&commands));
            let id = asked["survey"].as_str().unwrap();
            self.ask("POST", &format!("/v1/nodes/fra-1/surveys/{id}"), "", says).await
        };
        let query = format!("?dry_run=true{query}");
        tokio::join!(self.purge(&query, body.clone()), telling)
    }
}

#[tokio::test]
async fn a_dry_run_asks_the_nodes_and_purges_nothing() {
    let stage = Stage::open().await;
    stage.beat("fra-1", 1, 0).await;
    let says = json!({ "hits": [{ "objects": 3, "bytes": 900 }], "estimate": false });
    let (told, said) = stage.dry_run("", tag("a"), says.clone()).await;
    assert_eq!((told.status, said.status), (200, 200), "{}", said.text);
    let row = json!({
        "name": "fra-1", "state": "counted", "objects": 3, "bytes": 900, "estimate": false,
    });
    let expected = json!({
        "kind": "tag", "value": "a", "objects": 3, "bytes": 900, "estimate": false,
        "nodes": [row],
    });
    assert_eq!(told.data(), expected);
    assert_eq!((stage.plane.head().number, stage.get("/v1/purges").await.data()), (0, json!([])));
    // A list in, a list out; not as many figures as purges are no answer.
    let (told, said) =
        stage.dry_run("&wait=true&timeout=10ms", json!([tag("a"), tag("b")]), says).await;
    assert_eq!(said.detail(), "hits: expected 2 of them");
    assert_eq!(told.data()[1]["estimate"], true);
    assert_eq!(told.data()[1]["nodes"], json!([{ "name": "fra-1", "state": "silent" }]));
    let (told, _) = stage.dry_run("", tag("a"), json!({ "fault": "no" })).await;
    let row = json!({ "name": "fra-1", "state": "failed", "detail": "no" });
    assert_eq!(told.data()["nodes"], json!([row]));
}

#[tokio::test]
async fn nodes_that_are_not_heard_are_not_waited_for() {
    let stage = Stage::open().await;
    stage.beat("fra-1", 1, 0).await;
    pass(60_000);
    let told = stage.purge("?dry_run=true", tag("a")).await.data();
    assert_eq!((&told["objects"], &told["estimate"]), (&json!(0), &json!(true)));
    assert_eq!(told["nodes"], json!([{ "name": "fra-1", "state": "silent" }]));
}

#[tokio::test]
async fn who_does_not_want_surveys_is_told_the_log_alone() {
    let stage = Stage::open().await;
    stage.beat("fra-1", 1, 0).await;
    let mut lines = Lines::open_with(&stage, "", &[]).await;
    lines.json().await;
    let asking = async {
        stage.purge("?dry_run=true&wait=true&timeout=10ms", tag("a")).await;
        stage.purge("", tag("b")).await;
    };
    let (line, ()) = tokio::join!(lines.json(), asking);
    assert_eq!((&line["commands"][0]["value"], &line["first"]), (&json!("b"), &json!(1)));
}

#[tokio::test]
async fn what_is_no_answer_is_refused() {
    let purge: &[&str] = &["shop"];
    let tokens = [("deploy", TokenRole::Purge, purge), ("node", TokenRole::Node, &[][..])];
    let stage = Stage::new(&tokens).await;
    let path = "/v1/nodes/fra-1/surveys/00000000000000ff";
    let says = json!({ "hits": [], "estimate": false });
    assert_eq!(stage.ask("POST", path, "deploy", says.clone()).await.status, 403);
    let unknown = stage.ask("POST", path, "node", says).await;
    assert_eq!(unknown.status, 404);
    for (says, expected) in [
        (json!({ "hits": [{ "objects": 1 }], "estimate": true }), "hits: expected a list of"),
        (json!({ "estimate": true }), "hits: expected a list of"),
        (json!({ "hits": [] }), "estimate: expected true or false"),
        (json!({ "fault": 7 }), "fault: expected a string"),
    ] {
        let told = stage.ask("POST", path, "node", says).await;
        assert!(told.status == 400 && told.detail().starts_with(expected), "{}", told.text);
    }
    let dry = "/v1/purges?dry_run=true";
    let other = json!({ "kind": "tag", "value": "a", "site": "blog" });
    assert_eq!(stage.ask("POST", dry, "deploy", other).await.status, 403, "of another site");
    assert_eq!(stage.ask("POST", dry, "deploy", tag("a")).await.status, 200);
}
