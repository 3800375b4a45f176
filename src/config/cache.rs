//! `[cache]`: what this node stores, and how requests for the same thing share a fetch.

use std::path::PathBuf;
use std::time::Duration;

use super::reference::Sample::{Commented, Required};
use super::rule::Within;
use super::section::section;
use super::units::ByteSize;

section! {
    /// What this node stores, and how requests for the same thing share a fetch.
    pub struct Cache {
        /// Memory for stored responses: heads, bodies and book-keeping.
        memory: ByteSize = ByteSize::gib(1), Within(ByteSize::mib(1)..=ByteSize::tib(16));
        /// The disk tier; without it this node stores in memory only.
        disk: Option<Disk> = None,
            Commented(r#"{ path = "/var/cache/headland", size = "100GiB" }"#);
        /// Larger responses are stored on disk in slices of this size, fetched by range.
        slice: ByteSize = ByteSize::mib(1), Within(ByteSize::kib(64)..=ByteSize::mib(64));
        /// Largest response that memory stores, never more than `memory`; a larger one is relayed.
        max_object: ByteSize = ByteSize::mib(64), Within(ByteSize::kib(1)..=ByteSize::tib(16));
        /// How long a key whose response may not be stored is fetched without waiting for others.
        hit_for_miss: Duration = Duration::from_secs(10),
            Within(Duration::ZERO..=Duration::from_hours(1));
        /// Longest wait for the head of a response that another request fetches; past it a request
        /// fetches by itself.
        collapse_wait: Duration = Duration::from_secs(10),
            Within(Duration::ZERO..=Duration::from_mins(5));
        /// Stored responses of one key that differ by `Vary`; the oldest makes room.
        variants: usize = 64, Within(1..=4096);
        /// Fetches under way that others can join; past it requests fetch by themselves.
        flights: usize = 65_536, Within(1..=16_777_216);
    }
}

section! {
    /// The disk tier.
    pub struct Disk {
        /// Folder of the segment files, for this node alone.
        path: PathBuf = PathBuf::new(), Required(r#""/var/cache/headland""#);
        /// Disk space for stored responses.
        size: ByteSize = ByteSize::gib(100), Within(ByteSize::mib(64)..=ByteSize::tib(1024));
    }
}
