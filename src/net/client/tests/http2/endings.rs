//! How exchanges and connections end before their time, and what that does to others.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::*;
use crate::message::{Body, BodyError, BodyErrorKind, Piece};

#[tokio::test]
async fn what_goaway_leaves_out_is_sent_again() {
    let (server, accepted) = wired(|mut wire, number| async move {
        if number == 0 {
            wire.until(HEADERS).await;
            wire.until(HEADERS).await;
            wire.go_away(1).await;
            wire.hello(1).await;
            // The connection ends with its last exchange.
            assert!(wire.rest().await.iter().all(|frame| frame.kind != HEADERS));
        } else {
            wire.always().await;
        }
    })
    .await;
    let pool = Pool::new(server, config());
    let (first, second) =
        tokio::join!(pool.send(get("/")), pool.send(post(Body::Full(Bytes::from_static(b"x")))));
    assert_eq!(text(first.unwrap()).await.unwrap(), "hello");
    assert_eq!(text(second.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn a_connection_said_goaway_to_takes_no_new_request() {
    let (server, accepted) = wired(|mut wire, number| async move {
        if number == 0 {
            let stream = wire.until(HEADERS).await.stream;
            wire.head(stream, &[], false).await;
            wire.go_away(stream).await;
            wire.data(stream, b"hel", false).await;
            // Not before the next request has come to another connection.
            wire.until(WINDOW_UPDATE).await;
            wire.data(stream, b"lo", true).await;
            wire.rest().await;
        } else {
            wire.always().await;
        }
    })
    .await;
    let stream_window = 5;
    let pool = Pool::new(server, with(Http2Config { stream_window, ..Default::default() }));
    let mut first = pool.send(get("/")).await.unwrap();
    let mut body = std::mem::take(&mut first.body);
    let Some(Ok(Piece::Data(begun))) = body.next().await else { panic!("no bytes") };
    assert_eq!(begun, "hel");
    assert!(!pool.send(get("/")).await.unwrap().reused);
    assert_eq!(text(IncomingResponse { body, ..first }).await.unwrap(), "lo");
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn a_refused_request_is_sent_again_whatever_its_method() {
    let (server, accepted) = wired(|mut wire, _| async move {
        for stream in [1, 3] {
            wire.until(HEADERS).await;
            wire.send(RST_STREAM, 0, stream, &REFUSED).await;
        }
        wire.always().await;
    })
    .await;
    let pool = Pool::new(server, config());
    let response = pool.send(post(Body::Full(Bytes::from_static(b"x")))).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_that_lasts_is_told_as_safe_to_send_again() {
    let (server, _) = wired(|mut wire, _| async move {
        loop {
            let Some(frame) = wire.next().await else { return };
            if frame.kind == HEADERS {
                wire.send(RST_STREAM, 0, frame.stream, &REFUSED).await;
            }
        }
    })
    .await;
    let pool = Pool::new(server, config());
    let (_sender, body) = fed();
    for request in [get("/"), post(body)] {
        let error = pool.send(request).await.unwrap_err();
        assert_eq!((error.kind, error.retry()), (ClientErrorKind::StreamReset, Retry::Yes));
    }
}

#[tokio::test]
async fn a_reset_stream_harms_no_other() {
    let (server, accepted) = wired(|mut wire, _| async move {
        wire.until(HEADERS).await;
        wire.send(RST_STREAM, 0, 1, &CANCEL).await;
        wire.always().await;
    })
    .await;
    let pool = Pool::new(server, config());
    let error = pool.send(get("/")).await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::StreamReset, Retry::No));
    assert!(pool.send(get("/")).await.unwrap().reused);
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_kept_connection_that_dies_is_replaced_for_a_get_alone() {
    let (server, accepted) = wired(|mut wire, number| async move {
        if number % 2 == 1 {
            return wire.always().await;
        }
        wire.until(HEADERS).await;
        wire.hello(1).await;
        wire.until(HEADERS).await;
    })
    .await;
    for (request, replaced) in [(get("/"), true), (post(Body::Empty), false)] {
        let pool = Pool::new(server.clone(), config());
        assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
        match pool.send(request).await {
            Ok(response) => assert!(replaced && !response.reused),
            Err(error) => {
                assert!(!replaced);
                assert_eq!((error.kind, error.sent), (ClientErrorKind::Reset, true));
                assert_eq!(error.retry(), Retry::IfReused);
            }
        }
    }
    assert_eq!(accepted.load(SeqCst), 3);
}

#[tokio::test]
async fn a_body_cut_short_is_never_whole() {
    #[derive(Clone, Copy)]
    enum End {
        Reset([u8; 4]),
        Early,
        Close,
    }
    const LONG: &[(&str, &str)] = &[("content-length", "9")];
    let cases = [
        (End::Reset(CANCEL), &[][..], BodyErrorKind::Truncated, 1),
        (End::Reset(NO_ERROR), &[], BodyErrorKind::Truncated, 1),
        (End::Early, LONG, BodyErrorKind::Malformed, 1),
        (End::Close, &[], BodyErrorKind::Truncated, 0),
        (End::Close, LONG, BodyErrorKind::Truncated, 0),
    ];
    for (end, fields, kind, left) in cases {
        let (server, _) = wired(move |mut wire, _| async move {
            wire.until(HEADERS).await;
            wire.head(1, fields, false).await;
            wire.data(1, b"hello", false).await;
            match end {
                End::Reset(reason) => wire.send(RST_STREAM, 0, 1, &reason).await,
                End::Early => wire.data(1, b"", true).await,
                End::Close => return,
            }
            wire.rest().await;
        })
        .await;
        let pool = Pool::new(server, config());
        let response = pool.send(get("/")).await.unwrap();
        assert_eq!(text(response).await.unwrap_err().kind, kind);
        assert_eq!(pool.busy(), 0);
        while pool.open_connections() != left {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn who_gives_up_cancels_one_stream_and_frees_it() {
    let (resets, mut reset) = mpsc::channel(4);
    let (server, accepted) = wired(move |mut wire, _| {
        let resets = resets.clone();
        async move {
            // No head, a head, a body begun, a request body not ended.
            for (stream, answer) in [(1, 0), (3, 1), (5, 2), (7, 1)] {
                assert_eq!(wire.until(HEADERS).await.stream, stream);
                if answer > 0 {
                    wire.head(stream, &[], false).await;
                }
                if answer > 1 {
                    wire.data(stream, b"hello", false).await;
                }
                let frame = wire.until(RST_STREAM).await;
                resets.send((frame.stream, frame.payload)).await.unwrap();
            }
            wire.always().await;
        }
    })
    .await;
    let pool = Pool::new(server, PoolConfig { max_connections: 1, ..with_streams(1) });
    {
        let mut waiting = Box::pin(pool.send(get("/")));
        while pool.busy() == 0 {
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    }
    assert_eq!(reset.recv().await.unwrap(), (1, CANCEL.to_vec()));
    drop(pool.send(get("/")).await.unwrap());
    assert_eq!(reset.recv().await.unwrap(), (3, CANCEL.to_vec()));
    let mut begun = pool.send(get("/")).await.unwrap();
    assert!(matches!(begun.body.next().await, Some(Ok(Piece::Data(data))) if data == "hello"));
    drop(begun);
    assert_eq!(reset.recv().await.unwrap(), (5, CANCEL.to_vec()));
    let (_sender, body) = fed();
    drop(pool.send(post(body)).await.unwrap());
    assert_eq!(reset.recv().await.unwrap(), (7, CANCEL.to_vec()));
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_slow_answer_is_given_up_alone() {
    let (server, accepted) = wired(|mut wire, _| async move {
        wire.until(HEADERS).await;
        wire.hello(1).await;
        wire.until(HEADERS).await;
        wire.until(HEADERS).await;
        wire.head(5, &[], false).await;
        let given_up = wire.until(RST_STREAM).await;
        assert_eq!((given_up.stream, &given_up.payload[..]), (3, &CANCEL[..]));
        wire.data(5, b"hello", true).await;
        wire.always().await;
    })
    .await;
    let response_timeout = Duration::from_millis(200);
    let pool = Pool::new(server, PoolConfig { response_timeout, ..config() });
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    let (slow, other) = tokio::join!(pool.send(get("/")), pool.send(get("/")));
    let error = slow.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::ResponseTimeout, Retry::No));
    assert_eq!(text(other.unwrap()).await.unwrap(), "hello");
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let (server, _) = wired(|mut wire, _| async move {
        let stream = wire.until(HEADERS).await.stream;
        wire.head(stream, &[], false).await;
        wire.data(stream, b"hello", false).await;
        assert_eq!(wire.until(RST_STREAM).await.payload, CANCEL);
        wire.always().await;
    })
    .await;
    let pool = Pool::new(server, PoolConfig { read_timeout: quick().read_timeout, ..config() });
    let response = pool.send(get("/")).await.unwrap();
    assert_eq!(text(response).await.unwrap_err().kind, BodyErrorKind::Timeout);
    assert_eq!((pool.busy(), pool.open_connections()), (0, 1));
}

#[tokio::test]
async fn a_request_body_that_breaks_off_is_told_and_cancels() {
    let begun = Arc::new(Notify::new());
    let told = begun.clone();
    let (server, accepted) = wired(move |mut wire, _| {
        let begun = begun.clone();
        async move {
            assert_eq!(wire.until(DATA).await.payload, b"ab");
            begun.notify_one();
            // The next request may overtake the reset.
            let (mut cancelled, mut asked) = (false, false);
            while !(cancelled && asked) {
                let frame = wire.next().await.unwrap();
                asked |= frame.kind == HEADERS;
                cancelled |= frame.kind == RST_STREAM && frame.payload == CANCEL;
            }
            wire.hello(3).await;
            wire.rest().await;
        }
    })
    .await;
    let pool = Pool::new(server, config());
    let (sender, body) = fed();
    let feed = async move {
        sender.send(Ok(Piece::Data(Bytes::from_static(b"ab")))).await.unwrap();
        told.notified().await;
        sender.send(Err(BodyError::new(BodyErrorKind::Aborted, "gone"))).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(pool.send(post(body)), feed);
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::BodyFailed, Retry::No));
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn what_is_not_http2_is_malformed() {
    let (server, _) = listen(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let error = Pool::new(server, config()).send(get("/")).await.unwrap_err();
    assert_eq!(error.kind, ClientErrorKind::Malformed, "{error}");
}

#[tokio::test]
async fn a_giant_head_ends_alone() {
    let (server, accepted) = wired(|mut wire, _| async move {
        wire.until(HEADERS).await;
        let value = "a".repeat(100);
        wire.head(1, &[("x", &*value); 60], false).await;
        wire.always().await;
    })
    .await;
    let pool = Pool::new(server, PoolConfig { header_bytes: 4096, ..config() });
    let error = pool.send(get("/")).await.unwrap_err();
    assert_eq!(error.kind, ClientErrorKind::BadHead, "{error}");
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}
