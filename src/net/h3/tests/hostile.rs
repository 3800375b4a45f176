//! Clients that break rules or go over limits, and how the others fare.

use std::time::Duration;

use http::Method;

use super::super::code::Code;
use super::reset;
use super::support::{Frames, Node, headers, serve_admitting, serve_test};
use crate::net::{Limits, Outcome};

const USUAL: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/bytes/1")];

/// The code that a stream of these bytes is reset with.
async fn reset_of(node: &Node, bytes: &[u8]) -> u64 {
    let raw = node.raw().await;
    let (mut send, recv) = raw.stream(bytes).await;
    send.finish().unwrap();
    Frames::new(recv).data().await.unwrap_err()
}

/// The code that the connection is closed with after these bytes on a request stream.
async fn close_of(node: &Node, bytes: &[u8]) -> u64 {
    let raw = node.raw().await;
    let _stream = raw.stream(bytes).await;
    raw.closed().await
}

#[test]
fn malformed_requests_are_reset() {
    serve_test(Limits::default(), async |node: Node| {
        let with = |field| headers(&[&USUAL[..], &[field]].concat());
        let message_error = reset(Code::MESSAGE_ERROR);
        assert_eq!(reset_of(&node, &headers(&USUAL[..3])).await, message_error);
        assert_eq!(reset_of(&node, &with(("connection", "close"))).await, message_error);
        assert_eq!(reset_of(&node, &with(("Upper", "1"))).await, message_error);
        assert_eq!(reset_of(&node, &with(("content-length", "1"))).await, message_error);
        let mut long = with(("content-length", "1"));
        long.extend(b"\x00\x02ab");
        assert_eq!(reset_of(&node, &long).await, message_error);
        assert_eq!(reset_of(&node, b"").await, reset(Code::REQUEST_INCOMPLETE));
    });
}

#[test]
fn broken_framing_closes_the_connection() {
    serve_test(Limits::default(), async |node: Node| {
        assert_eq!(close_of(&node, b"\x00\x01a").await, reset(Code::FRAME_UNEXPECTED));
        assert_eq!(close_of(&node, b"\x04\x00").await, reset(Code::FRAME_UNEXPECTED));
        assert_eq!(close_of(&node, b"\x02\x00").await, reset(Code::FRAME_UNEXPECTED));
        let dynamic = b"\x01\x03\x00\x00\x80";
        assert_eq!(close_of(&node, dynamic).await, reset(Code::QPACK_DECOMPRESSION_FAILED));
        let raw = node.raw().await;
        let mut second = raw.0.connection().open_uni().await.unwrap();
        second.write_all(b"\x00").await.unwrap();
        assert_eq!(raw.closed().await, reset(Code::STREAM_CREATION_ERROR));
    });
}

#[test]
fn limits_have_their_status() {
    let limits = Limits { headers: 20, header_bytes: 2000, url: 100, ..Limits::default() };
    let limits = Limits { request_body: 10, ..limits };
    serve_test(limits, async |node: Node| {
        let client = node.client().await;
        let long = "x".repeat(1900);
        let status = async |method, target: &str, field, content: &[u8]| {
            node.send(&client, method, target, &[field], content).await.unwrap().status.as_u16()
        };
        assert_eq!(status(Method::GET, "/bytes/1", ("x-long", &long), b"").await, 431);
        let huge = "x".repeat(5000);
        assert_eq!(status(Method::GET, "/bytes/1", ("x-long", &huge), b"").await, 431);
        let target = format!("/bytes/{}1", "0".repeat(100));
        assert_eq!(status(Method::GET, &target, ("x", "1"), b"").await, 414);
        let content = [b'c'; 11];
        assert_eq!(status(Method::POST, "/echo", ("content-length", "11"), &content).await, 413);
        assert_eq!(status(Method::GET, "/bytes/1", ("x", "1"), b"").await, 200);
        // Without a length it shows only on the way: the handler's body breaks off.
        let broken = match node.send(&client, Method::POST, "/echo", &[], &content).await {
            Ok(mut response) => response.body().await.is_err(),
            Err(_) => true,
        };
        assert!(broken);
    });
}

#[test]
fn too_many_resets_close_the_connection() {
    let limits = Limits { resets_per_connection: 10, ..Limits::default() };
    serve_test(limits, async |node: Node| {
        let raw = node.raw().await;
        let mut streams = Vec::new();
        for _ in 0..11 {
            let (mut send, mut recv) = raw.request("GET", "/never", &[]).await;
            send.reset(0x10cu32.into()).unwrap();
            recv.stop(0x10cu32.into()).unwrap();
            streams.push((send, recv));
        }
        assert_eq!(raw.closed().await, reset(Code::EXCESSIVE_LOAD));
    });
}

#[test]
fn a_slow_head_gets_408_and_an_idle_connection_is_closed() {
    let limits = Limits {
        header_timeout: Duration::from_millis(30),
        idle_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    serve_test(limits, async |node: Node| {
        let raw = node.raw().await;
        let (_send, recv) = raw.stream(&headers(&USUAL)[..9]).await;
        assert_eq!(Frames::new(recv).head().await, 408);
        let raw = node.raw().await;
        assert_eq!(raw.closed().await, reset(Code::NO_ERROR));
    });
}

#[test]
fn content_that_stands_still_ends_the_connection() {
    let idle_timeout = Duration::from_millis(200);
    let limits = Limits { min_rate: 0, idle_timeout, ..Limits::default() };
    serve_test(limits, async |node: Node| {
        let raw = node.raw().await;
        let mut post = USUAL;
        post[0].1 = "POST";
        post[3].1 = "/echo";
        let (_send, _recv) = raw.stream(&headers(&post)).await;
        assert_eq!(raw.closed().await, reset(Code::EXCESSIVE_LOAD));
    });
}

#[test]
fn an_exchange_has_a_longest_time() {
    let limits = Limits { request_timeout: Duration::from_millis(50), ..Limits::default() };
    serve_test(limits, async |node: Node| {
        let client = node.client().await;
        let mut response = node.get(&client, "/held").await.unwrap();
        assert!(response.body().await.is_err());
        assert_eq!(node.ended().await.outcome, Outcome::ClientGone);
        assert!(node.get(&client, "/never").await.is_err());
        node.dropped().await;
    });
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    let limits = Limits { requests_per_connection: 2, ..Limits::default() };
    serve_test(limits, async |node: Node| {
        let raw = node.raw().await;
        for _ in 0..2 {
            let mut response = node.get(&raw.0, "/bytes/3").await.unwrap();
            assert_eq!(response.body().await.unwrap(), b"xxx");
        }
        assert_eq!(raw.closed().await, reset(Code::NO_ERROR));
    });
}

#[test]
fn a_client_that_is_not_admitted_is_refused() {
    let mut admitted = 0;
    let admit = move |_| {
        admitted += 1;
        (admitted <= 1).then_some(())
    };
    serve_admitting(Limits::default(), admit, async |node: Node| {
        let client = node.client().await;
        assert!(node.try_client().await.is_err());
        assert_eq!(node.get(&client, "/bytes/1").await.unwrap().status, 200);
    });
}
