//! The released HTTP/3 stack (h3 0.0.8 over h3-quinn 0.0.10), written as its own example shows: a
//! task per connection, a task per request. It serves bytes from memory, for comparison with the
//! node's engine in `make bench`.
//!
//! Usage: `released_h3 PORT CERT KEY`; `GET /o/<bytes>/...` gives that many bytes.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use h3::server::RequestResolver;
use http::{Response, StatusCode};
use quinn::crypto::rustls::QuicServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// All bodies are slices of one buffer.
const LARGEST: usize = 64 * 1024 * 1024;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, cert, key] = &arguments[..] else {
        return Err("usage: released_h3 PORT CERT KEY".into());
    };
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut tls =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = quinn::Endpoint::server(config, ([127, 0, 0, 1], port.parse()?).into())?;
    let zeros = Bytes::from(vec![b'x'; LARGEST]);
    while let Some(incoming) = endpoint.accept().await {
        let zeros = zeros.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(incoming, zeros).await {
                eprintln!("connection: {error}");
            }
        });
    }
    Ok(())
}

async fn serve(incoming: quinn::Incoming, zeros: Bytes) -> Result<(), Failure> {
    let connection = h3_quinn::Connection::new(incoming.await?);
    let mut connection = h3::server::Connection::new(connection).await?;
    while let Ok(Some(resolver)) = connection.accept().await {
        let zeros = zeros.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(resolver, zeros).await {
                eprintln!("request: {error}");
            }
        });
    }
    Ok(())
}

async fn answer(
    resolver: RequestResolver<h3_quinn::Connection, Bytes>,
    zeros: Bytes,
) -> Result<(), Failure> {
    let (request, mut stream) = resolver.resolve_request().await?;
    let size = request.uri().path().strip_prefix("/o/");
    let size = size.and_then(|rest| rest.split('/').next()?.parse().ok());
    let Some(size) = size.filter(|&size: &usize| size <= LARGEST) else {
        let response = Response::builder().status(StatusCode::NOT_FOUND).body(())?;
        stream.send_response(response).await?;
        stream.finish().await?;
        return Ok(());
    };
    let response = Response::builder()
        .header("content-type", "application/octet-stream")
        .header("cache-control", "max-age=3600")
        .header("content-length", size)
        .body(())?;
    stream.send_response(response).await?;
    stream.send_data(zeros.slice(..size)).await?;
    stream.finish().await?;
    Ok(())
}
