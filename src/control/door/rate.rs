//! How much of something a name may have a second: a second's worth may come at once.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// Buckets, one a name.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    names_max: usize,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// What may come now.
    left: f64,
    at: Duration,
}

impl RateLimit {
    /// One for so many names at a time.
    pub(super) fn new(per_second: usize, names_max: usize) -> Self {
        Self { per_second: per_second as f64, names_max, buckets: Mutex::default() }
    }

    /// Takes one for `name`; false if there are too many, or too many names.
    pub(super) fn take(&self, name: &str, now: Duration) -> bool {
        let mut buckets = self.buckets.lock();
        if !buckets.contains_key(name) {
            if buckets.len() >= self.names_max {
                // One that has filled up is as good as none.
                buckets.retain(|_, bucket| now.saturating_sub(bucket.at) < SECOND);
            }
            if buckets.len() >= self.names_max {
                return false;
            }
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
        let limit = RateLimit::new(2, 8);
        let take = |name, ms| limit.take(name, Duration::from_millis(ms));
        assert_eq!([take("a", 0), take("a", 0), take("a", 0)], [true, true, false]);
        assert!(take("b", 0));
        assert_eq!([take("a", 499), take("a", 500), take("a", 501)], [false, true, false]);
        assert_eq!([9000, 9000, 9000].map(|ms| take("a", ms)), [true, true, false]);
    }
    #[test]
    fn names_are_bounded() {
        let limit = RateLimit::new(2, 2);
        let take = |name, ms| limit.take(name, Duration::from_millis(ms));
        assert_eq!([take("a", 0), take("b", 500), take("c", 999)], [true, true, false]);
        assert_eq!([take("b", 999), take("c", 1000), take("d", 1000)], [true, true, false]);
    }
}
