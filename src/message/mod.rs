//! What crosses between the protocols and the proxy, in words of no protocol.
//!
//! `net/` turns bytes of HTTP/1.1, 2 or 3 into a [`Request`] and a [`Response`] back into bytes;
//! everything above it sees these types alone. So an engine can be replaced without touching the
//! proxy, and a response made once serves all three protocols.
//!
//! [`losses`] is how a fault in the store's maps becomes known to whoever sends their bytes.
//!
//! Uses nothing of ours.
//!
//! Invariants:
//! - a [`Response`] head holds no connection-specific field and no `content-length`: framing is the
//!   engine's, told by [`Response::content_length`] and the body;
//! - a body is shared pieces ([`bytes::Bytes`]), never copied on the way out; only that of a 101 is
//!   none, but a [`Tunnel`].

mod block;
mod body;
mod exchange;
mod fields;
pub mod losses;
mod request;
mod response;
mod tunnel;

pub use block::{FieldBlock, field_lines, push_field};
pub use body::{Body, BodyError, BodyErrorKind, BodyStream, Chain, FilePart, Piece, PieceList};
pub use exchange::{Answer, Ended, Fault, Interim, Later, OnInterim, Outcome, Reply, Waited};
pub use fields::{COUNTRY, DEVICE, Fields, FieldsBuilder, Seen};
pub use request::{Peer, Protocol, Request, RequestHead, Scheme};
pub use response::{Extra, Response};
pub use tunnel::{ByteStream, Tunnel};
