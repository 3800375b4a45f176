//! `[site.rate_limit]`: how often a client may ask.

use crate::config::rule::Within;
use crate::config::section::section;
use crate::config::units::Frequency;

section! {
    /// How often a client may ask: an IPv4 address, or a /64 of IPv6. Others get 429. Routes that
    /// have it from their site share its count; false stands for no limit.
    pub struct RateLimit {
        /// Requests in the long run: so many a second, minute or hour.
        rate: Frequency = Frequency::default();
        /// Requests at once, after a rest.
        burst: usize = 100, Within(1..=1_000_000);
        /// Clients that are told apart. With more than that, those are forgotten that come nearest
        /// to having rested.
        clients: usize = 65_536, Within(64..=16_777_216);
    }
}
