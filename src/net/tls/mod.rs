//! TLS of the public doors: one rustls configuration for TCP, one for QUIC, certificates by SNI.

mod certificates;
mod load;
mod stream;
#[cfg(test)]
pub(super) mod tests;

use std::io;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{Acceptor, ServerSessionMemoryCache};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;

pub use self::certificates::Certificates;
pub use self::load::{CertificateFiles, TlsFault};
pub(super) use self::stream::TlsStream;
use self::stream::Valve;
use super::preface::Version;

/// Sessions of clients that take no ticket; each has a few hundred bytes.
const SESSIONS: usize = 4096;

/// Bytes that one connection may have encrypted or not yet written.
const BUFFER: usize = 64 * 1024;

/// A plaintext record of TLS with the fatal alert `unrecognized_name` (RFC 6066 section 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The TLS side of all doors. Certificates can be reloaded beneath it.
#[derive(Debug)]
pub struct ServerTls {
    certificates: Arc<Certificates>,
    tcp: Arc<ServerConfig>,
    quic: Arc<ServerConfig>,
}

/// Why a client did not get through the handshake.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client broke off, or broke the protocol.
    #[error("{0}")]
    Failed(#[from] io::Error),
    /// It took too long.
    #[error("handshake timeout")]
    Timeout,
    /// No certificate for the name that the client asked for.
    #[error("no certificate for this server name")]
    UnknownName,
}

impl HandshakeError {
    /// The label of metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Timeout => "timeout",
            Self::UnknownName => "unknown_name",
        }
    }
}

impl ServerTls {
    /// TLS 1.2 and 1.3 over TCP (ALPN `h2`, `http/1.1`), TLS 1.3 over QUIC (ALPN `h3`).
    pub fn new(certificates: Arc<Certificates>) -> Result<Arc<Self>, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = |versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]| {
            server_config(&provider, &certificates, versions, alpn).map(Arc::new)
        };
        let tcp = config(rustls::DEFAULT_VERSIONS, &[b"h2", b"http/1.1"])?;
        let quic = config(&[&rustls::version::TLS13], &[b"h3"])?;
        Ok(Arc::new(Self { certificates, tcp, quic }))
    }

    /// The certificates, to reload them.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// The configuration for QUIC.
    pub fn quic(&self) -> Arc<ServerConfig> {
        self.quic.clone()
    }

    /// Shakes hands with a client and tells what it will speak. Has no time-out of its own.
    ///
    /// Not cancel safe: dropping the future closes the connection.
    pub(super) async fn accept<IO>(
        &self,
        io: IO,
    ) -> Result<(TlsStream<IO>, Version), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), Valve::open(io)).await?;
        // rustls can only say access_denied, which tells the user of a browser nothing.
        if !self.certificates.know(start.client_hello().server_name()) {
            start.io.write_all(&UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            return Err(HandshakeError::UnknownName);
        }
        let limit = |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(BUFFER));
        let stream = start.into_stream_with(self.tcp.clone(), limit).await?;
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Version::Http2,
            _ => Version::Http1,
        };
        Ok((TlsStream::new(stream), version))
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    certificates: &Arc<Certificates>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(certificates.clone());
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    // Tickets resume without memory of ours; their keys rotate every six hours.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    Ok(config)
}
