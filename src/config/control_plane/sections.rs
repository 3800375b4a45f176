//! The sections that only a control plane has.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use crate::config::logging::LEVEL;
use crate::config::reference::Sample::Commented;
use crate::config::rule::{Form, Within};
use crate::config::secret::Secret;
use crate::config::section::{choice, section};
use crate::config::units::ByteSize;

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
        /// Nodes that may be registered. On NATS their registrations, some 80 bytes each, have to
        /// fit into one message: beyond some 10,000 the servers need a higher `max_payload`.
        nodes: usize = 10_000, Within(1..=1_000_000);
    }
}

section! {
    /// The ordered log of purges.
    pub struct PurgeLog {
        /// Where the log lives: in a folder of this process, or on NATS JetStream, where several
        /// control processes share it, one of which leads at a time.
        backend: Backend = Backend::default();
        /// embedded: folder of the log and of the registrations, made if need be; of this process
        /// alone.
        path: PathBuf = PathBuf::new(), Commented(r#""/var/lib/headland""#);
        /// nats: URLs of servers, `nats://` or `tls://`, any of which will do. All of a cluster
        /// have to have `jetstream { sync_interval: always }`: what they acknowledge is durable
        /// then.
        servers: Vec<String> = vec![], Commented(r#"["nats://nats-1.internal:4222"]"#);
        /// nats: name of the stream and of the key-value bucket, made if need be.
        stream: String = "headland".to_owned(), STREAM;
        /// nats: servers that each keep a copy; where the stream is there, it stays as it is. With
        /// 3 the log outlives the loss of one server.
        replicas: usize = 1, Within(1..=5);
        /// nats: file of the credentials (JWT and seed) with which this process signs in.
        credentials_file: Option<PathBuf> = None, Commented(r#""headland.creds""#);
        /// nats: PEM file of the authority behind the servers' certificates, beside the system's.
        ca_file: Option<PathBuf> = None, Commented(r#""nats-ca.pem""#);
        /// nats: whether the servers have to show at the start that they sync, by
        /// `$SYS.REQ.SERVER.PING.JSZ` that the system account exports. False is somebody's word
        /// that all of them do.
        check_sync: bool = true;
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

section! {
    /// What a purge does beyond the promise.
    pub struct Purge {
        /// Repeats each purge after this long, for origins that are not consistent at once; 0s:
        /// does not. What waits for it when the control plane stops, or another takes the lead, is
        /// not repeated.
        settle: Duration = Duration::ZERO, Within(Duration::ZERO..=Duration::from_hours(1));
    }
}

/// The name of a stream is that of a bucket as well, and part of a subject.
const STREAM: Form = Form {
    expected: "1 to 64 letters, digits, \"_\" or \"-\"",
    holds: |name| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        (1..=64).contains(&name.len()) && name.bytes().all(plain)
    },
    sample: None,
};

impl PurgeLog {
    /// Reads the credentials, if there are any.
    ///
    /// # Errors
    /// The file system's.
    pub fn credentials(&self) -> io::Result<Option<Secret>> {
        let read = self.credentials_file.as_ref().map(fs::read_to_string);
        Ok(read.transpose()?.map(Secret::new))
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
    /// Sites and origins that are published to the nodes. They lie where the log does.
    pub struct Publish {
        /// Versions that are kept, to be looked at and gone back to. All are in memory.
        versions: usize = 32, Within(4..=256);
        /// Bytes of the text of one. On NATS it has to fit into one message.
        size: ByteSize = ByteSize::kib(256), Within(ByteSize::kib(1)..=ByteSize::mib(4));
    }
}

section! {
    /// What is remembered of who did what; each event is a line of the log as well.
    pub struct Audit {
        /// Events, the newest kept; those that were refused are kept beside them, up to 1,024.
        events: usize = 10_000, Within(16..=1_048_576);
        /// File that keeps them over a restart, of this process alone. Without one it is
        /// `audit.log` in the folder of an embedded log; on NATS they end with the process.
        file: Option<PathBuf> = None, Commented(r#""/var/lib/headland/audit.log""#);
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
