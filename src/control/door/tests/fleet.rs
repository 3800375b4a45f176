//! Heartbeats, the list of nodes, and what the control plane tells of itself.

use super::*;

#[tokio::test]
async fn a_heartbeat_registers_and_grants_a_lease_that_carries_the_head() {
    let stage = Stage::open().await;
    stage.purge("", tag("a")).await;
    let told = stage.beat("fra-1", 1, 0).await;
    let head = stage.plane.head();
    let expected = json!({
        "granted": true,
        "lease_ms": 10_000,
        "log": head.log.to_string(),
        "head": 1,
        "head_hash": head.hash.to_string(),
        "since": 1,
        "config": null,
    });
    assert_eq!((told.status, told.data()), (200, expected));
    let kept = std::fs::read_to_string(stage.folder.path().join("nodes")).unwrap();
    let line =
        r#"{"incarnation":"0000000000000001","lease_ms":10000,"name":"fra-1","serves_on":true}"#;
    assert_eq!(kept.lines().last(), Some(line), "it is durable before it is granted");
}

#[tokio::test]
async fn a_second_process_of_a_name_is_refused_and_audited() {
    let stage = Stage::open().await;
    let validates = || json!({ "on_control_loss": "revalidate" });
    stage.beat_with("a", 1, 0, validates()).await;
    pass(5000);
    let refused = stage.beat_with("a", 2, 0, validates()).await;
    assert_eq!(refused.status, 409);
    let detail = "incarnation: expected the one process of the name \"a\"; another has a lease, \
                  for 6000 ms yet";
    assert_eq!(refused.detail(), detail);
    assert_eq!(stage.get("/v1/audit").await.data()[0]["status"], 409);
    pass(6000);
    assert_eq!(stage.beat_with("a", 2, 0, validates()).await.status, 200);
    let next = json!({ "succeeds": ["0000000000000002"] });
    assert_eq!(stage.beat_with("a", 3, 0, next).await.status, 200);
}

#[tokio::test]
async fn the_name_of_one_that_serves_on_is_kept_and_the_refusal_says_what_to_do() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    pass(1_000_000);
    let detail = |heard: &str| {
        format!(
            "incarnation: expected the process 0000000000000001, which has the name \"a\" and \
             serves on, or one that succeeds it with the same cache folder or \
             control.identity_file; it {heard} and may serve what it stored. Once it surely has \
             ended, strike it off: DELETE /v1/nodes/a"
        )
    };
    let refused = stage.beat("a", 2, 0).await;
    assert_eq!((refused.status, refused.detail()), (409, detail("was heard 1000000 ms ago")));
    let stage = stage.restarted().await;
    pass(1_000_000);
    let unheard = detail("has not been heard since the control plane started");
    assert_eq!(stage.beat("a", 2, 0).await.detail(), unheard);
    let succeeds = json!({ "succeeds": ["000000000000000f", "0000000000000001"] });
    assert_eq!(stage.beat_with("a", 2, 0, succeeds).await.status, 200);
    stage.ask("DELETE", "/v1/nodes/a", "", Value::Null).await;
    assert_eq!(stage.beat("a", 3, 0).await.status, 200);
}

#[tokio::test]
async fn a_node_leaves_by_its_own_word() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    assert_eq!(stage.purge("", tag("x")).await.status, 202);
    let leaves = || json!({ "leaves": true });
    assert_eq!(stage.beat_with("a", 2, 0, leaves()).await.status, 200, "nothing to strike off");
    assert_eq!(stage.get("/v1/purges/1").await.data()["state"], "pending");
    let left = stage.beat_with("a", 1, 0, leaves()).await;
    let told = json!({ "granted": false, "name": "a", "state": "left" });
    assert_eq!((left.status, left.data()), (200, told));
    let receipt = stage.get("/v1/purges/1").await.data();
    let row = json!({ "name": "a", "state": "left", "ms": null });
    assert_eq!((&receipt["state"], &receipt["nodes"][0]), (&json!("complete"), &row));
    assert_eq!(stage.get("/v1/audit").await.data()[0]["detail"], "node \"a\" has left");
    let stage = stage.restarted().await;
    assert_eq!(stage.get("/v1/nodes").await.data(), json!([]));
    assert_eq!(stage.beat("a", 2, 0).await.status, 200);
}

#[tokio::test]
async fn of_two_processes_that_come_at_once_one_is_registered() {
    let stage = Stage::open().await;
    let (one, two) = tokio::join!(stage.beat("a", 1, 0), stage.beat("a", 2, 0));
    let mut told = [one.status, two.status];
    told.sort_unstable();
    assert_eq!(told, [200, 409]);
}

#[tokio::test]
async fn many_nodes_register_at_once() {
    let stage = Stage::open().await;
    let names: Vec<_> = (0..100).map(|n| format!("node-{n:03}")).collect();
    let beats = names.iter().zip(1..).map(|(name, incarnation)| stage.beat(name, incarnation, 0));
    let told = futures_util::future::join_all(beats).await;
    assert!(told.iter().all(|told| told.status == 200));
    assert_eq!(stage.beat("one-more", 1000, 0).await.status, 503, "the table is bounded");
    let page = stage.get("/v1/nodes?limit=60").await.json();
    assert_eq!(page["meta"]["next"], "node-059");
    let page = stage.get("/v1/nodes?limit=60&cursor=node-059").await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 40);
    assert_eq!(page["meta"]["next"], Value::Null);
    let stage = stage.restarted().await;
    assert_eq!(stage.get("/v1/status").await.data()["nodes"]["held"], 100);
}

#[tokio::test]
async fn what_cannot_be_made_durable_gets_no_lease() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    std::fs::create_dir(stage.folder.path().join("nodes.new")).unwrap();
    let refused = stage.beat("b", 2, 0).await;
    assert_eq!(refused.status, 503);
    assert!(refused.detail().starts_with("node: the registrations "));
    let next = json!({ "succeeds": ["0000000000000001"] });
    assert_eq!(stage.beat_with("a", 3, 0, next).await.status, 503);
    assert_eq!(stage.beat("a", 1, 0).await.status, 200, "who is registered goes on");
    assert_eq!(stage.get("/v1/nodes").await.data().as_array().unwrap().len(), 1);
    std::fs::remove_dir(stage.folder.path().join("nodes.new")).unwrap();
    assert_eq!(stage.beat("b", 2, 0).await.status, 200);
}

#[tokio::test]
async fn nodes_show_how_they_stand() {
    let stage = Stage::open().await;
    stage.purge("", json!([tag("a"), tag("b")])).await;
    let more = json!({ "applied_ms": 1.5, "status": { "hits": 7 } });
    stage.beat_with("a", 1, 2, more).await;
    let fenced = json!({ "fenced": true, "on_control_loss": "revalidate", "position": null });
    stage.beat_with("b", 2, 0, fenced).await;
    pass(100);
    let nodes = stage.get("/v1/nodes").await.data();
    let expected = json!({
        "name": "a", "incarnation": "0000000000000001", "on_control_loss": "serve",
        "state": "live", "position": 2, "lag": 0, "role": "edge", "region": "eu",
        "version": "0.1.0", "fenced": false, "heard_ms_ago": 100, "applied_ms": 1.5,
        "status": { "hits": 7 },
        "config": { "version": null, "wanted": null, "state": null, "fault": null },
    });
    assert_eq!(nodes[0], expected);
    assert_eq!((&nodes[1]["state"], &nodes[1]["lag"]), (&json!("fenced"), &json!(2)));
    pass(100_000);
    let nodes = stage.get("/v1/nodes").await.data();
    assert_eq!((&nodes[0]["state"], &nodes[1]["state"]), (&json!("lost"), &json!("fenced")));
}

#[tokio::test]
async fn an_operator_strikes_a_node_off() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    assert_eq!(stage.purge("", tag("x")).await.status, 202);
    assert_eq!(stage.ask("DELETE", "/v1/nodes/b", "", Value::Null).await.status, 404);
    assert_eq!(stage.ask("DELETE", "/v1/nodes/a", "", Value::Null).await.status, 200);
    let receipt = stage.get("/v1/purges/1").await.data();
    let row = json!({ "name": "a", "state": "removed", "ms": null, "removed_by": "local" });
    assert_eq!((&receipt["state"], &receipt["nodes"][0]), (&json!("complete"), &row));
    let event = &stage.get("/v1/audit").await.data()[0];
    assert_eq!(event["detail"], "node \"a\" was struck off");
    let stage = stage.restarted().await;
    assert_eq!(stage.get("/v1/nodes").await.data(), json!([]), "it does not come back");
}

#[tokio::test]
async fn it_tells_of_itself() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    stage.purge("", tag("x")).await;
    assert_eq!(stage.get("/healthz").await.data()["state"], "serving");
    assert_eq!(stage.get("/readyz").await.status, 200);
    let status = stage.get("/v1/status").await.data();
    assert_eq!((&status["role"], &status["version"]), (&json!("control"), &json!("1.2.3")));
    assert_eq!((&status["purge"]["head"], &status["receipts_pending"]), (&json!(1), &json!(1)));
    let metrics = stage.get("/metrics").await.text;
    for line in [
        "headland_control_nodes{standing=\"live\"} 1",
        "headland_control_purge_head 1",
        "headland_control_receipts_pending 1",
        "headland_control_heartbeats_total{outcome=\"granted\"} 1",
        "headland_control_purges_total{outcome=\"appended\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    assert_eq!(stage.get("/v1/status?x=1").await.status, 400);
    assert_eq!(stage.get("/v1/nothing").await.status, 404);
}
