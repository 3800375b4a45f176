//! The door of the control plane: purges and their receipts, nodes and their heartbeats, the log,
//! and the config that is published to the nodes.
//!
//! It is a handler like that of a node, so the same engines serve it.
//!
//! ```text
//!  route ── host of a write ── token, role ── rate ── type of a write ── endpoint ── envelope
//!     404, 405         403         401, 403    429             415        4xx, 503
//!                        └── audited ──┘                                 └ writes are audited
//! ```

mod config;
mod feed;
mod hooks;
mod nodes;
mod purges;
mod rate;
mod refusals;
mod repeat;
mod route;
mod status;
mod surveys;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;

use self::config::Change;
use self::feed::{End, Feed};
use self::rate::RateLimit;
use self::refusals::Refusals;
use self::repeat::Repeats;
use self::route::{Endpoint, View};
use super::Plane;
use super::audit::{Audit, Event};
use super::survey::Surveys;
use crate::config::control_plane::Hook;
use crate::config::moment::Moment;
use crate::config::token::Token;
use crate::door::{Access, Caller, Life, Need, Problem, Refusal};
use crate::door::{answer, body, query, reply, target_of, trace_of};
use crate::message::{
    Answer, Body, Ended, Extra, Fault, FieldBlock, Later, Peer, Reply, Request, RequestHead,
    Response, push_field,
};
use crate::net::{DrainWatch, Handler};
use crate::object::Position;
use crate::telemetry::metrics::ControlMetrics;

/// The endpoints of `route`, for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// What the door tells of, and asks.
pub struct DoorParts {
    /// Version of the program.
    pub version: &'static str,
    /// Where the door listens: on loopback, and without tokens, it is open.
    pub address: SocketAddr,
    /// How far the control plane is in its life.
    pub life: Arc<Life>,
    /// The log and the fleet.
    pub plane: Arc<Plane>,
    /// Who did what.
    pub audit: Arc<Audit>,
    /// What is counted.
    pub metrics: Arc<ControlMetrics>,
    /// Ends the streams of the log.
    pub drain: DrainWatch,
    /// Requests a second from the holder of one token, nodes apart.
    pub requests_per_second: usize,
    /// Buckets whose changes purge.
    pub hooks: Vec<Hook>,
    /// After how long a purge is repeated; zero: it is not.
    pub settle: Duration,
    /// A clock that never goes back.
    pub clock: fn() -> Duration,
    /// Milliseconds since 1970.
    pub calendar: fn() -> u64,
}

/// The handler behind the control plane's listener. Clones share it.
#[derive(Clone)]
pub struct ControlDoor(Arc<Door>);

struct Door {
    parts: DoorParts,
    access: watch::Sender<Arc<Access>>,
    rate: RateLimit,
    refusals: Refusals,
    surveys: Surveys,
    repeats: Repeats,
}

/// Who asks, from where and as part of what, for the audit.
#[derive(Clone, Debug)]
struct Asking {
    caller: Caller,
    what: String,
    peer: Peer,
    trace: Option<u128>,
}

impl ControlDoor {
    /// A door for the holders of `tokens`.
    pub fn new(parts: DoorParts, tokens: Vec<Token>) -> Self {
        let access = watch::Sender::new(Arc::new(Access::new(tokens, parts.address)));
        let rate = RateLimit::new(parts.requests_per_second, usize::MAX);
        Self(Arc::new(Door {
            parts,
            access,
            rate,
            refusals: Refusals::new(),
            surveys: Surveys::new(),
            repeats: Repeats::new(),
        }))
    }

    /// Takes the tokens of a new config; streams to whom they do not let in any more end.
    pub fn reload(&self, tokens: Vec<Token>) {
        self.0.access.send_replace(Arc::new(Access::new(tokens, self.0.parts.address)));
    }
}

impl Handler for ControlDoor {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        let (door, trace) = (&self.0, trace_of(&request));
        let (path, query) = target_of(&request);
        let (endpoint, caller) = match door.admit(&request, path, trace) {
            Ok(admitted) => admitted,
            Err(problem) => return Answer::Now(reply(Err(problem), &request.head.method, trace)),
        };
        if let Err(problem) = door.check_lead(endpoint) {
            return Answer::Now(reply(Err(problem), &request.head.method, trace));
        }
        let act = match endpoint {
            Endpoint::Read(view) => {
                let result = door.read(view, query, &caller);
                // What was looked at counts if the lead held until then.
                let result = door.check_lead(endpoint).and(result);
                return Answer::Now(reply(result, &request.head.method, trace));
            }
            Endpoint::Log => Act::Follow(request.head.fields.get("prefer") == Some(b"surveys")),
            Endpoint::Purge => Act::Purge,
            Endpoint::Beat(name) => Act::Beat(name.to_owned()),
            Endpoint::Remove(name) => Act::Remove(name.to_owned()),
            Endpoint::Survey(name, id) => Act::Survey(name.to_owned(), id),
            Endpoint::Hook(name) => Act::Hook(name.to_owned()),
            Endpoint::Config(change) => Act::Config(change),
        };
        let what = format!("{} {path}", request.head.method);
        let (door, query) = (door.clone(), query.to_owned());
        let Request { head, body } = request;
        let RequestHead { method, peer, .. } = *head;
        let asking = Asking { caller, what, peer, trace };
        Answer::Later(Later::new(async move {
            let result = match act {
                Act::Purge => door.purge(&query, body, &asking).await,
                Act::Beat(name) => door.beat(&name, body, &asking).await,
                Act::Remove(name) => door.remove(&name, &asking).await,
                Act::Hook(name) => door.hook(&name, body, &asking).await,
                Act::Survey(name, id) => door.surveyed(&name, id, body).await,
                Act::Follow(wants_surveys) => door.follow(&query, wants_surveys, &asking).await,
                Act::Config(change) => door.change(change, &query, body, &asking).await,
            };
            let result = result.and_then(|response| door.lead().map(|()| response));
            reply(result, &method, trace)
        }))
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<()> {
        reply(Err(fault.into()), &http::Method::GET, None)
    }

    fn ended(&self, (): (), _: Ended) {}
}

impl Door {
    /// The endpoint, if the caller may use it in this way.
    fn admit<'a>(
        &self,
        request: &Request,
        path: &'a str,
        trace: Option<u128>,
    ) -> Result<(Endpoint<'a>, Caller), Problem> {
        let endpoint = Endpoint::find(&request.head.method, path)
            .map_err(|unrouted| unrouted.problem(&request.head.method, path))?;
        let access = self.access.borrow().clone();
        let admit = || {
            if endpoint.is_write() {
                access.check_host(&request.head.host)?;
            }
            let authorization = request.head.fields.get("authorization");
            let now = Moment((self.parts.calendar)() / 1000);
            match endpoint {
                Endpoint::Hook(_) => hooks::admit(&access, authorization, now),
                _ => access.admit(endpoint.need(), authorization, now),
            }
        };
        let caller = admit().map_err(|Refusal { problem, holder }: Refusal| {
            let caller = Caller { name: holder, ..Caller::default() };
            let what = format!("{} {path}", request.head.method);
            let asking = Asking { caller, what, peer: request.head.peer, trace };
            self.note_refused(&asking, &problem);
            *problem
        })?;
        // All nodes ask for what is published at once.
        let is_limited =
            !matches!(endpoint.need(), Need::Nothing | Need::Follow | Need::ReadConfig);
        if is_limited && !self.rate.take(&caller.name, (self.parts.clock)()) {
            let detail = format!("rate: expected fewer requests from {:?}", caller.name);
            // RFC 6585 section 4.
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
            return Err(problem.with("retry-after", "1"));
        }
        // Only SNS says so: a form of another site cannot set it.
        let is_of_sns = matches!(endpoint, Endpoint::Hook(_))
            && request.head.fields.get("x-amz-sns-message-type").is_some();
        if endpoint.takes_json() && !is_of_sns {
            body::check_type(request.head.fields.get("content-type"))?;
        }
        Ok((endpoint, caller))
    }

    /// Refuses what only one that leads can tell.
    fn check_lead(&self, endpoint: Endpoint<'_>) -> Result<(), Problem> {
        match endpoint {
            Endpoint::Read(View::Health | View::Description) => Ok(()),
            Endpoint::Read(View::Metrics | View::Status | View::Audit) => Ok(()),
            _ => self.lead(),
        }
    }

    fn lead(&self) -> Result<(), Problem> {
        if self.parts.plane.leads() {
            return Ok(());
        }
        let detail = "This control plane stands by; expected the one that leads. What was asked of \
                      it while it led may yet be done.";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with("retry-after", "1"))
    }

    fn read(&self, view: View, query: &str, caller: &Caller) -> Result<Response, Problem> {
        match view {
            View::Health => Ok(self.health()),
            View::Ready => self.ready(),
            View::Description => Ok(answer::description(OPENAPI)),
            View::Metrics => Ok(self.metrics()),
            View::Status => query::none(query).map(|()| self.status()),
            View::Purges => self.purges(query, caller),
            View::Receipt(number) => query::none(query).and_then(|()| self.receipt(number, caller)),
            View::Nodes => self.nodes(query),
            View::Audit => self.audit(query),
            View::Config => self.config(query),
            View::ConfigText(number) => {
                query::none(query).and_then(|()| self.config_text(number, caller))
            }
        }
    }

    /// The log, from where the node is.
    async fn follow(
        &self,
        query: &str,
        wants_surveys: bool,
        asking: &Asking,
    ) -> Result<Response, Problem> {
        let position = position(query)?;
        let DoorParts { plane, drain, metrics, calendar, .. } = &self.parts;
        let log = plane.log().clone();
        let surveys = wants_surveys.then(|| self.surveys.lines());
        let (drain, caller, calendar) = (drain.clone(), asking.caller.clone(), *calendar);
        let end = End { drain, access: self.access.subscribe(), caller, calendar };
        let feed = Feed::open(log, position, end, surveys, metrics.clone()).await;
        let feed = feed.map_err(|error| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("log: {error}"))
        })?;
        let mut lines = Vec::new();
        push_field(&mut lines, "content-type", b"application/x-ndjson");
        push_field(&mut lines, "cache-control", b"no-store");
        Ok(Response {
            status: StatusCode::OK,
            content_length: None,
            block: FieldBlock::from_lines(lines.into()),
            extra: Extra::new(),
            body: Body::Stream(Box::new(feed)),
        })
    }

    /// The newest events of the audit.
    fn audit(&self, query: &str) -> Result<Response, Problem> {
        let page = query::page(query)?;
        let (events, more) = self.parts.audit.page(page.before, page.limit);
        let next = events.last().filter(|_| more).map(|(number, _)| number.to_string());
        let data =
            events.iter().map(|(number, event)| status::show_event(*number, event)).collect();
        let meta = serde_json::json!({ "limit": page.limit, "next": next });
        Ok(answer::envelope(StatusCode::OK, data, meta))
    }

    fn note(&self, asking: &Asking, status: StatusCode, detail: String) {
        self.parts.audit.note(Event {
            at: (self.parts.calendar)(),
            by: asking.caller.name.clone(),
            address: asking.peer.address.ip(),
            what: asking.what.clone(),
            status: status.as_u16(),
            detail,
            trace: asking.trace,
        });
    }
}

/// What takes its time.
enum Act {
    Purge,
    /// Of the node of this name.
    Beat(String),
    Remove(String),
    /// What the node of this name says to a survey.
    Survey(String, u64),
    /// Events for the hook of this name.
    Hook(String),
    /// Whether what is asked beside the log is wanted.
    Follow(bool),
    Config(Change),
}

/// `log`, `after` and `hash`: all or none.
fn position(query: &str) -> Result<Option<Position>, Problem> {
    let (mut log, mut number, mut hash) = (None, None, None);
    for (name, value) in query::pairs(query) {
        let expected = match name {
            "log" => {
                log = value.parse().ok();
                log.is_none().then_some("32 hexadecimal digits")
            }
            "after" => {
                number = value.parse().ok();
                number.is_none().then_some("the number of a purge")
            }
            "hash" => {
                hash = value.parse().ok();
                hash.is_none().then_some("64 hexadecimal digits")
            }
            _ => return Err(query::unknown(name, "log, after or hash")),
        };
        if let Some(expected) = expected {
            return Err(query::invalid(name, expected, value));
        }
    }
    match (log, number, hash) {
        (None, None, None) => Ok(None),
        (Some(log), Some(number), Some(hash)) => Ok(Some(Position { log, number, hash })),
        _ => {
            let detail = "log, after, hash: expected all of them or none";
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}
