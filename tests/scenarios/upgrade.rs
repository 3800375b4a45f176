//! Connections that leave HTTP on routes that allow it (RFC 9110 section 7.8), WebSockets above all
//! (RFC 6455). HTTP/1.1 alone knows of that.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::door::Door;
use crate::support::process::Home;
use crate::support::tiers::{Tiers, is_trusted};
use crate::support::tools::start_python;
use crate::support::wire::Wire;
use crate::support::{Ask, Protocol, Reply, Scene, Setup, TestNode, eventually, within};

const ALLOWED: &str = "upgrade = [\"websocket\"]";

/// What a browser asks.
const ASK: &str = "GET /ws HTTP/1.1\r\nHost: shop.example\r\n\
                   Connection: keep-alive, X-Hop, Upgrade\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                   Upgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";

/// What its server says.
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: X-Hop, Upgrade\r\n\
                        X-Hop: 1\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A node before an origin that is spoken by hand.
struct Stage {
    origin: TcpListener,
    node: TestNode,
}

impl Stage {
    async fn with(set: impl FnOnce(Setup) -> Setup) -> Self {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let setup = Setup::at(origin.local_addr().unwrap()).site(ALLOWED);
        Self { origin, node: set(setup).start() }
    }

    /// The origin's end of the next connection.
    async fn accept(&self) -> Wire {
        Wire::of(within("a connection", self.origin.accept()).await.unwrap().0)
    }

    /// Both ends of a tunnel.
    async fn tunnel(&self) -> (Wire, Wire) {
        tunnel(&self.origin, self.node.http()).await
    }
}

async fn tunnel(origin: &TcpListener, node: SocketAddr) -> (Wire, Wire) {
    let mut client = Wire::to(node).await;
    client.say(ASK).await;
    let mut far = Wire::of(within("a connection", origin.accept()).await.unwrap().0);
    far.until("\r\n\r\n").await;
    far.say(SWITCHED).await;
    client.until("\r\n\r\n").await;
    (client, far)
}

async fn ask(node: &TestNode, request: &str) -> (Wire, String) {
    let mut client = Wire::to(node.http()).await;
    client.say(request).await;
    let (head, _) = client.response().await;
    (client, head)
}

#[tokio::test]
async fn websockets_of_another_make_talk_by_way_of_the_node() {
    const EACH: usize = 5;
    let talk = || {
        let mut server = start_python("websocket.py");
        let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
        let port: u16 = said.next().unwrap().unwrap().parse().unwrap();
        let node = Setup::at(([127, 0, 0, 1], port).into()).site(ALLOWED).start();
        let clear = format!("ws://localhost:{}/ws", node.http().port());
        let secure = format!("wss://localhost:{}/ws", node.https().port());
        let urls = [clear.as_str(), &secure].repeat(EACH);
        let asked = json!({ "urls": urls, "ca_file": node.ca_file() });
        writeln!(server.stdin.take().unwrap(), "{asked}").unwrap();
        let seen = said.next().map(Result::unwrap);
        assert!(server.wait().unwrap().success());
        serde_json::from_str::<Value>(&seen.unwrap()).unwrap()
    };
    let seen = within("a talk", tokio::task::spawn_blocking(talk)).await.unwrap();
    let seen = seen.as_array().unwrap();
    assert_eq!(seen.len(), 2 * EACH);
    for seen in seen {
        assert_eq!((&seen["text"], &seen["large"]), (&json!("hello"), &json!(true)), "{seen}");
        assert_eq!(seen["subprotocol"], "chat");
        assert!(seen["extensions"].as_str().unwrap().contains("permessage-deflate"), "{seen}");
        assert_eq!((&seen["code"], &seen["reason"]), (&json!(4001), &json!("as asked")), "{seen}");
    }
}

#[tokio::test]
async fn bytes_go_both_ways_and_are_told_of_at_the_end() {
    let mut stage = Stage::with(|setup| setup.logging("access = \"access.log\"")).await;
    let mut client = Wire::to(stage.node.http()).await;
    client.say(&format!("{ASK}before the 101, ")).await;
    let mut far = stage.accept().await;
    let head = far.until("\r\n\r\n").await;
    assert!(head.starts_with("GET /ws HTTP/1.1\r\n"), "{head}");
    for line in ["connection: upgrade", "upgrade: WebSocket", "sec-websocket-version: 13"] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {head}");
    }
    assert!(!head.contains("x-hop") && !head.contains("keep-alive"), "{head}");
    assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{head}");
    far.say(&format!("{SWITCHED}behind the 101, ")).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "cache-status: edge; fwd=bypass; fwd-status=101; detail=upgrade",
    ] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {head}");
    }
    assert!(!head.contains("x-hop") && !head.contains("content-length"), "{head}");
    let door = Door::of(&stage.node).await;
    assert_eq!(door.metric("headland_tunnels").await, 1.0);
    assert_eq!(door.metric("headland_connections{protocol=\"h1\"").await, 1.0);
    client.say("\0GET / HTTP/1.1\r\n\r\n").await;
    far.say("\u{1}\r\n\r\n").await;
    client.until("behind the 101, \u{1}\r\n\r\n").await;
    client.say_no_more().await;
    assert_eq!(far.rest().await, "before the 101, \0GET / HTTP/1.1\r\n\r\n");
    far.say("goodbye").await;
    far.say_no_more().await;
    assert_eq!(client.rest().await, "goodbye");
    let none = async || door.metric("headland_tunnels").await == 0.0;
    eventually("the end of the tunnel", none).await;
    let bytes = "behind the 101, ".len() + 5 + "goodbye".len();
    let labels = "{site=\"shop\",protocol=\"h1\",status=\"101\",result=\"upgraded\"}";
    assert_eq!(door.metric(&format!("headland_requests_total{labels}")).await, 1.0);
    let labels = "{site=\"shop\",source=\"origin\"}";
    assert_eq!(door.metric(&format!("headland_bytes_total{labels}")).await, bytes as f64);
    drop(door);
    within("the node's end", stage.node.stop()).await.unwrap();
    let log = fs::read_to_string(stage.node.folder().join("access.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for (field, value) in
        [("status", json!(101)), ("bytes", json!(bytes)), ("origin_status", json!(101))]
    {
        assert_eq!(lines[0][field], value, "{field}: {log}");
    }
    assert_eq!((&lines[0]["result"], &lines[0]["reason"]), (&json!("upgraded"), &json!("upgrade")));
}

#[tokio::test]
async fn what_does_not_switch_is_an_ordinary_response_that_is_not_stored() {
    let scene = Scene::with(Protocol::H1, |setup| setup.site(ALLOWED)).await;
    scene.origin.on("/ws", Reply::fresh("page").field("x-of", "page"));
    scene.origin.on("/ws", Reply::new(403).field("cache-control", "max-age=60").piece("no"));
    scene.origin.on("/ws", Reply::fresh("ignored"));
    scene.origin.on("/ws", Reply::new(503));
    assert_eq!(scene.get("/ws").await.text(), "page");
    // What is stored answers none of these, nor stands in where the origin fails.
    for (status, connection) in [(403, 1), (200, 2), (503, 3)] {
        let (mut client, head) = ask(&scene.node, ASK).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("fwd=bypass") && !head.contains("upgrade: "), "{head}");
        // Each is asked on a connection of its own.
        assert_eq!(scene.origin.last().connection, connection);
        // The client's stays one of HTTP.
        client.say("GET /ws HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
        let (head, body) = client.response().await;
        assert!(head.contains("edge; hit") && body == "page", "{head}");
    }
    assert_eq!(scene.origin.count(), 4);
}

#[tokio::test]
async fn only_what_a_route_allows_switches() {
    let routes = "upgrade = [\"websocket\"]\n[[site.route]]\npath = \"/none/*\"\nupgrade = []\n\
                  [[site.route]]\npath = \"/irc\"\nupgrade = [\"irc/6.9\"]";
    let scene = Scene::with(Protocol::H1, |setup| setup.site(routes)).await;
    scene.origin.otherwise(|_| Reply::ok("plain"));
    let to = |target: &str| ASK.replace("/ws", target);
    for (request, offered) in [
        (ASK.to_owned(), "WebSocket"),
        (ASK.replace("WebSocket\r", "h2c, websocket, HTTP/2.0\r"), "websocket"),
        (to("/irc").replace("WebSocket\r", "IRC/6.9, websocket\r"), "IRC/6.9"),
        (to("/irc"), ""),
        (to("/none/x"), ""),
        (ASK.replace("WebSocket\r", "h2c\r"), ""),
        (ASK.replace(", Upgrade", ""), ""),
        (ASK.replace("GET", "POST").replace("X-Hop: 1", "Content-Length: 0"), ""),
        (ASK.replace("X-Hop: 1", "Content-Length: 2") + "hi", ""),
        (ASK.replace("HTTP/1.1", "HTTP/1.0"), ""),
    ] {
        let (_client, head) = ask(&scene.node, &request).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{request} {head}");
        let asked = scene.origin.last();
        assert_eq!(asked.field("upgrade"), offered, "{request}");
        assert_eq!(asked.field("connection").is_empty(), offered.is_empty(), "{request}");
    }
}

#[tokio::test]
async fn a_101_out_of_place_is_a_fault_of_the_origin() {
    let scene = Scene::with(Protocol::H1, |setup| setup.site(ALLOWED)).await;
    let unnamed = SWITCHED.replace("Upgrade: websocket\r\n", "");
    let other = SWITCHED.replace("websocket", "h2c");
    for (number, said) in [unnamed, other].into_iter().enumerate() {
        let target = format!("/{number}");
        scene.origin.on(&target, Reply::raw(said));
        let (_client, head) = ask(&scene.node, &ASK.replace("/ws", &target)).await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert!(head.contains("detail=origin-malformed-response"), "{head}");
    }
    scene.origin.on("/unasked", Reply::raw(SWITCHED));
    for method in ["GET", "DELETE"] {
        let seen = scene.ask(Ask::new(method, "/unasked")).await;
        assert_eq!(seen.status, 502, "{}", seen.cache_status());
    }
}

#[tokio::test]
async fn the_rules_of_the_route_come_first() {
    let routes = format!(
        "{ALLOWED}\n[[site.route]]\npath = \"/signed\"\n\
         signed_urls = {{ keys = [{{ secret = \"a secret of some length\" }}] }}\n\
         [[site.route]]\npath = \"/denied\"\nip_deny = [\"127.0.0.1\"]\n\
         [[site.route]]\npath = \"/rare\"\nrate_limit = {{ rate = \"1/h\", burst = 1 }}\n"
    );
    let scene = Scene::with(Protocol::H1, |setup| setup.site(&routes)).await;
    scene.origin.otherwise(|_| Reply::ok("plain"));
    for (target, status, reason) in [
        ("/signed", 403, "signature-missing"),
        ("/denied", 403, "address-denied"),
        ("/rare", 200, "upgrade"),
        ("/rare", 429, "rate-limited"),
    ] {
        let (_client, head) = ask(&scene.node, &ASK.replace("/ws", target)).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(&format!("detail={reason}\r\n")), "{head}");
    }
    assert_eq!(scene.origin.count(), 1);
}

#[tokio::test]
async fn there_are_so_many_at_once() {
    let stage = Stage::with(|setup| setup.limits("tunnels = 1")).await;
    let (client, mut far) = stage.tunnel().await;
    let (_client, head) = ask(&stage.node, ASK).await;
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    assert!(head.contains("\r\nretry-after: 10\r\n"), "{head}");
    assert!(head.contains("detail=tunnels-exhausted\r\n"), "{head}");
    // The end of one side is the other's, and that of both gives the place back.
    drop(client);
    assert_eq!(far.rest().await, "");
    drop(far);
    let door = Door::of(&stage.node).await;
    let none = async || door.metric("headland_tunnels").await == 0.0;
    eventually("the end of the tunnel", none).await;
    let (mut client, far) = stage.tunnel().await;
    drop(far);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_drain_waits_for_tunnels_no_longer_than_for_anything() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let setup = Setup::at(origin.local_addr().unwrap()).site(ALLOWED);
    let setup = setup.limits("drain_timeout = \"50ms\"").logging("access = \"access.log\"");
    let home = Home::new(&setup);
    let node = home.start().await;
    let (mut client, mut far) = tunnel(&origin, node.address("http")).await;
    far.say("hello").await;
    client.until("hello").await;
    node.signal("TERM");
    assert_eq!((client.rest().await, far.rest().await), Default::default());
    assert!(node.ended().await.success());
    let log = fs::read_to_string(home.path().join("access.log")).unwrap();
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((&line["status"], &line["bytes"]), (&json!(101), &json!(5)), "{log}");
}

#[tokio::test]
async fn an_edge_asks_the_origin_itself() {
    let tiers = Tiers::start(1, 0).await;
    let tables = format!("{}\n{}", tiers.shield_table(""), tiers.peer());
    let edge = tiers.node("edge").tiers(&tables).site(ALLOWED).start();
    is_trusted(&edge).await;
    tiers.origin.on("/ws", Reply::raw([SWITCHED, "hello"].concat()));
    let mut client = Wire::to(edge.http()).await;
    client.say(ASK).await;
    assert!(client.until("hello").await.starts_with("HTTP/1.1 101 "));
    assert!(!tiers.origin.last().field("via").contains("shield"));
    assert_eq!(tiers.origin.last().field("cdn-loop"), "edge");
}
