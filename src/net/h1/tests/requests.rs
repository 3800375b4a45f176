//! What of requests is understood, and what is refused.

use super::*;

async fn fault_of(wire: &[u8]) -> u16 {
    let handler = Scripted::new(echo);
    let limits = Limits { headers: 100, header_bytes: 4096, url: 100, ..Limits::default() };
    let answer = exchange(&handler, limits, wire).await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let faults = handler.faults.lock();
    let [fault] = faults[..] else { panic!("{faults:?} for {:?}", wire.escape_ascii()) };
    assert_eq!(handler.endings().last().unwrap().0, "refused");
    assert!(answer.starts_with(&format!("HTTP/1.1 {} ", fault.status.as_u16())), "{answer}");
    fault.status.as_u16()
}

#[tokio::test]
async fn framing_that_could_be_read_in_two_ways_is_refused() {
    for (lines, status) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3", 400),
        ("Content-Length: 3\r\nContent-Length: 4", 400),
        ("Content-Length: 3\r\nContent-Length: 3", 400),
        ("Content-Length: 3, 3", 400),
        ("Content-Length: +3", 400),
        ("Content-Length: -3", 400),
        ("Content-Length: 0x3", 400),
        ("Content-Length:", 400),
        ("Content-Length: 3 3", 400),
        ("Content-Length: 18446744073709551616", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: chunked, gzip", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding:", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: \x0bchunked", 400),
        ("Transfer-Encoding : chunked", 400),
        (" Transfer-Encoding: chunked", 400),
        ("X: 1\r\n folded", 400),
        ("X: a\0b", 400),
        ("X: a\x07b", 400),
        ("X: a\rb", 400),
        ("X: a\nb: c", 400),
        ("X y: 1", 400),
        (": 1", 400),
        ("no colon", 400),
        ("Expect: a-miracle", 417),
    ] {
        let wire = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\nabc");
        assert_eq!(fault_of(wire.as_bytes()).await, status, "{lines:?}");
    }
    let wire = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(fault_of(wire).await, 400);
}

#[tokio::test]
async fn request_lines_and_hosts_are_checked() {
    for (wire, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\n\r\n", 400),
        ("GET https://b/ HTTP/1.1\r\nHost: b\r\n\r\n", 421),
        ("GET ftp://b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
        ("GET /HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\n\r\n", 400),
        ("GET / HTTX/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("\x16\x03\x01\x02", 400),
        ("\n", 400),
    ] {
        assert_eq!(fault_of(wire.as_bytes()).await, status, "{wire:?}");
    }
}

#[tokio::test]
async fn limits_have_their_own_statuses() {
    let get = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
    };
    assert_eq!(fault_of(&get(&format!("/{}", "a".repeat(100)), "")).await, 414);
    assert_eq!(fault_of(&[b'a'; 300]).await, 414);
    assert_eq!(fault_of(&get("/", &"x: y\r\n".repeat(100))).await, 431);
    assert_eq!(fault_of(&get("/", &format!("x: {}\r\n", "y".repeat(5000)))).await, 431);
    let handler = Scripted::new(echo);
    let wire = get("/", &"x: y\r\n".repeat(90));
    let limits = Limits { headers: 100, ..Limits::default() };
    assert!(exchange(&handler, limits, &wire).await.starts_with("HTTP/1.1 200"));
    let limits = Limits { headers: 5, request_body: 2, ..Limits::default() };
    let wire = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert!(exchange(&handler, limits.clone(), wire).await.starts_with("HTTP/1.1 413"));
    assert!(exchange(&handler, limits, &get("/", &"x: y\r\n".repeat(5))).await.contains(" 431 "));
}

#[tokio::test]
async fn a_refusal_follows_the_answers_before_it() {
    let handler = Scripted::new(echo);
    let wire = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
    let answer = exchange(&handler, Limits::default(), wire).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    let (_, refusal) = answer.split_once("GET a /1").unwrap();
    assert!(refusal.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(refusal.ends_with("content-length: 7\r\nconnection: close\r\n\r\n"), "HEAD: no body");
}

#[tokio::test]
async fn requests_are_read_as_they_are_meant() {
    let handler = Scripted::new(echo);
    for (wire, body) in [
        ("\r\n\r\nGET /a?b HTTP/1.1\r\nhOsT:\t a:80 \r\n\r\n", "GET a:80 /a?b"),
        ("GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET b /c"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a *"),
        ("BREW /pot HTTP/1.0\r\nHost: a\r\nExpect: tea\r\n\r\n", "BREW a /pot"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "GET a /"),
        // RFC 9110 section 2.5.
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET a /"),
        ("POST /x HTTP/1.9\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST a /x"),
    ] {
        let answer = exchange(&handler, Limits::default(), wire.as_bytes()).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    }
    assert!(handler.faults.lock().is_empty());
}
