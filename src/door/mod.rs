//! What the private doors share, that of a node and that of the control plane: who may ask, how
//! bodies and parameters are read, what is answered; how their processes run in the foreground, and
//! what those are told by signals.
//!
//! May use `object`, `semantics`, `message` and `config`.

pub mod access;
pub mod answer;
pub mod body;
#[cfg(test)]
pub mod described;
mod foreground;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod life;
pub mod query;
mod signals;

use http::Method;

pub use access::{Access, Caller, Need, Refusal};
pub use answer::{Problem, Unrouted};
pub use foreground::in_foreground;
pub use life::{Life, State};
pub use signals::{Signals, Told};

use crate::message::{Body, Reply, Request, Response};
use crate::semantics::trace::TraceParent;

/// The trace that a request belongs to.
pub fn trace_of(request: &Request) -> Option<u128> {
    Some(TraceParent::parse(request.head.fields.get("traceparent")?)?.trace_id)
}

/// Path and query of a request; nothing where they are no text.
pub fn target_of(request: &Request) -> (&str, &str) {
    match std::str::from_utf8(&request.head.target) {
        Ok(target) => target.split_once('?').unwrap_or((target, "")),
        Err(_) => ("", ""),
    }
}

/// What an engine sends. HEAD has no body.
pub fn reply(result: Result<Response, Problem>, method: &Method, trace: Option<u128>) -> Reply<()> {
    let mut response = result.unwrap_or_else(|problem| problem.response(trace));
    if *method == Method::HEAD {
        response.body = Body::Empty;
    }
    Reply { response, exchange: () }
}
