//! A handler that says when each of its requests came and when its response began.

use std::time::{Duration, Instant};

use super::time::now;
use crate::message::{Answer, Ended, Fault, Later, Peer, Reply, Request, push_field};
use crate::net::Handler;

/// The field that tells it.
const FIELD: &str = "x-witness";

/// Stands before another handler. What a node has stored may be trusted, or not, as it says.
pub(super) struct Witness<H, F> {
    pub(super) handler: H,
    pub(super) is_fenced: F,
}

/// What a witness saw of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// When the request came.
    pub(super) asked: Duration,
    /// When the response began.
    pub(super) begun: Duration,
    /// Whether the node trusted nothing that it had stored by then.
    pub(super) is_fenced: bool,
}

impl<H: Handler, F: Fn() -> bool + Clone + Send + Sync + 'static> Handler for Witness<H, F> {
    type Exchange = H::Exchange;

    fn serve(&self, request: Request) -> Answer<H::Exchange> {
        let (asked, is_fenced) = (now(), self.is_fenced.clone());
        let see = move || Seen { asked, begun: now(), is_fenced: is_fenced() };
        match self.handler.serve(request) {
            Answer::Now(reply) => Answer::Now(stamped(reply, see())),
            Answer::Later(reply) => Answer::Later(Later::new(async move {
                let reply = reply.await;
                stamped(reply, see())
            })),
        }
    }

    fn refuse(&self, peer: &Peer, fault: Fault) -> Reply<H::Exchange> {
        self.handler.refuse(peer, fault)
    }

    fn may_run_until(&self, exchange: &mut H::Exchange, now: Instant) -> Option<Instant> {
        self.handler.may_run_until(exchange, now)
    }

    fn ended(&self, exchange: H::Exchange, ended: Ended) {
        self.handler.ended(exchange, ended);
    }
}

fn stamped<X>(mut reply: Reply<X>, seen: Seen) -> Reply<X> {
    let Seen { asked, begun, is_fenced } = seen;
    let words = format!("{} {} {is_fenced}", asked.as_micros(), begun.as_micros());
    push_field(&mut reply.response.extra, FIELD, words.as_bytes());
    reply
}

/// What the field of a response says.
pub(super) fn seen(headers: &http::HeaderMap) -> Option<Seen> {
    let mut words = headers.get(FIELD)?.to_str().ok()?.split(' ');
    let mut time = || Some(Duration::from_micros(words.next()?.parse().ok()?));
    let (asked, begun) = (time()?, time()?);
    Some(Seen { asked, begun, is_fenced: words.next()? == "true" })
}
