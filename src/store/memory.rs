//! The memory tier: moka, weighed in bytes.
//!
//! Look-ups take no lock that all cores share; moka's maintenance runs on whichever thread crosses
//! its threshold. No expiry is set: a stale response is still worth a revalidation.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::object::{CacheKey, KeyHasher, Stored, VaryIndex, VarySpec};

/// What moka keeps beside an entry (its hash table's slot, key, entry record and queue node), with
/// what the allocator adds to those. With 200,000 objects of 256 bytes, by resident size, an object
/// takes some 650 bytes beyond head and body; the rest of them is [`Stored::bookkeeping`].
const MOKA_ENTRY: u64 = 400;

/// One resident entry.
#[derive(Clone, Debug)]
pub(super) enum Resident {
    /// A stored response.
    Stored(Arc<Stored>),
    /// The index of a resource's variants.
    Varies(Arc<VaryIndex>),
}

impl Resident {
    /// Whether both are the same, not only alike.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stored(one), Self::Stored(two)) => Arc::ptr_eq(one, two),
            (Self::Varies(one), Self::Varies(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }

    /// The index, if it selects by the fields of `spec`.
    pub(super) fn varies_by(&self, spec: &VarySpec) -> Option<Arc<VaryIndex>> {
        match self {
            Self::Varies(index) if index.spec() == spec => Some(index.clone()),
            _ => None,
        }
    }
}

/// A resident entry as moka holds it: one pointer, for what is wider is paid by every object.
#[derive(Clone)]
struct Slot(Arc<Stored>);

impl From<Resident> for Slot {
    fn from(resident: Resident) -> Self {
        match resident {
            Resident::Stored(stored) => Self(stored),
            Resident::Varies(index) => Self(Arc::new(Stored::leading_to(index))),
        }
    }
}

impl From<Slot> for Resident {
    fn from(Slot(stored): Slot) -> Self {
        match stored.varies() {
            None => Self::Stored(stored),
            Some(index) => Self::Varies(index.clone()),
        }
    }
}

/// The memory tier.
pub(super) struct Memory {
    cache: Cache<CacheKey, Slot, KeyHasher>,
    capacity: u64,
    evictions: Arc<AtomicU64>,
}

/// What a tier holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierFigures {
    /// Stored responses (and, where resources vary, the index of their variants).
    pub objects: u64,
    /// Bytes they take, book-keeping included.
    pub bytes: u64,
    /// Bytes they may take.
    pub capacity_bytes: u64,
    /// Responses given up for room since the start.
    pub evictions: u64,
    /// Responses not stored since the start: no room for them, not worth it, or the disk failed.
    pub refused: u64,
    /// Bytes of responses that wait to be written to disk.
    pub waiting_bytes: u64,
    /// Bytes of memory that the index of what is on disk takes.
    pub index_bytes: u64,
}

impl Memory {
    pub(super) fn new(capacity: u64) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counted = evictions.clone();
        let cache = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, slot: &Slot| weight(&slot.0))
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(KeyHasher::default());
        Self { cache, capacity, evictions }
    }

    pub(super) fn get(&self, key: CacheKey) -> Option<Resident> {
        self.cache.get(&key).map(Resident::from)
    }

    /// Takes over what another tier holds.
    #[cfg(test)]
    pub(super) fn take_over(&self, other: &Self) {
        other.cache.iter().for_each(|(key, slot)| self.cache.insert(*key, slot));
    }

    /// Bytes that the tier may take.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether something stands under `key`. It is no use of it.
    pub(super) fn holds(&self, key: CacheKey) -> bool {
        self.cache.contains_key(&key)
    }

    /// Puts `resident` under `key`, and returns what stood there.
    pub(super) fn insert(&self, key: CacheKey, resident: Resident) -> Option<Resident> {
        self.insert_unless(key, resident, |_| false).1
    }

    /// The same, unless what stands there is to be kept: returns that, or what was replaced.
    pub(super) fn insert_unless(
        &self,
        key: CacheKey,
        resident: Resident,
        keeps: impl FnOnce(&Resident) -> bool,
    ) -> (Option<Resident>, Option<Resident>) {
        let (mut kept, mut replaced) = (None, None);
        self.cache.entry(key).and_compute_with(|entry| {
            let present = entry.map(|entry| Resident::from(entry.into_value()));
            if present.as_ref().is_some_and(keeps) {
                kept = present;
                return Op::Nop;
            }
            replaced = present;
            Op::Put(resident.into())
        });
        (kept, replaced)
    }

    /// Takes out what stands under `key`, if it is what `goes` wants.
    pub(super) fn remove_if(&self, key: CacheKey, goes: impl FnOnce(&Resident) -> bool) {
        self.cache.entry(key).and_compute_with(|entry| {
            let present = entry.map(|entry| Resident::from(entry.into_value()));
            if present.as_ref().is_some_and(goes) { Op::Remove } else { Op::Nop }
        });
    }

    /// Takes out what stands under `key`, and returns it.
    pub(super) fn remove(&self, key: CacheKey) -> Option<Resident> {
        self.cache.remove(&key).map(Resident::from)
    }

    /// Calls `tell` with every entry until that breaks off, in an order of the keys. None of them
    /// counts as used.
    pub(super) fn walk(
        &self,
        mut tell: impl FnMut(CacheKey, Resident) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.cache.iter().try_for_each(|(key, slot)| tell(*key, slot.into()))
    }

    /// Lets go of what was taken out: until then moka keeps it, or lets whoever writes next do it.
    pub(super) fn tidy_up(&self) {
        self.cache.run_pending_tasks();
    }

    pub(super) fn figures(&self) -> TierFigures {
        self.cache.run_pending_tasks();
        TierFigures {
            objects: self.cache.entry_count(),
            bytes: self.cache.weighted_size(),
            capacity_bytes: self.capacity,
            evictions: self.evictions.load(Ordering::Relaxed),
            ..TierFigures::default()
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// Bytes of an entry as moka counts them, up to 4 GiB.
fn weight(stored: &Stored) -> u32 {
    let index = stored.varies().map_or(0, |index| index.weight());
    let bytes = MOKA_ENTRY + stored.bookkeeping() + stored.payload() + index;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
