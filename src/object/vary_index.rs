//! The variants of one resource (RFC 9111 section 4.1).
//!
//! The variants' keys hold a number drawn for this index: once the index is gone (removed, evicted,
//! replaced), its variants cannot be found again, whatever becomes of them in the tier.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::{CacheKey, Selection, VarySpec};

/// By which fields a resource varies, and which variants are there.
#[derive(Debug)]
pub struct VaryIndex {
    spec: VarySpec,
    draw: u64,
    /// In the order they came; bounded by the limit that [`admit`](Self::admit) is given.
    variants: Mutex<VecDeque<CacheKey>>,
}

impl VaryIndex {
    /// An index without variants; `draw` is unlike that of any other.
    pub fn new(spec: VarySpec, draw: u64) -> Self {
        Self { spec, draw, variants: Mutex::default() }
    }

    /// By which fields the resource varies.
    pub fn spec(&self) -> &VarySpec {
        &self.spec
    }

    /// The number that the variants' keys hold.
    pub fn draw(&self) -> u64 {
        self.draw
    }

    /// The key of the variant whose selecting fields `select` writes.
    pub fn key_of(
        &self,
        primary: CacheKey,
        select: impl FnOnce(&VarySpec, &mut Selection),
    ) -> CacheKey {
        let mut selection = Selection::from_slice(&self.draw.to_le_bytes());
        select(&self.spec, &mut selection);
        primary.variant(&selection)
    }

    /// Takes `key` in as a variant; returns the oldest where there are more than `limit`.
    pub fn admit(&self, key: CacheKey, limit: usize) -> Option<CacheKey> {
        let mut variants = self.variants.lock();
        if variants.contains(&key) {
            return None;
        }
        variants.push_back(key);
        if variants.len() > limit { variants.pop_front() } else { None }
    }

    /// The variants that were taken in, and are to be removed with this index.
    pub fn retire(&self) -> VecDeque<CacheKey> {
        std::mem::take(&mut self.variants.lock())
    }

    /// Bytes that this index takes. Its list is left out: 16 bytes a variant, which is within what
    /// each variant's own weight is rounded up by.
    pub fn weight(&self) -> u64 {
        let names = self.spec.names().iter().map(|name| size_of_val(name) + name.len());
        (size_of::<Self>() + names.sum::<usize>()) as u64
    }
}
