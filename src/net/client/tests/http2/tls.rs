//! Over TLS: what ALPN agrees on, and large bodies.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use futures_util::future::join_all;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::message::{self, Piece};
use crate::net::tls::tests::Authority;

const SIZE: usize = 8 * 1024 * 1024;

/// Bytes that differ wherever one may be lost or doubled.
fn content() -> Bytes {
    (0..SIZE / 4).flat_map(|word| (word as u32).to_be_bytes()).collect()
}

fn both(_: usize) -> &'static [&'static [u8]] {
    &[b"h2", b"http/1.1"]
}

fn http2_alone(_: usize) -> &'static [&'static [u8]] {
    &[b"h2"]
}

fn http1_alone(_: usize) -> &'static [&'static [u8]] {
    &[b"http/1.1"]
}

/// It does not know ALPN.
fn none(_: usize) -> &'static [&'static [u8]] {
    &[]
}

/// Runs `script` on every connection over TLS, told its number from 0, and counts them. The server
/// agrees to one of the `protocols` of that number.
async fn secure<F, Fut>(
    authority: &Authority,
    protocols: fn(usize) -> &'static [&'static [u8]],
    script: F,
) -> (Server, Arc<AtomicUsize>)
where
    F: Fn(TlsStream<TcpStream>, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let files = authority.issue("a", &["a.example"]);
    let certificate = CertificateDer::from_pem_file(files.cert).unwrap();
    let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (server, accepted) = listen(move |stream, number| {
        let (mut config, script) = (config.clone(), script.clone());
        config.alpn_protocols = protocols(number).iter().map(|name| name.to_vec()).collect();
        async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            if let Ok(stream) = acceptor.accept(stream).await {
                script(stream, number).await;
            }
        }
    })
    .await;
    let roots = tls_config(Some(&authority.path("ca.pem"))).unwrap();
    (Server::https("127.0.0.1", server.port, Some("a.example"), roots).unwrap(), accepted)
}

/// Answers every request of a connection with "hello", in the protocol agreed on.
async fn hello(mut stream: TlsStream<TcpStream>) {
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return serve(stream, |request, response| {
            assert_eq!(request.uri().scheme_str(), Some("https"));
            send_all(response, Bytes::from_static(b"hello"), None)
        })
        .await;
    }
    let mut heard = Vec::new();
    while stream.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
        if heard.ends_with(b"\r\n\r\n") {
            heard.clear();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
            stream.write_all(answer).await.unwrap();
        }
    }
}

#[tokio::test]
async fn large_bodies_come_whole_side_by_side_through_small_windows() {
    let authority = Authority::new();
    let expected = content();
    let body = expected.clone();
    let (server, _) = secure(&authority, both, move |stream, _| {
        let body = body.clone();
        serve(stream, move |_, response| send_all(response, body.clone(), None))
    })
    .await;
    for stream_window in [100_000, Http2Config::default().stream_window] {
        let connection_window = stream_window * 2;
        let limits = Http2Config { stream_window, connection_window, ..Default::default() };
        let pool = Pool::new(server.clone(), with(limits));
        let read = async || {
            let mut body = pool.send(get("/")).await.unwrap().body;
            let mut read = 0;
            while let Some(piece) = body.next().await {
                let Piece::Data(data) = piece.unwrap() else { panic!("trailers") };
                assert_eq!(data, expected[read..read + data.len()]);
                read += data.len();
            }
            read
        };
        assert_eq!(join_all([read(), read(), read()]).await, [SIZE; 3]);
        assert_eq!(pool.open_connections(), 1);
    }
}

#[tokio::test]
async fn a_server_without_http2_is_told_apart() {
    let authority = Authority::new();
    for protocols in [http1_alone, none] {
        let (server, accepted) = secure(&authority, protocols, |stream, _| hello(stream)).await;
        let pool = Pool::new(server, config());
        let error = pool.send(get("/")).await.unwrap_err();
        assert_eq!((error.kind, error.retry()), (ClientErrorKind::Protocol, Retry::Yes), "{error}");
        assert_eq!((pool.open_connections(), accepted.load(SeqCst)), (0, 1));
    }
}

fn agreed() -> PoolConfig {
    PoolConfig { protocol: Protocol::Agreed, ..config() }
}

#[tokio::test]
async fn what_is_spoken_is_agreed_on_by_the_first_connection() {
    let authority = Authority::new();
    for (protocols, is_http2, connections) in [
        (both as fn(_) -> _, true, 1),
        (http2_alone, true, 1),
        (http1_alone, false, 3),
        (none, false, 3),
    ] {
        let (server, accepted) = secure(&authority, protocols, |stream, _| hello(stream)).await;
        let pool = Pool::new(server, agreed());
        // All wait for the same answer to what is spoken, and none is lost by it.
        let (_sender, body) = fed();
        let (_other, other) = fed();
        let crowd = [get("/"), post(body), post(other)];
        let heads = join_all(crowd.map(|request| pool.send(request))).await;
        assert_eq!((pool.busy(), pool.open_connections()), (3, connections));
        for response in heads {
            let response = response.unwrap();
            assert_eq!(response.protocol == message::Protocol::Http2, is_http2);
            assert_eq!(text(response).await.unwrap(), "hello");
        }
        assert!(pool.send(get("/")).await.unwrap().reused);
        assert_eq!(accepted.load(SeqCst), connections);
    }
}

#[tokio::test]
async fn a_server_without_connections_is_asked_again_what_it_speaks() {
    fn in_turn(number: usize) -> &'static [&'static [u8]] {
        if number == 1 { both(number) } else { http1_alone(number) }
    }
    let authority = Authority::new();
    let (server, accepted) = secure(&authority, in_turn, |mut stream, number| async move {
        if number > 0 {
            return hello(stream).await;
        }
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let pool = Pool::new(server, agreed());
    for protocol in [message::Protocol::Http1 { minor: 1 }, message::Protocol::Http2] {
        let response = pool.send(get("/")).await.unwrap();
        assert_eq!(response.protocol, protocol);
        assert_eq!(text(response).await.unwrap(), "hello");
    }
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn servers_behind_one_address_may_agree_to_different_ones() {
    fn in_turn(number: usize) -> &'static [&'static [u8]] {
        if number == 0 { both(number) } else { http1_alone(number) }
    }
    let authority = Authority::new();
    let (server, accepted) = secure(&authority, in_turn, |stream, _| hello(stream)).await;
    let pool = Pool::new(server, PoolConfig { protocol: Protocol::Agreed, ..with_streams(1) });
    let first = pool.send(get("/")).await.unwrap();
    // There is no stream left for it, and no further link to be had.
    let second = pool.send(get("/")).await.unwrap();
    assert_eq!(second.protocol, message::Protocol::Http1 { minor: 1 });
    for response in [first, second] {
        assert_eq!(text(response).await.unwrap(), "hello");
    }
    assert_eq!(pool.send(get("/")).await.unwrap().protocol, message::Protocol::Http2);
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn what_http2_cannot_say_goes_by_http1() {
    let authority = Authority::new();
    let (server, _) = secure(&authority, both, |stream, _| hello(stream)).await;
    let pool = Pool::new(server, agreed());
    let mut upgrade = get("/");
    upgrade.headers.insert("upgrade", "websocket".parse().unwrap());
    for (request, protocol) in [
        (get("/"), message::Protocol::Http2),
        (upgrade, message::Protocol::Http1 { minor: 1 }),
        (get("/"), message::Protocol::Http2),
    ] {
        let response = pool.send(request).await.unwrap();
        assert_eq!(response.protocol, protocol);
        assert_eq!(text(response).await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn nothing_is_agreed_on_in_cleartext() {
    let (server, _) = listen(|mut stream, _| async move {
        let mut begun = [0; 4];
        stream.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"GET ");
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    })
    .await;
    let response = Pool::new(server, agreed()).send(get("/")).await.unwrap();
    assert_eq!(response.protocol, message::Protocol::Http1 { minor: 1 });
}
