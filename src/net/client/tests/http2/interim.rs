//! What comes before the head.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::message::OnInterim;

/// A request, and the status and `link` of each interim response to it.
fn asking() -> (OutgoingRequest, mpsc::UnboundedReceiver<(StatusCode, String)>) {
    let (sender, told) = mpsc::unbounded_channel();
    let on_interim = OnInterim::new(move |status, fields: &HeaderMap| {
        let link = fields.get("link").map(|link| link.to_str().unwrap().to_owned());
        sender.send((status, link.unwrap_or_default())).unwrap();
    });
    (OutgoingRequest { on_interim: Some(on_interim), ..get("/") }, told)
}

#[tokio::test]
async fn interim_responses_are_told_as_they_come() {
    let (go, mut gone) = mpsc::channel(1);
    let (served, mut script) = mpsc::channel(1);
    let (server, _) = wired(move |wire, _| {
        let served = served.clone();
        async move { served.send(wire).await.unwrap() }
    })
    .await;
    let pool = Pool::new(server, config());
    let origin = async move {
        let mut wire = script.recv().await.unwrap();
        wire.until(HEADERS).await;
        wire.interim(1, "102", &[]).await;
        wire.interim(1, "103", &[("link", "</a>")]).await;
        // They are told while the head is still to come.
        gone.recv().await.unwrap();
        wire.interim(1, "103", &[("link", "</b>")]).await;
        wire.hello(1).await;
        wire.rest().await;
    };
    tokio::spawn(origin);
    let (request, mut told) = asking();
    let seen = async move {
        assert_eq!(told.recv().await.unwrap(), (StatusCode::PROCESSING, String::new()));
        assert_eq!(told.recv().await.unwrap(), (StatusCode::EARLY_HINTS, "</a>".to_owned()));
        go.send(()).await.unwrap();
        assert_eq!(told.recv().await.unwrap(), (StatusCode::EARLY_HINTS, "</b>".to_owned()));
        assert!(told.recv().await.is_none());
    };
    let (response, ()) = tokio::join!(pool.send(request), seen);
    let response = response.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(text(response).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_still_told() {
    let (server, _) = wired(|mut wire, _| async move {
        wire.until(HEADERS).await;
        wire.send(RST_STREAM, 0, 1, &REFUSED).await;
        wire.until(HEADERS).await;
        wire.interim(3, "103", &[]).await;
        wire.hello(3).await;
        wire.rest().await;
    })
    .await;
    let pool = Pool::new(server, config());
    let (request, mut told) = asking();
    pool.send(request).await.unwrap();
    assert_eq!(told.recv().await.unwrap().0, StatusCode::EARLY_HINTS);
}

#[tokio::test]
async fn one_that_switches_protocols_ends_its_exchange_alone() {
    let reset = Arc::new(Notify::new());
    let came = reset.clone();
    let (server, accepted) = wired(move |mut wire, _| {
        let reset = reset.clone();
        async move {
            wire.until(HEADERS).await;
            wire.interim(1, "101", &[]).await;
            assert_eq!(wire.until(RST_STREAM).await.payload, CANCEL);
            reset.notify_one();
            wire.always().await;
        }
    })
    .await;
    let pool = Pool::new(server, config());
    let (request, mut told) = asking();
    let error = pool.send(request).await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::BadHead, Retry::No));
    assert!(told.recv().await.is_none());
    came.notified().await;
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn an_endless_row_of_them_does_not_put_the_end_off() {
    let reset = Arc::new(Notify::new());
    let came = reset.clone();
    let (server, accepted) = wired(move |mut wire, _| {
        let reset = reset.clone();
        async move {
            wire.until(HEADERS).await;
            while wire.sync().await.iter().all(|frame| frame.kind != RST_STREAM) {
                for _ in 0..100 {
                    wire.interim(1, "103", &[("link", "</a>")]).await;
                }
            }
            reset.notify_one();
            wire.always().await;
        }
    })
    .await;
    let response_timeout = Duration::from_millis(200);
    let pool = Pool::new(server, PoolConfig { response_timeout, ..config() });
    let error = pool.send(get("/")).await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::ResponseTimeout, Retry::No));
    came.notified().await;
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}
