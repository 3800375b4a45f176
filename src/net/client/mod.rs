//! Outgoing HTTP/1.1: one [`Pool`] of keep-alive connections per server.
//!
//! ```text
//! Pool ─ Shared ┬─ permits    connections in use, over all event loops (bounded wait)
//!               ├─ open       connections that exist, idle ones included
//!               └─ idle[i]    idle connections of event loop i; they never migrate
//! ```
//!
//! A connection has no task of its own: whoever waits for a response or reads its body drives it
//! (`live`), so an exchange costs no wake-up between tasks, and to drop the wait or the body is to
//! close the connection. It goes back to its loop's list once the body was read to the end. An idle
//! connection is driven by nobody; a sweep looks whether its server closed it (`idle`).
//!
//! Uses hyper's connection, nothing of its pool.

mod connect;
mod error;
mod http2;
mod idle;
mod incoming;
mod live;
mod outgoing;
mod pool;
mod request;
mod server;
#[cfg(test)]
mod tests;

pub use error::{ClientError, ClientErrorKind, Retry};
pub use http2::get_over_http2;
pub use pool::{Pool, PoolConfig};
pub use request::{IncomingResponse, OutgoingRequest};
pub use server::{RootsError, Server, tls_config};
