//! The shields of an edge: asked one after the other, in an order on which all edges agree.
//!
//! ```text
//!  key ── order: own region, rendezvous ── breaker ─┬─ lets through ── Pool ── accept ── response
//!                                                   └─ open: last of all         │
//!                         next shield ◀── if it may be sent again ◀── failed, refused
//!                         none left: the request comes back, for the origin
//! ```
//!
//! Each shield has a pool of HTTP/2 connections, which bounds what it can bind of this node, and a
//! breaker, which keeps a shield that is down from costing each request a time-out. A shield that
//! is back is found by a request of its own keys: nobody else probes.
//!
//! Invariants: the proof of the secret goes to shields and never to an origin; what has no content
//! may be with two shields at a time, anything else with one.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use http::Method;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::breaker::{Admission, Breaker, BreakerConfig, Change};
use super::error::{Fault, SHIELD, SetupError, UpstreamError};
use super::repeat::{Kept, keep};
use super::shield::{Shield, ShieldOrder, order};
use super::status::ServerStatus;
use crate::config::address::Scheme;
use crate::config::shield::{Fallback, Node, Shield as ShieldConfig};
use crate::message::Body;
use crate::net::client::{
    ClientErrorKind, Egress, Http2Config, IncomingResponse, OutgoingRequest, Pool, PoolConfig,
    Protocol, Server, private_tls_config,
};
use crate::net::peer::{PEER, PeerProof};
use crate::telemetry::metrics::Metrics;

/// Bytes of a shield's response head: twice as many as a shield takes from an origin, for HTTP/2
/// counts 32 more a field (RFC 9113 section 6.5.2), and tiers add some fields.
const HEADER_BYTES: usize = 256 << 10;

/// What an edge has to know to ask its shields.
#[derive(Clone, Debug, PartialEq)]
pub struct ShieldSettings {
    /// `[shield]`
    pub shield: ShieldConfig,
    /// PEM file of the only authority to trust; `None` trusts the system's.
    pub ca_file: Option<PathBuf>,
    /// By which shields know this node.
    pub proof: PeerProof,
    /// Where this node stands; empty: near to no shield.
    pub region: String,
}

/// The shields of an edge.
#[derive(Debug)]
pub struct Shields {
    settings: ShieldSettings,
    members: Vec<Member>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Member {
    /// Also its name, in the ranking and in metrics.
    url: String,
    pool: Pool,
    breaker: Mutex<Breaker>,
}

/// No shield gave an answer that was taken.
#[derive(Debug)]
pub struct ShieldsFailed {
    /// How the last of them failed.
    pub error: UpstreamError,
    /// The request as it was given, if it may still be sent to an origin: no shield saw any of it,
    /// or it is idempotent; and its content is at hand.
    pub request: Option<OutgoingRequest>,
}

type Outcome = Result<IncomingResponse, ShieldsFailed>;

/// What becomes of a shield's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is the response.
    Taken,
    /// It does not serve this request, which says nothing of the shield.
    Declined,
    /// The same, and nothing was done: any request may be made again.
    Misdirected,
    /// It is none that a shield gives: the shield has failed.
    Refused,
}

/// Judges answers.
type Accept<'a> = &'a (dyn Fn(&IncomingResponse) -> Acceptance + Sync);

impl Shields {
    /// Connects to nobody yet. Reads the file of the authority.
    pub(super) fn new(
        settings: ShieldSettings,
        egress: &Egress,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let nodes = settings.shield.nodes.iter();
        let members =
            nodes.map(|node| member(&settings, node, egress)).collect::<Result<_, _>>()?;
        Ok(Self { settings, members, metrics })
    }

    /// The settings that they were made from.
    pub fn settings(&self) -> &ShieldSettings {
        &self.settings
    }

    /// Whether an origin is to be asked when no shield answers.
    pub fn falls_back(&self) -> bool {
        self.settings.shield.fallback == Fallback::Origin
    }

    /// Asks the shields for `key` (host, path and query) one after the other until one gives an
    /// answer that `accept` takes, and waits for its head. The proof of the secret is added here.
    ///
    /// Where an answer is not taken, the next one is asked, but only if the request is idempotent:
    /// whoever sends others takes any answer. One that is [misdirected](Acceptance::Misdirected) is
    /// the response, if the request cannot be made again.
    ///
    /// Cancel safe: dropping the future gives up what is under way.
    pub async fn fetch(
        &self,
        key: &[u8],
        mut request: OutgoingRequest,
        accept: Accept<'_>,
    ) -> Outcome {
        let mut queue = self.queue(key);
        let mut error = None;
        while let Some(first) = queue.next() {
            let outcome = match self.hedge(&request) {
                Some(patience) => {
                    let asked = self.ask_two(first, &mut queue, request, accept, patience);
                    // Twice the size of one that is not hedged.
                    Box::pin(asked).await
                }
                None => self.ask(first, request, accept).await,
            };
            let failed = match outcome {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Some(again) = failed.request else { return Err(failed) };
            request = again;
            error = Some(failed.error);
        }
        let error = error.unwrap_or_else(UpstreamError::no_shield);
        Err(ShieldsFailed { error, request: Some(request) })
    }

    /// Each of them.
    pub fn status(&self) -> impl Iterator<Item = ServerStatus> {
        self.members.iter().map(|member| ServerStatus {
            name: SHIELD.to_owned(),
            server: member.url.clone(),
            healthy: member.breaker.lock().is_closed(),
        })
    }

    /// Shows them in the metrics.
    pub(super) fn announce(&self) {
        for member in &self.members {
            self.metrics.set_upstream_healthy(&member.url, member.breaker.lock().is_closed());
        }
    }

    /// Takes them out of the metrics.
    pub(super) fn withdraw(&self) {
        for member in &self.members {
            self.metrics.remove_upstream(&member.url);
        }
    }

    fn queue(&self, key: &[u8]) -> Queue<'_> {
        let ShieldSettings { shield, region, .. } = &self.settings;
        let now = now();
        let nodes = self.members.iter().zip(&shield.nodes);
        let candidates: Vec<Shield<'_>> = nodes
            .map(|(member, node)| Shield {
                name: &member.url,
                region: named(&node.region),
                weight: node.weight,
                healthy: member.breaker.lock().would_admit(now),
            })
            .collect();
        let order = order(&candidates, named(region), key);
        Queue { members: &self.members, ranked: order.len(), order, next: 0 }
    }

    /// How long the first shield may take before the next is asked as well; `None`: for ever.
    fn hedge(&self, request: &OutgoingRequest) -> Option<Duration> {
        let hedge = self.settings.shield.hedge;
        let safe = matches!(request.method, Method::GET | Method::HEAD);
        let empty = matches!(request.body, Body::Empty);
        (safe && empty && !hedge.is_zero()).then_some(hedge)
    }

    async fn ask(&self, asked: Asked<'_>, request: OutgoingRequest, accept: Accept<'_>) -> Outcome {
        let Asked { member, .. } = asked;
        let (mut sent, kept) = keep(request);
        sent.headers.insert(PEER, self.settings.proof.header());
        let outcome = member.pool.send(sent).await;
        let status = outcome.as_ref().ok().map(|response| response.status.as_u16());
        self.metrics.shield_request(&member.url, status);
        let failed = match outcome {
            Ok(response) => {
                let refused =
                    |error, kept: Kept| ShieldsFailed { error, request: kept.after_answer() };
                let url = &member.url;
                match accept(&response) {
                    Acceptance::Taken => {
                        self.answered(member);
                        return Ok(response);
                    }
                    Acceptance::Declined => {
                        self.answered(member);
                        return Err(refused(UpstreamError::declined_answer(url), kept));
                    }
                    Acceptance::Misdirected => {
                        self.answered(member);
                        let error = UpstreamError::declined_answer(url);
                        let request = kept.unsent();
                        return match request.is_some() {
                            true => Err(ShieldsFailed { error, request }),
                            false => Ok(response),
                        };
                    }
                    Acceptance::Refused => refused(UpstreamError::no_peers_answer(url), kept),
                }
            }
            Err(error) => {
                let failed = ShieldsFailed {
                    request: kept.after(&error),
                    error: UpstreamError::of_shield(&member.url, &error),
                };
                if error.kind == ClientErrorKind::BadHead {
                    // It has answered: a head that is too large here says nothing of the shield.
                    self.answered(member);
                    return Err(failed);
                }
                failed
            }
        };
        self.failed(asked, &failed.error);
        Err(failed)
    }

    /// Asks another one as well if the first has not answered in time; the first good answer is
    /// taken, and the other exchange given up.
    async fn ask_two(
        &self,
        first: Asked<'_>,
        queue: &mut Queue<'_>,
        request: OutgoingRequest,
        accept: Accept<'_>,
        patience: Duration,
    ) -> Outcome {
        let (sent, kept) = keep(request);
        let mut one = pin!(self.ask(first, sent, accept));
        if let Ok(outcome) = timeout(patience, &mut one).await {
            return outcome;
        }
        let Some(second) = queue.next_willing() else { return one.await };
        let two = pin!(self.ask(second, kept.into_request(), accept));
        match select(one, two).await {
            Either::Left((Err(_), two)) => two.await,
            Either::Right((Err(_), one)) => one.await,
            Either::Left((outcome, _)) | Either::Right((outcome, _)) => outcome,
        }
    }

    fn answered(&self, member: &Member) {
        let mut breaker = member.breaker.lock();
        if breaker.answered() == Some(Change::Closed) {
            self.metrics.set_upstream_healthy(&member.url, true);
            tracing::info!(shield = member.url, "answers again");
        }
    }

    fn failed(&self, Asked { member, admission }: Asked<'_>, error: &UpstreamError) {
        tracing::debug!(shield = member.url, %error, "no answer");
        if error.fault != Fault::Shield {
            // It says nothing of the shield.
            return;
        }
        let mut breaker = member.breaker.lock();
        if breaker.failed(admission, now()) == Some(Change::Opened) {
            self.metrics.set_upstream_healthy(&member.url, false);
            tracing::warn!(shield = member.url, %error, "fails");
        }
    }
}

/// A shield that is asked, and how its breaker let the request through.
#[derive(Clone, Copy)]
struct Asked<'a> {
    member: &'a Member,
    admission: Admission,
}

/// Whom one request asks: each shield once, as ranked; whose breaker does not let it through comes
/// to the end.
struct Queue<'a> {
    members: &'a [Member],
    /// As ranked, then those held back.
    order: ShieldOrder,
    ranked: usize,
    next: usize,
}

impl<'a> Queue<'a> {
    /// Whoever is left, if need be one whose breaker is open.
    fn next(&mut self) -> Option<Asked<'a>> {
        self.next_willing().or_else(|| {
            let member = &self.members[*self.order.get(self.next)?];
            self.next += 1;
            Some(Asked { member, admission: Admission::Forced })
        })
    }

    /// The next one whose breaker lets the request through.
    fn next_willing(&mut self) -> Option<Asked<'a>> {
        while self.next < self.ranked {
            let place = self.order[self.next];
            self.next += 1;
            let member = &self.members[place];
            match member.breaker.lock().admit(now()) {
                Some(admission) => return Some(Asked { member, admission }),
                None => self.order.push(place),
            }
        }
        None
    }
}

fn member(settings: &ShieldSettings, node: &Node, egress: &Egress) -> Result<Member, SetupError> {
    let config = &settings.shield;
    let url = &node.url;
    let server = match url.scheme {
        Scheme::Http => Server::http(&url.host, url.port),
        Scheme::Https => {
            let tls = private_tls_config(settings.ca_file.as_deref())?;
            Server::https(&url.host, url.port, None, tls)
                .map_err(|_| SetupError::Name(url.host.clone()))?
        }
    };
    let pool = PoolConfig {
        protocol: Protocol::Http2,
        max_connections: config.max_connections,
        idle_timeout: config.keepalive_timeout,
        connect_timeout: config.connect_timeout,
        response_timeout: config.response_timeout,
        read_timeout: config.idle_timeout,
        egress: egress.clone(),
        header_bytes: HEADER_BYTES,
        http2: Http2Config { streams: config.streams, ..Http2Config::default() },
        ..PoolConfig::default()
    };
    let breaker = BreakerConfig {
        failures: config.failures,
        pause: config.pause,
        pause_max: config.pause_max,
    };
    Ok(Member {
        url: url.to_string(),
        pool: Pool::new(server, pool),
        breaker: Mutex::new(Breaker::new(breaker)),
    })
}

/// A region, unless it is none.
fn named(region: &str) -> Option<&str> {
    (!region.is_empty()).then_some(region)
}

/// The runtime's clock, so that breakers go by the same time as time-outs.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
