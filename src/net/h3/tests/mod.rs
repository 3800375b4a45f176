//! The engine over real sockets: what it promises to clients and to its handler.

mod cuts;
mod foreign;
mod hostile;
mod losses;
mod parsers;
mod support;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, StatusCode};
use tokio::sync::mpsc;

use super::client::ClientError;
use super::code::Code;
use crate::message::{Body, FieldBlock, Interim, push_field};
use crate::net::{Later, Limits, Outcome};
use support::{Node, serve_test};

#[test]
fn a_response_comes_whole() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        for size in [0, 1, 1024, 70_000, 10 * 1024 * 1024] {
            let mut response = node.get(&client, &format!("/bytes/{size}")).await.unwrap();
            assert_eq!(response.status, 200);
            assert_eq!(response.fields["content-length"], size.to_string());
            assert_eq!(response.fields["x-block"], "1");
            assert_eq!(response.fields["x-extra"], "2");
            assert_eq!(response.body().await.unwrap().len(), size);
            let ended = node.ended().await;
            assert_eq!((ended.body_bytes, ended.outcome), (size as u64, Outcome::Complete));
        }
    });
}

#[test]
fn a_hundred_streams_at_once() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        let bodies = join_all((0..100).map(async |index| {
            let target = format!("/later/{}", 1000 + index * 300);
            node.get(&client, &target).await.unwrap().body().await.unwrap().len()
        }))
        .await;
        assert!(bodies.into_iter().eq((0..100).map(|index| 1000 + index * 300)));
    });
}

/// A page of four bytes, behind interim responses with a field of so many times ten bytes.
fn hints(times: usize) -> Later<()> {
    let (sender, interim) = mpsc::channel(1);
    let mut lines = Vec::new();
    push_field(&mut lines, "link", "</some.css".repeat(times).as_bytes());
    let block = FieldBlock::from_lines(lines.into());
    let reply = async move {
        for status in [StatusCode::PROCESSING, StatusCode::EARLY_HINTS] {
            sender.send(Interim { status, block: block.clone() }).await.unwrap();
        }
        support::reply(200, Some(4), Body::Full(Bytes::from_static(b"page")))
    };
    Later::new(reply).after(interim)
}

#[test]
fn interim_responses_come_before_the_head() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        for times in [1, 800] {
            let mut response = node.get(&client, &format!("/hints/{times}")).await.unwrap();
            assert_eq!(response.interim, [StatusCode::PROCESSING, StatusCode::EARLY_HINTS]);
            assert_eq!((response.status, response.fields.get("link")), (StatusCode::OK, None));
            assert_eq!(response.body().await.unwrap(), b"page");
        }
    });
}

#[test]
fn head_and_empty_statuses_have_no_content() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        let mut response = node.send(&client, Method::HEAD, "/bytes/500", &[], b"").await.unwrap();
        assert_eq!(response.fields["content-length"], "500");
        assert_eq!(response.body().await.unwrap(), b"");
        assert_eq!(node.ended().await.body_bytes, 0);
        for status in [204, 304] {
            let mut response = node.get(&client, &format!("/status/{status}")).await.unwrap();
            assert_eq!(response.status, status);
            assert_eq!(response.body().await.unwrap(), b"");
        }
    });
}

#[test]
fn content_goes_up_and_trailers_both_ways() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        let content = vec![b'u'; 200_000];
        let mut response = node.send(&client, Method::POST, "/echo", &[], &content).await.unwrap();
        assert_eq!(response.body().await.unwrap(), content);
        assert_eq!(response.trailers["x-sum"], content.len().to_string());
        // More than all windows hold: it goes up as it is read.
        let content = vec![b'u'; 5_000_000];
        let mut response = node.send(&client, Method::POST, "/count", &[], &content).await.unwrap();
        assert_eq!(response.body().await.unwrap().len(), content.len());
    });
}

#[test]
fn continue_is_sent_when_the_content_is_wanted() {
    serve_test(Limits::default(), async |node: Node| {
        let raw = node.raw().await;
        let (mut send, recv) = raw.request("POST", "/count", &[("expect", "100-continue")]).await;
        let mut messages = support::Frames::new(recv);
        assert_eq!(messages.head().await, 100);
        send.write_all(b"\x00\x03abc").await.unwrap();
        send.finish().unwrap();
        assert_eq!(messages.head().await, 200);
        assert_eq!(messages.data().await, Ok(b"xxx".to_vec()));
    });
}

#[test]
fn a_truncated_body_ends_with_a_reset() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        for target in ["/broken", "/short", "/long", "/panic-in-body"] {
            let error = match node.get(&client, target).await {
                Ok(mut response) => response.body().await.unwrap_err(),
                Err(error) => error,
            };
            assert!(
                matches!(error, ClientError::Reset(code) if code == reset(Code::INTERNAL_ERROR)),
                "{target}: {error}"
            );
            assert_eq!(node.ended().await.outcome, Outcome::Truncated, "{target}");
        }
        let whole = node.get(&client, "/bytes/10").await.unwrap().body().await;
        assert_eq!(whole.unwrap().len(), 10, "the connection lives on");
    });
}

#[test]
fn a_panic_costs_its_own_stream() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        let (panicked, other) =
            futures_util::join!(node.get(&client, "/panic"), node.get(&client, "/later/5"));
        assert!(matches!(panicked, Err(ClientError::Reset(_))));
        assert_eq!(other.unwrap().body().await.unwrap().len(), 5);
    });
}

#[test]
fn a_client_that_leaves_is_noticed() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        let mut response = node.get(&client, "/endless").await.unwrap();
        response.chunk().await.unwrap();
        response.cancel();
        let ended = node.ended().await;
        assert_eq!(ended.outcome, Outcome::ClientGone);
        assert!(ended.body_bytes > 0);
        // One that has no response yet ends with its future.
        let never = node.raw().await;
        let (mut send, mut recv) = never.request("GET", "/never", &[]).await;
        send.finish().unwrap();
        node.begun().await;
        recv.stop(0x10cu32.into()).unwrap();
        node.dropped().await;
        // The whole connection.
        let mut response = node.get(&client, "/endless").await.unwrap();
        response.chunk().await.unwrap();
        client.close().await;
        assert_eq!(node.ended().await.outcome, Outcome::ClientGone);
    });
}

#[test]
fn a_drain_finishes_what_is_begun() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        let control = client.connection().accept_uni().await.unwrap();
        let mut response = node.get(&client, "/held").await.unwrap();
        assert_eq!(response.chunk().await.unwrap(), Some(Bytes::from_static(b"first")));
        node.drain();
        let mut control = support::Control::new(control).await;
        assert_eq!(control.goaway().await, (1 << 62) - 4, "all that is on its way is taken");
        assert_eq!(control.goaway().await, 4, "and then no more");
        let refused = node.get(&client, "/bytes/1").await;
        let rejected = reset(Code::REQUEST_REJECTED);
        assert!(matches!(refused, Err(ClientError::Reset(code)) if code == rejected));
        node.release();
        assert_eq!(response.body().await.unwrap(), b"last");
        let closed = client.connection().closed().await;
        assert_eq!(support::close_code(&closed), reset(Code::NO_ERROR));
        node.stopped().await;
        // Its socket stays, for the clients of the other event loops.
        assert!(std::net::UdpSocket::bind(node.address).is_err());
    });
}

#[test]
fn clients_are_told_of_an_endpoint_that_is_dropped() {
    serve_test(Limits::default(), async |node: Node| {
        let (busy, idle) = (node.client().await, node.client().await);
        let mut response = node.get(&busy, "/held").await.unwrap();
        assert_eq!(response.chunk().await.unwrap(), Some(Bytes::from_static(b"first")));
        assert_eq!(node.get(&idle, "/bytes/1").await.unwrap().status, 200);
        node.cut();
        for client in [&busy, &idle] {
            let closed = client.connection().closed().await;
            assert_eq!(support::close_code(&closed), reset(Code::NO_ERROR));
        }
        assert!(response.body().await.is_err(), "a body that was cut does not seem whole");
        node.stopped().await;
    });
}

fn reset(code: Code) -> u64 {
    quinn::VarInt::from(code).into_inner()
}
