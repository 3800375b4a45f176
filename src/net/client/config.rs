//! Limits of a pool.

use std::sync::Arc;
use std::time::Duration;

use super::dial::{Dialer, Tcp};

/// What is spoken to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: one exchange at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2: many exchanges at a time on a connection. Agreed on by ALPN over TLS, known
    /// beforehand in cleartext (RFC 9113 section 3).
    Http2,
    /// HTTP/2 where the server agrees to it by ALPN, else HTTP/1.1; in cleartext HTTP/1.1. The
    /// limits are those of each.
    Agreed,
}

/// Limits of a pool; each is for one server.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// What the server speaks. Default: HTTP/1.1.
    pub protocol: Protocol,
    /// Connections, over all event loops, without those that have left HTTP; 0: no limit. With
    /// HTTP/2 each loop has an equal share, at least one, and connections that the server is about
    /// to close (GOAWAY) do not count. Default: 256.
    pub max_connections: usize,
    /// Requests that may wait for a connection to come free; with HTTP/2 for a stream, and on each
    /// event loop. Default: 1024.
    pub max_waiting: usize,
    /// How long such a request waits. With HTTP/2, what a connect under way takes is added.
    /// Default: 5 s.
    pub max_wait: Duration,
    /// Connections at rest that each event loop keeps. Default: 32.
    pub max_idle: usize,
    /// How long a connection may rest. Default: 50 s, below the 60 to 75 s of usual servers.
    pub idle_timeout: Duration,
    /// For name resolution, TCP and TLS together. Default: 2 s.
    pub connect_timeout: Duration,
    /// From the request (or the last part of its content) to the response head. Default: 30 s.
    pub response_timeout: Duration,
    /// Between the bytes of a response body, while they are waited for. Default: 30 s.
    pub read_timeout: Duration,
    /// Bytes of a response head; with HTTP/1.1, of body read at once too, at least 8 KiB.
    /// Default: 128 KiB.
    pub header_bytes: usize,
    /// Who uses the pool, and by which way.
    pub egress: Egress,
    /// What only HTTP/2 needs.
    pub http2: Http2Config,
}

/// What the pools of a node have in common.
#[derive(Clone, Debug)]
pub struct Egress {
    /// Event loops that use them. Default: 1.
    pub loops: usize,
    /// The way to their servers. Default: [`Tcp`].
    pub dialer: Arc<dyn Dialer>,
}

impl Egress {
    /// Over TCP, for so many event loops.
    pub fn of(loops: usize) -> Self {
        Self { loops, dialer: Arc::new(Tcp) }
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::of(1)
    }
}

/// Limits of each HTTP/2 connection of a pool.
#[derive(Clone, Debug)]
pub struct Http2Config {
    /// Exchanges at a time, at least 1; the server's SETTINGS may allow fewer. Default: 100, what
    /// servers usually allow.
    pub streams: usize,
    /// Bytes of one response body that may wait unread, up to 2^31 - 1; also how many are on their
    /// way at a time: 1 MiB fills 800 Mbit/s at a round trip of 10 ms. Default: 1 MiB.
    pub stream_window: u32,
    /// Bytes of all response bodies that may wait unread, from 65,535 to 2^31 - 1: the memory that
    /// slow readers can bind. Once they do, all other bodies of the connection wait for them, so
    /// this is many stream windows. Default: 16 MiB.
    pub connection_window: u32,
    /// Silence of the server after which it is asked for a sign of life (PING). Default: 15 s.
    pub ping_interval: Duration,
    /// How long that sign may take before the connection is given up. Default: 5 s.
    pub ping_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            protocol: Protocol::Http1,
            max_connections: 256,
            max_waiting: 1024,
            max_wait: Duration::from_secs(5),
            max_idle: 32,
            idle_timeout: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            header_bytes: 128 * 1024,
            egress: Egress::default(),
            http2: Http2Config::default(),
        }
    }
}

impl Default for Http2Config {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: 1024 * 1024,
            connection_window: 16 * 1024 * 1024,
            ping_interval: Duration::from_secs(15),
            ping_timeout: Duration::from_secs(5),
        }
    }
}
