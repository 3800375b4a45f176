//! The head of a stored response: what the verdict asks, and the lines that leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::StatusCode;

use super::block;
use super::large::Large;
use super::purge::{Sequence, TagKey, TargetUri, tags_of};
use super::vary_index::VaryIndex;
use crate::message::{FieldBlock, field_lines};
use crate::semantics::conditional::EntityTag;
use crate::semantics::freshness::{Freshness, FreshnessFlags};
use crate::semantics::time::{Timestamp, parse_http_date};
use crate::semantics::verdict::{PurgeState, StoredFacts};

/// Everything of a stored response but its body. Made once, when the response came.
#[derive(Debug)]
pub struct ObjectHead {
    /// The status.
    pub status: StatusCode,
    /// The purge sequence that the response is known to reflect: the node's position when its fetch
    /// began.
    pub sequence: Sequence,
    /// The highest sequence up to which no purge rule covers this response, counted from
    /// `sequence`. Only a hint: it rises and never falls, and a stale reading costs one more
    /// judgement.
    checked: AtomicU32,
    /// Age and lifetime, its fields side by side with ours: as a struct it would be padded.
    born: Timestamp,
    lifetime: u32,
    stale_while_revalidate: u32,
    stale_if_error: u32,
    flags: FreshnessFlags,
    validators: Validators,
    /// Bytes of the lines.
    lines: u32,
    /// The lines that leave; behind them the target, and where it is small, the body of a stored
    /// response.
    bytes: Bytes,
    aside: Option<Box<Aside>>,
}

/// What most responses do not have.
#[derive(Clone, Debug, Default)]
struct Aside {
    withheld: Option<FieldBlock>,
    /// The body, unless it stands behind the lines.
    large: Option<Large>,
    /// This is no response, but stands for them.
    varies: Option<Arc<VaryIndex>>,
}

/// Which validators stand in the lines and can be read, one bit each.
#[derive(Clone, Copy, Debug)]
struct Validators(u8);

impl ObjectHead {
    /// A head as it came from upstream, for `target`. `block` holds the lines that leave, framing
    /// and hop-by-hop fields left out; `withheld` see [`withheld`](Self::withheld).
    pub fn new(
        status: StatusCode,
        freshness: Freshness,
        sequence: Sequence,
        block: &FieldBlock,
        withheld: Option<Box<FieldBlock>>,
        target: &TargetUri<'_>,
    ) -> Self {
        let lines = block.as_bytes();
        let mut bytes = Vec::with_capacity(lines.len() + target.encoded_len());
        bytes.extend_from_slice(lines);
        target.encode(&mut bytes);
        Self::over_bytes(status, freshness, sequence, lines.len(), bytes.into(), withheld)
    }

    /// A head whose `bytes` are so many of lines, and the target.
    pub(super) fn over_bytes(
        status: StatusCode,
        freshness: Freshness,
        sequence: Sequence,
        lines: usize,
        bytes: Bytes,
        withheld: Option<Box<FieldBlock>>,
    ) -> Self {
        let Freshness { born, lifetime, stale_while_revalidate, stale_if_error, flags } = freshness;
        let validators = Validators::of(&FieldBlock::from_lines(bytes.slice(..lines)));
        Self {
            status,
            sequence,
            checked: AtomicU32::new(0),
            born,
            lifetime,
            stale_while_revalidate,
            stale_if_error,
            flags,
            validators,
            lines: lines as u32,
            bytes,
            aside: Aside { withheld: withheld.map(|lines| *lines), ..Aside::default() }.boxed(),
        }
    }

    /// No response, but what leads to them: the status says as much (RFC 9110 section 15.4.1), and
    /// the rest nothing.
    pub(super) fn leading_to(index: Arc<VaryIndex>) -> Self {
        let aside = Aside { varies: Some(index), ..Aside::default() }.boxed();
        let (status, none) = (StatusCode::MULTIPLE_CHOICES, Bytes::new());
        let head = Self::over_bytes(status, Default::default(), Default::default(), 0, none, None);
        Self { aside, ..head }
    }

    /// The same head, with `body` behind it in one allocation of its own.
    pub(super) fn followed_by<'b>(&'b self, body: impl Iterator<Item = &'b [u8]> + Clone) -> Self {
        let own = self.own_bytes();
        let length = own.len() + body.clone().map(<[u8]>::len).sum::<usize>();
        let bytes = block::joined(length, std::iter::once(own).chain(body));
        self.over(bytes, None)
    }

    /// The same head, with a body of its own pieces.
    pub(super) fn beside(&self, body: Large) -> Self {
        self.over(self.bytes.slice(..self.own_len()), Some(body))
    }

    fn over(&self, bytes: Bytes, large: Option<Large>) -> Self {
        let checked = AtomicU32::new(self.checked.load(Ordering::Acquire));
        let aside = Aside { withheld: self.withheld().cloned(), large, varies: None }.boxed();
        Self { bytes, aside, checked, ..*self }
    }

    /// Age and lifetime.
    pub fn freshness(&self) -> Freshness {
        Freshness {
            born: self.born,
            lifetime: self.lifetime,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            flags: self.flags,
        }
    }

    /// Lines as upstream sent them that leave otherwise, or not at all: what a later 304 does not
    /// say anew still counts as upstream said it.
    pub fn withheld(&self) -> Option<&FieldBlock> {
        self.aside.as_ref()?.withheld.as_ref()
    }

    /// The body, where it does not stand behind the lines.
    pub(super) fn large(&self) -> Option<&Large> {
        self.aside.as_ref()?.large.as_ref()
    }

    /// The index, where this leads to variants.
    pub(super) fn varies(&self) -> Option<&Arc<VaryIndex>> {
        self.aside.as_ref()?.varies.as_ref()
    }

    /// The lines that leave.
    pub fn block(&self) -> FieldBlock {
        FieldBlock::from_lines(self.bytes.slice(..self.lines as usize))
    }

    /// The URL that this answers; `None` where this is no response.
    pub fn target(&self) -> Option<TargetUri<'_>> {
        TargetUri::decode(&self.bytes[self.lines as usize..])
    }

    /// The surrogate keys that the origin gave it.
    pub fn tags(&self) -> impl Iterator<Item = TagKey> {
        self.tag_names().map(TagKey::new)
    }

    /// The same, as they were given.
    pub fn tag_names(&self) -> impl Iterator<Item = &[u8]> {
        tags_of(self.withheld().into_iter().flat_map(FieldBlock::iter))
    }

    /// Whether this is the head of one slice: the head of the whole object stands by itself.
    pub fn is_slice(&self) -> bool {
        self.status == StatusCode::PARTIAL_CONTENT
    }

    /// The bytes of lines and target.
    pub(super) fn own_bytes(&self) -> &[u8] {
        &self.bytes[..self.own_len()]
    }

    fn own_len(&self) -> usize {
        let lines = self.lines as usize;
        lines + TargetUri::len_in(&self.bytes[lines..]).unwrap_or(0)
    }

    /// What stands behind lines and target, shared.
    pub(super) fn behind(&self) -> Bytes {
        self.bytes.slice(self.own_len()..)
    }

    /// Bytes of what stands behind lines and target.
    pub(super) fn behind_len(&self) -> usize {
        self.bytes.len() - self.own_len()
    }

    /// Bytes of the lines that leave, and of those withheld.
    pub fn size(&self) -> u64 {
        u64::from(self.lines) + self.withheld().map_or(0, |lines| lines.as_bytes().len() as u64)
    }

    /// Bytes that hold the head, but for this struct and the lines: the target among them.
    pub(super) fn bookkeeping(&self) -> usize {
        let aside = self.aside.as_ref().map_or(0, |aside| {
            let withheld = aside.withheld.as_ref().map(|lines| lines.as_bytes().len());
            size_of::<Aside>() + withheld.map_or(0, block::overhead)
        });
        let target = self.own_len() - self.lines as usize;
        block::overhead(self.bytes.len()) + target + aside
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
        if self.validators.has(Validators::ETAG) { self.value("etag") } else { None }
    }

    /// When the representation last changed, as the origin says.
    pub fn last_modified(&self) -> Option<Timestamp> {
        if !self.validators.has(Validators::LAST_MODIFIED) {
            return None;
        }
        self.value("last-modified").and_then(parse_http_date)
    }

    fn value(&self, name: &str) -> Option<&[u8]> {
        self.fields().find_map(|(found, value)| (found == name).then_some(value))
    }

    /// The facts that the verdict asks for.
    pub fn facts(&self, purged: PurgeState) -> StoredFacts {
        StoredFacts {
            freshness: self.freshness(),
            validator: self.validators.has(Validators::ETAG | Validators::LAST_MODIFIED),
            strong_validator: self.validators.has(Validators::STRONG),
            purged,
        }
    }

    /// Up to which sequence this response was judged clean.
    pub fn checked(&self) -> u64 {
        self.sequence.number.saturating_add(self.checked.load(Ordering::Acquire).into())
    }

    /// Remembers a judgement: no rule up to `number` covers this response.
    pub fn set_checked(&self, number: u64) {
        let past = number.saturating_sub(self.sequence.number);
        self.checked.fetch_max(u32::try_from(past).unwrap_or(u32::MAX), Ordering::AcqRel);
    }
}

impl Aside {
    fn boxed(self) -> Option<Box<Self>> {
        let any = self.withheld.is_some() || self.large.is_some() || self.varies.is_some();
        any.then(|| Box::new(self))
    }
}

impl Validators {
    const LAST_MODIFIED: u8 = 1;
    const ETAG: u8 = 2;
    /// The entity tag is a strong one.
    const STRONG: u8 = 4;

    fn of(block: &FieldBlock) -> Self {
        let dated = block.get("last-modified").and_then(parse_http_date);
        let etag = block
            .get("etag")
            .and_then(EntityTag::parse)
            .map_or(0, |tag| if tag.weak { Self::ETAG } else { Self::ETAG | Self::STRONG });
        Self(etag | dated.map_or(0, |_| Self::LAST_MODIFIED))
    }

    /// Whether any of `bits` is set.
    fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_where_it_was_judged_rises_and_never_falls() {
        let target = crate::object::tests::target("/");
        let (status, sequence) = (StatusCode::OK, Sequence { number: 100 });
        let block = FieldBlock::default();
        let head = ObjectHead::new(status, Default::default(), sequence, &block, None, &target);
        assert_eq!(head.checked(), 100);
        for (judged, wanted) in
            [(90, 100), (107, 107), (103, 107), (107, 107), (u64::MAX, 100 + u64::from(u32::MAX))]
        {
            head.set_checked(judged);
            assert_eq!(head.checked(), wanted, "{judged}");
        }
    }
}
