//! HTTP/3 (RFC 9114) over [`quic`](super::quic).
//!
//! ```text
//!   session.rs    one connection: streams, limits, GOAWAY, close
//!   ├─ control.rs   what the client opens one way: control and QPACK streams
//!   └─ stream.rs    one request and its response
//!      ├─ head.rs     field section -> facts of the request, or a refusal
//!      ├─ inbox.rs    content on its way to the handler
//!      └─ outgoing.rs response -> HEADERS, DATA, FIN
//!   frame.rs, qpack/  the formats; they know no stream
//! ```
//!
//! All streams of a connection are driven in turn by the endpoint's task. A hit is read, answered
//! and handed to the transport in one call, and never filed; only what has to wait is.
//!
//! The engine is our own: the published HTTP/3 crate takes a task, several locks and a copy of the
//! body for each request, at more than twice the processor time (`benches/released_h3.rs`).
//!
//! Invariants:
//! - a body ends with FIN only if it is whole; else its stream is reset;
//! - [`Handler::ended`] is called exactly once for each reply, also when the connection is lost.

pub mod client;
mod code;
mod control;
mod frame;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod head;
mod inbox;
mod outgoing;
mod qpack;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::quic::{Endpoint, Quic, Sessions};
use super::{DrainWatch, Handler, Limits};
use crate::message::{Peer, Protocol, Scheme};
use session::Session;

/// Serves HTTP/3 on one bound socket of event loop `event_loop` of `loops`, until it is dropped or
/// the socket fails. To be called on that loop. `drain` is let go of once a drain has ended here;
/// the socket is kept, for the kernel would steer the clients of other loops anew if it left.
///
/// `admit` is asked for each client; what it gives is kept as long as the connection, and `None`
/// refuses it.
pub async fn serve<H: Handler, G>(
    socket: std::net::UdpSocket,
    quic: Quic,
    (event_loop, loops): (usize, usize),
    front: Front<H, impl FnMut(SocketAddr) -> Option<G>>,
    drain: DrainWatch,
) -> io::Error {
    match Endpoint::new(socket, quic, (event_loop, loops), front) {
        Ok(endpoint) => endpoint.run(drain).await,
        Err(error) => error,
    }
}

/// What all connections of an endpoint share.
pub struct Front<H, A> {
    /// Answers the requests.
    pub handler: Arc<H>,
    /// Limits of each connection.
    pub limits: Arc<Limits>,
    /// Asked for each client whether it may connect.
    pub admit: A,
}

impl<H: Handler, A: FnMut(SocketAddr) -> Option<G>, G> Sessions for Front<H, A> {
    type Session = Session<H, G>;

    fn open(&mut self, client: SocketAddr) -> Option<Session<H, G>> {
        let guard = (self.admit)(client)?;
        let peer = Peer { address: client, protocol: Protocol::Http3, scheme: Scheme::Https };
        let now = tokio::time::Instant::now().into_std();
        let (handler, limits) = (Arc::clone(&self.handler), Arc::clone(&self.limits));
        Some(Session::new(handler, limits, peer, guard, now))
    }
}
