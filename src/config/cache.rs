//! `[cache]`: what this node stores, and how requests for the same thing share a fetch.

use std::path::PathBuf;
use std::time::Duration;

use super::reference::Sample::{Commented, Required};
use super::rule::Within;
use super::section::section;
use super::units::{ByteSize, Rate};

section! {
    /// What this node stores, and how requests for the same thing share a fetch.
    pub struct Cache {
        /// Memory for stored responses: heads, bodies and book-keeping.
        memory: ByteSize = ByteSize::gib(1), Within(ByteSize::mib(1)..=ByteSize::tib(16));
        /// The disk tier; without it this node stores in memory only.
        disk: Option<Disk> = None,
            Commented(r#"{ path = "/var/cache/headland", size = "100GiB" }"#);
        /// Larger responses with a strong entity tag, from an origin with ranges, are fetched and
        /// stored in slices of this size, at most a quarter of `memory`; so is any response of
        /// which a range is asked for first.
        slice: ByteSize = ByteSize::mib(1), Within(ByteSize::kib(64)..=ByteSize::mib(64));
        /// Largest response that is stored in one piece, never more than `memory`, or a quarter of
        /// a segment where there is a disk tier; a larger one is stored in slices, or relayed where
        /// it cannot be.
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
        /// Bodies that are compressed at once, each with a few MiB of memory until all of it has
        /// come, however slow its origin; past it responses leave as they came.
        compressions: usize = 64, Within(1..=65_536);
        /// Threads that compress; 0: one for every two cores.
        compress_threads: usize = 0, Within(0..=1024);
    }
}

section! {
    /// The disk tier.
    pub struct Disk {
        /// Folder of the segment files, for this node alone.
        path: PathBuf = PathBuf::new(), Required(r#""/var/cache/headland""#);
        /// Disk space for stored responses. A change of it empties a store whose segments would
        /// then be fewer than 4 or more than 16383: a new store has segments of a 32nd of its
        /// size, at least 8MiB and up to 2TiB at most 256MiB.
        size: ByteSize = ByteSize::gib(100), Within(ByteSize::mib(64)..=ByteSize::tib(16));
        /// Responses that may wait to be written; past it they are served and not stored on disk.
        queue: ByteSize = ByteSize::mib(64), Within(ByteSize::mib(1)..=ByteSize::gib(16));
        /// Threads that may wait for the disk at a time, to read what is not in the page cache.
        readers: usize = 8, Within(1..=1024);
        /// How often is noted what was used of late, for the next start.
        checkpoint: Duration = Duration::from_secs(10),
            Within(Duration::from_secs(1)..=Duration::from_hours(1));
        /// How fast what is stored is read in the background, round and round, to find what the
        /// disk has damaged; a round begins an hour after the last at the earliest. 0B/s: not at
        /// all.
        scrub: Rate = Rate(ByteSize::mib(4)),
            Within(Rate::bytes_per_second(0)..=Rate(ByteSize::gib(16)));
    }
}
