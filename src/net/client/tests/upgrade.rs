//! Connections to servers that leave HTTP.

use http::HeaderValue;
use http::header::UPGRADE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::*;
use super::{get, listen, text};
use crate::message::Body;

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nearly";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that answers requests for `/` by 200, and all others with `answer`. What follows a 101
/// it gives back.
async fn server(answer: &'static str) -> (Server, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    listen(move |mut stream, _| async move {
        let mut head = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if !head.ends_with(b"\r\n\r\n") {
                continue;
            }
            let asked = String::from_utf8(std::mem::take(&mut head)).unwrap();
            let is_plain = asked.starts_with("GET / ");
            assert_eq!(asked.contains("connection: upgrade\r\n"), asked.contains("upgrade: web"));
            let said = if is_plain { OK } else { answer };
            stream.write_all(said.as_bytes()).await.unwrap();
            if said.contains(" 101 ") {
                let (mut reading, mut writing) = stream.split();
                tokio::io::copy(&mut reading, &mut writing).await.unwrap();
                return;
            }
        }
    })
    .await
}

fn upgrade(target: &'static str) -> OutgoingRequest {
    let mut request = get(target);
    request.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    request
}

fn one() -> PoolConfig {
    PoolConfig { max_connections: 1, ..PoolConfig::default() }
}

#[tokio::test]
async fn a_tunnel_is_a_connection_of_its_own_and_none_of_the_pool() {
    let (server, accepted) = server(SWITCHED).await;
    let pool = Pool::new(server, one());
    // One at rest is left there.
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "ok");
    let response = pool.send(upgrade("/ws")).await.unwrap();
    assert_eq!((response.status.as_u16(), response.reused), (101, false));
    assert_eq!(response.headers["sec-websocket-accept"], "x");
    let Body::Tunnel(mut tunnel) = response.body else { panic!("no tunnel") };
    assert_eq!((&tunnel.early[..], tunnel.protocol.as_bytes()), (&b"early"[..], &b"websocket"[..]));
    tunnel.stream.write_all(b"there and back").await.unwrap();
    let mut back = [0; 14];
    tunnel.stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"there and back");
    // It keeps no request from going out, and counts where the load is weighed.
    assert_eq!(text(pool.send(get("/")).await.unwrap()).await.unwrap(), "ok");
    assert_eq!(pool.busy(), 1);
    drop(tunnel);
    assert_eq!(pool.busy(), 0);
    assert!(accepted.load(std::sync::atomic::Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn what_does_not_switch_is_an_ordinary_response_on_a_connection_that_ends() {
    let (server, accepted) = server("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let pool = Pool::new(server, one());
    for count in 1..=2 {
        let response = pool.send(upgrade("/ws")).await.unwrap();
        assert_eq!(response.status, 403);
        assert_eq!(text(response).await.unwrap(), "no");
        assert_eq!((pool.open_connections(), pool.busy()), (0, 0));
        assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), count);
    }
}

#[tokio::test]
async fn a_101_out_of_place_is_malformed() {
    let unnamed = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let twice = "HTTP/1.1 101 Switching Protocols\r\nupgrade: a\r\nupgrade: b\r\n\r\n";
    for (answer, request) in
        [(SWITCHED, get("/plain")), (unnamed, upgrade("/ws")), (twice, upgrade("/ws"))]
    {
        let (server, _) = server(answer).await;
        let pool = Pool::new(server, one());
        let error = pool.send(request).await.unwrap_err();
        assert_eq!(error.kind, ClientErrorKind::Malformed, "{error}");
        assert!(error.detail.contains("101") && error.sent, "{error}");
        assert_eq!(pool.open_connections(), 0);
    }
}
