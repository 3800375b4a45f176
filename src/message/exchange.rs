//! How an exchange goes: the answer to a request, what an engine refused, and how it ended.

use std::future::Future;
use std::pin::Pin;

use http::StatusCode;

use super::Response;

/// A reply now, or the future of one.
#[expect(clippy::large_enum_variant, reason = "a hit must not allocate")]
pub enum Answer<X> {
    /// The response is at hand.
    Now(Reply<X>),
    /// The response has to be waited for.
    Later(Pin<Box<dyn Future<Output = Reply<X>> + Send>>),
}

/// A response and what the handler wants back when it is done.
pub struct Reply<X> {
    /// What to send.
    pub response: Response,
    /// Handed back to the handler.
    pub exchange: X,
}

/// A request that never reached the handler: malformed, or over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The status that the RFCs name: 400, 408, 413, 414, 417, 421, 431, 501, 503, 505.
    pub status: StatusCode,
    /// A fixed phrase that names the line, field or limit.
    pub detail: &'static str,
}

impl Fault {
    /// A fault with its status and phrase.
    pub const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail }
    }

    /// A client error with the status 400.
    pub const fn bad_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Bytes of body handed to the transport.
    pub body_bytes: u64,
    /// What became of the response.
    pub outcome: Outcome,
}

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was handed to the transport.
    Complete,
    /// The client went away, or was cut off by a limit.
    ClientGone,
    /// The body broke off on our side and was cut visibly.
    Truncated,
}
