//! What a request's Cache-Control asks of a cache (RFC 9111 section 5.2.1), for sites that obey it.
//!
//! A shared cache need not: whoever may send `no-cache` may have the origin asked as often as he
//! likes.

use super::cache_control::CacheControl;
use super::freshness::{Freshness, FreshnessFlags};
use super::time::Timestamp;

/// What one request asks. The default asks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestDirectives {
    /// Nothing of this exchange is to be stored.
    pub no_store: bool,
    /// What is stored is to be validated first.
    pub no_cache: bool,
    /// A stored response is wanted, or none.
    pub only_if_cached: bool,
    /// The greatest age wanted, in seconds.
    pub max_age: Option<u32>,
    /// Seconds for which a response must still be fresh.
    pub min_fresh: Option<u32>,
    /// Seconds of staleness that are accepted; `u32::MAX` is any.
    pub max_stale: Option<u32>,
}

impl RequestDirectives {
    /// Reads the lines of Cache-Control, and of Pragma; `None` if nothing is asked.
    pub fn read<'a>(
        cache_control: impl Iterator<Item = &'a [u8]>,
        pragma: impl Iterator<Item = &'a [u8]>,
    ) -> Option<RequestDirectives> {
        let mut lines = cache_control.peekable();
        // RFC 9111 section 5.4: Pragma counts where there is no Cache-Control.
        let by_pragma = lines.peek().is_none() && CacheControl::parse(pragma).no_cache.is_present();
        let said = CacheControl::parse(lines);
        let asked = RequestDirectives {
            no_store: said.no_store,
            no_cache: said.no_cache.is_present() || by_pragma,
            only_if_cached: said.only_if_cached,
            max_age: said.max_age,
            min_fresh: said.min_fresh,
            max_stale: said.max_stale.map(|seconds| seconds.unwrap_or(u32::MAX)),
        };
        (asked != RequestDirectives::default()).then_some(asked)
    }

    /// Whether a fresh response will do.
    pub fn takes_fresh(&self, freshness: &Freshness, now: Timestamp) -> bool {
        // RFC 8246 section 2: a reload needs no validation of what does not change while fresh,
        // where the client does not insist by no-cache.
        let young = freshness.flags.has(FreshnessFlags::IMMUTABLE)
            || self.max_age.is_none_or(|seconds| freshness.age(now) <= seconds);
        let left = || self.min_fresh.is_none_or(|least| freshness.left(now) >= i64::from(least));
        !self.no_cache && young && left()
    }

    /// Whether a stale response will do that may be served at all, as to staleness and age.
    pub fn takes_stale(&self, freshness: &Freshness, now: Timestamp) -> bool {
        let young = self.max_age.is_none_or(|seconds| freshness.age(now) <= seconds);
        !self.no_cache
            && self.min_fresh.is_none()
            && young
            && self.max_stale.is_some_and(|seconds| freshness.staleness(now) <= seconds)
    }

    /// Whether the request says how old a response may be, so that the server's leave to serve a
    /// stale one meanwhile does not count.
    pub fn limits_age(&self) -> bool {
        self.no_cache || self.max_age.is_some() || self.min_fresh.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::freshness::FreshnessFlags;
    use super::*;

    fn read(cache_control: &[&str], pragma: &[&str]) -> Option<RequestDirectives> {
        let cache_control = cache_control.iter().map(|line| line.as_bytes());
        RequestDirectives::read(cache_control, pragma.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn what_is_asked_is_read() {
        const NONE: RequestDirectives = RequestDirectives {
            no_store: false,
            no_cache: false,
            only_if_cached: false,
            max_age: None,
            min_fresh: None,
            max_stale: None,
        };
        let no_cache = Some(RequestDirectives { no_cache: true, ..NONE });
        let max_age = |seconds| Some(RequestDirectives { max_age: Some(seconds), ..NONE });
        let min_fresh = |seconds| Some(RequestDirectives { min_fresh: Some(seconds), ..NONE });
        let max_stale = |seconds| Some(RequestDirectives { max_stale: Some(seconds), ..NONE });
        let cases: [(&[&str], &[&str], Option<RequestDirectives>); 22] = [
            (&[], &[], None),
            (&["public, foo"], &[], None),
            (&["no-cache"], &[], no_cache),
            (&["No-Cache=\"x\""], &[], no_cache),
            (&[], &["no-cache"], no_cache),
            (&[], &["foo, NO-CACHE"], no_cache),
            (&["foo"], &["no-cache"], None),
            (&[], &["no-cache; foo"], no_cache),
            (&["no-cache; foo"], &[], no_cache),
            (&["max-age=60; foo"], &[], max_age(0)),
            (&["no-store"], &[], Some(RequestDirectives { no_store: true, ..NONE })),
            (&["only-if-cached"], &[], Some(RequestDirectives { only_if_cached: true, ..NONE })),
            (&["max-age=0"], &[], max_age(0)),
            (&["max-age=\"9\""], &[], max_age(9)),
            (&["max-age=60", "max-age=9"], &[], max_age(9)),
            (&["max-age=x"], &[], max_age(0)),
            (&["max-age=99999999999"], &[], max_age(u32::MAX)),
            (&["min-fresh=9, min-fresh=60"], &[], min_fresh(60)),
            (&["min-fresh=x"], &[], None),
            (&["max-stale"], &[], max_stale(u32::MAX)),
            (&["max-stale=9"], &[], max_stale(9)),
            (&["max-stale=x"], &[], max_stale(0)),
        ];
        for (cache_control, pragma, wanted) in cases {
            assert_eq!(read(cache_control, pragma), wanted, "{cache_control:?} {pragma:?}");
        }
    }

    #[test]
    fn ages_are_held_against_what_is_asked() {
        let born = Timestamp::from_seconds(1_000_000);
        let freshness = Freshness {
            born,
            lifetime: 10,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            flags: FreshnessFlags::EXPLICIT,
        };
        // At which age a response will do while it is fresh, and once it is stale.
        let cases: [(&str, u64, bool, bool); 15] = [
            ("no-cache", 0, false, false),
            ("no-cache, max-stale", 12, false, false),
            ("max-age=5", 5, true, false),
            ("max-age=5", 6, false, false),
            ("max-age=0", 0, true, false),
            ("min-fresh=4", 6, true, false),
            ("min-fresh=4", 7, false, false),
            ("max-stale", 99, true, true),
            ("max-stale=3", 13, true, true),
            ("max-stale=3", 14, true, false),
            ("max-stale=0", 10, true, true),
            ("max-age=12, max-stale=9", 12, true, true),
            ("max-age=12, max-stale=9", 13, false, false),
            ("min-fresh=1, max-stale", 12, false, false),
            ("no-store", 5, true, false),
        ];
        for (asked, age, fresh, stale) in cases {
            let (asks, now) = (read(&[asked], &[]).unwrap(), born.plus(Duration::from_secs(age)));
            assert_eq!(asks.takes_fresh(&freshness, now), fresh, "{asked} {age}");
            assert_eq!(asks.takes_stale(&freshness, now), stale, "{asked} {age}");
        }
    }
}
