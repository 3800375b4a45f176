//! A fresh connection that speaks HTTP/2.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use tokio::time::{Instant, timeout_at};

use super::driver::drive;
use super::heard::Heard;
use super::links::Shared;
use crate::net::client::connect::{Counted, connect};
use crate::net::client::error::describe;
use crate::net::client::{ClientError, ClientErrorKind, PoolConfig};

/// HTTP/2 over TLS, as ALPN names it (RFC 9113 section 3.2).
pub(super) const ALPN: &[u8] = b"h2";

/// Streams opened before the server has said how many it allows: no fewer than servers should
/// (RFC 9113 section 6.5.2). What it refuses is sent again.
const STREAMS_UNASKED: usize = 100;

/// Bytes of request content that a stream takes before they are on their way.
const SEND_BUFFER: usize = 256 * 1024;

/// Streams we reset that are remembered, so that what is still coming for them is ignored; for one
/// second, which is longer than it may come.
const RESETS_REMEMBERED: usize = 1024;

/// Frames that came for streams forgotten, and other faults of single streams, before the server is
/// thought hostile and the connection ends. Its whole life counts, and whoever cancels often meets
/// some.
const FAULTS_MAX: usize = 16 * 1024;

/// Opens a link of an event loop, and drives it from a task of its own.
pub(super) async fn open(shared: Arc<Shared>, home: usize) {
    let counted = Counted::new(&shared.open);
    match establish(&shared).await {
        Ok(Opened { sender, connection, received }) => {
            let id = shared.opened(home, sender);
            let driver = drive(connection, received, Arc::downgrade(&shared), home, id, counted);
            // Its task may outlive the pool, and must not keep it.
            drop(shared);
            driver.await;
        }
        Err(error) => shared.not_opened(home, &error),
    }
}

struct Opened {
    sender: SendRequest<Bytes>,
    connection: Connection<Heard>,
    received: Arc<AtomicU64>,
}

/// Cancel safe: dropping the future closes what it had opened.
async fn establish(shared: &Shared) -> Result<Opened, ClientError> {
    let config = &shared.config;
    let deadline = Instant::now() + config.connect_timeout;
    let dialer = &*config.egress.dialer;
    let transport = connect(&shared.server, dialer, config.connect_timeout).await?;
    if transport.alpn().is_some_and(|agreed| agreed != Some(ALPN)) {
        if let Some(http1) = &shared.http1 {
            http1.adopt(transport).await;
        }
        let detail = "the server does not agree to h2 by ALPN";
        return Err(ClientError::unsent(ClientErrorKind::Protocol, detail));
    }
    let (transport, received) = Heard::new(transport);
    let handshake = engine(config).handshake(transport);
    let (sender, connection) = timeout_at(deadline, handshake)
        .await
        .map_err(|_| ClientError::unsent(ClientErrorKind::ConnectTimeout, "no room for a preface"))?
        .map_err(|error| ClientError::unsent(ClientErrorKind::Connect, describe(&error)))?;
    Ok(Opened { sender, connection, received })
}

fn engine(config: &PoolConfig) -> Builder {
    /// RFC 9113 section 6.9.1.
    const WINDOW_MAX: u32 = (1 << 31) - 1;
    let http2 = &config.http2;
    let mut builder = Builder::new();
    builder
        .initial_window_size(http2.stream_window.min(WINDOW_MAX))
        .initial_connection_window_size(http2.connection_window.min(WINDOW_MAX))
        .max_header_list_size(u32::try_from(config.header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .initial_max_send_streams(http2.streams.clamp(1, STREAMS_UNASKED))
        .enable_push(false)
        .max_concurrent_streams(0)
        .max_concurrent_reset_streams(RESETS_REMEMBERED)
        .max_local_error_reset_streams(Some(FAULTS_MAX));
    builder
}
