//! A body that stands elsewhere than in memory of ours.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::message::Body;

/// A whole body that can be reached as bytes, though reaching them may wait for a disk.
pub trait BodySource: fmt::Debug + Send + Sync {
    /// All of it. Reading these bytes may block: not for an event loop.
    fn bytes(&self) -> &Bytes;

    /// Whether it is in memory, as it was stored: then it can be copied at once.
    fn is_here(&self) -> bool;

    /// BLAKE3 of it as it was stored: [`bytes`](Self::bytes) may be something else by now.
    fn digest(&self) -> &[u8; 32];

    /// `part` of it, which lies within, to be sent without blocking.
    fn send(self: Arc<Self>, part: Range<usize>) -> Body;
}
