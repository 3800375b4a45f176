//! The head of a stored response: what the verdict asks, and the lines that leave.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::StatusCode;

use super::purge::Sequence;
use crate::message::{FieldBlock, field_lines};
use crate::semantics::conditional::EntityTag;
use crate::semantics::freshness::Freshness;
use crate::semantics::time::{Timestamp, parse_http_date};
use crate::semantics::verdict::{PurgeState, StoredFacts};

/// Everything of a stored response but its body. Made once, when the response came.
#[derive(Debug)]
pub struct ObjectHead {
    /// The status.
    pub status: StatusCode,
    /// Age and lifetime.
    pub freshness: Freshness,
    /// The purge sequence that the response is known to reflect: the node's position when its fetch
    /// began.
    pub sequence: Sequence,
    /// Lines as upstream sent them that leave otherwise, or not at all: what a later 304 does not
    /// say anew still counts as upstream said it.
    pub withheld: Option<Box<FieldBlock>>,
    /// The lines that leave; behind them, where it is small, the body of a stored response.
    bytes: Bytes,
    /// Bytes of the lines.
    lines: u32,
    /// Where the entity tag stands in the lines: start and length; no length if there is none.
    etag: (u32, u32),
    /// Whether there is a Last-Modified that can be read.
    dated: bool,
    /// The highest sequence up to which no purge rule covers this response. Only a hint: it rises
    /// and never falls, and a stale reading costs one more judgement.
    checked: AtomicU64,
}

impl ObjectHead {
    /// A head as it came from upstream. `block` holds the lines that leave, framing and hop-by-hop
    /// fields left out.
    pub fn new(
        status: StatusCode,
        freshness: Freshness,
        sequence: Sequence,
        block: FieldBlock,
        withheld: Option<Box<FieldBlock>>,
    ) -> Self {
        let bytes = block.shared().clone();
        let place = |value: &[u8]| {
            let start = value.as_ptr() as usize - bytes.as_ptr() as usize;
            (start as u32, value.len() as u32)
        };
        let is_tag = |value: &&[u8]| EntityTag::parse(value).is_some();
        let etag = block.get("etag").filter(is_tag).map_or((0, 0), place);
        let dated = block.get("last-modified").and_then(parse_http_date).is_some();
        let checked = AtomicU64::new(sequence.number);
        let lines = bytes.len() as u32;
        Self { status, freshness, sequence, withheld, bytes, lines, etag, dated, checked }
    }

    /// The same head, with `body` behind its lines in one allocation of its own.
    pub(super) fn followed_by<'b>(&self, body: impl Iterator<Item = &'b [u8]> + Clone) -> Self {
        let length = body.clone().map(<[u8]>::len).sum::<usize>();
        let mut bytes = Vec::with_capacity(self.lines().len() + length);
        bytes.extend_from_slice(self.lines());
        body.for_each(|piece| bytes.extend_from_slice(piece));
        self.over(bytes.into())
    }

    /// The same head without a body behind it.
    pub(super) fn alone(&self) -> Self {
        self.over(self.block().shared().clone())
    }

    fn over(&self, bytes: Bytes) -> Self {
        let (withheld, checked) = (self.withheld.clone(), AtomicU64::new(self.checked()));
        Self { bytes, withheld, checked, ..*self }
    }

    /// The lines that leave.
    pub fn block(&self) -> FieldBlock {
        FieldBlock::from_lines(self.bytes.slice(..self.lines as usize))
    }

    /// What stands behind the lines.
    pub(super) fn behind(&self) -> Bytes {
        self.bytes.slice(self.lines as usize..)
    }

    /// Bytes of the lines that leave, and of those withheld.
    pub(super) fn len(&self) -> usize {
        self.lines as usize + self.withheld.as_ref().map_or(0, |lines| lines.as_bytes().len())
    }

    /// Name and value of every line that leaves.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        field_lines(self.lines())
    }

    fn lines(&self) -> &[u8] {
        &self.bytes[..self.lines as usize]
    }

    /// The entity tag, quotes and weakness mark included; `None` where the field holds no tag.
    pub fn etag(&self) -> Option<&[u8]> {
        let (start, length) = self.etag;
        let tag = self.bytes.get(start as usize..(start + length) as usize)?;
        (!tag.is_empty()).then_some(tag)
    }

    /// When the representation last changed, as the origin says.
    pub fn last_modified(&self) -> Option<Timestamp> {
        if !self.dated {
            return None;
        }
        let mut fields = self.fields();
        fields.find(|(name, _)| *name == "last-modified").and_then(|(_, at)| parse_http_date(at))
    }

    /// The facts that the verdict asks for.
    pub fn facts(&self, purged: PurgeState) -> StoredFacts {
        let etag = self.etag();
        StoredFacts {
            freshness: self.freshness,
            validator: etag.is_some() || self.dated,
            strong_validator: etag.is_some_and(|etag| !etag.starts_with(b"W/")),
            purged,
        }
    }

    /// Up to which sequence this response was judged clean.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    /// Remembers a judgement: no rule up to `number` covers this response.
    pub fn set_checked(&self, number: u64) {
        self.checked.fetch_max(number, Ordering::AcqRel);
    }
}
