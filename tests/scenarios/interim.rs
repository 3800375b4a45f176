//! Interim responses, which come before the head (RFC 9110 section 15.2): early hints go to the
//! client that waits, over each protocol.

use std::path::Path;

use crate::support::tiers::Tiers;
use crate::support::tools::{curl, gtlsclient};
use crate::support::wire::Wire;
use crate::support::{Ask, Gate, Protocol, Reply, Scene};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\
                     connection: x-hop\r\nx-hop: 1\r\nsurrogate-key: a\r\n\r\n";
const PAGE: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 4\r\n\r\npage";

fn get(target: &str, version: &str) -> String {
    format!("GET {target} HTTP/{version}\r\nHost: shop.example\r\n\r\n")
}

#[tokio::test]
async fn hints_are_there_before_the_head_is() {
    let scene = Scene::new(Protocol::H1).await;
    let gate = Gate::new();
    for target in ["/shared", "/passed"] {
        scene.origin.on(target, Reply::raw(HINTS).gate(&gate).piece(PAGE));
    }
    let mut waiting = Vec::new();
    for request in [get("/shared", "1.1"), get("/passed", "1.1").replace("GET", "DELETE")] {
        let mut wire = Wire::to(scene.node.http()).await;
        wire.say(&request).await;
        let hints = wire.until("\r\n\r\n").await;
        // What is of the connection, and what is for tiers, goes no further.
        let wanted = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
        assert_eq!(hints, wanted);
        waiting.push(wire);
    }
    gate.open();
    for mut wire in waiting {
        let (head, body) = wire.response().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "page", "{head}");
    }
    // The response is stored, and not what came before it.
    let hit = scene.get("/shared").await;
    assert!(hit.is_hit() && hit.field("link").is_empty());
}

#[tokio::test]
async fn each_protocol_but_the_oldest_has_them() {
    let scene = Scene::new(Protocol::H1).await;
    let ca_file = scene.node.ca_file();
    let clear = format!("http://localhost:{}", scene.node.http().port());
    let secure = format!("https://localhost:{}", scene.node.https().port());
    for (index, (version, base, told)) in [
        ("--http1.1", &clear, "HTTP/1.1 103 Early Hints"),
        ("--http2-prior-knowledge", &clear, "HTTP/2 103"),
        ("--http1.1", &secure, "HTTP/1.1 103 Early Hints"),
        ("--http2", &secure, "HTTP/2 103"),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{index}");
        scene.origin.on(&target, Reply::raw([HINTS, HINTS, PAGE].concat()));
        let url = format!("{base}{target}");
        let trust = ["--cacert", ca_file.to_str().unwrap()];
        let said = curl(&[&trust, &["--include", version, &url][..]].concat()).await;
        let text = said.text();
        assert_eq!(text.matches(told).count(), 2, "{version}: {text}");
        assert_eq!(text.matches("link: </a.css>; rel=preload\r\n").count(), 2, "{text}");
        assert!(text.ends_with("\r\n\r\npage"), "{text}");
    }
    // RFC 9110 section 15.2: a client of HTTP/1.0 knows of none.
    scene.origin.on("/old", Reply::raw([HINTS, PAGE].concat()));
    let mut wire = Wire::to(scene.node.http()).await;
    wire.say(&get("/old", "1.0")).await;
    let all = wire.rest().await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && !all.contains("link"), "{all}");
}

#[tokio::test]
async fn what_is_of_one_connection_and_what_are_too_many_stay_here() {
    let scene = Scene::new(Protocol::H1).await;
    let own = "HTTP/1.1 100 Continue\r\n\r\n";
    scene.origin.on("/own", Reply::raw([own, PAGE].concat()));
    scene.origin.on("/many", Reply::raw([&HINTS.repeat(20), PAGE].concat()));
    for (target, most) in [("/own", 0), ("/many", 8)] {
        let mut wire = Wire::to(scene.node.http()).await;
        wire.say(&get(target, "1.1").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        let all = wire.rest().await;
        assert!(all.matches("HTTP/1.1 1").count() <= most, "{all}");
        assert!(all.contains("HTTP/1.1 200 OK\r\n") && all.ends_with("page"), "{all}");
    }
    assert!(scene.ask(Ask::get("/many")).await.is_hit());
}

/// Two hints for each of three targets reach a client of HTTP/1.1, HTTP/2 and HTTP/3 each, behind
/// `port`.
pub(crate) async fn reach_each_client(port: u16, ca_file: &Path, targets: [&str; 3]) {
    let link = "link: </a.css>; rel=preload";
    for ((version, line), target) in
        [("--http1.1", "HTTP/1.1 103 Early Hints\r\n"), ("--http2", "HTTP/2 103 ")]
            .iter()
            .zip(targets)
    {
        let url = format!("https://localhost:{port}{target}");
        let trust = ["--cacert", ca_file.to_str().unwrap()];
        let text = curl(&[&trust[..], &["--include", version, &url]].concat()).await.text();
        assert_eq!(text.matches(line).count(), 2, "{version}: {text}");
        assert_eq!(text.matches(&format!("{link}\r\n")).count(), 2, "{text}");
        assert!(text.ends_with("\r\n\r\npage"), "{text}");
    }
    let (port, url) = (port.to_string(), format!("https://localhost:{port}{}", targets[2]));
    let quiet = ["--no-quic-dump", "--exit-on-all-streams-close", "--timeout=20s"];
    let said = gtlsclient(&[&quiet[..], &["127.0.0.1", &port, &url]].concat()).await;
    let told = format!("{}{}", said.text(), said.err);
    assert_eq!(told.matches("[:status: 103]").count(), 2, "{told}");
    assert_eq!(told.matches(&format!("[{link}]")).count(), 2, "{told}");
    assert!(told.contains("[:status: 200]"), "{told}");
}

#[tokio::test]
async fn hints_pass_a_shield() {
    let tiers = Tiers::start(1, 1).await;
    let edge = &tiers.edges[0];
    let targets = ["/1", "/2", "/3"];
    for target in targets {
        tiers.origin.on(target, Reply::raw([HINTS, HINTS, PAGE].concat()));
    }
    reach_each_client(edge.https().port(), &edge.ca_file(), targets).await;
    // Each tier passes on no more than a few.
    tiers.origin.on("/many", Reply::raw([&HINTS.repeat(20), PAGE].concat()));
    let mut wire = Wire::to(edge.http()).await;
    wire.say(&get("/many", "1.1").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    let all = wire.rest().await;
    assert!((1..=8).contains(&all.matches("HTTP/1.1 103 ").count()), "{all}");
    assert!(all.contains("shield-1; fwd=miss") && all.ends_with("page"), "{all}");
}
