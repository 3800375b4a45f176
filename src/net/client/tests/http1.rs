//! HTTP/1.1, word for word.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::*;
use super::{fed, get, listen, post, quick, text};
use crate::message::{Body, BodyError, BodyErrorKind, Piece, Protocol};
use crate::net::tls::tests::Authority;
use crate::net::{Certificates, ServerTls};

/// Runs `script` on every connection, told its number from 0, and counts them.
async fn origin<F, Fut>(script: F) -> (Server, Arc<AtomicUsize>)
where
    F: Fn(Peer, usize) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    listen(move |stream, number| script(Peer { stream }, number)).await
}

/// The origin's end of a connection.
struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// Reads until `end` has come; what came before end of file if it never does.
    async fn read_to(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            match self.stream.read_u8().await {
                Ok(byte) => text.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(text).unwrap()
    }

    async fn head(&mut self) -> String {
        self.read_to("\r\n\r\n").await
    }

    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Answers every request the same until the client closes.
    async fn always(mut self, text: &str) {
        while !self.head().await.is_empty() {
            self.say(text).await;
        }
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn a_connection_serves_again_once_its_body_was_read() {
    let (server, accepted) = origin(|peer, _| peer.always(HELLO)).await;
    let pool = Pool::new(server, PoolConfig::default());
    for turn in 0..3 {
        let response = pool.send(get("/")).await.unwrap();
        assert_eq!(response.reused, turn > 0);
        assert_eq!((response.content_length, response.until_close), (Some(5), false));
        assert_eq!(text(response).await.unwrap(), "hello");
    }
    assert_eq!(accepted.load(SeqCst), 1);
    assert_eq!(pool.open_connections(), 1);
}

#[tokio::test]
async fn a_length_told_twice_is_one() {
    for lines in ["Content-Length: 5, 5", "Content-Length: 5\r\nContent-Length: 5"] {
        let answer: Arc<str> = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nhello").into();
        let (server, accepted) = origin(move |peer, _| {
            let answer = answer.clone();
            async move { peer.always(&answer).await }
        })
        .await;
        let pool = Pool::new(server, PoolConfig::default());
        for _ in 0..2 {
            let response = pool.send(get("/")).await.unwrap();
            assert_eq!((response.content_length, response.until_close), (Some(5), false));
            assert_eq!(text(response).await.unwrap(), "hello");
        }
        assert_eq!(accepted.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn the_head_is_framed_by_the_pool_alone() {
    let (heads, mut seen) = mpsc::channel(4);
    let (server, _) = origin(move |mut peer, _| {
        let heads = heads.clone();
        async move {
            let head = peer.head().await;
            peer.say("HTTP/1.1 204 No Content\r\n\r\n").await;
            heads.send(head).await.unwrap();
        }
    })
    .await;
    let host = server.authority.to_str().unwrap().to_owned();
    let pool = Pool::new(server, PoolConfig::default());
    let mut request = post(Body::Full(Bytes::from_static(b"ab")));
    for (name, value) in [("content-length", "9"), ("transfer-encoding", "x"), ("x-a", "1")] {
        request.headers.insert(name, value.parse().unwrap());
    }
    request.target = Bytes::from_static(b"/a%20b|c?d=%7E&e");
    let response = pool.send(request).await.unwrap();
    assert!(matches!(response.body, Body::Empty));
    let head = seen.recv().await.unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "",
            "POST /a%20b|c?d=%7E&e HTTP/1.1",
            "content-length: 2",
            &format!("host: {host}"),
            "x-a: 1"
        ]
    );
}

#[tokio::test]
async fn chunks_and_trailers_come_through() {
    let script = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                  3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 7\r\n\r\n";
    let (server, accepted) = origin(move |peer, _| peer.always(script)).await;
    let pool = Pool::new(server, PoolConfig::default());
    for _ in 0..2 {
        let response = pool.send(get("/")).await.unwrap();
        assert_eq!((response.content_length, response.until_close), (None, false));
        assert_eq!(text(response).await.unwrap(), "abcde[x-sum: 7]");
    }
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_head_answer_has_a_length_and_no_body() {
    let script = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let (server, accepted) = origin(move |peer, _| peer.always(script)).await;
    let pool = Pool::new(server, PoolConfig::default());
    for _ in 0..2 {
        let request = OutgoingRequest { method: Method::HEAD, ..get("/") };
        let response = pool.send(request).await.unwrap();
        assert_eq!(response.content_length, Some(5));
        assert!(matches!(response.body, Body::Empty));
    }
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_says_so() {
    let (server, _) = origin(|mut peer, _| async move {
        peer.head().await;
        peer.say("HTTP/1.0 200 OK\r\n\r\nhello").await;
    })
    .await;
    let response = Pool::new(server, PoolConfig::default()).send(get("/")).await.unwrap();
    assert!(response.until_close);
    assert_eq!(response.protocol, Protocol::Http1 { minor: 0 });
    assert_eq!(text(response).await.unwrap(), "hello");
}

/// Serves one request, and closes when the next one has come.
async fn once_then_close(mut peer: Peer) {
    peer.head().await;
    peer.say(HELLO).await;
    peer.head().await;
}

#[tokio::test]
async fn a_kept_connection_that_dies_is_replaced_for_a_get_alone() {
    let (server, accepted) = origin(|peer, number| async move {
        match number {
            0 | 2 => once_then_close(peer).await,
            _ => peer.always("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew").await,
        }
    })
    .await;
    let pool = Pool::new(server.clone(), PoolConfig::default());
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    let second = pool.send(get("/")).await.unwrap();
    assert!(!second.reused);
    assert_eq!(text(second).await.unwrap(), "new");
    assert_eq!(accepted.load(SeqCst), 2);

    let pool = Pool::new(server, PoolConfig::default());
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    let error = pool.send(post(Body::Empty)).await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ClientErrorKind::Reset, true));
    assert_eq!(error.retry(), Retry::IfReused);
    assert_eq!(accepted.load(SeqCst), 3);
}

#[tokio::test]
async fn a_kept_connection_found_closed_is_replaced_for_any_method() {
    let (closed, mut is_closed) = mpsc::channel(1);
    let (server, accepted) = origin(move |mut peer, number| {
        let closed = closed.clone();
        async move {
            peer.head().await;
            peer.say(HELLO).await;
            if number == 0 {
                drop(peer);
                closed.send(()).await.unwrap();
            } else {
                peer.always(HELLO).await;
            }
        }
    })
    .await;
    let pool = Pool::new(server, PoolConfig::default());
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    is_closed.recv().await.unwrap();
    let response = pool.send(post(Body::Full(Bytes::from_static(b"x")))).await.unwrap();
    assert!(!response.reused);
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn a_dropped_body_closes_its_connection() {
    let (ended, mut end) = mpsc::channel(1);
    let (server, _) = origin(move |mut peer, _| {
        let ended = ended.clone();
        async move {
            peer.head().await;
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").await;
            ended.send(peer.head().await).await.unwrap();
        }
    })
    .await;
    let pool = Pool::new(server, PoolConfig::default());
    let mut response = pool.send(get("/")).await.unwrap();
    assert!(matches!(response.body.next().await, Some(Ok(Piece::Data(data))) if data == "hello"));
    assert_eq!(pool.open_connections(), 1);
    drop(response);
    assert_eq!(pool.open_connections(), 0);
    assert_eq!(end.recv().await.unwrap(), "");
}

#[tokio::test]
async fn a_body_cut_short_is_never_whole() {
    let cases = [
        ("Content-Length: 9\r\n\r\nhello", BodyErrorKind::Truncated),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", BodyErrorKind::Truncated),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n", BodyErrorKind::Malformed),
    ];
    for (rest, kind) in cases {
        let (server, _) = origin(move |mut peer, _| async move {
            peer.head().await;
            peer.say(&format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        })
        .await;
        let pool = Pool::new(server, PoolConfig::default());
        let response = pool.send(get("/")).await.unwrap();
        assert_eq!(text(response).await.unwrap_err().kind, kind, "{rest:?}");
        assert_eq!(pool.open_connections(), 0);
    }
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_longer_than_allowed() {
    let (server, _) = origin(|mut peer, number| async move {
        peer.head().await;
        if number == 1 {
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").await;
        }
        peer.head().await;
    })
    .await;
    let pool = Pool::new(server, quick());
    let error = pool.send(get("/")).await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::ResponseTimeout, Retry::No));
    let response = pool.send(get("/")).await.unwrap();
    assert_eq!(text(response).await.unwrap_err().kind, BodyErrorKind::Timeout);
    assert_eq!(pool.open_connections(), 0);
}

#[tokio::test]
async fn what_is_not_http_is_malformed() {
    let giant = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(200_000));
    for answer in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &giant,
    ] {
        let answer: Arc<str> = answer.into();
        let (server, _) = origin(move |mut peer, _| {
            let answer = answer.clone();
            async move {
                peer.head().await;
                // The pool may hang up on a giant head before all of it was written.
                let _ = peer.stream.write_all(answer.as_bytes()).await;
                peer.head().await;
            }
        })
        .await;
        let pool = Pool::new(server, PoolConfig::default());
        let error = pool.send(get("/")).await.unwrap_err();
        assert_eq!(error.kind, ClientErrorKind::Malformed, "{}", error.detail);
    }
}

#[tokio::test]
async fn a_closed_door_is_a_connect_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::http("127.0.0.1", listener.local_addr().unwrap().port());
    drop(listener);
    let pool = Pool::new(server, PoolConfig::default());
    let error = pool.send(get("/")).await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::Connect, Retry::Yes));
    assert_eq!(pool.open_connections(), 0);
}

#[tokio::test]
async fn requests_wait_for_a_connection_and_not_for_ever() {
    let (server, accepted) = origin(|peer, _| peer.always(HELLO)).await;
    let pool = Pool::new(server, PoolConfig { max_connections: 1, max_waiting: 1, ..quick() });
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
async fn a_request_body_streams_and_its_failure_is_told() {
    let (server, _) = origin(|mut peer, number| async move {
        peer.head().await;
        if number == 0 {
            assert_eq!(peer.read_to("\r\n0\r\n\r\n").await, "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
            peer.say(HELLO).await;
        }
    })
    .await;
    let pool = Pool::new(server, quick());
    let (sender, body) = fed();
    let feed = async move {
        for part in ["ab", "c"] {
            sender.send(Ok(Piece::Data(Bytes::from_static(part.as_bytes())))).await.unwrap();
        }
    };
    let (response, ()) = tokio::join!(pool.send(post(body)), feed);
    drop(response.unwrap());

    let (sender, body) = fed();
    let aborted = BodyError::new(BodyErrorKind::Aborted, "gone");
    sender.send(Err(aborted)).await.unwrap();
    let error = pool.send(post(body)).await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (ClientErrorKind::BodyFailed, Retry::No));
}

#[tokio::test]
async fn a_connection_at_rest_is_swept() {
    let (server, _) = origin(|peer, _| peer.always(HELLO)).await;
    let config = PoolConfig { idle_timeout: Duration::from_millis(5), ..PoolConfig::default() };
    let pool = Pool::new(server, config);
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");
    assert_eq!(pool.open_connections(), 1);
    while pool.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_secure_server_has_to_prove_its_name() {
    let authority = Authority::new();
    let certificates = Certificates::load(vec![authority.issue("a", &["a.example"])]).unwrap();
    let tls = ServerTls::new(certificates).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok((mut stream, _)) = tls.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(HELLO.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let config = tls_config(Some(&authority.path("ca.pem"))).unwrap();
    let server = Server::https("127.0.0.1", port, Some("a.example"), config.clone()).unwrap();
    let pool = Pool::new(server, PoolConfig::default());
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "hello");

    let stranger = tls_config(Some(&Authority::new().path("ca.pem"))).unwrap();
    for (name, config) in [(Some("a.example"), stranger), (None, config)] {
        let server = Server::https("127.0.0.1", port, name, config).unwrap();
        let error = Pool::new(server, PoolConfig::default()).send(get("/")).await.unwrap_err();
        assert_eq!((error.kind, error.retry()), (ClientErrorKind::Tls, Retry::Yes));
    }
}

#[test]
fn roots_that_cannot_be_read_name_their_file() {
    let authority = Authority::new();
    authority.issue("leaf", &["a.example"]);
    for file in ["missing.pem", "leaf.key"] {
        let error = tls_config(Some(&authority.path(file))).unwrap_err().to_string();
        assert!(error.contains(file) && error.ends_with("expected certificates in PEM"), "{error}");
    }
}
