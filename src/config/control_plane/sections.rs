//! The sections that only a control plane has.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::logging::LEVEL;
use crate::config::reference::Sample::Required;
use crate::config::rule::Within;
use crate::config::section::{choice, section};

section! {
    /// Where the control plane can be reached.
    pub struct Listen {
        /// The door for nodes, people and scripts; beyond loopback only with `[tls]` and a
        /// `[[token]]`.
        api: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9190));
    }
}

section! {
    /// The nodes that follow the log of purges.
    pub struct Fleet {
        /// How long a node may take what it has stored for clean after it was last heard: a purge
        /// waits no longer for a node that is gone, and an outage longer than this is felt.
        lease: Duration = Duration::from_secs(10),
            Within(Duration::from_millis(100)..=Duration::from_hours(1));
        /// How long a node that is not heard any more stays in the list, unless it serves on
        /// without the control plane: then it stays until it is removed.
        forget: Duration = Duration::from_hours(24),
            Within(Duration::from_secs(1)..=Duration::from_hours(24 * 365));
        /// Nodes that may be registered.
        nodes: usize = 10_000, Within(1..=1_000_000);
    }
}

section! {
    /// The ordered log of purges.
    pub struct PurgeLog {
        /// Where the log lives: in a folder of this process, or on NATS JetStream.
        backend: Backend = Backend::default();
        /// Folder of the log and of the registrations, made if need be; of this process alone.
        path: PathBuf = PathBuf::new(), Required(r#""/var/lib/headland""#);
        /// Purges that a node may have missed and is still told one by one. Each takes some 300
        /// bytes of memory, and the longer the URL the more.
        entries: usize = 65_536, Within(4096..=16_777_216);
        /// Targets whose last purges are remembered for nodes that missed more than that. Beyond
        /// them the oldest are merged, into one of their whole site or host.
        rules: usize = 65_536, Within(1024..=16_777_216);
        /// Purges that may wait to be written; more are refused.
        queue: usize = 16_384, Within(1000..=1_048_576);
        /// Receipts that are remembered, eight bytes a node each.
        receipts: usize = 1024, Within(16..=1_048_576);
    }
}

choice! {
    /// Where the log of purges lives.
    pub enum Backend {
        /// In a folder of the control process.
        Embedded = "embedded",
        /// On NATS JetStream.
        Nats = "nats",
    }
}

section! {
    /// What is remembered of who did what; each event is a line of the log as well.
    pub struct Audit {
        /// Events, the newest kept.
        events: usize = 10_000, Within(16..=1_048_576);
    }
}

section! {
    /// What may be asked of the control plane.
    pub struct Limits {
        /// Connections open at once: two a node, and those of people.
        connections: usize = 32_768, Within(16..=16_777_216);
        /// Requests a second from the holder of one token, nodes apart; a second's worth may come
        /// at once.
        requests_per_second: usize = 1000, Within(1..=1_000_000);
        /// How long what is under way may run on when the control plane stops.
        drain_timeout: Duration = Duration::from_secs(10),
            Within(Duration::from_millis(10)..=Duration::from_hours(1));
    }
}

section! {
    /// The log of the control plane itself, which goes to standard error.
    pub struct Logging {
        /// What it tells of itself: "error", "warn", "info", "debug" or "trace", also by part as
        /// in "info,headland::net=debug".
        level: String = "info".to_owned(), LEVEL;
    }
}
