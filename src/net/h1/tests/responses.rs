//! How responses are framed, and how broken ones are shown.

use http::{HeaderMap, HeaderValue};

use super::*;

/// One response to `lines`, and whether the connection was to be reset.
async fn answer(
    lines: &str,
    respond: impl Fn() -> (u16, Option<u64>, Body) + Send + Sync + 'static,
) -> (String, bool, Ended) {
    let handler = Scripted::new(move |request| {
        let (status, length, body) = respond();
        Answer::Now(reply(&request.head.target, status, length, body))
    });
    let (mut client, served, _drain) = connect(&handler, Limits::default());
    let wire = format!("{lines}Host: a\r\nConnection: close\r\n\r\n");
    client.write_all(wire.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let reset = served.await.unwrap();
    let ended = handler.ended.lock();
    assert_eq!(ended.len(), 1);
    (answer, reset, ended[0].1)
}

const GET: &str = "GET / HTTP/1.1\r\n";
const GET_10: &str = "GET / HTTP/1.0\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\n";

fn head(status: &str, rest: &str) -> String {
    format!("HTTP/1.1 {status}\r\nserver: headland\r\nage: 1\r\n{rest}connection: close\r\n\r\n")
}

#[tokio::test]
async fn a_whole_body_has_its_length() {
    for lines in [GET, GET_10] {
        let full = || (200, None, Body::Full(Bytes::from_static(b"hello")));
        let (answer, reset, ended) = answer(lines, full).await;
        assert_eq!(answer, head("200 OK", "content-length: 5\r\n") + "hello");
        assert_eq!((reset, ended.body_bytes, ended.outcome), (false, 5, Outcome::Complete));
    }
    let (answer, ..) = answer(GET, || (404, None, Body::Empty)).await;
    assert_eq!(answer, head("404 Not Found", "content-length: 0\r\n"));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_chunked_or_ends_with_the_connection() {
    let stream = || (200, None, listed(vec![data("hello"), None, data(" "), data("world")]));
    let (chunked, reset, ended) = answer(GET, stream).await;
    let body = "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n";
    assert_eq!(chunked, head("200 OK", "transfer-encoding: chunked\r\n") + body);
    assert_eq!((reset, ended.body_bytes, ended.outcome), (false, 11, Outcome::Complete));
    let (closed, reset, ended) = answer(GET_10, stream).await;
    assert_eq!(closed, head("200 OK", "") + "hello world");
    assert_eq!((reset, ended.body_bytes, ended.outcome), (false, 11, Outcome::Complete));
    for lines in [GET, GET_10] {
        // The end comes when all bytes are written.
        let late = || (200, Some(5), listed(vec![data("hello"), None, None]));
        let (_, reset, ended) = answer(lines, late).await;
        assert_eq!((reset, ended.body_bytes, ended.outcome), (false, 5, Outcome::Complete));
    }
}

#[tokio::test]
async fn no_body_where_the_rules_forbid_one() {
    let full = |status| move || (status, None, Body::Full(Bytes::from_static(b"hello")));
    let (head_answer, _, ended) = answer(HEAD, full(200)).await;
    assert_eq!(head_answer, head("200 OK", "content-length: 5\r\n"));
    assert_eq!((ended.body_bytes, ended.outcome), (0, Outcome::Complete));
    assert_eq!(answer(GET, full(204)).await.0, head("204 No Content", ""));
    assert_eq!(answer(GET, full(304)).await.0, head("304 Not Modified", ""));
    let (answer_304, ..) = answer(GET, || (304, Some(9), Body::Empty)).await;
    assert_eq!(answer_304, head("304 Not Modified", "content-length: 9\r\n"));
    let (head_answer, ..) = answer(HEAD, || (200, Some(9), Body::Empty)).await;
    assert_eq!(head_answer, head("200 OK", "content-length: 9\r\n"));
    let (head_answer, ..) = answer(HEAD, || (200, None, listed(vec![data("x")]))).await;
    assert_eq!(head_answer, head("200 OK", ""));
}

#[tokio::test]
async fn a_body_that_breaks_off_never_ends_well() {
    let truncated = |bytes| Ended { body_bytes: bytes, outcome: Outcome::Truncated };
    let chunked = head("200 OK", "transfer-encoding: chunked\r\n");
    let broken_chunks = || (200, None, listed(vec![data("abc"), None, broken()]));
    let length = |length: u64, text: &'static str| {
        move || (200, Some(length), Body::Full(Bytes::from_static(text.as_bytes())))
    };
    let stream = |length, steps: fn() -> Vec<Option<Result<Piece, BodyError>>>| {
        move || (200, Some(length), listed(steps()))
    };
    assert_eq!(
        answer(GET, broken_chunks).await,
        (chunked.clone() + "3\r\nabc\r\n", true, truncated(3))
    );
    assert_eq!(
        answer(GET_10, broken_chunks).await,
        (head("200 OK", "") + "abc", true, truncated(3))
    );
    let five = head("200 OK", "content-length: 5\r\n");
    assert_eq!(answer(GET, length(5, "abc")).await, (five.clone() + "abc", true, truncated(3)));
    assert_eq!(answer(GET, length(5, "abcdef")).await, (five.clone(), true, truncated(0)));
    assert_eq!(
        answer(GET, || (200, Some(5), Body::Empty)).await,
        (five.clone(), true, truncated(0))
    );
    let short = stream(5, || vec![data("ab"), data("c")]);
    assert_eq!(answer(GET, short).await, (five.clone() + "abc", true, truncated(3)));
    let long = stream(5, || vec![data("abc"), data("def")]);
    assert_eq!(answer(GET, long).await, (five + "abc", true, truncated(3)));
}

#[tokio::test]
async fn trailers_go_to_those_who_take_them() {
    let stream = || {
        let fields = [("x-sum", "1"), ("content-length", "2")];
        let trailers: HeaderMap = fields
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        (200, None, listed(vec![data("a"), Some(Ok(Piece::Trailers(trailers)))]))
    };
    let asked = "GET / HTTP/1.1\r\nTE: deflate, Trailers\r\n";
    assert!(answer(asked, stream).await.0.ends_with("1\r\na\r\n0\r\nx-sum: 1\r\n\r\n"));
    assert!(answer(GET, stream).await.0.ends_with("1\r\na\r\n0\r\n\r\n"));
    assert!(answer(GET_10, stream).await.0.ends_with("\r\n\r\na"));
}

#[tokio::test]
async fn every_response_names_the_other_door() {
    let handler = Scripted::new(echo);
    let (mut client, server) = tokio::io::duplex(4096);
    let (_drain, watch) = Drain::new();
    let line = Some(Bytes::from_static(b"alt-svc: h3=\":443\"\r\n"));
    let first = BytesMut::from("GET / HT");
    let limits = Arc::new(Limits::default());
    tokio::spawn(serve(server, first, peer(), handler, limits, line, watch));
    client.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = read_until(&mut client, "GET a /").await;
    assert!(answer.contains("\r\nalt-svc: h3=\":443\"\r\n"));
}
