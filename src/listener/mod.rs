//! The public door: stamps a request with its arrival and whether a peer asks, and hands it to the
//! proxy.
//!
//! May use `proxy`, `net`, `semantics` and `telemetry`. What an engine refuses comes by here as
//! well, so that the proxy makes every response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::message::{Answer, Ended, Fault, Peer, Reply, Request, Seen};
use crate::net::Handler;
use crate::net::peer::{PEER, PeerProof};
use crate::proxy::{Arrival, Exchange, Proxy, calendar};
use crate::semantics::time::Timestamp;

/// Between two words on strangers.
const PAUSE: Duration = Duration::from_secs(60);

/// The handler behind every public listener.
#[derive(Clone, Debug)]
pub struct PublicDoor {
    proxy: Arc<Proxy>,
    /// What nodes of the tier before this one prove; `None` where there is no such tier.
    edges: Option<PeerProof>,
    strangers: Arc<Strangers>,
    calendar: fn() -> Timestamp,
}

impl PublicDoor {
    /// A door to `proxy`, for clients and for `edges` that have this proof.
    pub fn new(proxy: Arc<Proxy>, edges: Option<PeerProof>) -> Self {
        Self { proxy, edges, strangers: Arc::default(), calendar }
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
        let fields = &request.head.fields;
        if !fields.seen().any(Seen::HEADLAND_PEER) {
            return false;
        }
        let is_proven = fields.get(PEER.as_str()).is_some_and(|proof| edges.is_proven_by(proof));
        if !is_proven {
            self.strangers.tell(request.head.peer.address, Instant::now());
        }
        is_proven
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

/// Those who ask as an edge and do not prove it. Anybody may, as often as he likes: so it is told
/// now and then.
#[derive(Debug, Default)]
struct Strangers(Mutex<Option<Instant>>);

impl Strangers {
    #[cold]
    fn tell(&self, address: SocketAddr, now: Instant) {
        let mut told = self.0.lock();
        if told.is_some_and(|told| now.saturating_duration_since(told) < PAUSE) {
            return;
        }
        *told = Some(now);
        tracing::warn!(
            %address,
            "asks as an edge with another peer secret, and is served as a client; expected the \
             same secret behind peer.secret_file there and here"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_told_with_its_address_and_what_to_do_now_and_then() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(file.reopen().unwrap());
        let log = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
        let (strangers, start) = (Strangers::default(), Instant::now());
        tracing::subscriber::with_default(log, || {
            for second in 0..=60 {
                let address = SocketAddr::from(([192, 0, 2, second], 4711));
                strangers.tell(address, start + Duration::from_secs(second.into()));
            }
        });
        let told = std::fs::read_to_string(file.path()).unwrap();
        let lines: Vec<_> = told.lines().collect();
        let is_of = |line: &str, address| {
            line.contains(" WARN ") && line.contains(address) && line.contains("peer.secret_file")
        };
        assert_eq!(lines.len(), 2, "{told}");
        assert!(is_of(lines[0], "192.0.2.0:4711") && is_of(lines[1], "192.0.2.60:4711"), "{told}");
    }
}
