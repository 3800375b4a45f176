//! How many connections there are, who shares them, and when they go.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

use super::*;
use crate::message::Body;
use crate::net::worker::Workers;

/// SETTINGS_MAX_CONCURRENT_STREAMS.
const MAX_STREAMS: u16 = 3;

#[tokio::test]
async fn one_connection_serves_many() {
    let (server, accepted) = wired(|wire, _| wire.always()).await;
    let pool = Pool::new(server, config());
    for turn in 0..3 {
        let response = pool.send(get("/")).await.unwrap();
        assert_eq!((response.reused, pool.busy()), (turn > 0, 1));
        assert_eq!(text(response).await.unwrap(), "hello");
        assert_eq!(pool.busy(), 0);
    }
    for response in join_all((0..50).map(|_| pool.send(get("/")))).await {
        assert_eq!(text(response.unwrap()).await.unwrap(), "hello");
    }
    assert_eq!((accepted.load(SeqCst), pool.open_connections()), (1, 1));
}

#[tokio::test]
async fn a_cold_crowd_waits_for_as_few_connections_as_serve_it() {
    let (server, accepted) = wired(|wire, _| wire.always()).await;
    let pool = Pool::new(server, with_streams(10));
    let crowd = join_all((0..25).map(|_| pool.send(get("/")))).await;
    assert_eq!(accepted.load(SeqCst), 3);
    for response in crowd {
        assert_eq!(text(response.unwrap()).await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn a_full_connection_is_joined_by_another() {
    let (server, accepted) = wired(|wire, _| wire.always()).await;
    let pool = Pool::new(server, with_streams(2));
    let held = [pool.send(get("/")).await.unwrap(), pool.send(get("/")).await.unwrap()];
    assert_eq!(accepted.load(SeqCst), 1);
    let third = pool.send(get("/")).await.unwrap();
    assert_eq!((accepted.load(SeqCst), third.reused), (2, false));
    drop(held);
    assert!(pool.send(get("/")).await.unwrap().reused);
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn the_servers_own_limit_is_obeyed() {
    let (server, accepted) = listen(|stream, _| async move {
        Wire::start(stream, &[(MAX_STREAMS, 1)]).await.always().await;
    })
    .await;
    let pool = Pool::new(server, PoolConfig { max_connections: 2, ..config() });
    // The head says that the SETTINGS before it have come.
    let first = pool.send(get("/")).await.unwrap();
    let second = pool.send(get("/")).await.unwrap();
    assert_eq!((accepted.load(SeqCst), second.reused), (2, false));
    let (third, first) = tokio::join!(pool.send(get("/")), text(first));
    assert_eq!(first.unwrap(), "hello");
    assert!(third.unwrap().reused);
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn requests_wait_for_a_stream_in_their_order_and_not_for_ever() {
    let (server, accepted) = wired(|wire, _| wire.always()).await;
    let limits = PoolConfig { max_connections: 1, max_waiting: 1, ..with_streams(1) };
    let pool = Pool::new(server, PoolConfig { max_wait: quick().max_wait, ..limits });
    let first = pool.send(get("/")).await.unwrap();
    let error = pool.send(get("/")).await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::PoolExhausted, Retry::Yes));
    let (second, third, first) =
        tokio::join!(pool.send(get("/")), pool.send(get("/")), text(first));
    assert_eq!(first.unwrap(), "hello");
    assert!(second.unwrap().reused);
    assert_eq!(third.unwrap_err().detail, "max_waiting requests wait");
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_closed_door_is_told_to_all_that_wait() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::http("127.0.0.1", listener.local_addr().unwrap().port());
    drop(listener);
    let pool = Pool::new(server, config());
    for outcome in join_all((0..3).map(|_| pool.send(get("/")))).await {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind, error.retry()), (ClientErrorKind::Connect, Retry::Yes));
    }
    assert_eq!(pool.open_connections(), 0);
}

#[tokio::test]
async fn an_idle_connection_leaves_with_a_word() {
    let (server, _) = wired(|wire, _| wire.always()).await;
    let idle_timeout = Duration::from_millis(5);
    let pool = Pool::new(server.clone(), PoolConfig { idle_timeout, ..config() });
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    while pool.open_connections() > 0 {
        tokio::task::yield_now().await;
    }

    let pool = Pool::new(server, PoolConfig { max_idle: 0, ..config() });
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    while pool.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_pools_connections_go_with_it_and_with_their_last_exchange() {
    let told = Arc::new(Notify::new());
    let tell = told.clone();
    let (server, _) = wired(move |mut wire, _| {
        let told = told.clone();
        async move {
            let stream = wire.until(HEADERS).await.stream;
            wire.head(stream, &[], false).await;
            told.notified().await;
            wire.data(stream, b"hello", true).await;
            assert!(wire.rest().await.iter().any(|frame| frame.kind == GOAWAY));
            told.notify_one();
        }
    })
    .await;
    let pool = Pool::new(server, config());
    let response = pool.send(get("/")).await.unwrap();
    drop(pool);
    tell.notify_one();
    assert_eq!(text(response).await.unwrap(), "hello");
    tell.notified().await;
}

#[tokio::test]
async fn a_server_that_answers_ping_is_waited_for() {
    let (server, accepted) = wired(|mut wire, _| async move {
        let stream = wire.until(HEADERS).await.stream;
        for _ in 0..3 {
            let ping = wire.until(PING).await;
            wire.send(PING, ACK, 0, &ping.payload).await;
        }
        wire.hello(stream).await;
        wire.rest().await;
    })
    .await;
    let ping_interval = Duration::from_millis(1);
    let pool = Pool::new(server, with(Http2Config { ping_interval, ..Http2Config::default() }));
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_died_in_silence_is_noticed() {
    let (server, _) = wired(|mut wire, _| async move {
        wire.until(HEADERS).await;
        wire.until(PING).await;
        std::future::pending::<()>().await;
    })
    .await;
    let moment = Duration::from_millis(30);
    let dead = Http2Config { ping_interval: moment, ping_timeout: moment, ..Default::default() };
    let pool = Pool::new(server, with(dead));
    let error = pool.send(post(Body::Empty)).await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ClientErrorKind::Reset, true));
    assert_eq!(error.retry(), Retry::No);
    while pool.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_event_loop_has_a_connection_of_its_own() {
    let (server, accepted) = wired(|wire, _| wire.always()).await;
    let pool = Pool::new(server, PoolConfig { egress: Egress::of(2), ..config() });
    let asked = pool.clone();
    let workers = Workers::start(2, false, move |_| {
        let pool = asked.clone();
        async move {
            for turn in 0..5 {
                let response = pool.send(get("/")).await.unwrap();
                assert_eq!(response.reused, turn > 0);
                assert_eq!(text(response).await.unwrap(), "hello");
            }
        }
    });
    tokio::task::spawn_blocking(|| workers.unwrap().join().unwrap()).await.unwrap();
    assert_eq!(accepted.load(SeqCst), 2);
}
