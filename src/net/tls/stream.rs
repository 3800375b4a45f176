//! TLS on a connection, with a pause between reading and sending.
//!
//! ```text
//! poll_write   what was encrypted before ──▶ socket;  plaintext ──▶ rustls │ valve shut
//!              the engine looks whether what was read is as it was stored
//! poll_flush                                          rustls ─────────────▶ socket
//! ```
//!
//! Plaintext is often a mapped file, and is read here, in user space: whether it was all there is
//! known only afterwards (`message::losses`). So a write encrypts and sends nothing of it; the next
//! call does, and to make that call is to vouch for it. No byte is copied for this, and no system
//! call is added.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server;

/// The server's side of TLS over `IO`.
///
/// Invariant: the valve is shut only between a write and the next call that is not a read.
pub(in crate::net) struct TlsStream<IO> {
    tls: server::TlsStream<Valve<IO>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// After the handshake.
    pub(super) fn new(tls: server::TlsStream<Valve<IO>>) -> Self {
        Self { tls }
    }

    /// What carries it.
    pub(in crate::net) fn transport(&self) -> &IO {
        &self.tls.get_ref().0.io
    }

    fn tls(&mut self) -> Pin<&mut server::TlsStream<Valve<IO>>> {
        Pin::new(&mut self.tls)
    }

    /// Lets `encrypt` take plaintext, once all before it has left.
    fn poll_encrypt(
        &mut self,
        cx: &mut Context<'_>,
        encrypt: impl FnOnce(
            Pin<&mut server::TlsStream<Valve<IO>>>,
            &mut Context<'_>,
        ) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.set_valve(true);
        ready!(self.tls().poll_flush(cx))?;
        self.set_valve(false);
        encrypt(self.tls(), cx)
    }

    fn set_valve(&mut self, is_open: bool) {
        self.tls.get_mut().0.is_open = is_open;
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tls().poll_read(cx, buffer)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_encrypt(cx, |tls, cx| tls.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_encrypt(cx, |tls, cx| tls.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.set_valve(true);
        self.tls().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.set_valve(true);
        self.tls().poll_shutdown(cx)
    }
}

/// A transport that takes nothing while it is shut. It wakes nobody when it opens: whoever opens it
/// calls again.
pub(super) struct Valve<IO> {
    io: IO,
    is_open: bool,
}

impl<IO> Valve<IO> {
    pub(super) fn open(io: IO) -> Self {
        Self { io, is_open: true }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Valve<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Valve<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.is_open {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.is_open {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use crate::net::client::tls_config;
    use crate::net::tls::tests::Authority;
    use crate::net::{Certificates, ServerTls};

    #[tokio::test]
    async fn nothing_of_a_write_leaves_before_the_next_call() {
        let authority = Authority::new();
        let files = vec![authority.issue("a", &["a.example"])];
        let tls = ServerTls::new(Certificates::load(files).unwrap()).unwrap();
        let connector = tls_config(Some(&authority.path("ca.pem"))).unwrap();
        let (client, server) = tokio::io::duplex(1 << 20);
        let name = "a.example".try_into().unwrap();
        let connecting = TlsConnector::from(connector).connect(name, client);
        let (client, server) = futures_util::join!(connecting, tls.accept(server));
        let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
        let mut read = [0; 8];
        server.write_all(b"first").await.unwrap();
        assert!(client.read(&mut read).now_or_never().is_none());
        server.write_all(b"second").await.unwrap();
        assert_eq!(client.read(&mut read).await.unwrap(), 5);
        assert!(client.read(&mut read).now_or_never().is_none());
        server.flush().await.unwrap();
        assert_eq!(client.read(&mut read).await.unwrap(), 6);
        server.write_all(b"last").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut read).await.unwrap(), 4);
        assert_eq!(client.read(&mut read).await.unwrap(), 0);
    }
}
