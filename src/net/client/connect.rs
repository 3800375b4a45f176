//! A fresh connection: the way to the server, and TLS where it is asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::Dialer;
use super::error::describe;
use super::{ClientError, ClientErrorKind, Server};
use crate::message::ByteStream;

/// The bytes below HTTP.
pub(super) enum Transport {
    Plain(Box<dyn ByteStream>),
    Tls(Box<TlsStream<Box<dyn ByteStream>>>),
}

impl Transport {
    /// The protocol agreed on by ALPN, if any; `None` in cleartext, where there is none to ask.
    pub(super) fn alpn(&self) -> Option<Option<&[u8]>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream.get_ref().1.alpn_protocol()),
        }
    }
}

/// Counts one connection for as long as it exists.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Relaxed);
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Connects to a server, all within `limit`.
///
/// Cancel safe: dropping the future closes what it had opened.
pub(super) async fn connect(
    server: &Server,
    dialer: &dyn Dialer,
    limit: Duration,
) -> Result<Transport, ClientError> {
    let deadline = Instant::now() + limit;
    let late = |_| ClientError::unsent(ClientErrorKind::ConnectTimeout, "connect_timeout is over");
    let dialing = dialer.dial(&server.host, server.port, deadline);
    let stream = timeout_at(deadline, dialing).await.map_err(late)??;
    let Some(tls) = &server.tls else { return Ok(Transport::Plain(stream)) };
    let handshake = TlsConnector::from(tls.config.clone()).connect(tls.name.clone(), stream);
    match timeout_at(deadline, handshake).await.map_err(late)? {
        Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
        Err(error) => Err(ClientError::unsent(handshake_failure(&error), describe(&error))),
    }
}

/// RFC 7301 section 3.2: a server that speaks none of the protocols offered says so.
fn handshake_failure(error: &io::Error) -> ClientErrorKind {
    use rustls::{AlertDescription, Error};
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            ClientErrorKind::Protocol
        }
        _ => ClientErrorKind::Tls,
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
