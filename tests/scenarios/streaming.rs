//! Bodies go through as they come, both ways, and wait for who does not take them.

use bytes::Bytes;

use crate::support::{Ask, Gate, Protocol, Reply, Scene, eventually, over_each_protocol, within};

over_each_protocol!(
    both_bodies_stream_at_once,
    a_large_upload_arrives_whole,
    an_upload_waits_for_an_origin_that_does_not_read,
    a_response_waits_for_a_client_that_does_not_read,
    a_client_that_leaves_ends_its_own_fetch,
);

const PIECE: usize = 64 * 1024;

/// Far more than all buffers on the way can hold.
const LARGE: usize = 256 * 1024 * 1024;

async fn both_bodies_stream_at_once(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::ok("first ").early().gate(&gate).piece("last").chunked());
    let (ask, upload) = Ask::new("POST", "/").streamed();
    upload.send("one ".into()).await.unwrap();
    let mut response = within("an early head", scene.client.open(ask)).await.unwrap();
    assert_eq!(response.at_least(6).await.unwrap(), "first ");
    upload.send("two".into()).await.unwrap();
    scene.origin.until("both pieces", |asked| asked[0].body == b"one two").await;
    drop(upload);
    scene.origin.until("the end", |asked| asked[0].whole).await;
    gate.open();
    assert_eq!(within("the rest", response.whole()).await.unwrap().text(), "last");
}

async fn a_large_upload_arrives_whole(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::ok("thanks"));
    let content: Bytes = (0..2_000_000_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>().into();
    let seen = scene.ask(Ask::new("PUT", "/").content(content.clone())).await;
    assert_eq!((seen.status, seen.text()), (200, "thanks"));
    assert!(scene.origin.last().body == content, "other bytes than the client's");
}

async fn an_upload_waits_for_an_origin_that_does_not_read(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::ok("thanks").upload_held(&gate));
    let (ask, upload) = Ask::new("POST", "/").streamed();
    let sent = std::cell::Cell::new(0);
    let sending = async {
        while sent.get() < LARGE && upload.send(vec![b'x'; PIECE].into()).await.is_ok() {
            sent.set(sent.get() + PIECE);
        }
    };
    let client = scene.client.clone();
    let response = tokio::spawn(async move { client.ask(ask).await.unwrap() });
    tokio::select! {
        () = sending => panic!("the node took {LARGE} bytes that nobody wanted"),
        () = at_rest(|| sent.get()) => {}
    }
    drop(upload);
    gate.open();
    let seen = within("a response", response).await.unwrap();
    assert_eq!(seen.text(), "thanks");
    let arrived = scene.origin.last().body.len();
    assert!(arrived >= sent.get(), "{arrived} of {}", sent.get());
}

async fn a_response_waits_for_a_client_that_does_not_read(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let large = Bytes::from(vec![b'x'; LARGE]);
    scene.origin.on("/", Reply::ok(large).field("cache-control", "no-store"));
    let response = within("a head", scene.client.open(Ask::get("/"))).await.unwrap();
    let said = || scene.origin.last().said;
    at_rest(said).await;
    assert!(said() < LARGE, "the node took all of what nobody read");
    drop(response);
}

async fn a_client_that_leaves_ends_its_own_fetch(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let (gate, never) = (Gate::new(), Gate::new());
    let reply = Reply::ok("x").field("cache-control", "no-store").gate(&gate);
    scene.origin.on("/", reply.piece(vec![b'y'; 1 << 20]).gate(&never).piece("z"));
    let crowd = scene.crowd(1).await;
    let mut response = within("a head", crowd[0].open(Ask::get("/"))).await.unwrap();
    response.at_least(1).await.unwrap();
    drop((response, crowd));
    gate.open();
    scene.origin.until("the end of the connection", |asked| asked[0].left).await;
}

/// Waits until a count moves no more. On a machine that stalls it may seem so too soon, which can
/// hide a fault but never make one.
async fn at_rest(count: impl Fn() -> usize) {
    let (mut last, mut same) = (0, 0);
    eventually("a count at rest", async || {
        same = if count() > 0 && count() == last { same + 1 } else { 0 };
        last = count();
        same == 20
    })
    .await;
}
