//! Why an exchange with a server failed, and whether another try is safe.

/// An exchange that brought no response head.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct ClientError {
    /// What went wrong.
    pub kind: ClientErrorKind,
    /// Whether the server may have acted on any of the request.
    pub sent: bool,
    /// Whether the connection had served another request before.
    pub reused: bool,
    /// For the log, never shown to a client.
    pub detail: String,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientErrorKind {
    /// The response head is malformed or over the limit, and the connection lives on.
    #[error("malformed response head")]
    BadHead,
    /// The request's body broke off on our side.
    #[error("request body failed")]
    BodyFailed,
    /// The request's body did not come in time.
    #[error("request body timeout")]
    BodyTimeout,
    /// The request's body is over the limit.
    #[error("request body too large")]
    BodyTooLarge,
    /// No address of the server took the connection.
    #[error("connect failed")]
    Connect,
    /// No address took the connection in time.
    #[error("connect timeout")]
    ConnectTimeout,
    /// The server's name does not resolve.
    #[error("name resolution failed")]
    Dns,
    /// The request cannot be said in HTTP; the server was not asked.
    #[error("invalid request")]
    InvalidRequest,
    /// What the server sends is not HTTP; with HTTP/1.1, or its head is over the limit.
    #[error("malformed response")]
    Malformed,
    /// As many connections or streams in use as the limit allows, and none came free in time.
    #[error("pool exhausted")]
    PoolExhausted,
    /// The server does not speak the protocol that the pool is made for (ALPN).
    #[error("protocol refused")]
    Protocol,
    /// The server closed or reset the connection before the response head.
    #[error("connection reset")]
    Reset,
    /// The server reset the request's stream before the response head, and the connection lives on.
    #[error("stream reset")]
    StreamReset,
    /// No response head in time.
    #[error("response timeout")]
    ResponseTimeout,
    /// The handshake failed, or the server's certificate is not to be trusted.
    #[error("TLS failed")]
    Tls,
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// None of it reached a server, or the server said that it processed none of it.
    Yes,
    /// A kept connection went away just then: safe if the method is idempotent
    /// (RFC 9110 section 9.2.2).
    IfReused,
    /// The server may have acted on it.
    No,
}

impl ClientError {
    /// A failure before anything was sent.
    pub fn unsent(kind: ClientErrorKind, detail: impl ToString) -> Self {
        Self { kind, sent: false, reused: false, detail: detail.to_string() }
    }

    /// Whether the same request may be sent again.
    pub fn retry(&self) -> Retry {
        use ClientErrorKind::{BodyFailed, BodyTimeout, BodyTooLarge, InvalidRequest, Reset};
        match self.kind {
            BodyFailed | BodyTimeout | BodyTooLarge | InvalidRequest => Retry::No,
            _ if !self.sent => Retry::Yes,
            Reset if self.reused => Retry::IfReused,
            _ => Retry::No,
        }
    }
}

/// An error and what caused it, in one line.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
