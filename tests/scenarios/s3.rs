//! Buckets as origins: a real S3 server that verifies signatures, and scripted ones for what it
//! does not do.

mod scripted;

use std::path::Path;
use std::sync::Arc;

use crate::support::client::{Client, Place, Protocol};
use crate::support::process::Home;
use crate::support::seaweed::{ACCESS_KEY, READER_KEY, READER_SECRET, SECRET_KEY, Seaweed};
use crate::support::{Ask, Film, Setup, TestNode};

/// Bytes of a film.
const TOTAL: u64 = 6 * 1024 * 1024 + 17;

/// A node before the bucket, which is told these lines beside.
fn before(lines: &str) -> TestNode {
    Setup::default().bucket(lines).start()
}

async fn client_of(node: &TestNode) -> Client {
    Client::of(node, Protocol::H1).await
}

#[tokio::test]
async fn objects_of_a_private_bucket_are_served_and_stored_whatever_their_keys() {
    let server = Seaweed::start().await;
    let objects = [
        ("/plain.txt", "/plain.txt"),
        ("/a%20b%2Bc%25d.txt", "/a%20b+c%25d.txt"),
        ("/caf%C3%A9/%E2%82%AC.txt", "/caf%c3%a9/%e2%82%ac.txt"),
        ("/dots../..a/.well-known/x", "/dots../..a/.well-known/x"),
        ("/%21%24%26%27%28%29%2A%2C%3A%3B%3D%40", "/!$&'()*,:;=@"),
        ("/a%3Facl", "/a%3Facl"),
    ];
    for (key, _) in objects {
        server.put_with(key, key.as_bytes(), "cache-control: max-age=60").await;
    }
    let owner = server.credentials(ACCESS_KEY, SECRET_KEY);
    for lines in [server.in_path(), server.in_host()] {
        let node = before(&format!("{lines}{owner}"));
        let client = client_of(&node).await;
        for (key, path) in objects {
            let first = client.get(path).await;
            assert_eq!((first.status, first.text()), (200, key), "{path} of {lines}");
            let own: Vec<_> =
                first.headers.keys().filter(|it| it.as_str().starts_with("x-amz-")).collect();
            assert!(own.is_empty(), "{own:?}");
            let again = client.get(path).await;
            assert!(again.is_hit() && again.body == first.body, "{path}: {}", again.cache_status());
        }
    }
}

#[tokio::test]
async fn large_objects_of_a_bucket_come_by_ranges_and_keep_their_tags_of_many_parts() {
    let server = Seaweed::start().await;
    let owner = server.credentials(ACCESS_KEY, SECRET_KEY);
    let cache = "slice = \"1MiB\"\nmax_object = \"2MiB\"";
    let lines = format!("{}{owner}", server.in_path());
    let node = Setup::default().bucket(&lines).cache(cache).start();
    let client = client_of(&node).await;
    let film = Film::new(TOTAL);
    let etag = server.put_in_parts("/film", film).await;
    assert!(etag.ends_with("-2"), "{etag}");
    let range = |start: u64, end: u64| {
        Ask::get("/film").field("range", &format!("bytes={start}-{}", end - 1))
    };
    for (start, end) in [(0, 10), (3_000_000, 3_000_100), (TOTAL - 5, TOTAL)] {
        let part = client.ask(range(start, end)).await.unwrap();
        assert_eq!((part.status, &*part.body), (206, &*film.bytes(start, end)));
        assert_eq!(part.field("content-range"), format!("bytes {start}-{}/{TOTAL}", end - 1));
        assert_eq!(part.field("etag"), format!("\"{etag}\""));
    }
    let again = client.ask(range(2, 8)).await.unwrap();
    assert!(again.is_hit(), "{}", again.cache_status());
    let whole = client.get("/film").await;
    assert_eq!(whole.status, 200);
    assert!(whole.body == film.bytes(0, TOTAL));
    for (name, value, status) in [
        ("if-none-match", format!("\"{etag}\""), 304),
        ("if-none-match", "\"another\"".to_owned(), 200),
        ("if-match", "\"another\"".to_owned(), 412),
    ] {
        let told = client.ask(Ask::get("/film").field(name, &value)).await.unwrap();
        assert_eq!(told.status, status, "{name}: {value}");
    }
    let beyond = client.ask(range(TOTAL, TOTAL + 1)).await.unwrap();
    assert_eq!(beyond.status, 416);
}

#[tokio::test]
async fn parts_of_two_versions_of_an_object_are_never_mixed() {
    let server = Seaweed::start().await;
    let owner = server.credentials(ACCESS_KEY, SECRET_KEY);
    let lines = format!("{}{owner}", server.in_path());
    let cache = "slice = \"1MiB\"\nmax_object = \"2MiB\"";
    let node = Setup::default().bucket(&lines).cache(cache).start();
    let client = client_of(&node).await;
    let old = Film::new(TOTAL);
    let new = Film { version: 1, ..old };
    // SeaweedFS sends the part of the new one to a request for that of the old one (`If-Range`).
    for (put, version, start) in [(true, old, 0), (true, new, 4_500_000), (false, new, 0)] {
        if put {
            server.put_in_parts("/film", version).await;
        }
        let ask = Ask::get("/film").field("range", &format!("bytes={start}-{}", start + 9));
        let part = client.ask(ask).await.unwrap();
        assert_eq!((part.status, &*part.body), (206, &*version.bytes(start, start + 10)));
    }
}

#[tokio::test]
async fn what_is_stale_is_validated_with_the_bucket() {
    let server = Seaweed::start().await;
    let owner = server.credentials(ACCESS_KEY, SECRET_KEY);
    let node = before(&format!("{}{owner}", server.in_host()));
    let client = client_of(&node).await;
    server.put_with("/stale", b"one", "cache-control: max-age=0").await;
    assert_eq!(client.get("/stale").await.text(), "one");
    let told = client.get("/stale").await;
    assert!(told.cache_status().contains("fwd-status=304"), "{}", told.cache_status());
    assert_eq!(told.text(), "one");
    server.put_with("/stale", b"two", "cache-control: max-age=0").await;
    let told = client.get("/stale").await;
    assert!(told.cache_status().contains("fwd-status=200"), "{}", told.cache_status());
    assert_eq!(told.text(), "two");
}

#[tokio::test]
async fn nothing_but_objects_below_the_prefix_comes_out_of_a_bucket() {
    let server = Seaweed::start().await;
    for key in ["/site/index.html", "/site/dir/index.html", "/site/a", "/site/404.html", "/secret"]
    {
        assert!(server.put(key, key.as_bytes()).await.success);
    }
    let owner = server.credentials(ACCESS_KEY, SECRET_KEY);
    let lines =
        format!("{}{owner}prefix = \"site\"\nerror_document = \"404.html\"\n", server.in_path());
    let node = before(&lines);
    let client = client_of(&node).await;
    for (path, status, text) in [
        ("/", 200, "/site/index.html"),
        ("/dir/", 200, "/site/dir/index.html"),
        ("/?list-type=2", 200, "/site/index.html"),
        ("/a?acl", 200, "/site/a"),
        ("/a?uploads=&versions&policy", 200, "/site/a"),
        ("/a?X-Amz-Signature=1&X-Amz-Expires=1", 200, "/site/a"),
        ("/dir", 404, "/site/404.html"),
        ("/secret", 404, "/site/404.html"),
        ("/..%2Fsecret", 404, "/site/404.html"),
        ("/%2E%2E/secret", 404, "/site/404.html"),
        ("/../secret", 404, "/site/404.html"),
        ("/a%FF", 404, "/site/404.html"),
        ("/none/", 404, "/site/404.html"),
    ] {
        let told = client.get(path).await;
        assert_eq!((told.status, told.text()), (status, text), "{path}");
        assert_eq!(told.field("etag").is_empty(), status == 404, "{path}");
    }
    let head = client.ask(Ask::new("HEAD", "/none")).await.unwrap();
    assert_eq!((head.status, head.body.len()), (404, 0));
    for method in ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"] {
        let told = client.ask(Ask::new(method, "/a")).await.unwrap();
        assert_eq!((told.status, &*told.field("allow")), (405, "GET, HEAD"), "{method}");
    }
    // What would be another's signature, or another's wish.
    let foreign = Ask::get("/a?foreign")
        .field("authorization", "AWS4-HMAC-SHA256 Credential=x")
        .field("x-amz-copy-source", "/127/secret")
        .field("x-amz-date", "20130524T000000Z")
        .field("cookie", "a=b");
    assert_eq!(client.ask(foreign).await.unwrap().text(), "/site/a");

    let bare = before(&format!("{}{owner}index = \"\"", server.in_path()));
    let client = client_of(&bare).await;
    for path in ["/", "/?list-type=2", "/site"] {
        let told = client.get(path).await;
        assert_eq!((told.status, told.text()), (404, "404 Not Found\n"), "{path}");
    }
    // SeaweedFS takes a folder for an empty object.
    assert_eq!(client.get("/site/").await.text(), "");
}

#[tokio::test]
async fn credentials_that_the_bucket_refuses_are_an_error_of_the_origin() {
    let server = Seaweed::start().await;
    assert!(server.put("/a", b"a").await.success);
    for (key, secret) in [(ACCESS_KEY, "another secret"), ("AKIDNOBODY", SECRET_KEY)] {
        let wrong = server.credentials(key, secret);
        let node = before(&format!("{}{wrong}", server.in_path()));
        let told = client_of(&node).await.get("/a").await;
        assert_eq!(told.status, 502, "{key}");
        let status = told.cache_status();
        assert!(status.contains("detail=origin-credentials-refused"), "{status}");
        assert!(told.text().contains("The origin could not be reached"), "{}", told.text());
    }
    let reader = server.credentials(READER_KEY, READER_SECRET);
    let ask = async |lines: &str, path: &str| {
        let node = before(&format!("{}{lines}", server.in_path()));
        let told = client_of(&node).await.get(path).await;
        (told.status, told.text().to_owned())
    };
    assert_eq!(ask(&reader, "/a").await, (200, "a".to_owned()));
    // Unsigned requests are denied, as are those of a reader for what is not its own.
    let public = "credentials = \"none\"\n";
    assert_eq!(ask(public, "/a").await, (403, "403 Forbidden\n".to_owned()));
    let mapped = format!("{public}denied_as_missing = true\n");
    assert_eq!(ask(&mapped, "/a").await, (404, "404 Not Found\n".to_owned()));
    let elsewhere = server.credentials(ACCESS_KEY, SECRET_KEY);
    let lines = server.in_path().replace("127", "nowhere");
    let node = before(&format!("{lines}{elsewhere}"));
    let told = client_of(&node).await.get("/a").await;
    assert!(told.cache_status().contains("detail=origin-bucket-elsewhere"), "{told:?}");
}

#[tokio::test]
async fn the_recipe_of_the_readme_serves_a_bucket() {
    let server = Seaweed::start().await;
    for key in ["/public/app.css", "/public/index.html", "/public/docs/index.html"] {
        assert!(server.put(key, key.as_bytes()).await.success);
    }
    assert!(server.put("/public/404.html", b"sorry").await.success);
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("## In front of an S3 bucket").unwrap();
    let recipe = section.split("```").nth(1).unwrap().strip_prefix("toml").unwrap();
    // Where the bucket is, and where it is served: the rest is as written.
    let address = "bucket = \"assets\"\nregion = \"eu-central-1\"\n";
    assert!(recipe.contains(address));
    let recipe = recipe.replace(address, &server.in_path());
    let listen = "[listen]\nhttp = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
                  [logging]\naccess = \"off\"\n";
    let home = Home::new(&Setup::default().bare().bucket(""));
    std::fs::write(home.path().join("node.toml"), format!("{listen}{recipe}")).unwrap();
    let keys = format!(
        "[default]\naws_access_key_id = {READER_KEY}\naws_secret_access_key = {READER_SECRET}\n"
    );
    std::fs::write(home.path().join("s3.credentials"), keys).unwrap();
    let node = home.start().await;
    let http = node.address("http");
    let place = Place::new(http, http, &node.folder().join("ca.pem"));
    let client = Client::to(Arc::new(place), Protocol::H1).await.unwrap();
    let get = async |path: &str| {
        let ask = Ask::get(path).host("static.example.com");
        client.ask(ask).await.unwrap()
    };
    for (path, status, text) in [
        ("/app.css", 200, "/public/app.css"),
        ("/", 200, "/public/index.html"),
        ("/docs/?list-type=2", 200, "/public/docs/index.html"),
        ("/docs", 404, "sorry"),
        ("/public/app.css", 404, "sorry"),
    ] {
        let told = get(path).await;
        assert_eq!((told.status, told.text()), (status, text), "{path}");
        assert!(get(path).await.is_hit(), "{path}");
    }
    assert!(get("/app.css?v=2").await.is_hit());
}
