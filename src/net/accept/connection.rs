//! One accepted connection: secure it, learn what it speaks, hand it to its engine.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{ConnectionObserver, Door};
use crate::message::{Peer, Protocol, Scheme};
use crate::net::DrainWatch;
use crate::net::drain::DRAIN_GRACE;
use crate::net::preface::{Version, sniff};
use crate::net::tls::{HandshakeError, TlsStream};

/// Speaks HTTP on a connection whose protocol is known.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Serves the requests of one connection until it is over. `first` are bytes already read.
    ///
    /// Gives the transport back only if it is to be reset, so that the client sees that a response
    /// was cut.
    fn serve<IO>(
        &self,
        version: Version,
        io: IO,
        first: BytesMut,
        peer: Peer,
        drain: DrainWatch,
    ) -> impl Future<Output = Option<IO>> + Send
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static;
}

/// Serves one connection until it is over. Dropping the future closes it.
pub(crate) async fn serve_connection<E: Engine>(
    stream: TcpStream,
    address: SocketAddr,
    door: &Door<E>,
    mut drain: DrainWatch,
) {
    // Fails only on a connection that is already broken, which the first read tells.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &door.tls else {
        return serve_cleartext(stream, address, door, drain).await;
    };
    // In a box of its own, which is gone before the first request: an idle connection is small.
    let handshake = Box::pin(timeout(door.limits.handshake_timeout, tls.accept(stream)));
    let handshake = tokio::select! {
        biased;
        handshake = handshake => handshake,
        () = silent_in_drain(&mut drain) => return,
    };
    match handshake.unwrap_or(Err(HandshakeError::Timeout)) {
        Ok((stream, version)) => {
            let peer = peer(address, version, Scheme::Https);
            // Boxed: an engine's future holds its transport in several places, and most
            // connections are idle.
            speak(Box::new(stream), version, BytesMut::new(), peer, door, drain).await;
        }
        Err(error) => {
            tracing::debug!(%address, %error, "TLS handshake");
            door.observer.handshake_failed(&error);
        }
    }
}

/// The same without TLS: what is spoken is told by the first bytes.
pub(crate) async fn serve_cleartext<E: Engine, IO>(
    mut stream: IO,
    address: SocketAddr,
    door: &Door<E>,
    mut drain: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static,
{
    let sniffed = tokio::select! {
        biased;
        sniffed = timeout(door.limits.header_timeout, sniff(&mut stream)) => sniffed,
        () = silent_in_drain(&mut drain) => return,
    };
    if let Ok(Ok(Some((version, first)))) = sniffed {
        let peer = peer(address, version, Scheme::Http);
        speak(stream, version, first, peer, door, drain).await;
    }
}

/// Resolves when a drain has gone on for so long that a client that has asked for nothing yet will
/// not begin.
async fn silent_in_drain(drain: &mut DrainWatch) {
    drain.draining().await;
    sleep(DRAIN_GRACE).await;
}

async fn speak<E: Engine, IO>(
    io: IO,
    version: Version,
    first: BytesMut,
    peer: Peer,
    door: &Door<E>,
    drain: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static,
{
    let _open = Open::new(peer.protocol, &door.observer);
    // The engines' futures differ much in size; a box takes only what its own needs.
    let cut = Box::pin(door.engine.serve(version, io, first, peer, drain)).await;
    if let Some(io) = cut {
        // Where the reset fails, the connection is gone already.
        let _ = io.reset();
    }
}

fn peer(address: SocketAddr, version: Version, scheme: Scheme) -> Peer {
    let protocol = match version {
        Version::Http1 => Protocol::Http1 { minor: 1 },
        Version::Http2 => Protocol::Http2,
    };
    Peer { address, protocol, scheme }
}

/// Tells the observer of the end, also if the engine panics.
struct Open<'a> {
    protocol: Protocol,
    observer: &'a Arc<dyn ConnectionObserver>,
}

impl<'a> Open<'a> {
    fn new(protocol: Protocol, observer: &'a Arc<dyn ConnectionObserver>) -> Self {
        observer.opened(protocol);
        Self { protocol, observer }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.observer.closed(self.protocol);
    }
}

/// A transport whose end can be made visible as an error.
pub(crate) trait Reset {
    /// Closes with a TCP reset when dropped.
    fn reset(&self) -> io::Result<()>;
}

impl Reset for TcpStream {
    fn reset(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Reset for Box<TlsStream<TcpStream>> {
    fn reset(&self) -> io::Result<()> {
        self.transport().set_zero_linger()
    }
}
