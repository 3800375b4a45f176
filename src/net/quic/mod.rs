//! QUIC: one endpoint per event loop, driven without locks between its parts.
//!
//! ```text
//!   UDP socket ── recvmmsg, GRO ──> Endpoint ──> Connection ──> Session (HTTP/3)
//!        ^                            one task drives them all        |
//!        └──────── sendmsg, GSO <── packets <── stream writes <───────┘
//! ```
//!
//! The protocol is quinn-proto's state machine. What stands here is its I/O: a socket, a loop and
//! timers. A turn of the loop takes all datagrams that have come, then drives each connection that
//! they (or a waker, or a timer) concern once, so the answers of many streams leave in one batch.
//! Everything of a connection lives in the endpoint's task: no task, channel or lock per stream.
//!
//! A socket that leaves its reuseport group makes the kernel number the others anew, so that
//! datagrams of live connections reach the wrong loop. So an endpoint whose drain has ended keeps
//! its socket and answers late packets until it is dropped, with all the others.
//!
//! An endpoint that is dropped, as at the end of a drain that took too long, tells its clients so
//! by a CONNECTION_CLOSE each.
//!
//! Knows nothing of HTTP: what speaks over a connection is a `Session`.
//!
//! Steering: several sockets of one port are told apart by the kernel's hash of the addresses, so a
//! client that changes its address may reach another event loop. Connection ids made here name
//! their event loop in the first byte (`steering`), which a program on the reuseport group, or a
//! process that forwards datagrams to its successor, can go by.

mod config;
mod endpoint;
mod socket;
mod steering;

use std::net::SocketAddr;
use std::task::Context;
use std::time::Instant;

use quinn_proto::VarInt;

pub use config::{ConfigError, Quic};
pub(super) use endpoint::Endpoint;

use crate::message::losses::Mark;

/// What speaks over one connection. Dropped when the connection is closed or lost.
pub(super) trait Session {
    /// The code of a close that is nobody's fault.
    const NO_ERROR: VarInt;

    /// The code of a close that is our fault.
    const INTERNAL_ERROR: VarInt;

    /// Something became of a stream. Only notes it; [`drive`](Self::drive) follows.
    fn event(&mut self, event: quinn_proto::StreamEvent);

    /// Does all that can be done now. Called after the handshake, then after events, when the
    /// context's waker was woken, and when its deadline has passed.
    fn drive(
        &mut self,
        transport: &mut quinn_proto::Connection,
        cx: &mut Context<'_>,
        now: Instant,
    );

    /// Since when nothing may have been lost of what it gives to the transport, which reads it for
    /// every packet, also for those that are repeated.
    fn mark(&self) -> Mark;

    /// When to be driven though nothing happens. May be earlier than needed.
    fn deadline(&self) -> Option<Instant>;

    /// The node stops: finish what is begun and close. [`drive`](Self::drive) follows.
    fn drain(&mut self, now: Instant);
}

/// Makes the sessions of an endpoint.
pub(super) trait Sessions {
    /// What speaks over each connection.
    type Session: Session;

    /// A session for a client whose handshake begins; `None` refuses the connection.
    fn open(&mut self, client: SocketAddr) -> Option<Self::Session>;
}
