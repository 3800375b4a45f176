//! Large objects in slices: read, fetched and stored slice by slice.
//!
//! ```text
//!  head (Slices: total, size, generation) ──► Slicer ── open(range) ─┬─ stream near ─► its relay
//!                                                                    ├─ stored ──────► its bytes
//!    learn:  206 or 200 from upstream ─► head, first slices          ├─ flight ──────► its relay
//!    read:   walks the slices of what a client wants                 └─ lead a flight: fetch
//!    fetch:  one slice by `Range` and `If-Range` ─► relay and store
//!    cut:    slices out of a body that streams by
//! ```
//!
//! Invariants:
//! - all slices of a generation are parts of one representation, named by its strong entity tag:
//!   what upstream says of another one is never stored or sent under it;
//! - the head alone is judged, by purges, freshness and `Vary`; whoever drops or replaces it makes
//!   its slices unreachable, for their keys hold its generation;
//! - a reader holds the slice that it reads and [`AHEAD_MAX`] more, fewer where the relay window is
//!   smaller; and at its beginning, when it may soon be given up, one.

mod cut;
mod fetch;
mod learn;
mod read;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use self::read::SliceReader;
use super::cold::source_of;
use super::context::{Beginning, Journey, Sent, Served, Trouble};
use super::deliver::{self, Part};
use super::head::as_received;
use super::linger::Basis;
use crate::collapse::{Arriving, Follower, Join, Landing, Leader, Relay};
use crate::message::{Body, FieldBlock};
use crate::object::{CacheKey, ObjectHead, Slices, Stored};
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::semantics::range::ByteRange;
use crate::store::Lookup;
use crate::telemetry::metrics::Source;

/// The most slices that one reader has open behind the one that it reads. Each may be a request to
/// the origin, whose way takes its time: so many hide a way of 100 ms at 80 MiB/s.
const AHEAD_MAX: usize = 8;

/// The most slices that are looked for before a response says whether all of it is stored: the
/// look-ups are on the way to each hit.
const LOOKS_MAX: usize = 64;

/// One object in slices, as one request reads or fetches it.
struct Slicer {
    /// The request that its fetches are made from.
    journey: Journey,
    slices: Slices,
    /// The strong entity tag that names the representation.
    etag: Bytes,
    /// The head of every slice's entry.
    head: Arc<ObjectHead>,
}

/// A part of a body, opened: at hand, or on its way.
struct Opening {
    source: Source,
    slice: Slice,
}

enum Slice {
    /// A body of the part's bytes.
    Here(Body),
    /// The landing of the slice's flight; `None` if it was waited for too long.
    Awaited(Awaited),
}

type Awaited = Pin<Box<dyn Future<Output = Option<Landing>> + Send>>;

impl Slicer {
    fn new(journey: &Journey, head: &ObjectHead, slices: Slices) -> Arc<Self> {
        // What clients see of it is the site's to say.
        let etag = as_received(head, "etag").next().unwrap_or_default();
        let etag = Bytes::copy_from_slice(etag);
        let (status, block) = (StatusCode::PARTIAL_CONTENT, FieldBlock::default());
        // Tags stand among what is withheld: what purges the whole purges each slice.
        let withheld = head.withheld().cloned().map(Box::new);
        let (freshness, sequence) = (head.freshness(), head.sequence);
        let target = journey.target_uri();
        let own = ObjectHead::new(status, freshness, sequence, &block, withheld, &target);
        Arc::new(Self { journey: journey.for_fill(), slices, etag, head: Arc::new(own) })
    }

    /// Opens what `range` begins with: all of it where the body streams by, else a slice's part.
    fn open(self: &Arc<Self>, range: ByteRange) -> Opening {
        let stream = self.stream_near(range);
        let follow = |relay: &Arc<Relay>| {
            let body = relay.reader(range.start, Some(range.len()))?;
            Some(Opening { source: Source::Flight, slice: Slice::Here(body) })
        };
        // A stream goes on while it is read: what is stored of it already would lead no further.
        let goes_on = stream.as_ref().filter(|relay| relay.end() < range.end);
        let number = self.slices.number_at(range.start);
        goes_on
            .and_then(follow)
            .or_else(|| self.at_hand(number, range))
            .or_else(|| stream.as_ref().and_then(follow))
            .unwrap_or_else(|| self.lead(number, range))
    }

    /// The same, before it is needed. What streams by comes without being asked for.
    fn open_ahead(self: &Arc<Self>, range: ByteRange) -> Option<Opening> {
        let number = self.slices.number_at(range.start);
        self.at_hand(number, range)
            .or_else(|| self.stream_near(range).is_none().then(|| self.lead(number, range)))
    }

    fn at_hand(&self, number: u64, range: ByteRange) -> Option<Opening> {
        if let Some(stored) = self.stored(number) {
            return Some(self.here(number, &stored, range));
        }
        let follower = self.journey.proxy.flights.follow(self.key(number), self.flight(number))?;
        Some(Opening { source: Source::Flight, slice: self.follow(follower) })
    }

    fn here(&self, number: u64, stored: &Stored, range: ByteRange) -> Opening {
        let (start, length) = self.place(number, range);
        Opening { source: source_of(stored), slice: Slice::Here(stored.part(start, length)) }
    }

    /// Where in slice `number` its part of `range` begins, and the part's length.
    fn place(&self, number: u64, range: ByteRange) -> (u64, u64) {
        let slice = self.slices.range(number);
        (range.start - slice.start, range.end.min(slice.end) - range.start)
    }

    fn follow(&self, mut follower: Follower) -> Slice {
        let limit = self.journey.proxy.config.collapse_wait;
        Slice::Awaited(Box::pin(async move {
            tokio::time::timeout(limit, follower.landing()).await.ok()
        }))
    }

    /// Leads the flight of slice `number`, or follows who was quicker.
    fn lead(self: &Arc<Self>, number: u64, range: ByteRange) -> Opening {
        let proxy = &self.journey.proxy;
        let (key, flight) = (self.key(number), self.flight(number));
        let sequence = proxy.store.rules().head();
        // Which representation a slice is of stands in its key: no purge bears on its flight.
        let leader = match proxy.flights.join(key, flight, sequence, |_, _| true) {
            Join::Leader(leader) => leader,
            Join::Alone => proxy.flights.lead_alone(key, sequence),
            Join::Follower(follower) => {
                return Opening { source: Source::Flight, slice: self.follow(follower) };
            }
        };
        // Another's flight may have ended between the look-up and this flight.
        if let Some(stored) = self.stored(number) {
            let opening = self.here(number, &stored, range);
            leader.land(Landing::Validated(stored));
            return opening;
        }
        // What is cold is brought in by the flight as well.
        let source = if self.is_cold(number) { Source::Disk } else { self.journey.upstream() };
        Opening { source, slice: Slice::Awaited(self.fetch_as(leader, number)) }
    }

    /// Leads a flight of a generation that nobody knows of yet.
    fn lead_first(&self, key: CacheKey, flight: CacheKey) -> Leader {
        let proxy = &self.journey.proxy;
        let sequence = proxy.store.rules().head();
        match proxy.flights.join(key, flight, sequence, |_, _| true) {
            Join::Leader(leader) => leader,
            // The table is full: what this brings is found once it is stored.
            Join::Alone | Join::Follower(_) => proxy.flights.lead_alone(key, sequence),
        }
    }

    /// Fetches slice `number` without others: who leads its flight takes too long.
    fn lead_alone(self: &Arc<Self>, number: u64) -> Awaited {
        let proxy = &self.journey.proxy;
        let leader = proxy.flights.lead_alone(self.key(number), proxy.store.rules().head());
        self.fetch_as(leader, number)
    }

    fn fetch_as(self: &Arc<Self>, leader: Leader, number: u64) -> Awaited {
        let mut follower = leader.follower();
        tokio::spawn(self.clone().fetch(number, leader));
        Box::pin(async move { Some(follower.landing().await) })
    }

    /// The part of `range` that a flight for slice `number` brought.
    fn landed(&self, number: u64, landing: &Landing, range: ByteRange) -> Result<Body, Trouble> {
        let (start, length) = self.place(number, range);
        match landing {
            Landing::Arriving(arriving) => {
                arriving.relay.reader(start, Some(length)).ok_or(Trouble::Failed)
            }
            Landing::Validated(stored) => Ok(stored.part(start, length)),
            Landing::Released => Err(Trouble::Changed),
            Landing::Sliced(_) | Landing::StandIn(_) | Landing::Failed => Err(Trouble::Failed),
        }
    }

    /// The whole body that streams by, if it has come near the beginning of `range`.
    fn stream_near(&self, range: ByteRange) -> Option<Arc<Relay>> {
        let key = self.stream_key();
        let landing = self.journey.proxy.flights.follow(key, key)?.landed()?;
        let Landing::Arriving(Arriving { relay, .. }) = landing else { return None };
        (range.start <= relay.end().saturating_add(self.slices.size)).then_some(relay)
    }

    fn stored(&self, number: u64) -> Option<Arc<Stored>> {
        match self.look_up(number) {
            Lookup::Found(_, stored) => Some(stored).filter(|stored| self.is_slice(number, stored)),
            Lookup::Cold(_) | Lookup::Missing(_) => None,
        }
    }

    /// Slice `number`, if it is on disk and not at hand.
    async fn brought_in(&self, number: u64) -> Option<Arc<Stored>> {
        let Lookup::Cold(key) = self.look_up(number) else { return None };
        let stored = self.journey.proxy.store.bring_in(key).await;
        stored.filter(|stored| self.is_slice(number, stored))
    }

    fn is_cold(&self, number: u64) -> bool {
        matches!(self.look_up(number), Lookup::Cold(_))
    }

    fn look_up(&self, number: u64) -> Lookup {
        self.journey.proxy.store.lookup(self.key(number), |_, _| {})
    }

    fn is_slice(&self, number: u64, stored: &Stored) -> bool {
        stored.len() == self.slices.range(number).len()
    }

    /// Whether all that `parts` want is stored, as far as is looked.
    fn is_stored(&self, parts: &[Part]) -> bool {
        let numbers = parts.iter().flat_map(|part| match part {
            Part::Content(range) if !range.is_empty() => {
                self.slices.number_at(range.start)..self.slices.number_at(range.end - 1) + 1
            }
            _ => 0..0,
        });
        numbers.take(LOOKS_MAX).all(|number| self.journey.proxy.store.holds(self.key(number)))
    }

    /// Slices that a reader may open ahead.
    fn ahead_max(&self) -> usize {
        let fitting = self.journey.proxy.config.relay_window / self.slices.size.max(1);
        usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, AHEAD_MAX)
    }

    fn keep(&self, number: u64, pieces: &[Bytes]) {
        let stored = Arc::new(Stored::new(&self.head, pieces));
        self.journey.proxy.store.insert(self.key(number), None, stored);
    }

    fn key(&self, number: u64) -> CacheKey {
        self.slices.key(self.journey.primary.own, number)
    }

    fn flight(&self, number: u64) -> CacheKey {
        self.journey.flight_key(self.key(number))
    }

    /// Under which a body that streams by is found: no slice has this number.
    fn stream_key(&self) -> CacheKey {
        self.key(u64::MAX)
    }
}

impl Journey {
    /// The response from a stored object in slices, its body still to begin.
    pub(super) fn sliced(
        &self,
        stored: &Arc<Stored>,
        slices: Slices,
        served: Served,
        status: &CacheStatus<'_>,
        before: Option<&http::HeaderValue>,
        reason: &'static str,
    ) -> Sent {
        let head = &stored.head;
        let block = self.inbound.lines_of(head);
        let (response, parts) = deliver::sliced(&self.inbound, head, block, slices.total, before);
        let slicer = (!parts.is_empty()).then(|| Slicer::new(self, head, slices));
        let is_stored =
            slicer.as_ref().is_none_or(|slicer| !status.hit || slicer.is_stored(&parts));
        let reader = slicer.map(|slicer| Box::new(SliceReader::new(slicer, parts)));
        let source = match reader.as_ref().map_or(Source::Memory, |reader| reader.source()) {
            Source::Memory | Source::Disk if !is_stored => self.upstream(),
            source => source,
        };
        let slices = reader.map(|reader| Box::pin(reader.begin()) as Beginning);
        let stamp = self.stamp_of(head);
        let (origin_status, basis) = (None, Basis::Stored(stored.clone()));
        let sent = Sent { response, served, source, origin_status, reason, slices, stamp, basis };
        let sent = match (status.hit, source) {
            (false, _) | (true, Source::Memory | Source::Disk) => sent.with_status(status),
            (true, _) => self.partial(sent, status),
        };
        if sent.served == Served::Collapsed {
            self.proxy.metrics.collapsed();
        }
        sent
    }

    /// RFC 9211 section 2.2: what is stored is a part only, and not all of what the response is
    /// made of. A head that is stale stays so.
    fn partial(&self, sent: Sent, status: &CacheStatus<'_>) -> Sent {
        let collapsed = sent.source == Source::Flight;
        let fwd = Some(Forward::Partial);
        let status = CacheStatus { hit: false, ttl: None, fwd, stored: true, collapsed, ..*status };
        let (served, reason) = match (sent.served, collapsed) {
            (Served::Stale, _) => (Served::Stale, sent.reason),
            (_, true) => (Served::Collapsed, Forward::Partial.as_str()),
            (_, false) => (Served::Miss, Forward::Partial.as_str()),
        };
        Sent { served, reason, ..sent }.with_status(&status)
    }
}

impl Sent {
    fn with_status(mut self, status: &CacheStatus<'_>) -> Self {
        deliver::push_cache_status(status, &mut self.response.extra);
        self
    }
}
