//! One request, as the proxy sees it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;

use super::{Body, Fields};

/// A request whose framing the engine has checked.
#[derive(Debug)]
pub struct Request {
    /// What it asks for; boxed, because it is handed on from engine to log, and each move of its
    /// fields would copy them.
    pub head: Box<RequestHead>,
    /// The content; [`Body::Empty`] where the framing says there is none.
    pub body: Body,
}

/// A request without its content.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The authority as the client named it (`Host`, or `:authority`), port included; never empty.
    pub host: Bytes,
    /// Path and query as sent (`/a?b`), or `*` of `OPTIONS *`.
    pub target: Bytes,
    /// All fields, `Host` included where HTTP/1.1 sent one.
    pub fields: Fields,
    /// Bytes of the content, where the client said so.
    pub content_length: Option<u64>,
    /// Who asks, and how.
    pub peer: Peer,
}

/// The client's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// The protocol spoken.
    pub protocol: Protocol,
    /// Whether TLS (or QUIC) protects the connection.
    pub scheme: Scheme,
}

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0, or 1.1.
    Http1 {
        /// The minor version, 0 or 1.
        minor: u8,
    },
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    /// As access logs write it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Http1 { minor: 0 } => "HTTP/1.0",
            Self::Http1 { .. } => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        }
    }

    /// `h1`, `h2` or `h3`: the label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 { .. } => "h1",
            Self::Http2 => "h2",
            Self::Http3 => "h3",
        }
    }

    /// The place of its [`as_str`](Self::as_str) among the labels of metrics: 0, 1 or 2.
    pub fn index(self) -> usize {
        match self {
            Self::Http1 { .. } => 0,
            Self::Http2 => 1,
            Self::Http3 => 2,
        }
    }

    /// The received-protocol of a `Via` member (RFC 9110 section 7.6.3).
    pub fn via(self) -> &'static str {
        match self {
            Self::Http1 { minor: 0 } => "1.0",
            Self::Http1 { .. } => "1.1",
            Self::Http2 => "2",
            Self::Http3 => "3",
        }
    }
}

/// The scheme of the effective request URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
