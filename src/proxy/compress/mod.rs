//! Responses that leave in fewer bytes than they came, on routes that say so.
//!
//! Which codings a request takes is settled before anything is looked up. What is fetched, stored,
//! purged, validated and shared is what the origin sent, whichever coding that has; so one fetch
//! serves clients of every coding, and what was learned by its parts is coded once it is wanted
//! whole. Where it came in identity and is worth it, the head says which body it has: by a mark,
//! new with each body that is fetched, that 304s leave as it is. The coded copy bears the mark as
//! well, and is nothing by itself: it is only found from the identity that it was made of, after
//! that was judged.
//!
//! ```text
//!  request ─► taken ─► look up, fetch, judge … as anywhere ─► Sent (identity, marked)
//!                                                              │ place and coding: a key
//!              stored under it ◄───────────────────────────────┼─► another codes it: its relay
//!                                                              └─► a place: fill of this flight
//!                        identity's body ─► CodedBody ─► relay ─► those who wait, store
//! ```
//!
//! What is for one client alone leaves as it came. It may hold secrets beside what the client sent,
//! of which the length of a coded body would tell (BREACH); and how long it takes is that client's
//! to say, so a few could hold every place.
//!
//! Invariants:
//! - no coded response begins where its identity might not: what purges, freshness and conditions
//!   say of the one is said of the other, and a coded copy without its identity is never found;
//! - a coded head is made of the identity's as that is now, never kept in its stead;
//! - where no place is free, or the body cannot be coded, the identity leaves.

mod body;
#[cfg(test)]
#[path = "../../../tests/support/decode.rs"]
mod decode;
mod encoder;
mod pool;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};

use self::body::CodedBody;
use self::encoder::Encoder;
pub(super) use self::pool::Compressors;
use self::pool::Place;
use super::Proxy;
use super::coding::{coded_lines, is_of, key_of, mark_of};
use super::context::{Inbound, Journey, Sent};
use super::deliver::{self, Content};
use super::fill::pour;
use super::linger::Basis;
use crate::collapse::{Arriving, Follower, Join, Landing, Leader, Relay, RelayWriter};
use crate::message::{Body, Response, Seen};
use crate::object::{CacheKey, ObjectHead, PrimaryKey, Stored};
use crate::semantics::coding::{Coding, CompressPolicy, Taken, forbids};
use crate::site::Route;
use crate::store::Lookup;

/// What a purge or a change of what is stored came before.
pub(super) struct Overtaken;

impl Inbound {
    /// Settles the codings of the response, where the route codes for clients. A part is of the
    /// identity, and so is what nobody may transform (RFC 9111 section 5.2.1.6).
    pub(super) fn settle_coding(&self, route: &Route) {
        let Some(policy) = route.compress.as_ref().filter(|_| self.edge.is_none()) else { return };
        let seen = self.head.fields.seen();
        let is_forbidden = seen.any(Seen::RANGE)
            || seen.any(Seen::CACHE_CONTROL) && self.head.fields.all("cache-control").any(forbids);
        self.taken.get_or_init(|| match is_forbidden {
            true => Taken::NONE,
            false => policy.taken(self.head.fields.all("accept-encoding")),
        });
    }

    /// The coding that this client is to get where the response is not coded.
    pub(super) fn wanted(&self) -> Option<Coding> {
        self.taken.get().map(|taken| taken.best()).filter(|coding| *coding != Coding::Identity)
    }
}

/// Whether a coded copy has the head that its identity's makes now.
fn is_under(coded: &ObjectHead, identity: &ObjectHead) -> bool {
    coded.sequence == identity.sequence && coded.freshness() == identity.freshness()
}

impl Proxy {
    /// What a client gets of a fresh identity: itself, or its coded copy where that is at hand. The
    /// identity comes back where the copy has to be made or brought in.
    #[inline]
    pub(super) fn coded_hit(
        &self,
        inbound: &Inbound,
        primary: PrimaryKey,
        identity: Arc<Stored>,
    ) -> Result<Arc<Stored>, Arc<Stored>> {
        let Some(coding) = inbound.wanted() else { return Ok(identity) };
        let Some(mark) = mark_of(&identity.head) else { return Ok(identity) };
        match self.store.lookup(key_of(primary.own, mark, coding), |_, _| ()) {
            Lookup::Found(_, coded)
                if is_under(&coded.head, &identity.head) && is_of(&coded.head, &identity.head) =>
            {
                Ok(coded)
            }
            _ => Err(identity),
        }
    }
}

impl Journey {
    /// Whether a response may have to be coded before it leaves.
    pub(super) fn may_code(&self) -> bool {
        self.inbound.wanted().is_some()
    }

    /// What route and node have to say of coding; `None` where an edge asks.
    pub(super) fn compress(&self) -> Option<&CompressPolicy> {
        self.route.compress.as_ref().filter(|_| self.inbound.edge.is_none())
    }

    /// Whether what is stored may leave coded: what is in slices, if the copy can be kept whole.
    pub(super) fn is_codable(&self, stored: &Stored) -> bool {
        stored.slices().is_none_or(|slices| slices.total <= self.proxy.config.max_object)
    }

    /// The response in the coding that the client wants, made of one that may be shared.
    ///
    /// Cancel safe: what is coded for others goes on.
    pub(super) async fn coded(&self, mut sent: Sent) -> Result<Sent, Overtaken> {
        let Some(coding) = self.inbound.wanted() else { return Ok(sent) };
        let identity = match &sent.basis {
            Basis::Stored(stored) if self.is_codable(stored) => &stored.head,
            Basis::Arriving(head) => head,
            _ => return Ok(sent),
        };
        let Some((key, head)) = self.coded_head(identity, coding) else { return Ok(sent) };
        let before = self.purged(identity);
        let response = &mut sent.response;
        let content = self.coded_content(key, coding, head, response).await;
        if self.purged(identity) != before {
            return Err(Overtaken);
        }
        let Some(content) = content else { return Ok(sent) };
        let (inbound, extra) = (&self.inbound, response.extra.clone());
        let (head, content_of) = match &content {
            Coded::Stored(stored) => (&stored.head, Content::Resident(stored)),
            Coded::Arriving(arriving) => (&*arriving.head, Content::Arriving(arriving)),
        };
        sent.response = deliver::coded(inbound, head, content_of, extra).ok_or(Overtaken)?;
        sent.basis = match content {
            Coded::Stored(stored) => Basis::Stored(stored),
            Coded::Arriving(arriving) => Basis::Arriving(arriving.head),
        };
        Ok(sent)
    }

    /// The key and head of the coded copy of an identity; `None` if it is not worth coding, or no
    /// more since a 304.
    pub(super) fn coded_head(
        &self,
        identity: &ObjectHead,
        coding: Coding,
    ) -> Option<(CacheKey, ObjectHead)> {
        let mark = mark_of(identity)?;
        let status = identity.status;
        if !self.compress()?.is_worth(status.as_u16(), None, identity.fields()) {
            return None;
        }
        let block = coded_lines(&identity.block(), coding);
        let withheld = identity.withheld().cloned().map(Box::new);
        let (freshness, sequence) = (identity.freshness(), identity.sequence);
        let target = identity.target()?;
        let head = ObjectHead::new(status, freshness, sequence, &block, withheld, &target);
        Some((key_of(self.primary.own, mark, coding), head))
    }

    /// The coded copy under `head`: stored, on its way, or made of the body of `response`.
    async fn coded_content(
        &self,
        key: CacheKey,
        coding: Coding,
        head: ObjectHead,
        response: &mut Response,
    ) -> Option<Coded> {
        let Proxy { store, flights, .. } = &*self.proxy;
        let found = match store.lookup(key, |_, _| ()) {
            Lookup::Found(_, coded) => Some(coded),
            Lookup::Cold(key) => store.bring_in(key).await,
            Lookup::Missing(_) => None,
        };
        match found.filter(|coded| is_of(&coded.head, &head)) {
            Some(coded) if is_under(&coded.head, &head) => return Some(Coded::Stored(coded)),
            Some(coded) => {
                let coded = Arc::new(coded.under(&head));
                store.insert(key, None, coded.clone());
                return Some(Coded::Stored(coded));
            }
            None => {}
        }
        // What is made of another body is made in a flight of its own.
        let flight = key.variant(mark_of(&head)?);
        let sequence = head.sequence;
        let arriving = move |relay| {
            let (head, variant, cache_status) = (Arc::new(head), None, None);
            Arriving { head, content_length: None, relay, variant, cache_status }
        };
        if let Some(follower) = flights.follow(key, flight) {
            return followed(follower).await.map(|relay| Coded::Arriving(arriving(relay)));
        }
        if self.inbound.head.method != Method::GET || response.status != StatusCode::OK {
            // Only the head is asked for.
            return Some(Coded::Arriving(arriving(Relay::new().0)));
        }
        let (encoder, place) = self.begin_coding(coding, response.content_length)?;
        match flights.join(key, flight, sequence, |_, _| true) {
            Join::Alone => None,
            Join::Follower(follower) => {
                followed(follower).await.map(|relay| Coded::Arriving(arriving(relay)))
            }
            Join::Leader(leader) => {
                let (relay, writer) = Relay::new();
                let arriving = arriving(relay);
                leader.land(Landing::Arriving(arriving.clone()));
                self.proxy.metrics.compression(coding.as_str(), "begun");
                let body = CodedBody::new(std::mem::take(&mut response.body), encoder, place);
                let body = Body::Stream(Box::new(body));
                let (journey, head) = (self.for_fill(), arriving.head.clone());
                tokio::spawn(CodedFill { journey, key, coding, leader, writer, head }.run(body));
                Some(Coded::Arriving(arriving))
            }
        }
    }

    /// An encoder for a body of `length` bytes, if known, and a place among those at work.
    fn begin_coding(&self, coding: Coding, length: Option<u64>) -> Option<(Box<Encoder>, Place)> {
        let begun = self.proxy.compressors.place().and_then(|place| {
            let levels = self.route.compress.as_ref()?.levels;
            Some((Encoder::new(coding, levels, length)?, place))
        });
        if begun.is_none() {
            self.proxy.metrics.compression(coding.as_str(), "busy");
        }
        begun
    }
}

/// A coded copy.
enum Coded {
    Stored(Arc<Stored>),
    Arriving(Arriving),
}

/// The body that another codes: its flight lands as soon as it has begun.
async fn followed(mut follower: Follower) -> Option<Arc<Relay>> {
    match follower.landing().await {
        Landing::Arriving(arriving) => Some(arriving.relay),
        _ => None,
    }
}

/// A coded copy that is being made, for all who wait.
struct CodedFill {
    journey: Journey,
    key: CacheKey,
    coding: Coding,
    leader: Leader,
    writer: RelayWriter,
    head: Arc<ObjectHead>,
}

impl CodedFill {
    async fn run(self, body: Body) {
        let config = &self.journey.proxy.config;
        match pour(config, &self.writer, body, || self.leader.close()).await {
            Ok(_) => {
                if let Some(pieces) = self.writer.pieces() {
                    self.keep(&pieces);
                }
                self.writer.finish(None);
            }
            Err(error) => {
                tracing::debug!(%error, "a coded copy broke off");
                self.writer.fail(error);
            }
        }
    }

    /// Stores the copy while its identity is stored: what is not to be stored has none.
    fn keep(&self, pieces: &[Bytes]) {
        let (journey, store) = (&self.journey, &self.journey.proxy.store);
        let made = match journey.onward().look_up(store, journey.primary) {
            Lookup::Found(_, identity) if is_of(&self.head, &identity.head) => {
                // A 304 may have come meanwhile.
                journey.coded_head(&identity.head, self.coding).map(|(_, head)| head)
            }
            // What is there can only be what it was made of, or leave it where nobody finds it.
            Lookup::Cold(_) => return self.store(&self.head, pieces),
            Lookup::Found(..) | Lookup::Missing(_) => None,
        };
        if let Some(head) = made {
            self.store(&head, pieces);
        }
    }

    fn store(&self, head: &ObjectHead, pieces: &[Bytes]) {
        let stored = Arc::new(Stored::new(head, pieces));
        self.journey.proxy.store.insert(self.key, None, stored);
    }
}
