//! Purges, their receipts, and who may ask for them.

use super::feeds::Lines;
use super::*;

fn rows(receipt: &Value) -> String {
    let row = |row: &Value| format!("{} {}", row["name"], row["state"]).replace('"', "");
    receipt["nodes"].as_array().unwrap().iter().map(row).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_purge_is_durable_and_has_a_receipt() {
    let stage = Stage::open().await;
    let told = stage.purge("", json!({ "kind": "tag", "value": "p42", "site": "shop" })).await;
    assert_eq!(told.status, 200, "nobody to wait for");
    let receipt = told.data();
    assert_eq!(receipt["sequence"]["number"], 1);
    assert_eq!(receipt["sequence"]["log"], stage.plane.head().log.to_string());
    let shown = ["state", "kind", "value", "site", "soft", "exact", "by"].map(|it| &receipt[it]);
    assert_eq!(json!(shown), json!(["complete", "tag", "p42", "shop", false, false, "local"]));
    assert_eq!(stage.get("/v1/purges/1").await.data(), receipt);
    assert_eq!(stage.get("/v1/purges/2").await.status, 404);

    let shouted = json!({ "kind": "url", "value": "HTTPS://Shop.Example/A" });
    assert_eq!(stage.purge("", shouted).await.data()["value"], "https://shop.example/A");

    let stage = stage.restarted().await;
    assert_eq!(stage.plane.head().number, 2);
    assert_eq!(stage.get("/v1/purges/1").await.data()["value"], "p42");
}

#[tokio::test]
async fn a_list_is_one_entry_and_a_list_comes_back() {
    let stage = Stage::open().await;
    let told = stage.purge("", json!([tag("a"), tag("b")])).await;
    let numbers: Vec<_> = told
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| receipt["sequence"]["number"].clone())
        .collect();
    assert_eq!(numbers, [1, 2]);
    let refused = stage.purge("", json!([tag("a"), { "kind": "tag" }])).await;
    assert_eq!(refused.status, 400);
    assert!(refused.detail().starts_with("[1].value: expected a surrogate key"));
    assert_eq!(stage.plane.head().number, 2, "all or none");
    assert_eq!(stage.purge("", json!([])).await.status, 400);
}

#[tokio::test]
async fn a_receipt_waits_for_every_node() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    stage.beat("b", 2, 0).await;
    let told = stage.purge("", tag("x")).await;
    assert_eq!((told.status, rows(&told.data())), (202, "a pending, b pending".to_owned()));
    pass(5);
    stage.beat("a", 1, 1).await;
    let told = stage.get("/v1/purges/1").await;
    assert_eq!((told.status, rows(&told.data())), (202, "a applied, b pending".to_owned()));
    assert_eq!(told.data()["nodes"][0]["ms"], 5.0);
    assert_eq!(told.data()["nodes"][1]["ms"], Value::Null);
    stage.beat("b", 2, 1).await;
    assert_eq!(stage.get("/v1/purges/1").await.data()["state"], "complete");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_it_is_complete_or_too_late() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    let (told, ()) = tokio::join!(stage.purge("?wait=true&timeout=60s", tag("x")), async {
        let mut head = stage.plane.log().head();
        head.wait_for(|head| head.number == 1).await.unwrap();
        while stage.get("/v1/purges/1").await.status == 404 {
            tokio::task::yield_now().await;
        }
        stage.beat("a", 1, 1).await;
    });
    assert_eq!((told.status, rows(&told.data())), (200, "a applied".to_owned()));
    let late = stage.purge("?wait=true&timeout=1s", tag("y")).await;
    assert_eq!((late.status, rows(&late.data())), (202, "a pending".to_owned()));
}

#[tokio::test]
async fn receipts_are_paged_the_newest_first() {
    let stage = Stage::open().await;
    stage.purge("", json!([tag("1"), tag("2"), tag("3")])).await;
    stage.purge("", tag("4")).await;
    let page = async |query: &str| {
        let told = stage.get(&format!("/v1/purges{query}")).await.json();
        let values = told["data"].as_array().unwrap().iter().map(|it| it["value"].to_string());
        (values.collect::<String>().replace('"', ""), told["meta"]["next"].clone())
    };
    assert_eq!(page("").await, ("4321".to_owned(), Value::Null));
    assert_eq!(page("?limit=2").await, ("43".to_owned(), json!("3")));
    assert_eq!(page("?limit=2&cursor=3").await, ("21".to_owned(), Value::Null));
}

const TOKENS: &[(&str, TokenRole, &[&str])] = &[
    ("viewer", TokenRole::View, &[]),
    ("deploy", TokenRole::Purge, &["shop"]),
    ("press", TokenRole::Purge, &["blog", "news"]),
    ("edges", TokenRole::Node, &[]),
    ("owner", TokenRole::Admin, &[]),
];

#[tokio::test]
async fn a_token_purges_its_sites_alone() {
    let stage = Stage::new(TOKENS).await;
    let ask = async |by: &str, body: Value| {
        let told = stage.ask("POST", "/v1/purges", by, body).await;
        match told.status {
            200 => told.data()["site"].to_string(),
            status => format!("{status} {}", told.detail()),
        }
    };
    let of = |site: &str| json!({ "kind": "tag", "value": "a", "site": site });
    let expected = "site: expected one of the sites that the token is for, found";
    assert_eq!(ask("deploy", tag("a")).await, "\"shop\"", "there is but one");
    assert_eq!(ask("deploy", of("shop")).await, "\"shop\"");
    assert_eq!(ask("deploy", of("blog")).await, format!("403 {expected} \"blog\""));
    let site = json!({ "kind": "site", "value": "blog" });
    assert_eq!(ask("deploy", site).await, format!("403 {expected} \"blog\""));
    assert_eq!(ask("press", tag("a")).await, format!("403 {expected} nothing"));
    assert_eq!(ask("press", of("news")).await, "\"news\"");
    assert_eq!(ask("owner", tag("a")).await, "null");
    let list = stage.ask("POST", "/v1/purges", "press", json!([of("blog"), of("shop")])).await;
    assert_eq!(list.detail(), format!("[1].{expected} \"shop\""));
    // What is seen is limited, too.
    let seen = stage.ask("GET", "/v1/purges", "deploy", Value::Null).await.data();
    assert_eq!(seen.as_array().unwrap().len(), 2);
    assert_eq!(stage.ask("GET", "/v1/purges/3", "deploy", Value::Null).await.status, 404);
    assert_eq!(stage.ask("GET", "/v1/purges/3", "press", Value::Null).await.status, 200);
}

#[tokio::test]
async fn who_may_not_is_refused_and_audited() {
    let stage = Stage::new(TOKENS).await;
    assert_eq!(stage.ask("POST", "/v1/purges", "viewer", tag("a")).await.status, 403);
    assert_eq!(stage.ask("POST", "/v1/purges", "stranger", tag("a")).await.status, 401);
    assert_eq!(stage.ask("POST", "/v1/nodes/a", "deploy", json!({})).await.status, 403);
    assert_eq!(stage.ask("GET", "/v1/log", "viewer", Value::Null).await.status, 403);
    assert_eq!(stage.ask("GET", "/v1/audit", "deploy", Value::Null).await.status, 403);
    assert_eq!(stage.ask("DELETE", "/v1/nodes/a", "edges", Value::Null).await.status, 403);
    stage.ask("POST", "/v1/purges", "deploy", json!([tag("a"), tag("b")])).await;
    let audit = stage.ask("GET", "/v1/audit?limit=3", "owner", Value::Null).await.json();
    let event = |at: usize| {
        let event = &audit["data"][at];
        json!([event["by"], event["what"], event["status"], event["address"], event["detail"]])
    };
    let local = "127.0.0.1";
    let detail = "tag \"a\" of \"shop\" and 1 more: purges 1 to 2";
    assert_eq!(event(0), json!(["deploy", "POST /v1/purges", 200, local, detail]));
    let detail = "authorization: expected a token of role admin, found node";
    assert_eq!(event(1), json!(["edges", "DELETE /v1/nodes/a", 403, local, detail]));
    assert_eq!(audit["meta"]["next"], "5");
}

#[tokio::test]
async fn who_is_refused_without_end_hides_nobody() {
    let stage = Stage::new(TOKENS).await;
    stage.ask("POST", "/v1/purges", "deploy", tag("a")).await;
    let refused = async |count, by| {
        for _ in 0..count {
            stage.ask("DELETE", "/v1/nodes/a", by, Value::Null).await;
        }
    };
    refused(200, "stranger").await;
    refused(1, "edges").await;
    pass(1000);
    refused(200, "stranger").await;
    let audit = stage.ask("GET", "/v1/audit?limit=100", "owner", Value::Null).await.data();
    let by = |name: &str| audit.as_array().unwrap().iter().filter(|it| it["by"] == name).count();
    assert_eq!([by("deploy"), by("edges"), by("")], [1, 1, 20]);
    let detail = "authorization: expected a token of role admin, found node (and 190 refusals \
                  before that are not noted)";
    assert_eq!(audit[10]["detail"], detail);
}

#[tokio::test]
async fn a_token_that_has_expired_is_refused_and_named_in_the_audit_alone() {
    let stage = Stage::new(&[
        ("until_2000", TokenRole::Purge, &[]),
        ("until_2000_too", TokenRole::Node, &[]),
        ("owner", TokenRole::Admin, &[]),
    ])
    .await;
    let purge = async || stage.ask("POST", "/v1/purges", "until_2000", tag("a")).await;
    pass(999_999);
    assert_eq!(purge().await.status, 200);
    let bearer = [("authorization", "Bearer hl_until_2000_too")];
    let mut feed = Lines::open_with(&stage, "", &bearer).await;
    assert!(feed.next().await.is_some());
    pass(1);
    let refused = purge().await;
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authenticate: Bearer\n"), "{}", refused.head);
    assert_eq!(refused.detail(), "authorization: the token has expired");
    let audit = stage.ask("GET", "/v1/audit?limit=1", "owner", Value::Null).await.data();
    let event = &audit[0];
    assert_eq!((&event["by"], &event["status"]), (&json!("until_2000"), &json!(401)));
    // What was opened with it ends with the next line.
    stage.ask("POST", "/v1/purges", "owner", tag("b")).await;
    assert_eq!(feed.next().await, None);
}

#[tokio::test]
async fn requests_are_limited_for_each_token() {
    let stage = Stage::new(TOKENS).await;
    let ask = async |by: &str| stage.ask("GET", "/v1/purges", by, Value::Null).await;
    for _ in 0..50 {
        assert_eq!(ask("viewer").await.status, 200);
    }
    let refused = ask("viewer").await;
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("retry-after: 1\n"));
    assert_eq!(ask("deploy").await.status, 200);
    pass(20);
    assert_eq!(ask("viewer").await.status, 200);
}

#[tokio::test]
async fn a_write_is_json_and_on_loopback_to_loopback() {
    let stage = Stage::open().await;
    let body = || tag("a").to_string();
    let form = [("content-type", "text/plain")];
    assert_eq!(stage.response("POST", "/v1/purges", &form, body()).await.status, 415);
    let length = body().len() as u64;
    let head = RequestHead {
        method: http::Method::POST,
        host: "evil.example".into(),
        target: "/v1/purges".into(),
        fields: Fields::default(),
        content_length: Some(length),
        peer: Peer {
            address: "127.0.0.1:1".parse().unwrap(),
            protocol: Protocol::Http2,
            scheme: Scheme::Http,
        },
    };
    let request = Request { head: Box::new(head), body: Body::Full(body().into()) };
    let Answer::Now(refused) = stage.door.serve(request) else { panic!("refused at once") };
    assert_eq!(refused.response.status, 403);
}

#[tokio::test]
async fn a_purge_is_repeated_once_for_origins_that_lag() {
    let stage = Stage::settling(Duration::from_millis(1)).await;
    let mut head = stage.plane.log().head();
    let mut goes_to = async |number: u64| {
        let waiting = head.wait_for(|head| head.number == number);
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    };
    stage.purge("", json!([tag("a"), tag("b")])).await;
    goes_to(4).await;
    // A repeat has none: the next two are of the next purge and of its own.
    stage.purge("", tag("c")).await;
    goes_to(6).await;
    let told = stage.get("/v1/purges").await.data();
    let values: Vec<_> = told.as_array().unwrap().iter().map(|it| &it["value"]).collect();
    assert_eq!(json!(values), json!(["c", "c", "b", "a", "b", "a"]));
    assert!(told.as_array().unwrap().iter().all(|it| it["by"] == "local"));
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_purged() {
    let stage = Stage::open().await;
    stage.beat("a", 1, 0).await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = stage.log.write_to(full);
    let refused = stage.purge("", json!([tag("a"), tag("b")])).await;
    assert_eq!(refused.status, 503);
    let detail = refused.detail();
    let expected = "purges: none was carried out: the purge log ";
    assert!(detail.starts_with(expected), "{detail}");
    assert!(
        detail.ends_with("cannot be written: No space left on device (os error 28)"),
        "{detail}"
    );
    let audit = stage.get("/v1/audit?limit=1").await.data();
    assert_eq!((&audit[0]["status"], &audit[0]["by"]), (&json!(503), &json!("local")));
    stage.log.write_to(file);
    assert_eq!(stage.plane.head().number, 0);
    let taken = stage.purge("", tag("c")).await;
    assert_eq!((taken.status, &taken.data()["sequence"]["number"]), (202, &json!(1)));
}
