//! What all endpoints of a node share: keys, TLS and the limits in QUIC's words.

use std::sync::Arc;
use std::time::Duration;

use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};

use super::steering::LoopIds;
use crate::net::Limits;

/// Bytes of request content taken ahead of its reader, for one stream and for all of a connection:
/// what a transfer of 100 MB/s needs over 10 ms, and a client's share of memory.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Control and QPACK streams of HTTP/3, and a few that a client opens as grease.
const UNI_STREAMS: u32 = 8;
/// How much later than the session QUIC finds a connection idle: the session closes it with a word,
/// QUIC silently.
const SILENCE: Duration = Duration::from_secs(1);
/// Datagrams of a handshake kept before it is taken up; ours are taken up at once.
const INCOMING: usize = 1024;

/// Settings and keys shared by the endpoints of all event loops, so that a token or a reset made by
/// one is known to the others.
#[derive(Clone)]
pub struct Quic {
    endpoint: EndpointConfig,
    server: Arc<ServerConfig>,
    pub(super) handshake_timeout: Duration,
    pub(super) connection_buffer: u64,
}

/// Why the settings cannot serve QUIC.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The TLS provider lacks what RFC 9001 section 5.1 demands.
    #[error("QUIC needs TLS 1.3 with TLS13_AES_128_GCM_SHA256")]
    CipherSuite,
}

impl Quic {
    /// Takes the TLS side (certificates, ALPN, tickets) as given. 0-RTT stays off unless `tls`
    /// allows it, since a replayed request is not told from a new one.
    pub fn new(tls: Arc<rustls::ServerConfig>, limits: &Limits) -> Result<Self, ConfigError> {
        let crypto = QuicServerConfig::try_from(tls).map_err(|_| ConfigError::CipherSuite)?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server.transport_config(Arc::new(transport(limits)));
        server.max_incoming(INCOMING);
        Ok(Self {
            endpoint: EndpointConfig::default(),
            server: Arc::new(server),
            handshake_timeout: limits.handshake_timeout,
            connection_buffer: limits.connection_buffer as u64,
        })
    }

    /// The state machine of one event loop's endpoint.
    pub(super) fn endpoint(
        &self,
        event_loop: usize,
        loops: usize,
        probe_mtu: bool,
    ) -> quinn_proto::Endpoint {
        let mut config = self.endpoint.clone();
        let ids = LoopIds::new(event_loop, loops);
        config.cid_generator(move || Box::new(ids));
        let server = Some(Arc::clone(&self.server));
        quinn_proto::Endpoint::new(Arc::new(config), server, probe_mtu, None)
    }
}

fn transport(limits: &Limits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let longest = Duration::from_millis(VarInt::MAX.into_inner());
    let idle = IdleTimeout::try_from((limits.idle_timeout + SILENCE).min(longest));
    transport
        .max_concurrent_bidi_streams(limits.streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS.into())
        .max_idle_timeout(idle.ok())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(limits.connection_buffer as u64)
        // HTTP/3 as served here has no datagrams (RFC 9297).
        .datagram_receive_buffer_size(None);
    transport
}
