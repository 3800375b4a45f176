//! The public door: stamps a request with its arrival and whether a peer asks, and hands it to the
//! proxy.
//!
//! May use `proxy`, `net`, `semantics` and `telemetry`. What an engine refuses comes by here as
//! well, so that the proxy makes every response.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::message::{Answer, Ended, Fault, Peer, Reply, Request, Seen};
use crate::net::Handler;
use crate::net::peer::{PEER, PeerProof};
use crate::proxy::{Arrival, Exchange, Proxy};
use crate::semantics::time::Timestamp;

/// The handler behind every public listener.
#[derive(Clone, Debug)]
pub struct PublicDoor {
    proxy: Arc<Proxy>,
    /// What nodes of the tier before this one prove; `None` where there is no such tier.
    edges: Option<PeerProof>,
    calendar: fn() -> Timestamp,
}

impl PublicDoor {
    /// A door to `proxy`, for clients and for `edges` that have this proof.
    pub fn new(proxy: Arc<Proxy>, edges: Option<PeerProof>) -> Self {
        Self { proxy, edges, calendar }
    }

    /// The same, with requests stamped by another calendar.
    #[cfg(test)]
    pub(crate) fn by(self, calendar: fn() -> Timestamp) -> Self {
        Self { calendar, ..self }
    }

    /// The clocks, read once a request.
    fn arrival(&self, from_edge: bool) -> Arrival {
        let instant = tokio::time::Instant::now();
        Arrival { instant, now: (self.calendar)(), from_edge }
    }

    /// Whether the request comes from an edge that has proven it.
    fn is_from_edge(&self, request: &Request) -> bool {
        let Some(edges) = self.edges.as_ref() else { return false };
        let fields = &request.fields;
        fields.seen().any(Seen::HEADLAND_PEER)
            && fields.get(PEER.as_str()).is_some_and(|proof| edges.is_proven_by(proof))
    }
}

impl Handler for PublicDoor {
    type Exchange = Exchange;

    fn serve(&self, request: Request) -> Answer<Exchange> {
        let arrival = self.arrival(self.is_from_edge(&request));
        self.proxy.serve(request, arrival)
    }

    fn refuse(&self, peer: &Peer, fault: Fault) -> Reply<Exchange> {
        self.proxy.refuse(peer, fault, self.arrival(false))
    }

    fn may_run_until(&self, exchange: &mut Exchange, now: Instant) -> Option<Instant> {
        self.proxy.may_run_until(exchange, now)
    }

    fn ended(&self, exchange: Exchange, ended: Ended) {
        self.proxy.ended(&exchange, ended);
    }
}

/// The calendar of the machine.
fn calendar() -> Timestamp {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX))
}
