//! A load generator for HTTP/3: connections x streams, for a bounded time.
//!
//! Usage: `h3_load PORT CONNECTIONS STREAMS SECONDS TARGET`; prints requests and bytes done. Any
//! certificate is taken: it is meant for a server on the same machine.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headland::net::h3::client::{Client, ClientError, Head};
use http::{HeaderMap, Method};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::task::LocalSet;

#[derive(Default)]
struct Count {
    requests: Cell<u64>,
    bytes: Cell<u64>,
    errors: Cell<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, connections, streams, seconds, target] = &arguments[..] else {
        return Err("usage: h3_load PORT CONNECTIONS STREAMS SECONDS TARGET".into());
    };
    let (port, streams): (u16, usize) = (port.parse()?, streams.parse()?);
    let until = Instant::now() + Duration::from_secs(seconds.parse()?);
    let count = Rc::new(Count::default());
    let tasks = LocalSet::new();
    for _ in 0..connections.parse()? {
        let client =
            Rc::new(Client::connect(([127, 0, 0, 1], port).into(), "localhost", tls()?).await?);
        for _ in 0..streams {
            let (client, count, target) = (client.clone(), count.clone(), target.clone());
            tasks.spawn_local(async move {
                while Instant::now() < until {
                    if one(&client, &target, &count).await.is_err() {
                        count.errors.set(count.errors.get() + 1);
                        return;
                    }
                }
            });
        }
    }
    tasks.await;
    let Count { requests, bytes, errors } = &*count;
    println!("{} requests {} bytes {} errors", requests.get(), bytes.get(), errors.get());
    Ok(())
}

async fn one(client: &Client, target: &str, count: &Count) -> Result<(), ClientError> {
    let fields = HeaderMap::new();
    let head = Head { method: Method::GET, authority: "localhost", target, fields: &fields };
    let mut response = client.send(&head, Bytes::new()).await?;
    while let Some(chunk) = response.chunk().await? {
        count.bytes.set(count.bytes.get() + chunk.len() as u64);
    }
    count.requests.set(count.requests.get() + 1);
    Ok(())
}

fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let mut provider = aws_lc_rs::default_provider();
    // The order in which browsers, curl and ngtcp2 offer them.
    provider.cipher_suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let provider = Arc::new(provider);
    let verifier = Arc::new(AnyServer(Arc::clone(&provider)));
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 in QUIC".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
