//! Every socket of the house: bind, accept, TLS, HTTP/1.1, 2 and 3, the outgoing pool, drain.
//!
//! Owns the [`Handler`] trait, which is all that an engine knows of what stands above it.
//! May use `message`, its sections of `config`, and `telemetry`.
//!
//! ```text
//!  bind ─► accept ─► TLS or preface ─┬─► h1 ─┐
//!          (gate, observer)          └─► h2 ─┼─► Handler          client ─► a server
//!  bind ─► quic ─────────────────────────► h3 ─┘
//! ```

mod accept;
pub mod bind;
pub mod client;
mod drain;
mod front;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod h1;
mod h2;
pub mod h3;
mod handler;
mod huffman;
mod limits;
mod pace;
pub mod peer;
mod preface;
mod prefix_integer;
mod priority;
pub mod quic;
mod ready;
mod request_head;
mod send_file;
mod sys;
mod timer;
mod tls;
pub mod worker;

#[cfg(test)]
pub(crate) use accept::Reset;
pub use accept::{Admission, ConnectionObserver, Gate, Refusal};
pub use drain::{Drain, DrainWatch};
pub use front::Front;
pub use handler::Handler;
pub use limits::Limits;
pub use quic::{ConfigError as QuicConfigError, Quic};
pub use tls::{CertificateFiles, Certificates, HandshakeError, ServerTls, TlsFault};

pub use crate::message::{Answer, Ended, Fault, Later, Outcome, Reply, Waited};
