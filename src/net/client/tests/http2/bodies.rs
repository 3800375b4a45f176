//! Bodies both ways: framing, trailers, and who waits for whom.

use std::sync::Arc;

use http::Method;
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::message::{Body, Piece};

/// SETTINGS_INITIAL_WINDOW_SIZE.
const WINDOW: u16 = 4;

#[tokio::test]
async fn the_head_says_what_http2_says() {
    let (heads, mut seen) = mpsc::channel(1);
    let (server, _) = listen(move |stream, _| {
        let heads = heads.clone();
        serve(stream, move |request, mut response| {
            let heads = heads.clone();
            async move {
                let status = Response::builder().status(204).body(()).unwrap();
                response.send_response(status, true).unwrap();
                heads.send(request.into_parts().0).await.unwrap();
            }
        })
    })
    .await;
    let pool = Pool::new(server, config());
    let mut request = post(Body::Full(Bytes::from_static(b"ab")));
    for (name, value) in [("host", "shop.example"), ("connection", "x-a"), ("x-a", "1")] {
        request.headers.insert(name, value.parse().unwrap());
    }
    let response = pool.send(request).await.unwrap();
    assert_eq!((response.status.as_u16(), response.until_close), (204, false));
    assert!(matches!(response.body, Body::Empty));
    let head = seen.recv().await.unwrap();
    assert_eq!((head.method, head.uri.to_string()), (Method::POST, "http://shop.example/".into()));
    let fields: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["content-length"]);
}

#[tokio::test]
async fn a_head_or_304_answer_has_a_length_and_no_body() {
    let (server, _) = wired(|mut wire, _| async move {
        for end in [true, false] {
            let stream = wire.until(HEADERS).await.stream;
            wire.head(stream, &[("content-length", "5")], end).await;
            if !end {
                wire.data(stream, b"", true).await;
            }
        }
        wire.rest().await;
    })
    .await;
    let pool = Pool::new(server, config());
    for _ in 0..2 {
        let request = OutgoingRequest { method: Method::HEAD, ..get("/") };
        let response = pool.send(request).await.unwrap();
        assert_eq!(response.content_length, Some(5));
        assert_eq!(text(response).await.unwrap(), "");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (server, _) = listen(|stream, _| {
        serve(stream, |request, response| async move {
            let mut body = request.into_body();
            let mut content = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                content.extend(data);
            }
            let trailers = body.trailers().await.unwrap();
            send_all(response, content.into(), trailers).await;
        })
    })
    .await;
    let pool = Pool::new(server, config());
    let (sender, body) = fed();
    let feed = async move {
        for part in ["ab", "c"] {
            sender.send(Ok(Piece::Data(Bytes::from_static(part.as_bytes())))).await.unwrap();
        }
        let sum = ("x-sum".parse().unwrap(), "7".parse().unwrap());
        sender.send(Ok(Piece::Trailers(HeaderMap::from_iter([sum])))).await.unwrap();
    };
    let (response, ()) = tokio::join!(pool.send(post(body)), feed);
    assert_eq!(text(response.unwrap()).await.unwrap(), "abc[x-sum: 7]");
}

#[tokio::test]
async fn a_body_that_nobody_reads_stays_within_its_window() {
    let window = 100_000;
    let read = Arc::new(Notify::new());
    let begin = read.clone();
    let (server, _) = wired(move |mut wire, _| {
        let read = read.clone();
        async move {
            wire.until(HEADERS).await;
            assert!(wire.settings.contains(&(WINDOW, window)));
            wire.head(1, &[], false).await;
            for _ in 0..10 {
                wire.data(1, &[b'a'; 10_000], false).await;
            }
            let given = |frame: &Frame| frame.kind == WINDOW_UPDATE && frame.stream == 1;
            assert!(!wire.sync().await.iter().any(given));
            read.notify_one();
            while !given(&wire.until(WINDOW_UPDATE).await) {}
            wire.data(1, b"end", true).await;
            wire.rest().await;
        }
    })
    .await;
    let pool = Pool::new(server, with(Http2Config { stream_window: window, ..Default::default() }));
    let response = pool.send(get("/")).await.unwrap();
    begin.notified().await;
    assert_eq!(text(response).await.unwrap().len(), 100_003);
}

#[tokio::test]
async fn a_request_body_goes_no_faster_than_the_server_takes_it() {
    let (server, _) = listen(|stream, _| async move {
        let mut wire = Wire::start(stream, &[(WINDOW, 10)]).await;
        wire.until(HEADERS).await;
        let mut content = Vec::new();
        while content.len() < 10 {
            content.extend(wire.until(DATA).await.payload);
        }
        assert!(wire.sync().await.iter().all(|frame| frame.kind != DATA));
        wire.send(WINDOW_UPDATE, 0, 1, &1000_u32.to_be_bytes()).await;
        loop {
            let frame = wire.until(DATA).await;
            content.extend(frame.payload);
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(content, (0..200).collect::<Vec<u8>>());
        wire.hello(1).await;
        wire.rest().await;
    })
    .await;
    let pool = Pool::new(server, config());
    let body: Bytes = (0..200).collect();
    let response = pool.send(post(Body::Full(body))).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
}

#[tokio::test]
async fn an_early_answer_needs_no_more_of_the_request() {
    let (server, accepted) = wired(|mut wire, _| async move {
        wire.until(HEADERS).await;
        wire.hello(1).await;
        // RFC 9113 section 8.1.
        wire.send(RST_STREAM, 0, 1, &NO_ERROR).await;
        wire.always().await;
    })
    .await;
    let pool = Pool::new(server, config());
    let (_sender, body) = fed();
    assert_eq!(text(pool.send(post(body)).await.unwrap()).await.unwrap(), "hello");
    assert!(pool.send(get("/")).await.unwrap().reused);
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
}
