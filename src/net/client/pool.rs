//! The one door to a server, whatever it speaks.

use std::fmt;
use std::sync::Arc;

use super::{
    ClientError, IncomingResponse, OutgoingRequest, PoolConfig, Protocol, Server, http1, http2,
};

/// Connections to one server. Clones share them.
#[derive(Clone)]
pub struct Pool(Inner);

#[derive(Clone)]
enum Inner {
    Http1(Arc<http1::Shared>),
    /// Falls back to HTTP/1.1 where that may be agreed on.
    Http2(Arc<http2::Shared>),
}

impl Pool {
    /// A pool without connections as yet.
    pub fn new(server: Server, config: PoolConfig) -> Self {
        let http1 = |server, config| Arc::new(http1::Shared::new(server, config));
        Self(match config.protocol {
            Protocol::Agreed if server.tls.is_some() => {
                let http1 = http1(server.clone(), config.clone());
                Inner::Http2(http2::pool(&server, config, Some(http1)))
            }
            Protocol::Http1 | Protocol::Agreed => Inner::Http1(http1(server, config)),
            Protocol::Http2 => Inner::Http2(http2::pool(&server, config, None)),
        })
    }

    /// Connections that are open, idle ones included.
    pub fn open_connections(&self) -> usize {
        match &self.0 {
            Inner::Http1(shared) => shared.open_connections(),
            Inner::Http2(shared) => shared.open_connections(),
        }
    }

    /// Exchanges under way.
    pub fn busy(&self) -> usize {
        match &self.0 {
            Inner::Http1(shared) => shared.busy(),
            Inner::Http2(shared) => shared.busy(),
        }
    }

    /// Sends a request and waits for the response head.
    ///
    /// A kept connection that turns out closed is replaced unseen: always if nothing was sent, and
    /// once if the method is idempotent and the content is at hand. So is what an HTTP/2 server
    /// says it did not process, whatever the method, if the content is at hand.
    ///
    /// Cancel safe: dropping the future gives up its place in the queue, and closes the connection
    /// in use (HTTP/1.1) or resets the stream (HTTP/2). The server may have got the request.
    pub async fn send(&self, request: OutgoingRequest) -> Result<IncomingResponse, ClientError> {
        match &self.0 {
            Inner::Http1(shared) => http1::send(shared, request).await,
            Inner::Http2(shared) => http2::send(shared, request).await,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match &self.0 {
            Inner::Http1(shared) => &shared.server,
            Inner::Http2(shared) => &shared.server,
        };
        f.debug_struct("Pool").field("server", server).finish_non_exhaustive()
    }
}
