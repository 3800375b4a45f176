//! Keys remembered for a bounded time, in a bounded table. Two things are remembered so:
//!
//! - that a response was not to be shared: the key's requests then go by themselves, so that an
//!   uncacheable resource is never serialised behind a flight (Varnish: hit-for-miss);
//! - that a refresh behind a stale response brought nothing: the next one then waits a moment, so
//!   that an upstream that fails is not asked anew by each request.

use std::fmt;
use std::time::Duration;

use moka::sync::Cache;

use crate::object::{CacheKey, KeyHasher};

/// A table of keys.
pub struct RememberedKeys(Cache<CacheKey, (), KeyHasher>);

impl RememberedKeys {
    /// Remembers up to `keys` keys for `lifetime` each; a zero lifetime remembers nothing.
    pub fn new(keys: u64, lifetime: Duration) -> Self {
        let keys = if lifetime.is_zero() { 0 } else { keys };
        let cache = Cache::builder().max_capacity(keys).time_to_live(lifetime);
        Self(cache.build_with_hasher(KeyHasher::default()))
    }

    /// Remembers `key` from now on for the lifetime.
    pub fn remember(&self, key: CacheKey) {
        self.0.insert(key, ());
    }

    /// What was remembered of `key` holds no more.
    pub fn forget(&self, key: CacheKey) {
        if self.holds(key) {
            self.0.invalidate(&key);
        }
    }

    /// Whether `key` is remembered.
    pub fn holds(&self, key: CacheKey) -> bool {
        self.0.contains_key(&key)
    }
}

impl fmt::Debug for RememberedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RememberedKeys({})", self.0.entry_count())
    }
}
