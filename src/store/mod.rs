//! The tiers that hold stored responses, and the purge rules judged at look-up.
//!
//! May use `object`, `config` and `telemetry`. Only the memory tier stands here today.
//!
//! Invariants:
//! - the store never fails a request: what cannot be read is a miss;
//! - a rule is published before the head that names it, so whoever sees the head sees the rule.
//!
//! ```text
//!  primary key ──► Resident::Stored ─────────────► Arc<Stored>
//!              └─► Resident::Varies(VaryIndex) ──► key of the variant ──► Arc<Stored>
//! ```

mod disk;
mod memory;
mod rules;

use std::sync::Arc;

pub use memory::TierFigures;
use memory::{Memory, Resident};
pub use rules::Rules;

use crate::object::{CacheKey, Selection, Stored, Variant, VaryIndex, VarySpec};

/// How much the store may hold.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Bytes of the memory tier, book-keeping included.
    pub memory: u64,
    /// Variants of one key.
    pub variants: usize,
    /// Purge rules kept before they are merged into one.
    pub rules: usize,
}

/// Every tier of one node.
#[derive(Debug)]
pub struct Store {
    memory: Memory,
    rules: Rules,
    variants: usize,
}

/// What a look-up found.
#[derive(Debug)]
pub enum Lookup {
    /// A stored response, and the key it stands under.
    Found(CacheKey, Arc<Stored>),
    /// Nothing. The key is the variant's, where the resource is known to vary.
    Missing(CacheKey),
}

impl Lookup {
    /// The key of the variant that the request selects, as far as it is known.
    pub fn key(&self) -> CacheKey {
        match self {
            Self::Found(key, _) | Self::Missing(key) => *key,
        }
    }
}

impl Store {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Self {
        Self {
            memory: Memory::new(limits.memory),
            rules: Rules::new(limits.rules),
            variants: limits.variants,
        }
    }

    /// Finds the stored response for `primary`; `select` writes the request's normalised selecting
    /// fields where the resource varies (RFC 9111 section 4.1).
    pub fn lookup(
        &self,
        primary: CacheKey,
        select: impl FnOnce(&VarySpec, &mut Selection),
    ) -> Lookup {
        let key = match self.memory.get(primary) {
            None => return Lookup::Missing(primary),
            Some(Resident::Stored(stored)) => return Lookup::Found(primary, stored),
            Some(Resident::Varies(index)) => index.key_of(primary, select),
        };
        match self.memory.get(key) {
            Some(Resident::Stored(stored)) => Lookup::Found(key, stored),
            Some(Resident::Varies(_)) | None => Lookup::Missing(key),
        }
    }

    /// Makes known by which fields `primary` varies, so that look-ups tell its variants apart
    /// before the first is stored.
    pub fn announce(&self, primary: CacheKey, spec: &VarySpec) {
        self.vary_index(primary, spec);
    }

    /// Stores a response under `primary`, or as one of its variants.
    pub fn insert(&self, primary: CacheKey, variant: Option<&Variant>, stored: Arc<Stored>) {
        let Some(Variant { spec, selection }) = variant else {
            let replaced = self.memory.insert(primary, Resident::Stored(stored));
            return self.retire(replaced);
        };
        let index = self.vary_index(primary, spec);
        let key = index.key_of(primary, |_, out| out.extend_from_slice(selection));
        if let Some(surplus) = index.admit(key, self.variants) {
            self.memory.remove(surplus);
        }
        self.memory.insert(key, Resident::Stored(stored));
    }

    /// Forgets what is stored for `primary`, every variant with it (RFC 9111 section 4.4).
    pub fn remove(&self, primary: CacheKey) {
        let removed = self.memory.remove(primary);
        self.retire(removed);
    }

    /// The purge rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What the memory tier holds.
    pub fn memory_figures(&self) -> TierFigures {
        self.memory.figures()
    }

    /// The index of `primary`'s variants: the present one if it selects by the same fields.
    fn vary_index(&self, primary: CacheKey, spec: &VarySpec) -> Arc<VaryIndex> {
        if let Some(index) = self.memory.get(primary).and_then(|resident| resident.varies_by(spec))
        {
            return index;
        }
        let made = Arc::new(VaryIndex::new(spec.clone(), fastrand::u64(..)));
        let keeps = |present: &Resident| present.varies_by(spec).is_some();
        let (present, replaced) =
            self.memory.insert_unless(primary, Resident::Varies(made.clone()), keeps);
        self.retire(replaced);
        present.and_then(|resident| resident.varies_by(spec)).unwrap_or(made)
    }

    /// Gives up the variants of an index that is no longer found.
    fn retire(&self, gone: Option<Resident>) {
        if let Some(Resident::Varies(index)) = gone {
            for variant in index.retire() {
                self.memory.remove(variant);
            }
        }
    }
}

#[cfg(test)]
mod tests;
