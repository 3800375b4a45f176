//! Events as AWS and MinIO document them.

use super::*;

/// As "Event message structure" of the S3 user guide has it.
const S3: &str = r#"{"Records":[{"eventVersion":"2.2","eventSource":"aws:s3",
"awsRegion":"us-west-2","eventTime":"1970-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put",
"userIdentity":{"principalId":"AIDAJDPLRKLG7UEXAMPLE"},
"requestParameters":{"sourceIPAddress":"127.0.0.1"},
"responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURIY8"},
"s3":{"s3SchemaVersion":"1.0","configurationId":"testConfigRule",
"bucket":{"name":"assets","ownerIdentity":{"principalId":"A3NL1KOZZKExample"},
"arn":"arn:aws:s3:::assets"},
"object":{"key":"public/img/my+cat%21.jpg","size":1024,"eTag":"d41d8cd98f00b204e9800998ecf8427e",
"versionId":"096fKKXTRTtl3on89fVO.nfljtsv6qko","sequencer":"0055AED6DCD90281E5"}}}]}"#;

/// As MinIO's webhook sends it.
const MINIO: &str = r#"{"EventName":"s3:ObjectRemoved:Delete","Key":"assets/public/a.css",
"Records":[{"eventVersion":"2.0","eventSource":"minio:s3","awsRegion":"",
"eventTime":"2024-05-10T07:59:33.184Z","eventName":"s3:ObjectRemoved:Delete",
"userIdentity":{"principalId":"minioadmin"},
"requestParameters":{"principalId":"minioadmin","region":"","sourceIPAddress":"127.0.0.1"},
"responseElements":{"x-amz-id-2":"dd9025bab4ad464b","x-amz-request-id":"17CE0D3F1A3D7A1C",
"x-minio-deployment-id":"6faeded5","x-minio-origin-endpoint":"http://127.0.0.1:9000"},
"s3":{"s3SchemaVersion":"1.0","configurationId":"Config",
"bucket":{"name":"assets","ownerIdentity":{"principalId":"minioadmin"},"arn":"arn:aws:s3:::assets"},
"object":{"key":"public%2Fa.css","sequencer":"17CE0D3F1A7C9E35"}},
"source":{"host":"127.0.0.1","port":"","userAgent":"MinIO (linux; amd64) minio-go/v7.0.70"}}]}"#;

/// As EventBridge sends it.
const BRIDGE: &str = r#"{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103",
"detail-type":"Object Deleted","source":"aws.s3","account":"111122223333",
"time":"2021-11-12T00:00:00Z","region":"ca-central-1","resources":["arn:aws:s3:::assets"],
"detail":{"version":"0","bucket":{"name":"assets"},
"object":{"key":"public/c++.html","etag":"d41d8cd98f00b204e9800998ecf8427e",
"version-id":"1QW9g1Z99LUNbvaaYVpW9xDlOLU.qxgF","sequencer":"617f0837b476e463"},
"request-id":"N4N7GDK58NMKJ12R","requester":"123456789012","source-ip-address":"1.2.3.4",
"reason":"DeleteObject","deletion-type":"Delete Marker Created"}}"#;

const TEST: &str = r#"{"Service":"Amazon S3","Event":"s3:TestEvent",
"Time":"2014-10-13T15:57:02.089Z","Bucket":"assets","RequestId":"5582815E1AEA5ADF",
"HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}"#;

fn hook() -> Hook {
    Hook {
        name: "assets".to_owned(),
        bucket: "assets".to_owned(),
        prefix: "public/".to_owned(),
        urls: vec!["https://static.example.com/".to_owned()],
        ..Hook::default()
    }
}

fn sns(message: &str) -> String {
    json!({
        "Type": "Notification", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
        "Subject": "Amazon S3 Notification", "Message": message,
        "Timestamp": "2012-04-26T20:45:04.751Z", "SignatureVersion": "1", "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService.pem",
    })
    .to_string()
}

/// What a body purges, and what it leaves alone.
fn purged(hook: &Hook, body: &str) -> Result<(Vec<String>, usize), String> {
    let notice = Notice::read(body.as_bytes()).map_err(|fault| fault.to_string())?;
    let Notice::Changes { objects, others } = notice else { panic!("{notice:?}") };
    let purges = purges(hook, &objects).map_err(|fault| fault.to_string())?;
    Ok((purges.0.into_iter().map(|command| command.value).collect(), others + purges.1))
}

/// What an event of a key purges.
fn of_key(hook: &Hook, key: &str) -> Vec<String> {
    let record = json!({
        "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": hook.bucket }, "object": { "key": key } },
    });
    purged(hook, &json!({ "Records": [record] }).to_string()).unwrap().0
}

#[test]
fn events_purge_what_is_served_of_a_bucket() {
    let cat = [
        "https://static.example.com/img/my%20cat!.jpg",
        "https://static.example.com/img/my%20cat%21.jpg",
    ];
    assert_eq!(purged(&hook(), S3), Ok((cat.map(str::to_owned).into(), 0)));
    assert_eq!(purged(&hook(), &sns(S3)), purged(&hook(), S3));
    let css = vec!["https://static.example.com/a.css".to_owned()];
    assert_eq!(purged(&hook(), MINIO), Ok((css, 0)));
    // Whether it is spelled as a form or not, it is purged.
    let plain = ["/c%20%20.html", "/c++.html", "/c%2B%2B.html"];
    let plain = plain.map(|path| format!("https://static.example.com{path}"));
    assert_eq!(purged(&hook(), BRIDGE), Ok((plain.into(), 0)));
    assert_eq!(purged(&hook(), &sns(BRIDGE)), purged(&hook(), BRIDGE));
}

#[test]
fn what_changes_nothing_that_is_served_is_left_alone() {
    for body in [TEST.to_owned(), sns(TEST), BRIDGE.replace("Object Deleted", "Object Tags Added")]
    {
        assert_eq!(Notice::read(body.as_bytes()), Ok(Notice::Nothing), "{body}");
    }
    for name in ["ObjectTagging:Put", "ObjectRestore:Completed", "ObjectAcl:Put"] {
        let other = S3.replace("ObjectCreated:Put", name);
        assert_eq!(purged(&hook(), &other), Ok((vec![], 1)), "{name}");
    }
    for name in ["s3:ObjectCreated:Copy", "LifecycleExpiration:Delete", "ObjectRemoved:Delete"] {
        let change = S3.replace("ObjectCreated:Put", name);
        assert_eq!(purged(&hook(), &change).unwrap().0.len(), 2, "{name}");
    }
    let elsewhere = Hook { prefix: "private/".to_owned(), ..hook() };
    assert_eq!(purged(&elsewhere, S3), Ok((vec![], 1)));
}

#[test]
fn keys_become_urls() {
    let base = |paths: &[&str]| -> Vec<_> {
        paths.iter().map(|path| format!("https://static.example.com{path}")).collect()
    };
    let cases: &[(&str, &[&str])] = &[
        ("public/a/b.js", &["/a/b.js"]),
        ("public%2Fa%2Fb.js", &["/a/b.js"]),
        ("public/%C3%A4.js", &["/%C3%A4.js"]),
        ("public/a%3Fb%23c", &["/a%3Fb%23c"]),
        ("public/100%25", &["/100%25"]),
        ("public/100%", &["/100%25"]),
        ("public/%FF", &["/%FF"]),
        ("public/index.html", &["/index.html", "/"]),
        ("public/a/index.html", &["/a/index.html", "/a/"]),
        ("public/aindex.html", &["/aindex.html"]),
        ("public/", &["/"]),
        ("public/a@(b)", &["/a@(b)", "/a%40(b)", "/a%40%28b%29"]),
    ];
    for (key, expected) in cases {
        assert_eq!(of_key(&hook(), key), base(expected), "{key}");
    }
    let plain = Hook { index: String::new(), prefix: String::new(), ..hook() };
    assert_eq!(of_key(&plain, "a/index.html"), base(&["/a/index.html"]));
    let urls = ["https://a.example/", "http://b.example/assets/"].map(str::to_owned).into();
    let several = Hook { urls, ..hook() };
    let expected = ["https://a.example/x", "http://b.example/assets/x"];
    assert_eq!(of_key(&several, "public/x"), expected);
}

#[test]
fn a_star_in_a_key_purges_no_more_than_that_key() {
    let objects = [Object { bucket: "assets".to_owned(), keys: vec![b"public/*".to_vec()] }];
    let hook = Hook { site: Some("shop".to_owned()), soft: true, ..hook() };
    let (commands, _) = purges(&hook, &objects).unwrap();
    let told: Vec<_> = commands.iter().map(PurgeCommand::to_json).collect();
    let purge = |value: &str| {
        let value = format!("https://static.example.com/{value}");
        json!({ "kind": "url", "value": value, "site": "shop", "soft": true })
    };
    let mut star = purge("*");
    star["exact"] = true.into();
    assert_eq!(told, [star, purge("%2A")]);
}

#[test]
fn an_event_that_comes_twice_in_a_body_is_purged_once() {
    let mut twice: Value = serde_json::from_str(S3).unwrap();
    let record = twice["Records"][0].clone();
    twice["Records"].as_array_mut().unwrap().push(record);
    assert_eq!(purged(&hook(), &twice.to_string()), purged(&hook(), S3));
}

#[test]
fn what_is_no_event_is_told() {
    let other = S3.replace("\"name\":\"assets\"", "\"name\":\"other\"");
    let told = "bucket: expected \"assets\", which the hook is for, found \"other\"";
    assert_eq!(purged(&hook(), &other), Err(told.to_owned()));
    let cases = [
        ("", "body: expected a JSON object"),
        ("[]", "body: expected a JSON object"),
        ("{}", "body: expected an event of S3: \"Records\", or \"detail\" of EventBridge"),
        (r#"{"Records":{}}"#, "Records: expected a list of events"),
        (r#"{"Records":[{}]}"#, "Records[0].eventName: expected a string"),
        (r#"{"detail-type":7}"#, "detail-type: expected a string"),
        (r#"{"detail-type":"Object Created"}"#, "detail.bucket.name: expected a string"),
        (r#"{"Type":"Notification","Message":{}}"#, "Message: expected a string"),
        (r#"{"Type":"Notification","Message":"x"}"#, "Message: expected a JSON object"),
        (r#"{"Type":"x"}"#, "Type: expected \"Notification\" or \"SubscriptionConfirmation\""),
    ];
    for (body, expected) in cases {
        assert_eq!(Notice::read(body.as_bytes()).unwrap_err().to_string(), expected, "{body}");
    }
    for cut in ["eventName", "\"bucket\"", "\"key\""] {
        let broken = S3.replace(cut, &cut.replace(['N', 'b', 'k'], "x"));
        let told = Notice::read(broken.as_bytes()).unwrap_err().to_string();
        assert!(told.starts_with("Records[0].") && told.ends_with(": expected a string"), "{told}");
    }
}

#[test]
fn a_subscription_is_told_where_sns_asks_for_it() {
    let asks = |url: &str| {
        let json = json!({
            "Type": "SubscriptionConfirmation", "Token": "2336412f37",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic", "SubscribeURL": url,
        });
        Notice::read(json.to_string().as_bytes())
    };
    for host in ["sns.us-west-2.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"] {
        let url = format!("https://{host}/?Action=ConfirmSubscription&Token=2336412f37");
        assert_eq!(asks(&url), Ok(Notice::Unconfirmed { url }));
    }
    for url in [
        "http://sns.us-west-2.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com.evil.example/",
        "https://sns.evil.example#.amazonaws.com",
        "https://sns.us-west-2@evil.example/.amazonaws.com",
        "https://169.254.169.254/",
        "",
    ] {
        assert!(asks(url).is_err(), "{url}");
    }
}
