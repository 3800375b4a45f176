//! Who leads and who follows.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::relay::Relay;
use crate::object::{CacheKey, KeyHasher, ObjectHead, Sequence, Stored, Variant};

/// Locks of the table: enough that two cores seldom meet at one.
const SHARDS: usize = 64;

/// The flights of one node, by the key of their URL.
#[derive(Debug)]
pub struct Flights {
    shards: Box<[Mutex<Shard>]>,
    count: AtomicUsize,
    bound: usize,
}

/// The flights of a URL, one for each variant that was guessed.
type Shard = HashMap<CacheKey, Vec<Flight>, KeyHasher>;

#[derive(Debug)]
struct Flight {
    /// The key that the leader's look-up ended at: the variant's where one was known.
    key: CacheKey,
    sequence: Sequence,
    runway: Arc<Runway>,
    abandoned: Arc<AtomicBool>,
}

/// Where those who wait for a flight go on in the order in which they came.
#[derive(Debug, Default)]
struct Runway {
    landing: Mutex<Option<Landing>>,
    landed: Notify,
}

impl Runway {
    fn landing(&self) -> Option<Landing> {
        self.landing.lock().clone()
    }

    fn land(&self, landing: Landing) {
        *self.landing.lock() = Some(landing);
        self.landed.notify_waiters();
    }

    /// Cancel safe.
    async fn wait(&self) -> Landing {
        loop {
            // In this order: from here on no landing is missed.
            let landed = self.landed.notified();
            if let Some(landing) = self.landing() {
                return landing;
            }
            landed.await;
        }
    }
}

/// How a request takes part.
#[derive(Debug)]
pub enum Join {
    /// It fetches for all.
    Leader(Leader),
    /// It waits for another's fetch.
    Follower(Follower),
    /// The table is full: it fetches for itself alone.
    Alone,
}

/// What a flight came to.
#[derive(Clone, Debug)]
pub enum Landing {
    /// A response that all may read while it arrives.
    Arriving(Arriving),
    /// The head of a response in slices; they fly by themselves.
    Sliced(Sliced),
    /// A stored response of which upstream said that it still holds.
    Validated(Arc<Stored>),
    /// A stale response that stands in for an upstream that failed.
    StandIn(Arc<Stored>),
    /// A response that must not be shared.
    Released,
    /// No response.
    Failed,
}

/// A response on its way.
#[derive(Clone, Debug)]
pub struct Arriving {
    /// Its head.
    pub head: Arc<ObjectHead>,
    /// Bytes of its body, where the head told them.
    pub content_length: Option<u64>,
    /// Its body, so far.
    pub relay: Arc<Relay>,
    /// Which variant it is, where the resource varies.
    pub variant: Option<Arc<Variant>>,
    /// What caches on the way said of it in `Cache-Status`, nearest the origin first.
    pub cache_status: Option<HeaderValue>,
}

/// The head of a response that is fetched, stored and read in slices.
#[derive(Clone, Debug)]
pub struct Sliced {
    /// The head, and how the body is sliced.
    pub stored: Arc<Stored>,
    /// Which variant it is, where the resource varies.
    pub variant: Option<Arc<Variant>>,
    /// What caches on the way said of it in `Cache-Status`, nearest the origin first.
    pub cache_status: Option<HeaderValue>,
}

impl Flights {
    /// No flights, and room for `bound` of them.
    pub fn new(bound: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, count: AtomicUsize::new(0), bound }
    }

    /// Joins the flight for `key` (a variant of `primary`, or `primary` itself), or one that has
    /// brought a variant, or begins one that reflects the purges up to `sequence`. `serves` says of
    /// a flight's sequence, and of what it came to so far, whether it can serve this request: a
    /// flight that cannot is left to those who are in it.
    pub fn join(
        self: &Arc<Self>,
        primary: CacheKey,
        key: CacheKey,
        sequence: Sequence,
        serves: impl Fn(Sequence, Option<&Landing>) -> bool,
    ) -> Join {
        let mut shard = self.shard(primary).lock();
        let present = shard.get(&primary).and_then(|flights| {
            flights.iter().rev().find(|flight| {
                let landing = flight.runway.landing.lock();
                let may_serve = flight.key == key || landing.as_ref().is_some_and(is_variant);
                may_serve && serves(flight.sequence, landing.as_ref())
            })
        });
        if let Some(flight) = present {
            return Join::Follower(Follower { runway: flight.runway.clone() });
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.bound {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Join::Alone;
        }
        let (runway, abandoned) = (Arc::<Runway>::default(), Arc::new(AtomicBool::new(false)));
        let flight = Flight { key, sequence, runway: runway.clone(), abandoned: abandoned.clone() };
        shard.entry(primary).or_default().push(flight);
        drop(shard);
        Join::Leader(Leader { flights: self.clone(), primary, sequence, runway, abandoned })
    }

    /// Joins the flight for `key`, if there is one.
    pub fn follow(&self, primary: CacheKey, key: CacheKey) -> Option<Follower> {
        let shard = self.shard(primary).lock();
        let flight = shard.get(&primary)?.iter().rev().find(|flight| flight.key == key)?;
        Some(Follower { runway: flight.runway.clone() })
    }

    /// A flight that nobody finds: for who may not, or cannot, lead others.
    pub fn lead_alone(self: &Arc<Self>, primary: CacheKey, sequence: Sequence) -> Leader {
        let (runway, abandoned) = (Arc::default(), Arc::default());
        Leader { flights: self.clone(), primary, sequence, runway, abandoned }
    }

    /// Lets nobody join the flights of `primary` any more, and lets none of them be stored but
    /// `own`: an unsafe request has changed the resource (RFC 9111 section 4.4).
    pub fn abandon(&self, primary: CacheKey, own: Option<&Leader>) {
        if let Some(flights) = self.shard(primary).lock().remove(&primary) {
            self.count.fetch_sub(flights.len(), Ordering::Relaxed);
            let is_own = |flight: &Flight| {
                own.is_some_and(|own| Arc::ptr_eq(&own.abandoned, &flight.abandoned))
            };
            for flight in flights.iter().filter(|flight| !is_own(flight)) {
                flight.abandoned.store(true, Ordering::Release);
            }
        }
    }

    /// Flights under way.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn shard(&self, primary: CacheKey) -> &Mutex<Shard> {
        &self.shards[(primary.as_u128() >> 64) as usize % SHARDS]
    }

    /// Takes the flight that `abandoned` identifies out of the table.
    fn leave(&self, primary: CacheKey, abandoned: &Arc<AtomicBool>) {
        let mut shard = self.shard(primary).lock();
        let Some(flights) = shard.get_mut(&primary) else { return };
        let before = flights.len();
        flights.retain(|flight| !Arc::ptr_eq(&flight.abandoned, abandoned));
        self.count.fetch_sub(before - flights.len(), Ordering::Relaxed);
        if flights.is_empty() {
            shard.remove(&primary);
        }
    }
}

/// Whether it is known by now of which requests this is the variant: the leader's look-up, by which
/// the flight is called, may have been before.
fn is_variant(landing: &Landing) -> bool {
    match landing {
        Landing::Arriving(Arriving { variant, .. }) | Landing::Sliced(Sliced { variant, .. }) => {
            variant.is_some()
        }
        _ => false,
    }
}

/// The duty to fetch for all. Dropping it ends the flight: as failed, if it has not landed.
pub struct Leader {
    flights: Arc<Flights>,
    primary: CacheKey,
    sequence: Sequence,
    runway: Arc<Runway>,
    abandoned: Arc<AtomicBool>,
}

impl Leader {
    /// The purges that the fetch reflects.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// A place in the flight that this leads.
    pub fn follower(&self) -> Follower {
        Follower { runway: self.runway.clone() }
    }

    /// Tells all followers what came. Those who join later see it at once.
    pub fn land(&self, landing: Landing) {
        self.runway.land(landing);
    }

    /// Runs `store`, unless the resource was changed by another request meanwhile. Nobody can
    /// [abandon](Flights::abandon) the flight while it runs, so what it stores is found by the
    /// removal that follows. Returns whether it ran.
    pub fn keep(&self, store: impl FnOnce()) -> bool {
        let _shard = self.flights.shard(self.primary).lock();
        let stands = !self.abandoned.load(Ordering::Acquire);
        if stands {
            store();
        }
        stands
    }

    /// Lets nobody join any more. Those who are in it stay.
    pub fn close(&self) {
        self.flights.leave(self.primary, &self.abandoned);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.flights.leave(self.primary, &self.abandoned);
        let is_landed = self.runway.landing.lock().is_some();
        if !is_landed {
            self.runway.land(Landing::Failed);
        }
    }
}

impl fmt::Debug for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").field("primary", &self.primary).finish_non_exhaustive()
    }
}

/// A place in a flight.
#[derive(Clone, Debug)]
pub struct Follower {
    runway: Arc<Runway>,
}

impl Follower {
    /// What the flight came to so far.
    pub fn landed(&self) -> Option<Landing> {
        self.runway.landing()
    }

    /// Waits for the flight to land. Cancel safe: nothing is lost by leaving and asking again.
    pub async fn landing(&mut self) -> Landing {
        self.runway.wait().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Sequence = Sequence { number: 7 };

    fn key(path: &str) -> CacheKey {
        CacheKey::new(0, b"h", path.as_bytes(), None, b"")
    }

    fn join(flights: &Arc<Flights>, path: &str) -> Join {
        flights.join(key(path), key(path), AT, |_, _| true)
    }

    fn lead(flights: &Arc<Flights>, path: &str) -> Leader {
        match join(flights, path) {
            Join::Leader(leader) => leader,
            other => panic!("{other:?}"),
        }
    }

    fn follow(flights: &Arc<Flights>, path: &str) -> Follower {
        match join(flights, path) {
            Join::Follower(follower) => follower,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_first_leads_and_the_rest_follow_until_it_is_over() {
        let flights = Arc::new(Flights::new(9));
        let leader = lead(&flights, "/a");
        let mut early = follow(&flights, "/a");
        leader.land(Landing::Released);
        let mut late = follow(&flights, "/a");
        assert!(matches!(early.landing().await, Landing::Released));
        assert!(matches!(late.landing().await, Landing::Released));
        drop(leader);
        assert_eq!(flights.count(), 0);
        lead(&flights, "/a");
    }

    #[tokio::test]
    async fn a_leader_that_is_dropped_has_failed() {
        let flights = Arc::new(Flights::new(9));
        let leader = lead(&flights, "/a");
        let mut follower = follow(&flights, "/a");
        drop(leader);
        assert!(matches!(follower.landing().await, Landing::Failed));
    }

    #[test]
    fn nobody_joins_a_flight_that_a_purge_covers() {
        let flights = Arc::new(Flights::new(9));
        let _old = lead(&flights, "/a");
        let clean = |since: Sequence, _: Option<&Landing>| since != AT;
        let later = Sequence { number: 8 };
        let join = flights.join(key("/a"), key("/a"), later, clean);
        let Join::Leader(_new) = join else { panic!("{join:?}") };
        let join = flights.join(key("/a"), key("/a"), later, clean);
        assert!(matches!(join, Join::Follower(_)));
        assert_eq!(flights.count(), 2);
    }

    #[test]
    fn an_abandoned_flight_is_neither_joined_nor_stored() {
        let flights = Arc::new(Flights::new(9));
        let old = lead(&flights, "/a");
        flights.abandon(key("/a"), None);
        assert!(!old.keep(|| panic!("stored what was abandoned")));
        let new = lead(&flights, "/a");
        drop(old);
        assert!(new.keep(|| ()));
        assert_eq!(flights.count(), 1);
    }

    #[tokio::test]
    async fn a_closed_flight_serves_those_who_are_in_it() {
        let flights = Arc::new(Flights::new(9));
        let old = lead(&flights, "/a");
        let mut follower = follow(&flights, "/a");
        old.close();
        let _new = lead(&flights, "/a");
        old.land(Landing::Released);
        drop(old);
        assert!(matches!(follower.landing().await, Landing::Released));
        assert_eq!(flights.count(), 1);
    }

    #[test]
    fn a_flight_is_judged_by_what_it_came_to() {
        let flights = Arc::new(Flights::new(9));
        let leader = lead(&flights, "/a");
        let unlanded = |_: Sequence, landing: Option<&Landing>| landing.is_none();
        let join = || flights.join(key("/a"), key("/a"), AT, unlanded);
        assert!(matches!(join(), Join::Follower(_)));
        leader.land(Landing::Released);
        assert!(matches!(join(), Join::Leader(_)));
    }

    #[tokio::test]
    async fn a_flight_is_followed_only_where_there_is_one() {
        let flights = Arc::new(Flights::new(9));
        assert!(flights.follow(key("/a"), key("/a")).is_none());
        let leader = lead(&flights, "/a");
        let mut found = flights.follow(key("/a"), key("/a")).unwrap();
        let mut own = leader.follower();
        leader.land(Landing::Released);
        assert!(matches!(found.landing().await, Landing::Released));
        assert!(matches!(own.landing().await, Landing::Released));
    }

    #[test]
    fn who_leads_alone_is_not_found() {
        let flights = Arc::new(Flights::new(9));
        let leader = flights.lead_alone(key("/a"), AT);
        assert!(flights.follow(key("/a"), key("/a")).is_none() && leader.keep(|| ()));
        drop(leader);
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn a_full_table_lets_requests_go_alone() {
        let flights = Arc::new(Flights::new(1));
        let _leader = lead(&flights, "/a");
        assert!(matches!(join(&flights, "/b"), Join::Alone));
        assert!(matches!(join(&flights, "/a"), Join::Follower(_)));
    }
}
