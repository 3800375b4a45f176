//! How often a client may ask: a bucket of tokens for each, in a table of fixed size. The time is
//! passed in.
//!
//! Of a bucket there is kept when it will be full again (GCRA): a request moves that on by one
//! interval, and one that would move it too far is refused. A bucket that is full is as good as
//! none, so nobody has to clean up.
//!
//! ```text
//!  client ── hash, seeded ──► one of N sets, each with a lock of its own
//!                             [ client, full at │ client, full at │ … 8 ]
//! ```
//!
//! A set that has no room forgets the client whose bucket will be full first: the one that loses
//! least. Whoever asks too much is not set free by the many who ask a little.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::site::rate_limit::RateLimit;
use crate::semantics::time::Timestamp;

/// Clients of one set. Two cache lines.
const WAYS: usize = 8;

/// The clients of one limit.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    /// From one request to the next, in nanoseconds.
    interval: u64,
    /// How far ahead of now a bucket may be full again, in nanoseconds.
    depth: u64,
    seed: RandomState,
    sets: Box<[Mutex<[Slot; WAYS]>]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    client: u64,
    /// In nanoseconds since the epoch; 0 for nobody.
    full_at: u64,
}

impl Limiter {
    /// A table in which every bucket is full.
    pub(super) fn new(limit: &RateLimit) -> Self {
        let interval = nanos(limit.rate.interval());
        let sets = limit.clients.div_ceil(WAYS);
        Self {
            limit: limit.clone(),
            interval,
            depth: interval.saturating_mul(limit.burst as u64),
            seed: RandomState::new(),
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        }
    }

    /// What it was made by.
    pub(super) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes a token of the client's.
    ///
    /// # Errors
    /// How long it takes until there is one, in whole seconds.
    pub(super) fn ask(&self, client: IpAddr, now: Timestamp) -> Result<(), u64> {
        let client = name_of(client);
        let now = now.millis().saturating_mul(1_000_000);
        let set = self.seed.hash_one(client) % self.sets.len() as u64;
        let mut set = self.sets[set as usize].lock();
        let slot = match set.iter_mut().position(|slot| slot.client == client) {
            Some(at) => &mut set[at],
            None => {
                let Some(slot) = set.iter_mut().min_by_key(|slot| slot.full_at) else {
                    return Ok(());
                };
                *slot = Slot { client, full_at: 0 };
                slot
            }
        };
        let (full_at, taken) = self.take(slot.full_at, now);
        slot.full_at = full_at;
        taken
    }

    /// What [`Self::ask`] would say.
    ///
    /// # Errors
    /// The same.
    pub(super) fn peek(&self, client: IpAddr, now: Timestamp) -> Result<(), u64> {
        let client = name_of(client);
        let now = now.millis().saturating_mul(1_000_000);
        let set = self.seed.hash_one(client) % self.sets.len() as u64;
        let set = self.sets[set as usize].lock();
        let slot = set.iter().find(|slot| slot.client == client);
        self.take(slot.map_or(0, |slot| slot.full_at), now).1
    }

    /// When a bucket is full again from which a token is taken now, if there is one.
    fn take(&self, full_at: u64, now: u64) -> (u64, Result<(), u64>) {
        // A clock that was set back does not lock anybody out.
        let full_at = full_at.clamp(now, now.saturating_add(self.depth));
        let next = full_at.saturating_add(self.interval);
        match next.saturating_sub(now.saturating_add(self.depth)) {
            0 => (next, Ok(())),
            missing => (full_at, Err(missing.div_ceil(1_000_000_000))),
        }
    }
}

/// Whoever has a /64 of IPv6 has all of its addresses. No prefix of that kind is a number that
/// stands for IPv4: `::/32` is nobody's.
fn name_of(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::units::Frequency;

    fn limiter(rate: &str, burst: usize, clients: usize) -> Limiter {
        Limiter::new(&RateLimit { rate: Frequency::parse(rate).unwrap(), burst, clients })
    }

    const START: u64 = 1_800_000_000_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(START + millis)
    }

    fn v4(host: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(host).into()
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = limiter("10/s", 3, 64);
        let asks = [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(1)),
            (99, Err(1)),
            (100, Ok(())),
            (100, Err(1)),
            (200, Ok(())),
            (5000, Ok(())),
            (5000, Ok(())),
            (5000, Ok(())),
            (5000, Err(1)),
        ];
        for (millis, expected) in asks {
            for _ in 0..2 {
                assert_eq!(limiter.peek(v4(1), at(millis)), expected, "{millis}");
            }
            assert_eq!(limiter.ask(v4(1), at(millis)), expected, "{millis}");
        }
        assert_eq!(limiter.ask(v4(2), at(0)), Ok(()), "another client has a bucket of its own");
    }

    #[test]
    fn the_wait_is_told_in_whole_seconds() {
        let limiter = limiter("2/m", 1, 64);
        assert_eq!(limiter.ask(v4(1), at(0)), Ok(()));
        for (millis, wait) in [(0, 30), (1, 30), (1000, 29), (29_000, 1), (29_999, 1)] {
            assert_eq!(limiter.ask(v4(1), at(millis)), Err(wait), "{millis}");
        }
        assert_eq!(limiter.ask(v4(1), at(30_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limiter = limiter("1/m", 2, 64);
        for _ in 0..2 {
            assert_eq!(limiter.ask(v4(1), at(86_400_000)), Ok(()));
        }
        assert_eq!(limiter.ask(v4(1), at(0)), Err(60));
        assert_eq!(limiter.ask(v4(1), at(60_000)), Ok(()));
    }

    #[test]
    fn clients_are_addresses_or_networks_of_v6() {
        let limiter = limiter("1/h", 1, 64);
        for (client, expected) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
            ("2001:db8:0:0:ffff::", false),
            ("2001:db8:0:1::1", true),
        ] {
            let asked = limiter.ask(client.parse().unwrap(), at(0));
            assert_eq!(asked.is_ok(), expected, "{client}");
        }
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_asks_too_much() {
        let limiter = limiter("1/h", 10, 64);
        assert_eq!(limiter.sets.len() * WAYS, 64);
        for _ in 0..10 {
            assert_eq!(limiter.ask(v4(0), at(0)), Ok(()));
        }
        for host in 1..10_000 {
            assert_eq!(limiter.ask(v4(host), at(1)), Ok(()));
        }
        assert!(limiter.ask(v4(0), at(2)).is_err());
    }

    proptest! {
        #[test]
        fn no_more_get_through_than_burst_and_rate_say(
            burst in 1..20_u64, waits in prop::collection::vec(0..300_u64, 1..200),
        ) {
            let limiter = limiter("10/s", burst as usize, 64);
            let (mut now, mut passed, mut tokens) = (0, 0, burst * 100);
            for wait in waits {
                now += wait;
                tokens = (tokens + wait).min(burst * 100);
                let expected = tokens >= 100;
                prop_assert_eq!(limiter.ask(v4(1), at(now)).is_ok(), expected);
                if expected {
                    tokens -= 100;
                    passed += 1;
                }
                prop_assert!(passed <= burst + now / 100);
            }
        }
    }
}
