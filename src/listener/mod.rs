//! The public door: stamps a request with its arrival and hands it to the proxy.
//!
//! May use `proxy`, `net`, `semantics` and `telemetry`. What an engine refuses comes by here as
//! well, so that the proxy makes every response.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::message::{Answer, Ended, Fault, Peer, Reply, Request};
use crate::net::Handler;
use crate::proxy::{Arrival, Exchange, Proxy};
use crate::semantics::time::Timestamp;

/// The handler behind every public listener.
#[derive(Clone, Debug)]
pub struct PublicDoor {
    proxy: Arc<Proxy>,
}

impl PublicDoor {
    /// A door to `proxy`.
    pub fn new(proxy: Arc<Proxy>) -> Self {
        Self { proxy }
    }
}

impl Handler for PublicDoor {
    type Exchange = Exchange;

    fn serve(&self, request: Request) -> Answer<Exchange> {
        self.proxy.serve(request, arrival())
    }

    fn refuse(&self, peer: &Peer, fault: Fault) -> Reply<Exchange> {
        self.proxy.refuse(peer, fault, arrival())
    }

    fn ended(&self, exchange: Exchange, ended: Ended) {
        self.proxy.ended(&exchange, ended);
    }
}

/// The clocks, read once a request.
fn arrival() -> Arrival {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
    Arrival { instant: Instant::now(), now: Timestamp::from_millis(millis) }
}
