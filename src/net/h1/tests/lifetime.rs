//! How long connections live: keep-alive, time-outs, drain, and clients that leave.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;
use crate::net::Later;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn read_all(mut client: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_as_both_sides_want() {
    let handler = Scripted::new(echo);
    let limits = Limits { requests_per_connection: 2, ..Limits::default() };
    let wire = GET.repeat(3);
    let answer = exchange(&handler, limits, &wire).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2);
    assert_eq!(answer.matches("connection: close").count(), 1);
    let wire = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n".repeat(2);
    let answer = exchange(&handler, Limits::default(), &wire).await;
    assert_eq!(answer.matches("connection: keep-alive").count(), 2);
    let wire = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n".repeat(2);
    assert_eq!(exchange(&handler, Limits::default(), &wire).await.matches("HTTP/1.1").count(), 1);
    let wire = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n".repeat(2);
    assert_eq!(exchange(&handler, Limits::default(), &wire).await.matches("HTTP/1.1").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_in_silence_and_slow_heads_with_408() {
    let start = Instant::now();
    let handler = Scripted::new(echo);
    let (client, _served, _drain) = connect(&handler, Limits::default());
    assert_eq!(read_all(client).await, "");
    assert_eq!(start.elapsed().as_secs(), 60);

    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    client.write_all(GET).await.unwrap();
    assert!(read_all(client).await.ends_with("GET a /"));
    assert_eq!(start.elapsed().as_secs(), 120);

    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert!(read_all(&mut client).await.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(start.elapsed().as_secs(), 130);
    drop(client);

    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    client.write_all(post).await.unwrap();
    assert!(read_all(&mut client).await.ends_with("POST a /"), "the rest never came");
}

#[tokio::test(start_paused = true)]
async fn a_request_has_a_total_time() {
    let handler = Scripted::new(|_| Answer::Later(Later::new(std::future::pending())));
    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    client.write_all(GET).await.unwrap();
    assert!(read_all(&mut client).await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test(start_paused = true)]
async fn a_client_below_the_minimum_rate_is_cut_off() {
    let handler = Scripted::new(|request| {
        let body = Body::Full(Bytes::from(vec![b'x'; 1 << 20]));
        Answer::Now(reply(&request.head.target, 200, None, body))
    });
    let (mut client, server) = tokio::io::duplex(1000);
    let (_drain, watch) = Drain::new();
    let served = spawn(server, &handler, Limits::default(), watch);
    client.write_all(GET).await.unwrap();
    served.await.unwrap();
    let ended = handler.ended.lock()[0].1;
    assert_eq!(ended.outcome, Outcome::ClientGone);
    assert!(ended.body_bytes > 800 && ended.body_bytes < 1000, "{}", ended.body_bytes);

    let handler = Scripted::new(|request: Request| {
        let (mut body, target) = (request.body, request.head.target);
        Answer::Later(Later::new(async move {
            let error = body.next().await.unwrap().unwrap_err();
            reply(&target, 408, None, Body::Full(error.kind.to_string().into()))
        }))
    });
    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").await.unwrap();
    assert!(read_all(&mut client).await.ends_with("connection: close\r\n\r\ntimeout"));
}

#[tokio::test(start_paused = true)]
async fn content_has_to_move_and_fast_enough() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    let handler = Scripted::new(uploads::collect);
    let start = Instant::now();
    let idle_timeout = Duration::from_secs(5);
    let limits = Limits { min_rate: 0, idle_timeout, ..Limits::default() };
    let (mut client, _served, _drain) = connect(&handler, limits);
    client.write_all(post).await.unwrap();
    assert!(read_all(&mut client).await.ends_with("\r\n\r\n[timeout]"));
    assert_eq!(start.elapsed().as_secs(), 5);

    // One byte now and then is no rate.
    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    client.write_all(post).await.unwrap();
    // Past the end of its patience nobody takes them.
    while client.write_all(b"x").await.is_ok() {
        tokio::time::advance(Duration::from_secs(20)).await;
        tokio::task::yield_now().await;
    }
    assert!(read_all(&mut client).await.contains("[timeout]"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_the_drain_is_answered() {
    let handler = Scripted::new(echo);
    let (mut client, _served, drain) = connect(&handler, Limits::default());
    drain.begin();
    tokio::task::yield_now().await;
    client.write_all(GET).await.unwrap();
    assert!(read_all(&mut client).await.ends_with("connection: close\r\n\r\nGET a /"));
    drop(client);
    drain.done().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_idle_connections_and_lets_others_finish() {
    let handler = Scripted::new(echo);
    let (client, _served, drain) = connect(&handler, Limits::default());
    tokio::task::yield_now().await;
    drain.begin();
    assert_eq!(read_all(client).await, "");
    drain.done().await;

    let (answer, wait) = oneshot::channel::<()>();
    let wait = Mutex::new(Some(wait));
    let handler = Scripted::new(move |request| {
        let wait = wait.lock().take().unwrap();
        Answer::Later(Later::new(async move {
            wait.await.unwrap();
            reply(&request.head.target, 200, None, Body::Empty)
        }))
    });
    let (mut client, _served, drain) = connect(&handler, Limits::default());
    client.write_all(GET).await.unwrap();
    tokio::task::yield_now().await;
    drain.begin();
    answer.send(()).unwrap();
    assert!(read_all(&mut client).await.ends_with("connection: close\r\n\r\n"));
    drop(client);
    drain.done().await;
}

/// Sets a flag when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().map(|sender| sender.send(()));
    }
}

/// A handler that never answers, and what tells that it was given up.
fn never() -> (Arc<Scripted>, oneshot::Receiver<()>) {
    let (sender, dropped) = oneshot::channel();
    let guard = Mutex::new(Some(Dropped(Some(sender))));
    let handler = Scripted::new(move |_| {
        let guard = guard.lock().take();
        Answer::Later(Later::new(async move {
            let _guard = guard;
            std::future::pending().await
        }))
    });
    (handler, dropped)
}

#[tokio::test]
async fn a_client_that_shut_its_side_is_gone_once_only_the_handler_is_waited_for() {
    let (handler, dropped) = never();
    let (mut client, served, _drain) = connect(&handler, Limits::default());
    client.write_all(GET).await.unwrap();
    client.shutdown().await.unwrap();
    dropped.await.unwrap();
    assert!(!served.await.unwrap());
    assert_eq!(read_all(client).await, "");

    // A body that stalls is no different, and ends as cut.
    let handler = Scripted::new(|request| {
        struct Stalled;
        impl BodyStream for Stalled {
            fn poll_piece(
                &mut self,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Piece, BodyError>>> {
                Poll::Pending
            }
        }
        let body = Body::Stream(Box::new(Stalled));
        Answer::Now(reply(&request.head.target, 200, Some(9), body))
    });
    let (mut client, served, _drain) = connect(&handler, Limits::default());
    client.write_all(GET).await.unwrap();
    client.shutdown().await.unwrap();
    served.await.unwrap();
    assert_eq!(handler.endings(), [("/".to_owned(), 0, Outcome::ClientGone)]);

    // What is at hand is owed, however slowly it is taken.
    let handler = Scripted::new(|request| {
        let body = Body::Full(Bytes::from(vec![b'x'; 5000]));
        Answer::Now(reply(&request.head.target, 200, None, body))
    });
    let (mut client, server) = tokio::io::duplex(100);
    let (_drain, watch) = Drain::new();
    spawn(server, &handler, Limits::default(), watch);
    client.write_all(&GET.repeat(2)).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(client).await.matches("HTTP/1.1 200 OK").count(), 2);
}

#[tokio::test]
async fn a_reset_ends_the_wait_for_an_answer_and_a_half_close_that_is_allowed_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_drain, watch) = Drain::new();

    let (handler, dropped) = never();
    let client = TcpStream::connect(address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let served = spawn(server, &handler, Limits::default(), watch.clone());
    let client = {
        let mut client = client;
        client.write_all(GET).await.unwrap();
        // More than one head's worth, so that pipelining alone does not end the wait.
        client.write_all(GET).await.unwrap();
        client
    };
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    dropped.await.unwrap();
    served.await.unwrap();
    assert!(handler.endings().is_empty(), "there was no reply");

    let handler = Scripted::new(|request| {
        Answer::Later(Later::new(async move {
            tokio::task::yield_now().await;
            reply(&request.head.target, 200, None, Body::Empty)
        }))
    });
    let mut client = TcpStream::connect(address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let limits = Limits { half_close: true, ..Limits::default() };
    spawn(server, &handler, limits, watch);
    client.write_all(&GET.repeat(2)).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(client).await.matches("HTTP/1.1 200 OK").count(), 2);
}

#[tokio::test]
async fn every_reply_ends_once_even_if_the_connection_is_dropped() {
    let handler = Scripted::new(|request| {
        let body = Body::Full(Bytes::from(vec![b'x'; 5000]));
        Answer::Now(reply(&request.head.target, 200, None, body))
    });
    let (mut client, server) = tokio::io::duplex(6000);
    let (_drain, watch) = Drain::new();
    let served = spawn(server, &handler, Limits::default(), watch);
    client.write_all(&GET.repeat(3)).await.unwrap();
    // The first response is out, the second in part, the third waits.
    let mut some = [0; 10];
    client.read_exact(&mut some).await.unwrap();
    served.abort();
    assert!(served.await.unwrap_err().is_cancelled());
    let ends = handler.endings();
    assert_eq!(ends[0], ("/".into(), 5000, Outcome::Complete));
    assert_eq!(ends[1].2, Outcome::ClientGone);
    assert!(ends[1].1 > 0 && ends[1].1 < 5000, "{}", ends[1].1);
    assert_eq!(ends[2], ("/".into(), 0, Outcome::ClientGone));
    assert_eq!(ends.len(), 3);
}
