//! The private door of a node: probes, metrics, status, purges.
//!
//! May use `door`, `proxy`, `purge`, `site`, `store`, `upstream`, `object`, `semantics`, `net`,
//! `config` and `telemetry`. It is a handler like the public one, so the same engines serve it.
//!
//! ```text
//!  route ── host of a write ── token, role ── type of a write ── endpoint ── envelope
//!     404, 405         403         401, 403             415        4xx, 503
//! ```
//!
//! Invariant: nothing that the door does waits for an event loop, but a purge, and that has a
//! bound.

mod explain;
mod purges;
mod route;
mod status;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Method;
use parking_lot::Mutex;

pub use crate::door::{Life, State};

use self::route::{Endpoint, View};
use crate::config::moment::Moment;
use crate::config::token::Token;
use crate::door::{
    Access, Caller, Problem, Refusal, answer, body, query, reply, target_of, trace_of,
};
use crate::message::{Answer, Ended, Fault, Later, Peer, Reply, Request, Response};
use crate::net::Handler;
use crate::proxy::Proxy;
use crate::purge::PurgeFault;
use crate::purge::{Named, Purger, Resolve};
use crate::site::{Resolved, Unresolved};
use crate::telemetry::metrics::Metrics;

/// The endpoints of `route`, for programs.
const OPENAPI: &str = include_str!("openapi.json");

pub use self::status::figures;

/// What the door tells of, and asks.
#[derive(Debug)]
pub struct AdminParts {
    /// Name of the node.
    pub name: String,
    /// Region of the node.
    pub region: String,
    /// Role of the node, as a config writes it.
    pub role: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// Where the door listens: on loopback, and without tokens, it is open.
    pub address: SocketAddr,
    /// The node's state.
    pub life: Arc<Life>,
    /// Holds the store, the sites and the origins.
    pub proxy: Arc<Proxy>,
    /// Carries purges out.
    pub purger: Arc<Purger>,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// The time of day, by which tokens expire.
    pub now: fn() -> Moment,
}

/// The handler behind the admin listener. Clones share it.
#[derive(Clone, Debug)]
pub struct AdminDoor(Arc<Door>);

struct Door {
    parts: AdminParts,
    settings: ArcSwap<Settings>,
    scrape: Mutex<()>,
}

/// What a reload swaps.
struct Settings {
    access: Access,
    config_version: String,
}

/// What a purged URL names by the sites that `proxy` serves.
pub fn resolve_by(proxy: &Arc<Proxy>) -> Resolve {
    let proxy = proxy.clone();
    Box::new(move |command| match proxy.routing().sites.resolve(command) {
        Ok(Resolved { rule, site }) => Ok(Named { rule, site: site.map(|site| site.name) }),
        Err(Unresolved::Host(host)) => Err(PurgeFault::UnknownHost(host)),
        Err(Unresolved::Site(site)) => Err(PurgeFault::UnknownSite(site)),
        Err(Unresolved::OtherSite(site)) => {
            let (actual, found) = (site.name.to_owned(), command.site.clone().unwrap_or_default());
            Err(PurgeFault::OtherSite { actual, found })
        }
    })
}

impl AdminDoor {
    /// A door for the holders of `tokens`; `config_version` tells one config from another.
    pub fn new(parts: AdminParts, tokens: Vec<Token>, config_version: String) -> Self {
        let access = Access::new(tokens, parts.address);
        let settings = ArcSwap::from_pointee(Settings { access, config_version });
        Self(Arc::new(Door { parts, settings, scrape: Mutex::new(()) }))
    }

    /// Takes the tokens of a new config.
    pub fn reload(&self, tokens: Vec<Token>, config_version: String) {
        let access = Access::new(tokens, self.0.parts.address);
        self.0.settings.store(Arc::new(Settings { access, config_version }));
    }
}

impl Handler for AdminDoor {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        let trace = trace_of(&request);
        let (path, query) = target_of(&request);
        let result = match self.0.admit(&request, path) {
            Ok((Endpoint::Purge, caller)) => {
                let (door, query) = (self.0.clone(), query.to_owned());
                return Answer::Later(Later::new(async move {
                    let purged = door.purge(&query, request.body, caller, trace).await;
                    reply(purged, &Method::POST, trace)
                }));
            }
            Ok((Endpoint::Explain, caller)) => {
                let (door, query) = (self.0.clone(), query.to_owned());
                let method = request.head.method;
                return Answer::Later(Later::new(async move {
                    reply(door.explain(&query, &caller).await, &method, trace)
                }));
            }
            Ok((Endpoint::Read(view), caller)) => self.0.read(view, query, &caller),
            Err(problem) => Err(problem),
        };
        Answer::Now(reply(result, &request.head.method, trace))
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<()> {
        reply(Err(fault.into()), &Method::GET, None)
    }

    fn ended(&self, (): (), _: Ended) {}
}

impl Door {
    /// The endpoint, if the caller may use it in this way.
    fn admit(&self, request: &Request, path: &str) -> Result<(Endpoint, Caller), Problem> {
        let endpoint = Endpoint::find(&request.head.method, path)
            .map_err(|unrouted| unrouted.problem(&request.head.method, path))?;
        let settings = self.settings.load();
        if endpoint == Endpoint::Purge {
            settings.access.check_host(&request.head.host)?;
        }
        let authorization = request.head.fields.get("authorization");
        let admitted = settings.access.admit(endpoint.need(), authorization, (self.parts.now)());
        let caller = admitted.map_err(|Refusal { problem, holder }| {
            if !holder.is_empty() {
                tracing::warn!(holder, path, detail = problem.detail, "a token was refused");
            }
            *problem
        })?;
        if endpoint == Endpoint::Purge {
            body::check_type(request.head.fields.get("content-type"))?;
        }
        Ok((endpoint, caller))
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
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("name", &self.parts.name).finish_non_exhaustive()
    }
}
