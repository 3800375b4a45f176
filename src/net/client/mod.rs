//! Outgoing HTTP: one [`Pool`] of connections per server.
//!
//! ```text
//! Pool ┬─ http1   keep-alive connections, one exchange at a time on each
//!      └─ http2   few connections, many exchanges at a time on each
//! ```
//!
//! Invariants of both: a connection never migrates between event loops; whoever drops an exchange
//! ends it at once and harms no other; a body that breaks off is never taken for whole.

mod config;
mod connect;
mod dial;
mod error;
mod http1;
mod http2;
mod pool;
mod request;
mod server;
#[cfg(test)]
mod tests;

pub use crate::message::ByteStream;
pub use config::{Egress, Http2Config, PoolConfig, Protocol};
pub use dial::{Dialer, Dialing, Tcp};
pub use error::{ClientError, ClientErrorKind, Retry};
pub use pool::Pool;
pub use request::{IncomingResponse, OutgoingRequest};
pub use server::{RootsError, Server, private_tls_config, tls_config};
