//! Clients that others wrote, over real sockets.

use std::convert::Infallible;
use std::process::Stdio;

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame as BodyFrame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::*;

type Sent = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// Serves every connection of a port of its own, with TLS if `acceptor` says so.
async fn listen(acceptor: Option<tokio_rustls::TlsAcceptor>) -> (SocketAddr, Arc<Scripted>, Drain) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = Arc::new(Scripted::default());
    let (drain, watch) = Drain::new();
    let served = Arc::clone(&handler);
    tokio::spawn(async move {
        loop {
            let (stream, address) = listener.accept().await.unwrap();
            let peer = Peer { address, ..PEER };
            let (handler, watch) = (Arc::clone(&served), watch.clone());
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let limits = Arc::new(Limits::default());
                let first = BytesMut::new();
                match acceptor {
                    Some(acceptor) => {
                        let stream = acceptor.accept(stream).await.unwrap();
                        super::super::serve(stream, first, peer, handler, limits, None, watch)
                            .await;
                    }
                    None => {
                        super::super::serve(stream, first, peer, handler, limits, None, watch)
                            .await;
                    }
                }
            });
        }
    });
    (address, handler, drain)
}

async fn connect(address: SocketAddr) -> SendRequest<Sent> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str, body: Sent) -> http::Request<Sent> {
    let method = if body.size_hint().exact() == Some(0) { "GET" } else { "POST" };
    let uri = format!("http://a.test{path}");
    http::Request::builder().method(method).uri(uri).body(body).unwrap()
}

use hyper::body::Body as _;

fn nothing() -> Sent {
    http_body_util::Empty::new().boxed()
}

async fn collect(response: http::Response<Incoming>) -> (Bytes, Option<HeaderMap>) {
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

#[tokio::test]
async fn hyper_reads_large_bodies_side_by_side() {
    let (address, handler, _drain) = listen(None).await;
    let sender = connect(address).await;
    let fetches = (0..20).map(|place| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let length = place * 100_000;
            let path = format!("/{length}");
            let response = sender.send_request(request(&path, nothing())).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(collect(response).await.0.len(), length);
        })
    });
    for fetch in fetches.collect::<Vec<_>>() {
        fetch.await.unwrap();
    }
    assert_eq!(handler.ended().len(), 20);
    assert!(handler.ended().iter().all(|(_, _, outcome)| *outcome == Outcome::Complete));
}

#[tokio::test]
async fn hyper_sends_a_long_body_with_trailers_and_gets_it_back() {
    let (address, _handler, _drain) = listen(None).await;
    let mut sender = connect(address).await;
    let frames = (0..50u8)
        .map(|place| Ok(BodyFrame::data(Bytes::from(vec![place; 20_000]))))
        .chain([Ok(BodyFrame::trailers(trailers()))]);
    let body = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)));
    let response = sender.send_request(request("/echo", body)).await.unwrap();
    let (bytes, trailing) = collect(response).await;
    assert_eq!(bytes.len(), 1_000_000);
    assert!(bytes.chunks(20_000).enumerate().all(|(place, part)| part[0] == place as u8));
    assert_eq!(trailing, Some(trailers()));
}

#[tokio::test]
async fn hyper_sees_a_truncated_body_as_an_error() {
    let (address, _handler, _drain) = listen(None).await;
    let mut sender = connect(address).await;
    let response = sender.send_request(request("/broken", nothing())).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    let response = sender.send_request(request("/stream", nothing())).await.unwrap();
    assert_eq!(collect(response).await.0, "abcdef");
}

#[tokio::test]
async fn hyper_resets_what_it_drops() {
    let (address, handler, _drain) = listen(None).await;
    let mut sender = connect(address).await;
    let response = sender.send_request(request("/stalled", nothing())).await.unwrap();
    let told = handler.told.notified();
    drop(response);
    told.await;
    assert_eq!(handler.ended(), [("/stalled".to_string(), 3, Outcome::ClientGone)]);
}

/// Runs curl and gives back what it printed.
async fn curl(arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20"]).args(arguments);
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

const REPORT: &str = "%{http_version} %{http_code} %{size_download}";

#[tokio::test]
async fn curl_speaks_cleartext_by_prior_knowledge() {
    let (address, _handler, _drain) = listen(None).await;
    let url = |path: &str| format!("http://{address}{path}");
    let get = ["--http2-prior-knowledge", "--output", "/dev/null", "--write-out", REPORT];
    assert_eq!(curl(&[&get[..], &[&url("/3000000")]].concat()).await, "2 200 3000000");
    let body = "x".repeat(300_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, &body).unwrap();
    let upload = ["--http2-prior-knowledge", "--upload-file", file.to_str().unwrap()];
    assert_eq!(curl(&[&upload[..], &[&url("/echo")]].concat()).await, body);
}

#[tokio::test]
async fn curl_speaks_over_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (address, _handler, _drain) = listen(Some(Arc::new(config).into())).await;
    let url = format!("https://{address}/3000000");
    let get = ["--http2", "--insecure", "--output", "/dev/null", "--write-out", REPORT, &url];
    assert_eq!(curl(&get).await, "2 200 3000000");
}
