//! Clients of other makes: curl, and HTTP/3 clients that are not quinn.

use serde_json::Value;

use crate::support::tools::{curl, gtlsclient, python};
use crate::support::{Protocol, Reply, Scene};

/// A large body, so that flow control has its say.
fn large() -> Vec<u8> {
    (0..500_000_u32).flat_map(u32::to_be_bytes).collect()
}

async fn scene() -> Scene {
    let scene = Scene::new(Protocol::H1).await;
    scene.origin.on("/page", Reply::fresh("hello").field("etag", "\"1\""));
    scene.origin.on("/large", Reply::fresh(large()));
    scene.origin.on("/form", Reply::ok("thanks"));
    scene.origin.on("/broken", Reply::ok("half").claims(9).then_close());
    scene
}

#[tokio::test]
async fn curl_speaks_each_version() {
    let scene = scene().await;
    let (http, https) = (scene.node.http().port(), scene.node.https().port());
    let ca_file = scene.node.ca_file();
    let trust = ["--cacert", ca_file.to_str().unwrap()];
    let clear = format!("http://localhost:{http}");
    let secure = format!("https://localhost:{https}");
    for (version, base) in [
        ("--http1.1", &clear),
        ("--http2-prior-knowledge", &clear),
        ("--http1.1", &secure),
        ("--http2", &secure),
    ] {
        let ask = async |arguments: &[&str], target: &str| {
            let url = format!("{base}{target}");
            curl(&[&trust, &[version, &url], arguments].concat()).await
        };
        let page = ask(&["--include"], "/page").await;
        assert!(page.success, "{}", page.err);
        let text = page.text();
        assert!(text.contains("cache-status: edge; ") && text.ends_with("\r\nhello"), "{text}");
        assert_eq!(text.contains("alt-svc: h3="), base == &secure, "{text}");
        assert!(ask(&[], "/large").await.out == large(), "{version} {base}");
        let part = ask(&["--range", "4-7"], "/large").await;
        assert_eq!(part.out, 1_u32.to_be_bytes());
        let sent = ask(&["--data-binary", "hello"], "/form").await;
        assert_eq!(sent.text(), "thanks");
        assert_eq!(scene.origin.last().body, b"hello");
        let broken = ask(&[], "/broken").await;
        assert!(!broken.success, "{version} {base}: a body cut short seemed whole");
        let missing = ask(&["--head"], "/page").await.text();
        assert!(missing.contains("content-length: 5"), "{missing}");
    }
}

#[tokio::test]
async fn names_are_checked_before_a_request() {
    let scene = scene().await;
    let port = scene.node.https().port();
    let ca_file = scene.node.ca_file();
    let to = async |host: &str| {
        let place = format!("{host}:{port}:127.0.0.1");
        let url = format!("https://{host}:{port}/page");
        curl(&["--cacert", ca_file.to_str().unwrap(), "--resolve", &place, &url]).await
    };
    assert_eq!(to("shop.example").await.text(), "hello");
    assert_eq!(to("deep.shop.example").await.text(), "hello");
    let unknown = to("nobody.example").await;
    assert!(!unknown.success && unknown.err.contains("unrecognized name"), "{}", unknown.err);
    for (name, known) in [("deep.shop.example", true), ("nobody.example", false)] {
        let asking = ["aioquic", &port.to_string(), "GET", "/page", name];
        let seen: Value =
            serde_json::from_str(&python("http3_get.py", &asking).await.text()).unwrap();
        assert_eq!(seen["text"] == "hello", known, "{name}: {seen}");
    }
}

#[tokio::test]
async fn gtlsclient_gets_pages_over_http3() {
    let scene = scene().await;
    let port = scene.node.https().port().to_string();
    let url = format!("https://localhost:{port}/page");
    let quiet = ["--no-quic-dump", "--exit-on-all-streams-close", "--timeout=20s"];
    let said = gtlsclient(&[&quiet[..], &["-n", "50", "127.0.0.1", &port, &url]].concat()).await;
    let told = format!("{}{}", said.text(), said.err);
    assert!(said.success, "{told}");
    assert_eq!(told.matches("[:status: 200]").count(), 50, "{told}");
    assert_eq!(scene.origin.count(), 1);
}

/// What a client of `tests/support/http3_get.py` saw.
async fn http3(scene: &Scene, client: &str, method: &str, target: &str) -> Value {
    let port = scene.node.https().port().to_string();
    let said = python("http3_get.py", &[client, &port, method, target]).await;
    assert!(said.success, "{client} {method} {target}: {}", said.err);
    serde_json::from_str(&said.text()).unwrap()
}

#[tokio::test]
async fn aioquic_and_libcurl_get_pages_over_http3() {
    let scene = scene().await;
    for client in ["aioquic", "curl_cffi"] {
        let page = http3(&scene, client, "GET", "/page").await;
        assert_eq!((&page["status"], &page["text"]), (&200.into(), &"hello".into()), "{page}");
        let status = page["fields"]["cache-status"].as_str().unwrap();
        assert!(status.starts_with("edge; "), "{status}");
        let whole = http3(&scene, client, "GET", "/large").await;
        assert_eq!(whole["length"], 2_000_000, "{client}");
        // aioquic takes the Content-Length of a response to HEAD for a promise of content.
        let client_of_head = "curl_cffi";
        let head = http3(&scene, client_of_head, "HEAD", "/page").await;
        assert_eq!(
            (&head["fields"]["content-length"], &head["length"]),
            (&"5".into(), &0.into()),
            "{head}"
        );
        let sent = http3(&scene, client, "POST", "/form").await;
        assert_eq!(sent["text"], "thanks");
        assert_eq!(scene.origin.last().body.len(), 300_000);
        let broken = http3(&scene, client, "GET", "/broken").await;
        assert!(broken["broken"].is_string() || broken["status"] == 502, "{client}: {broken}");
    }
}
