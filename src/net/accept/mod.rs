//! The accept loop of one listening socket on one event loop.
//!
//! ```text
//! accept ── gate: a place? ──no──> reset, counted
//!                │ yes
//!                └─ task: TLS or preface ── engine ── place given back
//! ```
//!
//! A connection stays on the loop that accepted it. Draining stops the accept loop, but what the
//! kernel had queued by then is served: closing a listener would reset it.

mod connection;
mod gate;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

pub(crate) use self::connection::{Engine, serve_connection};
#[cfg(test)]
pub(crate) use self::connection::{Reset, serve_cleartext};
pub use self::gate::{Admission, Gate, Refusal};
use super::tls::{HandshakeError, ServerTls};
use super::{DrainWatch, Limits};
use crate::message::Protocol;

/// Pauses after the system refused a connection for want of descriptors or memory.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Told what becomes of connections, once for each, never for a request.
pub trait ConnectionObserver: Send + Sync + 'static {
    /// A connection speaks `protocol` from now on.
    fn opened(&self, protocol: Protocol);
    /// A connection that was told to [`opened`](Self::opened) is over.
    fn closed(&self, protocol: Protocol);
    /// A limit forbade a connection.
    fn refused(&self, refusal: Refusal);
    /// A client did not get through the TLS handshake.
    fn handshake_failed(&self, error: &HandshakeError);
    /// The system could not accept: no descriptor or memory left.
    fn accept_failed(&self, error: &io::Error);
}

/// Nobody is told.
impl ConnectionObserver for () {
    fn opened(&self, _: Protocol) {}
    fn closed(&self, _: Protocol) {}
    fn refused(&self, _: Refusal) {}
    fn handshake_failed(&self, _: &HandshakeError) {}
    fn accept_failed(&self, _: &io::Error) {}
}

/// What all connections of one listening address share.
pub(crate) struct Door<E> {
    /// Speaks HTTP once the protocol is known.
    pub(crate) engine: E,
    /// Times and sizes.
    pub(crate) limits: Arc<Limits>,
    /// Certificates, where the address is HTTPS.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// Counts the connections of all doors.
    pub(crate) gate: Arc<Gate>,
    /// Told what becomes of connections.
    pub(crate) observer: Arc<dyn ConnectionObserver>,
}

/// Accepts connections on the current event loop until the drain begins; each is then served by a
/// task that holds a watch of its own.
///
/// Cancel safe: connections that were accepted live on.
pub(crate) async fn accept<E: Engine>(
    listener: StdListener,
    door: Arc<Door<E>>,
    drain: DrainWatch,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut watch = drain.clone();
    let mut draining = pin!(watch.draining());
    let mut pause = PAUSE_MIN;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut draining => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                pause = PAUSE_MIN;
                admit(stream, address, &door, &drain);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                door.observer.accept_failed(&error);
                tokio::select! {
                    () = &mut draining => break,
                    () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                }
            }
        }
    }
    let listener = listener.into_std()?;
    while let Ok((stream, address)) = listener.accept() {
        stream.set_nonblocking(true)?;
        admit(TcpStream::from_std(stream)?, address, &door, &drain);
    }
    Ok(())
}

/// The client had left before it was accepted; the next one is not concerned (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | TimedOut)
}

fn admit<E: Engine>(
    stream: TcpStream,
    address: SocketAddr,
    door: &Arc<Door<E>>,
    drain: &DrainWatch,
) {
    match door.gate.admit(address.ip()) {
        Ok(admission) => {
            let (door, drain) = (door.clone(), drain.clone());
            tokio::spawn(async move {
                serve_connection(stream, address, &door, drain).await;
                drop(admission);
            });
        }
        Err(refusal) => {
            door.observer.refused(refusal);
            // A reset leaves nothing behind in the kernel; if it fails, a close says the same.
            let _ = stream.set_zero_linger();
        }
    }
}
