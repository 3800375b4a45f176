//! HTTP/2, the server's side: RFC 9113 and HPACK.
//!
//! One task serves a connection. What one read brings is answered before the next write, so the
//! responses of many streams leave together; a request that the handler answers at once costs no
//! task, no channel and no stream state.
//!
//! ```text
//! connection   socket, timer, pace                          (I/O)
//!   session    streams, windows, settings, GOAWAY           (no I/O, no clock)
//!     incoming, outgoing, deadlines                         its three duties
//!     frame, hpack, flow, schedule, allowance               pure
//!     output   what waits to be written, and whom to tell
//!     upload   content of a request, on its way to the handler
//! ```
//!
//! Invariants: [`Handler::ended`] is called once for every reply, with the bytes that left; a body
//! that breaks off is never ended as if whole; everything kept for a peer has a bound.

mod allowance;
mod connection;
mod deadlines;
mod flow;
mod frame;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod hpack;
mod incoming;
mod outgoing;
mod output;
mod schedule;
mod session;
mod streams;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use self::connection::Connection;
use super::{DrainWatch, Handler, Limits};
use crate::message::Peer;

/// Serves one connection to its end: after ALPN chose `h2`, or by prior knowledge.
///
/// `first` holds the bytes already read, from the connection preface on. `alt_svc` is a ready line
/// (`alt-svc: ...\r\n`) that every response gets.
pub(crate) async fn serve<IO, H>(
    io: IO,
    first: BytesMut,
    peer: Peer,
    handler: Arc<H>,
    limits: Arc<Limits>,
    alt_svc: Option<Bytes>,
    mut drain: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    let now = Instant::now();
    let mut connection = Connection::new(io, first, peer, handler, limits, alt_svc, now);
    tokio::select! {
        biased;
        () = drain.draining() => connection.drain(),
        () = connection.run() => return,
    }
    connection.run().await;
}
