//! A connection that has left HTTP (RFC 9110 section 7.8): what whoever asked the server hands to
//! the engine that carries its bytes to the client and back.

use bytes::Bytes;
use http::HeaderValue;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways. Dropping it closes the connection.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// The server's end, once both sides have agreed on another protocol. Dropping it closes it.
pub struct Tunnel {
    /// The connection to the server.
    pub stream: Box<dyn ByteStream>,
    /// What the server sent behind its head: it goes to the client first.
    pub early: Bytes,
    /// What is spoken from now on, as `Upgrade` names it.
    pub protocol: HeaderValue,
    held: SmallVec<[Box<dyn Send>; 2]>,
}

impl Tunnel {
    /// A tunnel that holds nothing yet.
    pub fn new(stream: Box<dyn ByteStream>, early: Bytes, protocol: HeaderValue) -> Self {
        Self { stream, early, protocol, held: SmallVec::new() }
    }

    /// Keeps `place`, a count or a right, until the tunnel is over.
    pub fn hold(&mut self, place: impl Send + 'static) {
        self.held.push(Box::new(place));
    }
}
