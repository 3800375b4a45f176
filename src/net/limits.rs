//! What a client may ask of one connection.

use std::time::Duration;

/// Limits of a connection, the same for every protocol. 0 means none where it says so.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests on one connection before it is closed; 0: none.
    pub requests_per_connection: u64,
    /// Concurrent streams of an HTTP/2 or HTTP/3 connection.
    pub streams: u32,
    /// Streams that a client may reset on one connection before it is closed (CVE-2023-44487).
    pub resets_per_connection: u32,
    /// Field lines of one request head.
    pub headers: usize,
    /// Bytes of one request head, request line included.
    pub header_bytes: usize,
    /// Bytes of a request target.
    pub url: usize,
    /// Bytes of a request's content; 0: none.
    pub request_body: u64,
    /// From the first byte of a request head to its last.
    pub header_timeout: Duration,
    /// Between requests of a connection.
    pub idle_timeout: Duration,
    /// How long a connection that has left HTTP may stand still, both ways.
    pub tunnel_idle_timeout: Duration,
    /// From the first byte of a request to the last byte of its response, but for a tunnel.
    pub request_timeout: Duration,
    /// For the TLS or QUIC handshake.
    pub handshake_timeout: Duration,
    /// Bytes per second that a client must send or take while it is waited for; 0: none.
    pub min_rate: u64,
    /// How long the client may be slower than `min_rate`.
    pub min_rate_grace: Duration,
    /// Whether a client of HTTP/1.1 that shut its write side down is still owed a response that has
    /// to be waited for; else it counts as gone.
    pub half_close: bool,
    /// Bytes of response queued for one connection before its bodies are no longer polled.
    pub connection_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_connection: 0,
            streams: 256,
            resets_per_connection: 1000,
            headers: 128,
            header_bytes: 64 * 1024,
            url: 8 * 1024,
            request_body: 1024 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            tunnel_idle_timeout: Duration::from_secs(600),
            request_timeout: Duration::from_secs(3600),
            handshake_timeout: Duration::from_secs(10),
            min_rate: 128,
            min_rate_grace: Duration::from_secs(60),
            half_close: false,
            connection_buffer: 256 * 1024,
        }
    }
}
