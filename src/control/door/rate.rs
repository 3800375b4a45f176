//! How many requests a second the holder of a token may make: a second's worth may come at once.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

/// Buckets, one a name: as many as there are tokens.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Requests that may come now.
    left: f64,
    at: Duration,
}

impl RateLimit {
    pub(super) fn new(per_second: usize) -> Self {
        Self { per_second: per_second as f64, buckets: Mutex::default() }
    }

    /// Takes one request of `name`; false if there are too many.
    pub(super) fn take(&self, name: &str, now: Duration) -> bool {
        let mut buckets = self.buckets.lock();
        if !buckets.contains_key(name) {
            buckets.insert(name.to_owned(), Bucket { left: self.per_second, at: now });
        }
        let Some(bucket) = buckets.get_mut(name) else { return false };
        let gained = now.saturating_sub(bucket.at).as_secs_f64() * self.per_second;
        bucket.left = (bucket.left + gained).min(self.per_second);
        bucket.at = now;
        let is_allowed = bucket.left >= 1.0;
        bucket.left -= if is_allowed { 1.0 } else { 0.0 };
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own() {
        let limit = RateLimit::new(2);
        let take = |name, ms| limit.take(name, Duration::from_millis(ms));
        assert_eq!([take("a", 0), take("a", 0), take("a", 0)], [true, true, false]);
        assert!(take("b", 0));
        assert_eq!([take("a", 499), take("a", 500), take("a", 501)], [false, true, false]);
        assert_eq!([9000, 9000, 9000].map(|ms| take("a", ms)), [true, true, false]);
    }
}
