//! Edges behind shields: one fetch for all of them, and nothing purged from either tier.

use std::convert::Infallible;
use std::net::SocketAddr;

use futures_util::future::join_all;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::client::{Client, Protocol};
use crate::support::door::Door;
use crate::support::line::Line;
use crate::support::tiers::{Tiers, is_trusted};
use crate::support::{Ask, Film, Gate, Origin, Reply, Setup, eventually, within};

const MIB: u64 = 1 << 20;

/// An origin whose page is of a version, with a tag.
fn says(origin: &Origin, version: u64) {
    origin.now("/page", Reply::fresh(format!("version {version}")).field("surrogate-key", "p42"));
}

fn p42() -> Value {
    json!({ "kind": "tag", "value": "p42" })
}

#[tokio::test]
async fn a_cold_object_costs_the_origin_one_request_whoever_asks() {
    const CROWD: usize = 333;
    let tiers = Tiers::start(2, 3).await;
    let gate = Gate::new();
    let body = bytes::Bytes::from(vec![b'x'; MIB as usize]);
    tiers.origin.on("/big", Reply::fresh(body.slice(..1000)).gate(&gate).piece(body.slice(1000..)));
    let mut crowd = Vec::new();
    for edge in &tiers.edges {
        crowd.extend(Client::crowd(edge, Protocol::H1, CROWD).await);
    }
    let opened = crowd.iter().map(async |client| {
        let mut response = client.open(Ask::get("/big")).await.unwrap();
        response.at_least(1000).await.unwrap();
        response
    });
    // The origin holds the rest back until everyone has what there is.
    let opened = within("everyone's first bytes", join_all(opened)).await;
    gate.open();
    let whole = join_all(opened.into_iter().map(|each| each.whole()));
    for seen in within("the rest", whole).await {
        assert_eq!(seen.unwrap().body.len(), body.len() - 1000);
    }
    assert_eq!(tiers.origin.count(), 1);
}

#[tokio::test]
async fn every_tier_says_how_it_was_served() {
    let tiers = Tiers::start(1, 2).await;
    says(&tiers.origin, 1);
    let clients = tiers.clients().await;
    let first = clients[0].get("/page").await;
    let miss = "fwd=miss; fwd-status=200; stored";
    assert_eq!(first.cache_status(), format!("shield-1; {miss}, edge-1; {miss}"));
    assert_eq!(first.field("via"), "1.1 shield-1, 2 edge-1");
    let second = clients[1].get("/page").await;
    assert!(second.cache_status().starts_with("shield-1; hit; ttl="), "{}", second.cache_status());
    assert!(second.cache_status().ends_with(&format!(", edge-2; {miss}")));
    assert!(clients[1].get("/page").await.cache_status().starts_with("edge-2; hit; ttl="));
    for seen in [&first, &second] {
        for name in ["surrogate-key", "headland-sequence", "headland-floor", "headland-peer"] {
            assert_eq!(seen.field(name), "", "{name}");
        }
    }
    let asked = tiers.origin.last();
    assert_eq!(asked.field("cdn-loop"), "edge-1, shield-1");
    assert_eq!(asked.field("x-forwarded-proto"), "https");
    assert!(["headland-floor", "headland-peer"].iter().all(|name| asked.field(name).is_empty()));
}

#[tokio::test]
async fn a_purge_reaches_both_tiers_before_its_receipt() {
    let tiers = Tiers::start(2, 2).await;
    let clients = tiers.clients().await;
    for version in 0..10 {
        says(&tiers.origin, version);
        let receipt = tiers.purge(p42()).await;
        assert_eq!(receipt["data"]["state"], "complete", "{receipt}");
        for client in &clients {
            let seen = client.get("/page").await;
            assert_eq!(seen.text(), format!("version {version}"));
            assert!(seen.cache_status().ends_with("; fwd=miss; fwd-status=200; stored"));
            assert!(client.get("/page").await.cache_status().starts_with("edge-"), "its own hit");
        }
        assert_eq!(tiers.origin.count(), version as usize + 1);
    }
}

#[tokio::test]
async fn a_soft_purge_is_validated_once_for_both_tiers() {
    let tiers = Tiers::start(1, 2).await;
    let clients = tiers.clients().await;
    let page = Reply::fresh("page").field("etag", "\"v\"");
    tiers.origin.on("/page", page);
    tiers.origin.on("/page", Reply::new(304).field("cache-control", "max-age=60"));
    for client in &clients {
        client.get("/page").await;
    }
    let url = json!({ "kind": "url", "value": "https://shop.example/page", "soft": true });
    tiers.purge(url).await;
    for client in &clients {
        assert_eq!(client.get("/page").await.text(), "page");
        assert!(client.get("/page").await.is_hit());
    }
    assert_eq!(tiers.origin.count(), 2);
    assert_eq!(tiers.origin.last().field("if-none-match"), "\"v\"");
}

#[tokio::test]
async fn ranges_go_through_the_shield_as_slices() {
    let tiers = Tiers::start(1, 2).await;
    let film = Film::new(64 * MIB);
    tiers.origin.on("/film", Reply::film(film));
    let (start, end) = (20 * MIB + 5, 21 * MIB + 7);
    for client in tiers.clients().await {
        let range = format!("bytes={start}-{}", end - 1);
        let seen = client.ask(Ask::get("/film").field("range", &range)).await.unwrap();
        assert_eq!(seen.status, 206);
        assert!(seen.body == film.bytes(start, end), "other bytes than the origin's");
    }
    let ranges: Vec<_> = tiers.origin.asked().iter().map(|asked| asked.field("range")).collect();
    let slice = |number: u64| format!("bytes={}-{}", number * MIB, (number + 1) * MIB - 1);
    assert_eq!(ranges, [slice(20), slice(21)]);
}

#[tokio::test]
async fn edges_go_on_without_a_shield_that_is_gone() {
    let mut tiers = Tiers::with(2, 1, "failures = 1\npause = \"30s\"").await;
    tiers.origin.otherwise(|path| Reply::fresh(path.to_owned()));
    let client = tiers.clients().await.remove(0);
    within("a shield's end", tiers.shields.remove(0).stop()).await.unwrap();
    for number in 0..20 {
        let seen = client.get(&format!("/{number}")).await;
        assert!(seen.cache_status().starts_with("shield-2; fwd=miss"), "{}", seen.cache_status());
    }
    within("a shield's end", tiers.shields.remove(0).stop()).await.unwrap();
    let seen = client.get("/last").await;
    assert_eq!(seen.cache_status(), "edge-1; fwd=miss; fwd-status=200; stored");
    let door = Door::of(&tiers.edges[0]).await;
    let status: Value = serde_json::from_slice(&door.get("/v1/status").await.body).unwrap();
    let upstreams = status["data"]["upstreams"].as_array().unwrap();
    let shields: Vec<_> = upstreams.iter().filter(|each| each["name"] == "shield").collect();
    assert_eq!(shields.len(), 2, "{upstreams:?}");
    assert!(shields.iter().all(|shield| shield["healthy"] == false), "{shields:?}");
}

#[tokio::test]
async fn an_edge_that_may_ask_shields_alone_says_that_none_answers() {
    let mut tiers = Tiers::with(1, 1, "fallback = \"none\"").await;
    says(&tiers.origin, 1);
    let client = tiers.clients().await.remove(0);
    within("a shield's end", tiers.shields.remove(0).stop()).await.unwrap();
    let seen = client.get("/page").await;
    assert_eq!((seen.status, tiers.origin.count()), (502, 0));
    assert!(seen.cache_status().contains("detail=shield-"), "{}", seen.cache_status());
}

#[tokio::test]
async fn who_cannot_prove_to_be_a_peer_is_a_client() {
    let tiers = Tiers::start(1, 0).await;
    says(&tiers.origin, 1);
    let client = Client::of(&tiers.shields[0], Protocol::H2).await;
    let floor = format!("{:032x}/9", 0);
    for proof in ["", "guessed"] {
        let ask = Ask::get("/page").field("headland-floor", &floor).field("headland-peer", proof);
        let seen = client.ask(ask.field("x-forwarded-for", "192.0.2.7")).await.unwrap();
        assert_eq!((seen.status, seen.text()), (200, "version 1"));
        assert_eq!(seen.field("headland-sequence") + &seen.field("surrogate-key"), "");
    }
    let asked = tiers.origin.last();
    assert_eq!((tiers.origin.count(), asked.field("x-forwarded-for")), (1, "127.0.0.1".into()));
    // An edge of another secret is told nothing that it could trust.
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "another secret of some length").unwrap();
    let own = tiers.peer();
    let (_, rest) = own.split_once("secret_file").unwrap();
    let (_, ca) = rest.split_once('\n').unwrap();
    let peer = format!("[peer]\nsecret_file = \"{}\"\n{ca}", secret.display());
    tiers.purge(p42()).await;
    let edge = tiers.node("edge-1").tiers(&format!("{}\n{peer}", tiers.shield_table(""))).start();
    is_trusted(&edge).await;
    tiers.purge(p42()).await;
    let seen = Client::of(&edge, Protocol::H2).await.get("/page").await;
    assert_eq!(seen.cache_status(), "edge-1; fwd=miss; fwd-status=200; stored");
}

#[tokio::test]
async fn edges_that_take_each_other_for_shields_go_to_the_origin() {
    let origin = Origin::start().await;
    says(&origin, 1);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of some length").unwrap();
    let behind = |name: &str, shield: &Line| {
        let (url, secret) = (format!("http://{}", shield.address), secret.display());
        let tables = format!("[shield]\nnodes = [\"{url}\"]\n[peer]\nsecret_file = \"{secret}\"");
        Setup::new(&origin).name(name).tiers(&tables).start()
    };
    let (to_near, to_far) = (Line::start().await, Line::start().await);
    let (near, far) = (behind("near", &to_far), behind("far", &to_near));
    to_near.lead_to(near.http());
    to_far.lead_to(far.http());
    let client = Client::of(&near, Protocol::H2).await;
    let seen = client.get("/page").await;
    assert_eq!(seen.text(), "version 1");
    assert_eq!(seen.cache_status(), "near; fwd=miss; fwd-status=200; stored");
    // Round once: near, far, and near again, which refused it (RFC 8586).
    let loops: Vec<_> = origin.asked().iter().map(|asked| asked.field("cdn-loop")).collect();
    assert_eq!(loops, ["near, far", "near"]);
}

#[tokio::test]
async fn what_a_shield_has_not_heard_of_yet_goes_to_the_origin() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of some length").unwrap();
    let peer = format!("[peer]\nsecret_file = \"{}\"", secret.display());
    let shield = Setup::new(&origin).name("far").tiers(&peer).start();
    let tables = format!("[shield]\nnodes = [\"http://{}\"]\n{peer}", shield.http());
    let new = "[[site]]\nname = \"new\"\nhosts = [\"new.example\"]\norigin = \"app\"";
    let edge = Setup::new(&origin).name("near").tiers(&tables).site(new).start();
    let client = Client::of(&edge, Protocol::H2).await;
    for method in ["GET", "POST"] {
        says(&origin, 1);
        let seen = client.ask(Ask::new(method, "/page").host("new.example")).await.unwrap();
        assert_eq!((seen.status, seen.text()), (200, "version 1"), "{method}");
    }
}

#[tokio::test]
async fn a_shield_that_lags_brings_nothing_back() {
    let mut tiers = Tiers::start(0, 0).await;
    let line = Line::start().await;
    line.lead_to(tiers.control.address());
    let lagging = tiers.node("shield-1").control(&tiers.control.lines_by(line.address, "serve"));
    tiers.add_shield(lagging).await;
    tiers.add_edge("edge-1", "").await;
    tiers.add_edge("edge-2", "").await;
    let clients = tiers.clients().await;
    says(&tiers.origin, 1);
    clients[0].get("/page").await;
    line.cut();
    says(&tiers.origin, 2);
    // The shield serves on without the control plane, so the receipt waits for it.
    let receipt = tiers.control.door().await.begins_to_purge(p42()).await;
    assert_eq!(receipt["data"]["state"], "pending", "{receipt}");
    for client in &clients {
        let renewed = async || client.get("/page").await.text() == "version 2";
        eventually("the purge at an edge", renewed).await;
        assert_eq!(client.get("/page").await.text(), "version 2");
    }
    // The shield keeps nothing that reflects more than it knows of.
    assert_eq!(tiers.origin.count(), 3);
    line.lead_to(tiers.control.address());
    let receipt = tiers.purge(p42()).await;
    assert_eq!(receipt["data"]["state"], "complete", "{receipt}");
}

/// A shield that has a page of its own, and says that it reflects what `stamp` makes of the log and
/// number that it is to reflect.
async fn shield_that_says(stamp: fn(&str, u64) -> String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<Incoming>| {
                let floor = request.headers()["headland-floor"].to_str().unwrap();
                let (log, number) = floor.split_once('/').unwrap();
                let page = Response::builder()
                    .header("headland-sequence", stamp(log, number.parse().unwrap()))
                    .header("cache-control", "max-age=60")
                    .header("surrogate-key", "p42")
                    .body(Full::new(bytes::Bytes::from("of the shield")))
                    .unwrap();
                async move { Ok::<_, Infallible>(page) }
            });
            let serve = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(serve.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_does_not_show_that_it_reflects_a_purge_is_not_taken() {
    type Stamp = fn(&str, u64) -> String;
    let tiers = Tiers::start(0, 0).await;
    says(&tiers.origin, 1);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of some length").unwrap();
    let cases: [(&str, Stamp, &str); 4] = [
        ("just-there", |log, number| format!("{log}/{number}"), "of the shield"),
        ("behind", |log, number| format!("{log}/{}", number - 1), "version 1"),
        ("foreign", |_, number| format!("{:032x}/{number}", 7), "version 1"),
        ("unreadable", |log, number| format!("{log}-{number}"), "version 1"),
    ];
    for (name, stamp, text) in cases {
        let shield = shield_that_says(stamp).await;
        let secret = secret.display();
        let tables =
            format!("[shield]\nnodes = [\"http://{shield}\"]\n[peer]\nsecret_file = \"{secret}\"");
        let edge = tiers.node(name).tiers(&tables).start();
        is_trusted(&edge).await;
        tiers.purge(p42()).await;
        assert_eq!(Client::of(&edge, Protocol::H2).await.get("/page").await.text(), text, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_shared_passes_both_tiers() {
    let tiers = Tiers::start(1, 2).await;
    let clients = tiers.clients().await;
    says(&tiers.origin, 1);
    clients[0].get("/page").await;
    tiers.origin.now("/page", Reply::ok("done").field("cache-control", "no-store"));
    let ask = Ask::new("POST", "/page").content("the content");
    let seen = clients[0].ask(ask).await.unwrap();
    assert_eq!((seen.status, seen.text()), (200, "done"));
    assert_eq!(tiers.origin.last().body, b"the content");
    assert!(seen.cache_status().starts_with("shield-1; fwd="), "{}", seen.cache_status());
    // RFC 9111 section 4.4: what the request changed is gone from both tiers.
    says(&tiers.origin, 2);
    assert_eq!(clients[1].get("/page").await.text(), "version 2");
    assert_eq!(clients[0].get("/page").await.text(), "version 2");
}

/// An edge with another secret is served as a client: its answers prove nothing.
#[tokio::test]
async fn an_edge_with_another_secret_goes_to_the_origin() {
    let tiers = Tiers::start(1, 0).await;
    says(&tiers.origin, 1);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "another secret of some length").unwrap();
    let peer = tiers.peer();
    let (_, rest) = peer.split_once("\nca_file").unwrap();
    let peer = format!("[peer]\nsecret_file = \"{}\"\nca_file{rest}", secret.display());
    let edge = tiers.node("edge-1").tiers(&format!("{}\n{peer}", tiers.shield_table(""))).start();
    is_trusted(&edge).await;
    let client = Client::of(&edge, Protocol::H2).await;
    let seen = client.get("/page").await;
    assert_eq!(seen.text(), "version 1");
    assert_eq!(seen.cache_status(), "edge-1; fwd=miss; fwd-status=200; stored");
}

#[tokio::test]
async fn every_head_that_a_shield_takes_comes_through() {
    let tiers = Tiers::start(1, 1).await;
    // An origin's head may have 128 KiB, in fields of any size.
    let mut page = Reply::fresh("page").field("surrogate-key", "p42");
    for field in 0..90 {
        page = page.field(&format!("large-{field}"), &"x".repeat(1420));
    }
    tiers.origin.on("/page", page);
    let client = Client::of(&tiers.edges[0], Protocol::H1).await;
    let seen = client.get("/page").await;
    assert_eq!((seen.status, seen.text()), (200, "page"));
    assert!(seen.cache_status().starts_with("shield-1; fwd=miss"), "{}", seen.cache_status());
    assert_eq!(tiers.origin.count(), 1);
}
