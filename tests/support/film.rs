//! An object of any size whose bytes are made up where they are asked for, by range or whole.

use super::Reply;
use super::upload::RequestHead;

/// A large object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Film {
    /// Bytes in all.
    pub(crate) total: u64,
    /// Every version has other bytes, and another entity tag.
    pub(crate) version: u64,
    /// Whether parts can be had.
    pub(crate) ranges: bool,
}

impl Film {
    /// The first version, with ranges.
    pub(crate) fn new(total: u64) -> Self {
        Self { total, version: 0, ranges: true }
    }

    /// Its bytes from `start` up to `end`.
    pub(crate) fn bytes(self, start: u64, end: u64) -> Vec<u8> {
        let word = |place: u64| {
            let mixed = (place ^ self.version << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ mixed >> 29).to_le_bytes()
        };
        let mut bytes: Vec<u8> = (start / 8..end.div_ceil(8)).flat_map(word).collect();
        bytes.truncate((end - start / 8 * 8) as usize);
        bytes.split_off((start % 8) as usize)
    }

    fn etag(self) -> String {
        format!("\"film-{}\"", self.version)
    }

    /// What an origin answers that obeys RFC 9110.
    pub(super) fn reply(self, head: &RequestHead) -> Reply {
        let etag = self.etag();
        let fields = |reply: Reply| {
            let reply = reply.field("cache-control", "max-age=3600").field("etag", &etag);
            reply.field("content-type", "video/film")
        };
        if head.field("if-none-match") == etag {
            return fields(Reply::new(304));
        }
        let current = ["", &*etag].contains(&&*head.field("if-range"));
        let whole = fields(Reply::new(200)).made_up(self, 0, self.total);
        match parse(&head.field("range")) {
            _ if !self.ranges => whole,
            None => whole.field("accept-ranges", "bytes"),
            Some(_) if !current => whole.field("accept-ranges", "bytes"),
            Some((first, _)) if first >= self.total => {
                Reply::new(416).field("content-range", &format!("bytes */{}", self.total))
            }
            Some((first, last)) => {
                let last = last.min(self.total - 1);
                let range = format!("bytes {first}-{last}/{}", self.total);
                let part = fields(Reply::new(206)).made_up(self, first, last + 1);
                part.field("content-range", &range)
            }
        }
    }
}

/// One range with both ends: all that the node asks for by itself.
fn parse(range: &str) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}
