//! Keys whose responses were not to be shared: for a bounded time their requests go by themselves,
//! so that an uncacheable resource is never serialised behind a flight (Varnish: hit-for-miss).

use std::fmt;
use std::time::Duration;

use moka::sync::Cache;

use crate::object::{CacheKey, KeyHasher};

/// The keys remembered.
pub struct HitForMiss(Cache<CacheKey, (), KeyHasher>);

impl HitForMiss {
    /// Remembers up to `keys` keys for `lifetime` each; a zero lifetime remembers nothing.
    pub fn new(keys: u64, lifetime: Duration) -> Self {
        let keys = if lifetime.is_zero() { 0 } else { keys };
        let cache = Cache::builder().max_capacity(keys).time_to_live(lifetime);
        Self(cache.build_with_hasher(KeyHasher::default()))
    }

    /// The response for `key` was not to be shared.
    pub fn remember(&self, key: CacheKey) {
        self.0.insert(key, ());
    }

    /// A response for `key` could be shared after all.
    pub fn forget(&self, key: CacheKey) {
        if self.holds(key) {
            self.0.invalidate(&key);
        }
    }

    /// Whether requests for `key` go by themselves.
    pub fn holds(&self, key: CacheKey) -> bool {
        self.0.contains_key(&key)
    }
}

impl fmt::Debug for HitForMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HitForMiss({} keys)", self.0.entry_count())
    }
}
