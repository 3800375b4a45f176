//! What an engine asks of the proxy: the one handler behind all protocols.

use std::time::{Duration, Instant};

use crate::message::{Answer, Ended, Fault, Peer, Reply, Request};

/// When a handler that takes nothing back need be asked again.
const LONG: Duration = Duration::from_hours(24);

/// Answers requests of every protocol.
///
/// An engine calls [`serve`](Self::serve) on its event loop once a head is complete and framed
/// soundly, and [`ended`](Self::ended) exactly once for every reply it was given, whatever became
/// of the client. If it drops an [`Answer::Later`] before the reply (the client left), the
/// future's own drop is the end of that exchange.
pub trait Handler: Send + Sync + 'static {
    /// What the handler keeps of an exchange until it has ended, for its log and counters.
    type Exchange: Send + 'static;

    /// Answers a request. A hit is answered at once, without a future.
    fn serve(&self, request: Request) -> Answer<Self::Exchange>;

    /// The response to a request that the engine had to refuse.
    fn refuse(&self, peer: &Peer, fault: Fault) -> Reply<Self::Exchange>;

    /// Until when a response that is on its way may run on before this is asked again; `None`: it
    /// is to be cut visibly, now.
    ///
    /// An engine asks from when the response first has to wait, whoever it waits for, and never for
    /// one that leaves at once, or has no body left to send. It asks about all responses of a
    /// connection together, by the earliest of the answers: so every answer bounds, too, how late a
    /// response that begins meanwhile is first asked about.
    fn may_run_until(&self, _exchange: &mut Self::Exchange, now: Instant) -> Option<Instant> {
        Some(now + LONG)
    }

    /// The exchange is over.
    fn ended(&self, exchange: Self::Exchange, ended: Ended);
}
