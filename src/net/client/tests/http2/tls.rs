//! Over TLS: what ALPN agrees on, and large bodies.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::join_all;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::message::Piece;
use crate::net::tls::tests::Authority;

const SIZE: usize = 8 * 1024 * 1024;

/// Bytes that differ wherever one may be lost or doubled.
fn content() -> Bytes {
    (0..SIZE / 4).flat_map(|word| (word as u32).to_be_bytes()).collect()
}

/// Serves `content` to whoever agrees to one of `protocols`.
async fn secure(authority: &Authority, protocols: &[&[u8]], content: Bytes) -> SocketAddr {
    let files = authority.issue("a", &["a.example"]);
    let certificate = CertificateDer::from_pem_file(files.cert).unwrap();
    let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let content = content.clone();
            tokio::spawn(serve(stream, move |request, response| {
                assert_eq!(request.uri().scheme_str(), Some("https"));
                send_all(response, content.clone(), None)
            }));
        }
    });
    address
}

fn pool(authority: &Authority, address: SocketAddr, http2: Http2Config) -> Pool {
    let roots = tls_config(Some(&authority.path("ca.pem"))).unwrap();
    let server = Server::https("127.0.0.1", address.port(), Some("a.example"), roots).unwrap();
    Pool::new(server, with(http2))
}

#[tokio::test]
async fn large_bodies_come_whole_side_by_side_through_small_windows() {
    let authority = Authority::new();
    let expected = content();
    let address = secure(&authority, &[b"h2", b"http/1.1"], expected.clone()).await;
    for stream_window in [100_000, Http2Config::default().stream_window] {
        let connection_window = stream_window * 2;
        let limits = Http2Config { stream_window, connection_window, ..Default::default() };
        let pool = pool(&authority, address, limits);
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
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let address = secure(&authority, protocols, Bytes::new()).await;
        let pool = pool(&authority, address, Http2Config::default());
        let error = pool.send(get("/")).await.unwrap_err();
        assert_eq!((error.kind, error.retry()), (ClientErrorKind::Protocol, Retry::Yes), "{error}");
        assert_eq!(pool.open_connections(), 0);
    }
}
