//! Content of requests on its way to the handler.

use tokio::sync::mpsc;

use super::*;
use crate::net::Later;

/// Reads the whole content, then answers with it, its trailers and how it ended.
pub(super) fn collect(request: Request) -> Answer<String> {
    let Request { head, mut body } = request;
    let target = head.target;
    Answer::Later(Later::new(async move {
        let mut text = Vec::new();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(Piece::Data(data)) => text.extend_from_slice(&data),
                Ok(Piece::Trailers(map)) => text.extend(format!("{map:?}").bytes()),
                Err(error) => text.extend(format!("[{}]", error.kind).bytes()),
            }
        }
        reply(&target, 200, None, Body::Full(text.into()))
    }))
}

async fn collected(fields: &str, content: &str) -> String {
    let handler = Scripted::new(collect);
    let wire = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{content}");
    let limits = Limits { request_body: 20, ..Limits::default() };
    let answer = exchange(&handler, limits, wire.as_bytes()).await;
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn content_arrives_whole_or_visibly_broken() {
    assert_eq!(collected("Content-Length: 5", "hello").await, "hello");
    assert_eq!(collected("Content-Length: 6", "hello").await, "hello[truncated]");
    let chunked = "Transfer-Encoding: Chunked";
    assert_eq!(collected(chunked, "5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n").await, "hello!");
    let trailers = collected(chunked, "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n").await;
    assert_eq!(trailers, r#"a{"x-sum": "1"}"#);
    assert_eq!(collected(chunked, "5\r\nhello\r\nx\r\n").await, "hello[malformed]");
    assert_eq!(collected(chunked, "5\r\nhello\r\n").await, "hello[truncated]");
    assert_eq!(collected(chunked, "5\r\nhello\r\n10\r\n").await, "hello[too large]");
}

#[tokio::test]
async fn requests_behind_content_are_requests() {
    let handler = Scripted::new(collect);
    let wire = b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nab\r\n0\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\ncd\
        GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
    exchange(&handler, Limits::default(), wire).await;
    let ends = [("/1", 2), ("/2", 2), ("/3", 0)];
    assert_eq!(handler.endings(), ends.map(|(name, n)| (name.into(), n, Outcome::Complete)));
}

#[tokio::test]
async fn unread_content_is_skipped_if_it_is_little() {
    let handler = Scripted::new(echo);
    let post = |length: usize, sent: usize| {
        let head = format!("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let next = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
        [head.as_bytes(), &vec![b'x'; sent], next.as_bytes()].concat()
    };
    let answer = exchange(&handler, Limits::default(), &post(50_000, 50_000)).await;
    assert!(answer.ends_with("GET a /2"), "{answer}");
    let answer = exchange(&handler, Limits::default(), &post(500_000, 500_000)).await;
    assert!(answer.ends_with("connection: close\r\n\r\nPOST a /1"), "{answer}");
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_if_its_content_is_wanted() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let (mut client, _served, _drain) = connect(&Scripted::new(collect), Limits::default());
    client.write_all(post).await.unwrap();
    assert_eq!(read_until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"ok").await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));

    let handler = Scripted::new(echo);
    let (mut client, served, _drain) = connect(&handler, Limits::default());
    client.write_all(post).await.unwrap();
    let answer = read_until(&mut client, "POST a /").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer.contains("connection: close\r\n"), "content may or may not follow");
    drop(client);
    served.await.unwrap();
}

#[tokio::test]
async fn content_and_response_flow_at_once() {
    /// The content as a response.
    struct Mirror(Body);
    impl BodyStream for Mirror {
        fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
            self.0.poll_piece(cx)
        }
    }
    let handler = Scripted::new(|request: Request| {
        let body = Body::Stream(Box::new(Mirror(request.body)));
        Answer::Now(reply(&request.head.target, 200, None, body))
    });
    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head).await.unwrap();
    read_until(&mut client, "chunked\r\n\r\n").await;
    for word in ["one", "two"] {
        client.write_all(format!("3\r\n{word}\r\n").as_bytes()).await.unwrap();
        assert_eq!(
            read_until(&mut client, &format!("{word}\r\n")).await,
            format!("3\r\n{word}\r\n")
        );
    }
    client.write_all(b"0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut client, "0\r\n\r\n").await;
    read_until(&mut client, "chunked\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn content_waits_for_a_handler_that_does_not_read() {
    let (sender, mut receiver) = mpsc::channel(1);
    let handler = Scripted::new(move |request| {
        let (sender, target) = (sender.clone(), request.head.target.clone());
        Answer::Later(Later::new(async move {
            let (reader, done) = tokio::sync::oneshot::channel();
            sender.send((request.body, reader)).await.unwrap();
            let read: usize = done.await.unwrap();
            reply(&target, 200, None, Body::Full(read.to_string().into()))
        }))
    });
    let (client, server) = tokio::io::duplex(1024);
    let (_drain, watch) = Drain::new();
    let limits = Limits { header_bytes: 16 * 1024, ..Limits::default() };
    let _served = spawn(server, &handler, limits, watch);
    let (mut answers, mut requests) = tokio::io::split(client);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    requests.write_all(head).await.unwrap();
    let (mut body, reader) = receiver.recv().await.unwrap();
    let writing = tokio::spawn(async move {
        let mut written = 0;
        while written < 1_000_000 {
            written += requests.write(&[b'x'; 1000]).await.unwrap();
            if written > 100_000 {
                // Only possible once the handler reads.
                tokio::task::yield_now().await;
            }
        }
        requests
    });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished(), "the client is held back");
    let mut read = 0;
    while let Some(piece) = body.next().await {
        if let Ok(Piece::Data(data)) = piece {
            read += data.len();
        }
    }
    reader.send(read).unwrap();
    read_until(&mut answers, "\r\n\r\n1000000").await;
    writing.await.unwrap();
}
