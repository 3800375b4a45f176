//! `compress` of a site or route: which responses leave in fewer bytes than they came.

use super::pattern::Pattern;
use super::rule::{Unordered, Within};
use super::section::{choice, section};
use super::units::ByteSize;

section! {
    /// Which responses leave compressed, of those that are stored, where the origin has not done
    /// so itself. Left out: none.
    pub struct Compress {
        /// Codings that are offered, the most wanted first: of those that a client wants alike it
        /// gets the first. The origin is asked for those among them that the client takes, in this
        /// order. Empty: none.
        codings: Vec<Coding> = vec![Coding::Zstd, Coding::Brotli, Coding::Gzip];
        /// Media types that are worth it, without parameters and in lower case; "*" stands for any
        /// characters. An event stream would hold one of `cache.compressions` while it lasts.
        types: Vec<Pattern> = TYPES.iter().map(|text| Pattern::new(*text)).collect(), Unordered;
        /// Smallest body that is compressed, where its length is known.
        min: ByteSize = ByteSize::kib(1), Within(ByteSize(0)..=ByteSize::gib(1));
        /// Largest body that is compressed, where its length is known.
        max: ByteSize = ByteSize::mib(8), Within(ByteSize::kib(1)..=ByteSize::gib(1));
        /// How hard zstd tries: from 3 on each step costs much time and wins little.
        zstd_level: usize = 3, Within(1..=19);
        /// How hard brotli tries. 4 is about as fast as gzip at 6, and from 9 on slower than most
        /// origins send.
        br_level: usize = 4, Within(0..=11);
        /// How hard gzip tries.
        gzip_level: usize = 6, Within(1..=9);
    }
}

choice! {
    /// How a body is coded.
    pub enum Coding {
        /// RFC 8878.
        Zstd = "zstd",
        /// RFC 7932.
        Brotli = "br",
        /// RFC 1952.
        Gzip = "gzip",
    }
}

/// What is text, or close to it, and comes to an end.
const TYPES: [&str; 22] = [
    "application/*+json",
    "application/*+xml",
    "application/javascript",
    "application/json",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "text/calendar",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/markdown",
    "text/plain",
    "text/vtt",
    "text/xml",
];
