//! Events of a bucket, as they are sent to the door.

use super::*;

const EVENT: &str = r#"{"Records":[{"eventName":"ObjectCreated:Put",
"s3":{"bucket":{"name":"assets"},"object":{"key":"a.css"}}}]}"#;

const DEPLOY: [(&str, TokenRole, &[&str]); 2] =
    [("deploy", TokenRole::Purge, &[]), ("viewer", TokenRole::View, &[])];

impl Stage {
    async fn event(&self, fields: &[(&str, &str)], body: &str) -> Told {
        let path = "/v1/hooks/s3/assets";
        Told::of(self.response("POST", path, fields, body.to_owned()).await)
    }
}

#[tokio::test]
async fn events_purge_by_the_name_of_the_hook() {
    let stage = Stage::new(&DEPLOY).await;
    let json = ("content-type", "application/json");
    let bearer = ("authorization", "Bearer hl_deploy");
    let told = stage.event(&[json, bearer], EVENT).await;
    let log = stage.plane.head().log.to_string();
    let expected = json!({
        "hook": "assets", "state": "complete", "sequence": { "log": log, "number": 1 },
        "purges": 1, "left_alone": 0,
    });
    assert_eq!((told.status, told.data()), (200, expected), "{}", told.text);
    let purges = stage.ask("GET", "/v1/purges", "deploy", Value::Null).await.data();
    let purge = json!([purges[0]["kind"], purges[0]["value"], purges[0]["by"]]);
    assert_eq!(purge, json!(["url", "https://static.example.com/a.css", "assets"]));
    // As SNS sends it, which shows its name and password when it is asked to.
    let sns = [("content-type", "text/plain; charset=UTF-8"), ("x-amz-sns-message-type", "x")];
    let asked = stage.event(&sns, EVENT).await;
    assert_eq!(asked.status, 401);
    assert!(asked.head.contains("www-authenticate: Basic realm=\"headland\"\n"), "{}", asked.head);
    // headland:hl_deploy
    let basic = ("authorization", "Basic aGVhZGxhbmQ6aGxfZGVwbG95");
    assert_eq!(stage.event(&[sns[0], sns[1], basic], EVENT).await.status, 200);
    assert_eq!(stage.plane.head().number, 2, "what comes again is purged again");
    let others = EVENT.replace("ObjectCreated", "ObjectTagging");
    let told = stage.event(&[json, bearer], &others).await.data();
    assert_eq!((&told["sequence"], &told["left_alone"]), (&Value::Null, &json!(1)));
    let events = stage.plane.head().number;
    assert_eq!(events, 2);
}

#[tokio::test]
async fn what_may_not_purge_is_refused_and_audited() {
    let stage = Stage::new(&DEPLOY).await;
    let json = ("content-type", "application/json");
    let bearer = ("authorization", "Bearer hl_deploy");
    let viewer = ("authorization", "Bearer hl_viewer");
    // headland:hl_deploy is a credential for hooks alone.
    let basic = [json, ("authorization", "Basic aGVhZGxhbmQ6aGxfZGVwbG95")];
    let purge = stage.response("POST", "/v1/purges", &basic, tag("a").to_string()).await;
    assert_eq!(purge.status, 401);
    assert_eq!(stage.event(&[json, viewer], EVENT).await.status, 403);
    let form = [("content-type", "text/plain"), bearer];
    assert_eq!(stage.event(&form, EVENT).await.status, 415);
    let told = stage.event(&[json, bearer], "{}").await;
    assert!(told.status == 400 && told.detail().starts_with("body: expected an event of S3"));
    let other = EVENT.replace("\"assets\"", "\"other\"");
    let told = stage.event(&[json, bearer], &other).await;
    assert_eq!(told.status, 403);
    assert!(told.detail().starts_with("bucket: expected \"assets\""), "{}", told.text);
    let path = "/v1/hooks/s3/unknown";
    let told = stage.response("POST", path, &[json, bearer], EVENT.to_owned()).await;
    assert_eq!(told.status, 404);
    let confirm = json!({
        "Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.x.amazonaws.com/?Token=7",
    });
    let told = stage.event(&[json, bearer], &confirm.to_string()).await;
    assert_eq!((told.status, &told.data()["state"]), (202, &json!("unconfirmed")));
    assert_eq!(stage.plane.head().number, 0);
    let (events, _) = stage.audit.page(u64::MAX, 10);
    let statuses: Vec<_> = events.iter().rev().map(|(_, event)| event.status).collect();
    assert_eq!(statuses, [401, 403, 400, 403, 202]);
    let last = &events[0].1;
    assert!(
        last.by == "deploy" && last.detail.ends_with("open https://sns.x.amazonaws.com/?Token=7")
    );
}

#[tokio::test]
async fn a_token_for_a_site_purges_there_alone() {
    let stage = Stage::new(&[("deploy", TokenRole::Purge, &["shop"])]).await;
    let fields = [("content-type", "application/json"), ("authorization", "Bearer hl_deploy")];
    assert_eq!(stage.event(&fields, EVENT).await.status, 200);
    let purges = stage.ask("GET", "/v1/purges", "deploy", Value::Null).await.data();
    assert_eq!(purges[0]["site"], "shop");
}

#[tokio::test]
async fn many_events_become_several_entries() {
    let stage = Stage::open().await;
    let record = |n| {
        json!({
            "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": "assets" }, "object": { "key": format!("{n}") } },
        })
    };
    let records: Vec<_> = (0..1500).map(record).collect();
    let fields = [("content-type", "application/json")];
    let told = stage.event(&fields, &json!({ "Records": records }).to_string()).await;
    assert_eq!((told.status, &told.data()["purges"]), (200, &json!(1500)), "{}", told.text);
    assert_eq!(stage.plane.head().number, 1500);
}
