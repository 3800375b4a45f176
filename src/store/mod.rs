//! The tiers that hold stored responses, and the purge rules judged at look-up.
//!
//! May use `object`, `config`, `telemetry` and `durable`.
//!
//! Invariants:
//! - the store never fails a request: what cannot be read is a miss;
//! - a rule is published before the head that names it, so whoever sees the head sees the rule;
//! - both tiers hold the newest response of a key, or none of it: an older one is out of the disk
//!   tier's index before a newer one is in memory.
//!
//! ```text
//!  own key ──► Resident::Stored ─────────────► Arc<Stored>
//!          └─► Resident::Varies(VaryIndex) ──► key of the variant ──► Arc<Stored>
//!
//!  where the site keys by more than the URL, the own key is found like a variant's:
//!  url ──► Resident::Varies(VaryIndex) ──► own key, with the number drawn for the index
//!
//!  look-up   memory ── miss ──► disk ── used often ──► memory
//!  insert    memory, and the disk's queue
//! ```

mod disk;
mod memory;
mod rules;
mod scan;

use std::sync::Arc;

#[cfg(any(test, fuzzing))]
pub(crate) use disk::fuzz;
pub use disk::{
    Damage, Directory as CacheDirectory, DiskConfig, KnownLog, OpenError, Others, SegmentReport,
    StoreReport, Sums, is_at, may_pass, verify,
};
use disk::{Disk, Found, Item, Used};
pub use memory::TierFigures;
use memory::{Memory, Resident};
pub use rules::{NumberedRule, RuleBounds, Rules};
pub use scan::{Pace, Survey, Tally};

use crate::object::{CacheKey, PrimaryKey, Selection, Stored, Variant, VaryIndex, VarySpec};

/// How much the store may hold.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Bytes of the memory tier, book-keeping included.
    pub memory: u64,
    /// Variants of one key.
    pub variants: usize,
    /// Purge rules that are kept apart.
    pub rules: RuleBounds,
}

/// Every tier of one node.
#[derive(Debug)]
pub struct Store {
    memory: Arc<Memory>,
    disk: Option<Disk>,
    rules: Rules,
    variants: usize,
}

/// What a look-up found.
#[derive(Debug)]
pub enum Lookup {
    /// A stored response, and the key it stands under.
    Found(CacheKey, Arc<Stored>),
    /// Something on disk that [`Store::bring_in`] must fetch before it can be looked up.
    Cold(CacheKey),
    /// Nothing. The key is the variant's, where the resource is known to vary.
    Missing(CacheKey),
}

impl Lookup {
    /// The key of the variant that the request selects, as far as it is known.
    pub fn key(&self) -> CacheKey {
        match self {
            Self::Found(key, _) | Self::Cold(key) | Self::Missing(key) => *key,
        }
    }
}

/// What stands under one key.
enum At {
    Stored(Arc<Stored>),
    Varies(Arc<VaryIndex>),
    Cold,
    Nothing,
}

/// Bytes of the largest body that a look-up copies from disk to memory.
const PROMOTED_MAX: u64 = 32 * 1024;

/// Of how many uses of something hot one copies it to memory. A disk hit costs little more than a
/// memory hit, and a copy some ten times as much: where the hot set exceeds the memory tier, most
/// copies would be for nothing.
const PROMOTED_ONE_IN: u8 = 8;

impl Store {
    /// An empty store, in memory alone.
    pub fn new(limits: StoreLimits) -> Self {
        Self {
            memory: Arc::new(Memory::new(limits.memory)),
            disk: None,
            rules: Rules::new(limits.rules),
            variants: limits.variants,
        }
    }

    /// A store over a directory, with what is stored there. `rules` reflect the purges of
    /// `log`. Where the disk is full, read-only or failing, it is a store in memory alone until the
    /// disk is not.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(
        limits: StoreLimits,
        rules: Rules,
        directory: CacheDirectory,
        disk: &DiskConfig,
        log: KnownLog,
    ) -> Result<Self, OpenError> {
        let memory = Arc::new(Memory::new(limits.memory));
        let resident = memory.clone();
        let disk = Disk::open(directory, disk, log, Box::new(move |key| resident.holds(key)))?;
        Ok(Self { memory, disk: Some(disk), rules, variants: limits.variants })
    }

    /// Finds the stored response for `primary`; `select` writes the request's normalised selecting
    /// fields where the resource varies (RFC 9111 section 4.1).
    pub fn lookup(
        &self,
        primary: impl Into<PrimaryKey>,
        select: impl FnOnce(&VarySpec, &mut Selection),
    ) -> Lookup {
        let own = match self.own_key(primary.into()) {
            Ok(own) => own,
            Err(lookup) => return lookup,
        };
        let key = match self.at(own) {
            At::Nothing => return Lookup::Missing(own),
            At::Cold => return Lookup::Cold(own),
            At::Stored(stored) => return Lookup::Found(own, stored),
            At::Varies(index) => index.key_of(own, select),
        };
        match self.at(key) {
            At::Stored(stored) => Lookup::Found(key, stored),
            At::Cold => Lookup::Cold(key),
            At::Varies(_) | At::Nothing => Lookup::Missing(key),
        }
    }

    /// The key under which a primary key's own responses stand; where there is none, what a look-up
    /// finds instead.
    #[inline]
    fn own_key(&self, PrimaryKey { url, own }: PrimaryKey) -> Result<CacheKey, Lookup> {
        if url == own {
            return Ok(own);
        }
        match self.at(url) {
            At::Varies(index) => Ok(index.key_of(own, |_, _| ())),
            At::Cold => Err(Lookup::Cold(url)),
            At::Stored(_) | At::Nothing => Err(Lookup::Missing(own)),
        }
    }

    /// The same, made where there is none.
    fn make_own_key(&self, PrimaryKey { url, own }: PrimaryKey) -> CacheKey {
        if url == own {
            return own;
        }
        let index = self.vary_index(url, &VarySpec::default());
        let key = index.key_of(own, |_, _| ());
        // What it gives up is found as before; only an invalidation leaves it to be evicted.
        let _ = index.admit(key, self.variants);
        key
    }

    /// What a look-up would find, wherever that is; never cold. It is no use of what is on disk,
    /// and takes nothing to memory; of what is in memory, nothing is had without a use. Runs on a
    /// runtime.
    pub async fn glance(
        &self,
        primary: impl Into<PrimaryKey>,
        select: impl FnOnce(&VarySpec, &mut Selection),
    ) -> Lookup {
        let PrimaryKey { url, own } = primary.into();
        let own = match url == own {
            true => own,
            false => match self.glance_at(url).await {
                At::Varies(index) => index.key_of(own, |_, _| ()),
                At::Stored(_) | At::Cold | At::Nothing => return Lookup::Missing(own),
            },
        };
        let key = match self.glance_at(own).await {
            At::Stored(stored) => return Lookup::Found(own, stored),
            At::Varies(index) => index.key_of(own, select),
            At::Cold | At::Nothing => return Lookup::Missing(own),
        };
        match self.glance_at(key).await {
            At::Stored(stored) => Lookup::Found(key, stored),
            At::Varies(_) | At::Cold | At::Nothing => Lookup::Missing(key),
        }
    }

    async fn glance_at(&self, key: CacheKey) -> At {
        let disk = match self.in_memory(key) {
            Ok(disk) => disk,
            Err(at) => return at,
        };
        match disk.glance(key).await {
            Some(Item::Response(stored)) => At::Stored(Arc::new(stored)),
            Some(Item::Varies(spec, draw)) => At::Varies(Arc::new(VaryIndex::new(spec, draw))),
            None => At::Nothing,
        }
    }

    /// Brings in what a look-up found to be [cold](Lookup::Cold); `None` if it cannot be read, or
    /// is to be looked up again. Runs on a runtime.
    pub async fn bring_in(&self, key: CacheKey) -> Option<Arc<Stored>> {
        let disk = self.disk.as_ref()?;
        let (item, used) = disk.bring_in(key).await?;
        match self.take_up(disk, key, item, used) {
            At::Stored(stored) => Some(stored),
            _ => None,
        }
    }

    fn at(&self, key: CacheKey) -> At {
        let disk = match self.in_memory(key) {
            Ok(disk) => disk,
            Err(at) => return at,
        };
        match disk.find(key) {
            Found::Here(item, used) => self.take_up(disk, key, item, used),
            Found::Cold => At::Cold,
            Found::Nothing => At::Nothing,
        }
    }

    /// What is there without a look at the disk; the disk where that has to tell.
    #[inline]
    fn in_memory(&self, key: CacheKey) -> Result<&Disk, At> {
        match (self.memory.get(key), &self.disk) {
            (Some(Resident::Stored(stored)), _) => Err(At::Stored(stored)),
            (Some(Resident::Varies(index)), _) => Err(At::Varies(index)),
            (None, None) => Err(At::Nothing),
            (None, Some(disk)) => disk.waiting(key).map_or(Ok(disk), |it| Err(At::Stored(it))),
        }
    }

    /// Takes what was found on disk to memory, if that is worth it.
    fn take_up(&self, disk: &Disk, key: CacheKey, item: Item, used: Used) -> At {
        match item {
            Item::Varies(spec, draw) => {
                let index = Arc::new(VaryIndex::new(spec, draw));
                self.promote(disk, key, used, Resident::Varies(index.clone()));
                At::Varies(index)
            }
            Item::Response(stored)
                if stored.slices().is_none()
                    && used.is_hot()
                    && stored.len() <= PROMOTED_MAX
                    && fastrand::u8(..PROMOTED_ONE_IN) == 0 =>
            {
                disk.cool(key, used);
                let copy = Arc::new(stored.under(&stored.head));
                if !copy.is_mapped() {
                    self.promote(disk, key, used, Resident::Stored(copy.clone()));
                }
                At::Stored(copy)
            }
            Item::Response(stored) => At::Stored(Arc::new(stored)),
        }
    }

    /// Puts what was found on disk into memory, unless something newer has come.
    fn promote(&self, disk: &Disk, key: CacheKey, used: Used, resident: Resident) {
        let (newer, _) = self.memory.insert_unless(key, resident.clone(), |_| true);
        if newer.is_none() && !disk.still_at(key, used) {
            // It was replaced or removed meanwhile, perhaps between the look and the insertion.
            self.memory.remove_if(key, |present| present.is(&resident));
        }
    }

    /// Makes known by which fields `primary` varies, so that look-ups tell its variants apart
    /// before the first is stored.
    pub fn announce(&self, primary: impl Into<PrimaryKey>, spec: &VarySpec) {
        self.vary_index(self.make_own_key(primary.into()), spec);
    }

    /// Stores a response under `primary`, or as one of its variants.
    pub fn insert(
        &self,
        primary: impl Into<PrimaryKey>,
        variant: Option<&Variant>,
        stored: Arc<Stored>,
    ) {
        let own = self.make_own_key(primary.into());
        let Some(Variant { spec, selection }) = variant else {
            let replaced = self.put(own, stored);
            return self.retire(replaced);
        };
        let index = self.vary_index(own, spec);
        let key = index.key_of(own, |_, out| out.extend_from_slice(selection));
        if let Some(surplus) = index.admit(key, self.variants) {
            self.discard(surplus);
        }
        self.put(key, stored);
    }

    /// Puts a response into every tier, and returns what memory had. A body that stands on disk
    /// stays there: in memory it would keep its segment from being given up. Until it is written
    /// under its new head it is found in the disk's queue.
    fn put(&self, key: CacheKey, stored: Arc<Stored>) -> Option<Resident> {
        if let Some(disk) = &self.disk {
            disk.offer(key, &stored);
        }
        match stored.is_mapped() {
            true => self.memory.remove(key),
            false => self.memory.insert(key, Resident::Stored(stored)),
        }
    }

    /// Forgets what is stored for `primary`, every variant with it.
    pub fn remove(&self, primary: impl Into<PrimaryKey>) {
        let key = match self.own_key(primary.into()) {
            // One that cannot be told from the others goes with them.
            Ok(key) | Err(Lookup::Cold(key)) => key,
            Err(Lookup::Found(..) | Lookup::Missing(_)) => return,
        };
        self.invalidate(key);
    }

    /// Forgets what is stored for a URL, whatever else it is keyed by (RFC 9111 section 4.4). True
    /// if a process that is killed may leave it to the next one, unless [`written`](Self::written)
    /// was waited for.
    pub fn invalidate(&self, url: CacheKey) -> bool {
        let (removed, was_on_disk) = self.discard(url);
        self.retire(removed);
        was_on_disk
    }

    /// Takes what stands under one key out of every tier; returns what memory had, and whether the
    /// disk had anything.
    fn discard(&self, key: CacheKey) -> (Option<Resident>, bool) {
        let was_on_disk = self.disk.as_ref().is_some_and(|disk| disk.remove(key));
        (self.memory.remove(key), was_on_disk)
    }

    /// Waits until what was stored and removed is written to disk, but not for long.
    pub async fn written(&self) {
        if let Some(disk) = &self.disk {
            disk.written().await;
        }
    }

    /// The purge rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether something stands under `key` in any tier. It is no use of it.
    pub fn holds(&self, key: CacheKey) -> bool {
        self.memory.holds(key) || self.disk.as_ref().is_some_and(|disk| disk.holds(key))
    }

    /// What the memory tier holds.
    pub fn memory_figures(&self) -> TierFigures {
        self.memory.figures()
    }

    /// Bytes of the largest body that every tier can hold whole.
    pub fn whole_max(&self) -> u64 {
        self.disk.as_ref().map_or_else(|| self.memory.capacity(), Disk::record_max)
    }

    /// Whether there is a disk tier.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// What the disk tier holds, if there is one.
    pub fn disk_figures(&self) -> Option<TierFigures> {
        self.disk.as_ref().map(Disk::figures)
    }

    /// Why less than the configured size can be used on disk, if so.
    pub fn disk_short(&self) -> Option<String> {
        self.disk.as_ref().and_then(Disk::short)
    }

    /// Why nothing is written to disk, if so.
    pub fn disk_aside(&self) -> Option<String> {
        self.disk.as_ref().and_then(Disk::aside)
    }

    /// Takes over what another process of this node stored in memory, as if that had been a disk.
    #[cfg(test)]
    pub(crate) fn succeed(&self, before: &Self) {
        self.memory.take_over(&before.memory);
    }

    /// Waits until what was stored is written to disk, but not for long. Blocks.
    pub fn flush(&self) {
        if let Some(disk) = &self.disk {
            disk.flush();
        }
    }

    /// The index of `primary`'s variants: the present one if it selects by the same fields.
    fn vary_index(&self, primary: CacheKey, spec: &VarySpec) -> Arc<VaryIndex> {
        if let At::Varies(index) = self.at(primary)
            && index.spec() == spec
        {
            return index;
        }
        let made = Arc::new(VaryIndex::new(spec.clone(), fastrand::u64(..)));
        let keeps = |present: &Resident| present.varies_by(spec).is_some();
        let (present, replaced) =
            self.memory.insert_unless(primary, Resident::Varies(made.clone()), keeps);
        self.retire(replaced);
        if present.is_none()
            && let Some(disk) = &self.disk
        {
            disk.offer_varies(primary, spec, made.draw());
        }
        present.and_then(|resident| resident.varies_by(spec)).unwrap_or(made)
    }

    /// Gives up the variants of an index that is no longer found.
    fn retire(&self, gone: Option<Resident>) {
        if let Some(Resident::Varies(index)) = gone {
            for variant in index.retire() {
                // Of one URL's own keys each may lead to variants.
                let (gone, _) = self.discard(variant);
                self.retire(gone);
            }
        }
    }
}

#[cfg(test)]
mod tests;
