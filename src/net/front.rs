//! The fronts of a node: which engine serves which connection. This is the one place that joins
//! listeners, TLS and the engines.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::accept::{self, Admission, Door, Engine};
use super::preface::Version;
use super::quic::Quic;
use super::tls::ServerTls;
use super::{ConnectionObserver, DrainWatch, Gate, Handler, Limits, h1, h2, h3};
use crate::message::{Peer, Protocol};

/// What all listeners of a handler share.
pub struct Front<H> {
    /// Answers the requests.
    pub handler: Arc<H>,
    /// Limits of each connection.
    pub limits: Arc<Limits>,
    /// Limits of all connections together.
    pub gate: Arc<Gate>,
    /// Told of connections.
    pub observer: Arc<dyn ConnectionObserver>,
}

impl<H: Handler> Front<H> {
    /// Serves HTTP/1.1 and 2 on a listener of the calling event loop until the drain begins:
    /// over TLS if `tls` is there, saying `alt_svc` (a field line) with every response.
    ///
    /// # Errors
    /// The listener cannot be used on this loop.
    pub async fn tcp(
        &self,
        listener: TcpListener,
        tls: Option<Arc<ServerTls>>,
        alt_svc: Option<Bytes>,
        drain: DrainWatch,
    ) -> io::Result<()> {
        accept::accept(listener, Arc::new(self.door(tls, alt_svc)), drain).await
    }

    /// Serves one connection that came by another way than a socket's, until it is over.
    #[cfg(test)]
    pub(crate) async fn cleartext<IO>(&self, stream: IO, client: SocketAddr, drain: DrainWatch)
    where
        IO: AsyncRead + AsyncWrite + accept::Reset + Unpin + Send + 'static,
    {
        accept::serve_cleartext(stream, client, &self.door(None, None), drain).await;
    }

    fn door(&self, tls: Option<Arc<ServerTls>>, alt_svc: Option<Bytes>) -> Door<Engines<H>> {
        let (handler, limits) = (self.handler.clone(), self.limits.clone());
        Door {
            engine: Engines { handler, limits: limits.clone(), alt_svc },
            limits,
            tls,
            gate: self.gate.clone(),
            observer: self.observer.clone(),
        }
    }

    /// Serves HTTP/3 on a socket of event loop `event_loop` of `loops`, which is the calling one,
    /// until it is dropped or the socket fails; `drain` is let go of when the drain has ended here.
    pub async fn udp(
        &self,
        socket: UdpSocket,
        quic: Quic,
        (event_loop, loops): (usize, usize),
        drain: DrainWatch,
    ) -> io::Error {
        let (gate, observer) = (self.gate.clone(), self.observer.clone());
        let front = h3::Front {
            handler: self.handler.clone(),
            limits: self.limits.clone(),
            admit: move |client: SocketAddr| match gate.admit(client.ip()) {
                Ok(admission) => Some(Counted::new(admission, observer.clone())),
                Err(refusal) => {
                    observer.refused(refusal);
                    None
                }
            },
        };
        h3::serve(socket, quic, (event_loop, loops), front, drain).await
    }
}

/// The engines of TCP.
struct Engines<H> {
    handler: Arc<H>,
    limits: Arc<Limits>,
    alt_svc: Option<Bytes>,
}

impl<H: Handler> Engine for Engines<H> {
    async fn serve<IO>(
        &self,
        version: Version,
        io: IO,
        first: BytesMut,
        peer: Peer,
        drain: DrainWatch,
    ) -> Option<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (handler, limits) = (self.handler.clone(), self.limits.clone());
        let alt_svc = self.alt_svc.clone();
        match version {
            Version::Http1 => h1::serve(io, first, peer, handler, limits, alt_svc, drain).await,
            Version::Http2 => {
                h2::serve(io, first, peer, handler, limits, alt_svc, drain).await;
                None
            }
        }
    }
}

/// An HTTP/3 connection in the counts.
struct Counted {
    _admission: Admission,
    observer: Arc<dyn ConnectionObserver>,
}

impl Counted {
    fn new(admission: Admission, observer: Arc<dyn ConnectionObserver>) -> Self {
        observer.opened(Protocol::Http3);
        Self { _admission: admission, observer }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.observer.closed(Protocol::Http3);
    }
}
