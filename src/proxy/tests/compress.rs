//! Coded copies that meet purges, edges and one another.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::super::coding::{key_of, mark_of};
use super::super::linger::Basis;
use super::world::{Step, World, say, text};
use crate::collapse::Join;
use crate::message::Answer;
use crate::object::{CacheKey, PurgeKind, Sequence, Stored};
use crate::semantics::coding::Coding;
use crate::store::Lookup;

const ON: &str = "compress = { min = 0 }";

const PAGE: &str = "a page that says a page says";

fn page(fields: &[&str], body: &str) -> Step {
    let html = ["cache-control: max-age=60", "etag: \"1\"", "content-type: text/html"];
    say("200 OK", &[&html, fields].concat(), body)
}

/// The key of `/` for whoever asks.
fn primary(world: &World) -> CacheKey {
    let routing = world.proxy.routing();
    let site = routing.sites.find("h").unwrap();
    let (route, resource) = site.locate(Cow::Borrowed("h"), "/").unwrap();
    resource.key(site.generation, &route.key.extra(|_| Default::default())).own
}

fn stored(world: &World, key: CacheKey) -> Option<Arc<Stored>> {
    match world.proxy.store().lookup(key, |_, _| ()) {
        Lookup::Found(_, stored) => Some(stored),
        Lookup::Cold(_) | Lookup::Missing(_) => None,
    }
}

#[tokio::test]
async fn a_purge_while_another_codes_is_not_overtaken() {
    let image = ["cache-control: max-age=60", "content-type: image/png"];
    let script = move |_: &str, number| match number {
        0 => vec![page(&[], PAGE)],
        _ => vec![say("200 OK", &image, "new")],
    };
    let world = World::new(ON, script).await;
    assert_eq!(world.get("/").got().await.body, PAGE);
    let identity = stored(&world, primary(&world)).unwrap();
    let mark = mark_of(&identity.head).unwrap();
    let key = key_of(primary(&world), mark, Coding::Gzip);
    let flight = key.variant(mark);
    let join = world.proxy.flights.join(key, flight, Sequence::default(), |_, _| true);
    let Join::Leader(leader) = join else { panic!("nobody codes yet") };
    let waits = world.get("/").with("accept-encoding", "gzip").started().await;
    assert!(!waits.is_finished());
    world.purge(PurgeKind::Hard, "/");
    drop(leader);
    assert_eq!(waits.await.unwrap().body, "new");
}

#[tokio::test]
async fn an_edge_gets_what_the_origin_sent() {
    let world = World::new(ON, |_, _| vec![page(&[], PAGE)]).await;
    for _ in 0..2 {
        let got = world.get("/").with("accept-encoding", "gzip, br").by_edge().got().await;
        assert_eq!(got.body, PAGE);
        for name in ["content-encoding", "vary", "headland-body"] {
            assert_eq!(got.line(name), None, "{name}");
        }
    }
    assert!(world.origin.heads()[0].contains("accept-encoding: gzip, br\r\n"));
}

#[tokio::test]
async fn an_origin_marks_nothing() {
    let marked = ["headland-body: x", "content-type: image/png", "cache-control: max-age=60"];
    let world = World::new(ON, move |_, _| vec![say("200 OK", &marked, PAGE)]).await;
    for _ in 0..2 {
        let got = world.get("/").with("accept-encoding", "gzip").got().await;
        assert_eq!((got.line("content-encoding"), got.line("vary")), (None, None));
        assert_eq!(got.body, PAGE);
    }
    // Nor where it would be marked: the mark is new with each body.
    let world = World::new(ON, |_, _| vec![page(&["headland-body: x"], PAGE)]).await;
    let mut marks = Vec::new();
    for _ in 0..2 {
        world.get("/").got().await;
        let identity = stored(&world, primary(&world)).unwrap();
        marks.push(mark_of(&identity.head).unwrap().to_vec());
        world.publish(json!({"kind": "site", "value": "s"}));
    }
    assert!(marks[0] != marks[1] && marks.iter().all(|mark| mark != b"x"));
}

#[tokio::test]
async fn a_copy_is_stored_only_beside_its_identity() {
    let world = World::new(ON, |_, number| match number {
        0 => {
            let head = "cache-control: max-age=60\r\ncontent-type: text/html\r\ncontent-length: 4";
            vec![text(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nab")), Step::Wait, text("cd")]
        }
        _ => vec![say("204 No Content", &[], "")],
    })
    .await;
    let reply = match world.get("/").with("accept-encoding", "gzip").answer() {
        Answer::Now(_) => panic!("nothing is stored"),
        Answer::Later(reply) => reply.await,
    };
    let Basis::Arriving(head) = &reply.exchange.basis else { panic!("it is on its way") };
    let key = key_of(primary(&world), mark_of(head).unwrap(), Coding::Gzip);
    // An unsafe request changes the resource while its copy is made.
    world.ask(Method::PUT, "/").got().await;
    world.origin.go_on(1);
    let mut body = reply.response.body;
    while let Some(piece) = body.next().await {
        piece.unwrap();
    }
    assert!(stored(&world, key).is_none());
}
