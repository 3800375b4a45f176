//! What a bucket is asked, what its errors become, and where credentials come from: a scripted
//! bucket, metadata service and STS, which verify nothing.

use crate::support::client::{Client, Protocol};
use crate::support::process::Home;
use crate::support::{Ask, Origin, Reply, Setup, TestNode};

/// Lines of `[origin.s3]` for a scripted bucket.
fn at(origin: &Origin) -> String {
    format!(
        "bucket = \"assets\"\nregion = \"eu-central-1\"\npath_style = true\n\
         endpoint = \"http://{}\"\n",
        origin.address
    )
}

/// A scripted bucket, and a node before it with these lines and keys in a file.
async fn scripted(lines: &str) -> (Origin, TestNode, Client) {
    let bucket = Origin::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let keys = "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = secret\n\
                aws_session_token = the-token\n";
    std::fs::write(&file, keys).unwrap();
    let own = format!("credentials_file = \"{}\"\n{lines}", file.display());
    let node = Setup::default().bucket(&format!("{}{own}", at(&bucket))).start();
    let client = Client::of(&node, Protocol::H1).await;
    // The first request reads the file.
    bucket.on("/assets/first", Reply::fresh("first"));
    assert_eq!(client.get("/first").await.text(), "first");
    (bucket, node, client)
}

#[tokio::test]
async fn of_a_request_only_the_path_ranges_and_conditions_reach_a_bucket() {
    let (bucket, _node, client) = scripted("requester_pays = true").await;
    bucket.on("/assets/a%20b", Reply::ok("it").field("cache-control", "no-store"));
    let ask = Ask::new("HEAD", "/a%20b?acl&versionId=3")
        .field("cookie", "a=b")
        .field("accept-encoding", "gzip")
        .field("authorization", "Basic eDp5")
        .field("x-amz-acl", "public-read")
        .field("x-amz-security-token", "another")
        .field("range", "bytes=0-0")
        .field("if-match", "\"é\"");
    assert_eq!(client.ask(ask).await.unwrap().status, 200);
    let asked = bucket.last();
    assert_eq!((&*asked.head.method, &*asked.head.target), ("HEAD", "/assets/a%20b"));
    let mut names: Vec<_> = asked.head.fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let told = [
        "authorization",
        "host",
        "if-match",
        "range",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-request-payer",
        "x-amz-security-token",
    ];
    assert_eq!(names, told);
    assert_eq!(asked.field("x-amz-security-token"), "the-token");
    assert_eq!(asked.field("x-amz-request-payer"), "requester");
    let authorization = asked.field("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDFILE/"), "{authorization}");
    let signed = "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-request-payer;\
                  x-amz-security-token, ";
    assert!(authorization.contains(signed), "{authorization}");
}

#[tokio::test]
async fn errors_of_a_bucket_are_told_by_their_status_alone() {
    let (bucket, _node, client) = scripted("").await;
    let error = |status, code: &str| {
        let document = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        Reply::new(status).piece(document).field("content-type", "application/xml")
    };
    let refused = "detail=origin-credentials-refused";
    let elsewhere = "detail=origin-bucket-elsewhere";
    for (path, reply, status, told) in [
        ("/gone", error(404, "NoSuchKey"), 404, "fwd-status=404"),
        ("/denied", error(403, "AccessDenied"), 403, "fwd-status=403"),
        ("/cold", error(403, "InvalidObjectState"), 403, "fwd-status=403"),
        ("/slow", error(503, "SlowDown").field("retry-after", "3"), 503, "fwd-status=503"),
        ("/ended", error(400, "ExpiredToken"), 502, refused),
        ("/skewed", error(403, "RequestTimeTooSkewed"), 502, refused),
        ("/moved", error(301, "PermanentRedirect"), 502, elsewhere),
        ("/nowhere", error(404, "NoSuchBucket"), 502, elsewhere),
    ] {
        bucket.on(&format!("/assets{path}"), reply);
        let seen = client.get(path).await;
        assert_eq!(seen.status, status, "{path}");
        assert!(seen.cache_status().contains(told), "{path}: {}", seen.cache_status());
        assert!(!seen.text().contains("<Error>"), "{path}: {}", seen.text());
    }
    assert_eq!(client.get("/slow").await.field("retry-after"), "3");
    let own = Reply::fresh("a").field("x-amz-request-id", "1").field("x-amz-meta-author", "b");
    bucket.on("/assets/a", own);
    let seen = client.get("/a").await;
    assert_eq!((&*seen.field("x-amz-request-id"), &*seen.field("x-amz-meta-author")), ("", "b"));
}

#[tokio::test]
async fn an_error_document_is_missing_as_long_as_the_site_says() {
    let (bucket, _node, client) = scripted("error_document = \"404.html\"").await;
    let page = Reply::fresh("sorry").field("etag", "\"page\"").field("content-type", "text/html");
    bucket.on("/assets/404.html", page);
    for asked in [3, 5] {
        let seen = client.get("/none").await;
        assert_eq!((seen.status, seen.text()), (404, "sorry"));
        assert_eq!(seen.field("content-type"), "text/html");
        assert_eq!((seen.field("etag"), seen.field("cache-control")), Default::default());
        assert_eq!(bucket.count(), asked, "it is not kept for the hour of the page");
    }
}

/// Serves one object by a node with these variables, and tells the access key and token by which
/// the bucket was asked.
async fn signed_with(variables: &[(&'static str, String)]) -> (String, String) {
    let bucket = Origin::start().await;
    bucket.on("/assets/a", Reply::fresh("a"));
    let home = Home::new(&Setup::default().bucket(&at(&bucket)));
    let home = variables.iter().fold(home, |home, (name, value)| home.variable(name, value));
    let node = home.start().await;
    let client = Client::to(node.place(), Protocol::H1).await.unwrap();
    assert_eq!(client.get("/a").await.text(), "a");
    let asked = bucket.last();
    let key = asked.field("authorization").split_once("Credential=").unwrap().1.to_owned();
    (key.split('/').next().unwrap().to_owned(), asked.field("x-amz-security-token"))
}

#[tokio::test]
async fn credentials_of_the_environment_sign() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_SESSION_TOKEN", "its-token".to_owned()),
    ];
    assert_eq!(signed_with(&variables).await, ("AKIDENV".to_owned(), "its-token".to_owned()));
}

#[tokio::test]
async fn credentials_of_a_machine_sign() {
    let metadata = Origin::start().await;
    let roles = "/latest/meta-data/iam/security-credentials/";
    metadata.on("/latest/api/token", Reply::ok("a-session"));
    metadata.on(roles, Reply::ok("its-role"));
    let credentials = r#"{"Code":"Success","AccessKeyId":"AKIDROLE","SecretAccessKey":"s",
                          "Token":"role-token","Expiration":"2099-01-01T00:00:00Z"}"#;
    metadata.on(&format!("{roles}its-role"), Reply::ok(credentials));
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{}", metadata.address))];
    assert_eq!(signed_with(&variables).await, ("AKIDROLE".to_owned(), "role-token".to_owned()));
    let asked = metadata.asked();
    let methods: Vec<_> = asked.iter().map(|asked| asked.head.method.as_str()).collect();
    assert_eq!(methods, ["PUT", "GET", "GET"]);
    assert_eq!(asked[0].field("x-aws-ec2-metadata-token-ttl-seconds"), "60");
    assert_eq!(asked[2].field("x-aws-ec2-metadata-token"), "a-session");
}

#[tokio::test]
async fn credentials_for_a_web_identity_sign() {
    let sts = Origin::start().await;
    sts.on(
        "/",
        Reply::ok(
            "<R><Credentials><AccessKeyId>AKIDWEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>web-token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></R>",
        ),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "the.web.token\n").unwrap();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.display().to_string()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r".to_owned()),
        ("AWS_ENDPOINT_URL_STS", format!("http://{}", sts.address)),
    ];
    assert_eq!(signed_with(&variables).await, ("AKIDWEB".to_owned(), "web-token".to_owned()));
    let asked = sts.last();
    assert_eq!(asked.head.method, "POST");
    let form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&\
                RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=headland&\
                WebIdentityToken=the.web.token";
    assert_eq!(String::from_utf8(asked.body).unwrap(), form);
}
