//! `[limits]`: what clients may ask of this node.

use std::time::Duration;

use super::rule::{Limit, Within};
use super::section::section;
use super::units::{ByteSize, Rate};

/// Stands for ever where a time is not limited.
const FOREVER: Duration = Duration::from_hours(24 * 365);

section! {
    /// What clients may ask of this node. 0: no limit.
    pub struct Limits {
        /// Client connections open at once.
        connections: usize = 65_536, Limit(1..=16_777_216);
        /// Client connections open at once from one address.
        connections_per_address: usize = 10_000, Limit(1..=16_777_216);
        /// Requests on one connection, which is then closed without losing one.
        requests_per_connection: usize = 4_294_967_295, Limit(1..=4_294_967_295);
        /// Requests at once on one HTTP/2 or HTTP/3 connection.
        streams: usize = 256, Limit(1..=65_536);
        /// Streams that a client resets on one connection before it is closed.
        resets_per_connection: usize = 1_000, Limit(1..=4_294_967_295);
        /// Header fields of a request.
        headers: usize = 128, Limit(8..=4_096);
        /// Header section of a request, names and values together.
        header_bytes: ByteSize = ByteSize::kib(64), Limit(ByteSize::kib(1)..=ByteSize::mib(1));
        /// The URL of a request.
        url: ByteSize = ByteSize::kib(8), Limit(ByteSize(64)..=ByteSize::mib(1));
        /// The body of a request.
        request_body: ByteSize = ByteSize::gib(1), Limit(ByteSize(1)..=ByteSize::tib(1024));
        /// From the opening of a connection to the end of its TLS or QUIC handshake.
        handshake_timeout: Duration = Duration::from_secs(10),
            Limit(Duration::from_millis(10)..=FOREVER);
        /// From the first byte of a request to the end of its header section.
        header_timeout: Duration = Duration::from_secs(10),
            Limit(Duration::from_millis(10)..=FOREVER);
        /// How long a connection may stand still: between requests, or while a body should move.
        idle_timeout: Duration = Duration::from_secs(60),
            Limit(Duration::from_millis(10)..=FOREVER);
        /// Connections at once that have left HTTP by the upgrade of a site. Over it such requests
        /// get 503.
        tunnels: usize = 4_096, Limit(1..=16_777_216);
        /// How long such a connection may stand still, both ways.
        tunnel_idle_timeout: Duration = Duration::from_mins(10),
            Limit(Duration::from_millis(10)..=FOREVER);
        /// From the head of a request to the end of its response, or to its 101.
        request_timeout: Duration = Duration::from_hours(1),
            Limit(Duration::from_millis(10)..=FOREVER);
        /// Slowest transfer of a body, up or down.
        min_rate: Rate = Rate::bytes_per_second(128),
            Within(Rate::bytes_per_second(0)..=Rate(ByteSize::gib(1)));
        /// How long a body may move more slowly than `min_rate`.
        min_rate_grace: Duration = Duration::from_secs(60),
            Limit(Duration::from_secs(1)..=FOREVER);
        /// Whether an HTTP/1.1 client that shut its sending side down, as one that left has, is
        /// still waited with for a response that the origin has yet to send.
        half_close: bool = false;
        /// How long requests under way may run on when the node stops.
        drain_timeout: Duration = Duration::from_secs(30),
            Limit(Duration::from_millis(10)..=FOREVER);
        /// Bytes of responses that wait in one connection for a slow client.
        connection_buffer: ByteSize = ByteSize::kib(256),
            Within(ByteSize::kib(16)..=ByteSize::mib(64));
        /// Bytes of a body too large to store that are held for its slowest reader, and of slices
        /// that one reader may have fetched ahead, eight at most.
        relay_window: ByteSize = ByteSize::mib(8), Within(ByteSize::kib(64)..=ByteSize::gib(1));
    }
}
