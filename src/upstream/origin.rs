//! An origin: servers of equal content, tried one after the other; or a bucket, whose one server
//! takes signed requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::HeaderValue;
use http::header::HOST;
use smallvec::SmallVec;

use super::balance::{Candidate, Order, order};
use super::error::{Fault, SetupError, UpstreamError, classify};
use super::health;
use super::repeat::keep;
use super::s3::{self, Bucket};
use super::status::ServerStatus;
use crate::config::address::Scheme;
use crate::config::origin::{Origin as OriginConfig, Protocol as Spoken, Server as ServerConfig};
use crate::net::client::{
    ClientError, ClientErrorKind, Egress, IncomingResponse, OutgoingRequest, Pool, PoolConfig,
    Protocol, Server, tls_config,
};
use crate::telemetry::metrics::Metrics;

/// One origin.
#[derive(Debug)]
pub struct Origin {
    config: OriginConfig,
    /// `Host` sent; `None` sends the client's.
    host: Option<HeaderValue>,
    servers: Vec<Member>,
    /// Whose objects are asked for, where it is one.
    bucket: Option<Bucket>,
    turn: AtomicUsize,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Member {
    url: String,
    pool: Pool,
    weight: usize,
    backup: bool,
    /// Whether the last attempt reached it.
    reachable: AtomicBool,
    /// Whether the active checks find it well; true where there are none.
    healthy: AtomicBool,
}

impl Origin {
    pub(super) fn new(
        config: &OriginConfig,
        egress: &Egress,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let name = config.host.as_ref().map(|host| host.host().to_owned());
        let of_bucket = config
            .s3
            .as_ref()
            .map(|s3| ServerConfig { url: s3::server(s3), ..ServerConfig::default() });
        let servers = config
            .servers
            .iter()
            .chain(&of_bucket)
            .map(|server| member(config, server, name.as_deref(), egress))
            .collect::<Result<Vec<_>, _>>()?;
        let environment = |name: &str| std::env::var(name).ok();
        let bucket = |s3| Bucket::new(&config.name, s3, egress, &environment);
        Ok(Self {
            config: config.clone(),
            // An authority is visible ASCII, so this never fails.
            host: config.host.as_ref().and_then(|host| host.as_str().parse().ok()),
            servers,
            bucket: config.s3.as_ref().map(bucket).transpose()?,
            turn: AtomicUsize::new(fastrand::usize(..1024)),
            metrics,
        })
    }

    /// The name by which sites call it.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The settings that it was made from.
    pub fn config(&self) -> &OriginConfig {
        &self.config
    }

    /// Begins the active checks, where there are any, on the calling runtime. They end with the
    /// origin.
    pub(super) fn watch(self: &Arc<Self>) {
        let Some(checks) = &self.config.health else { return };
        for (place, member) in self.servers.iter().enumerate() {
            let origin = Arc::downgrade(self);
            let tell = move |healthy| match origin.upgrade() {
                Some(origin) => {
                    origin.set_healthy(place, healthy);
                    true
                }
                None => false,
            };
            tokio::spawn(health::watch(member.pool.clone(), checks.clone(), tell));
        }
    }

    /// Takes the judgement of the active checks.
    fn set_healthy(&self, place: usize, healthy: bool) {
        let Some(member) = self.servers.get(place) else { return };
        if member.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            tracing::warn!(origin = self.name(), server = member.url, healthy, "health changed");
            self.metrics.set_upstream_healthy(&member.url, member.is_well());
        }
    }

    /// Sends a request to a server, and to the next where that is safe, and waits for the head.
    ///
    /// Cancel safe: dropping the future closes the connection in use.
    pub async fn fetch(
        &self,
        mut request: OutgoingRequest,
    ) -> Result<IncomingResponse, UpstreamError> {
        if let Some(bucket) = &self.bucket {
            return self.fetch_object(bucket, request).await;
        }
        if let Some(host) = &self.host {
            request.headers.insert(HOST, host.clone());
        }
        self.send(request).await
    }

    pub(super) async fn send(
        &self,
        mut request: OutgoingRequest,
    ) -> Result<IncomingResponse, UpstreamError> {
        let order = self.order(&request.target);
        let mut attempts = self.attempts(&order).peekable();
        loop {
            let Some(member) = attempts.next() else { return Err(self.no_server()) };
            let next = attempts.peek().copied();
            let (mut sent, kept) = match next {
                Some(_) => {
                    let (sent, kept) = keep(request);
                    (sent, Some(kept))
                }
                None => (request, None),
            };
            if let Some(bucket) = &self.bucket {
                bucket.sign(&mut sent).await?;
            }
            let outcome = member.pool.send(sent).await;
            self.note(member, &outcome);
            let error = match outcome {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let kept = next.filter(|next| is_worth_asking(next, member, &error)).and(kept);
            let Some(again) = kept.and_then(|kept| kept.after(&error)) else {
                return Err(UpstreamError::of(self.name(), &error));
            };
            tracing::debug!(server = member.url, %error, "another attempt");
            request = again;
        }
    }

    /// Its servers.
    pub fn status(&self) -> impl Iterator<Item = ServerStatus> {
        self.servers.iter().map(|member| ServerStatus {
            name: self.config.name.clone(),
            server: member.url.clone(),
            healthy: member.is_well(),
        })
    }

    /// The places of the servers in the order to try.
    fn order(&self, target: &[u8]) -> Order {
        let candidates: SmallVec<[Candidate<'_>; 8]> = self
            .servers
            .iter()
            .map(|member| Candidate {
                url: &member.url,
                weight: member.weight,
                backup: member.backup,
                healthy: member.healthy.load(Ordering::Relaxed),
                busy: member.pool.busy(),
            })
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        order(&candidates, self.config.balance, turn, target)
    }

    /// Each server once, an only server twice; bounded by `retries`.
    fn attempts<'a>(&'a self, order: &'a Order) -> impl Iterator<Item = &'a Member> {
        let again = (self.servers.len() == 1).then_some(0);
        let places = order.iter().copied().chain(again).take(self.config.retries + 1);
        places.map(|place| &self.servers[place])
    }

    fn note(&self, member: &Member, outcome: &Result<IncomingResponse, ClientError>) {
        let status = outcome.as_ref().ok().map(|response| response.status.as_u16());
        self.metrics.origin_request(self.name(), status);
        let fault = outcome.as_ref().err().map(|error| classify(error.kind).0);
        let reachable = match fault {
            None => true,
            Some(Fault::Origin | Fault::Shield) => false,
            // It says nothing of the server.
            Some(_) => return,
        };
        if member.reachable.swap(reachable, Ordering::Relaxed) != reachable {
            self.metrics.set_upstream_healthy(&member.url, member.is_well());
            match outcome {
                Ok(_) => tracing::info!(origin = self.name(), server = member.url, "answers again"),
                Err(error) => {
                    tracing::warn!(origin = self.name(), server = member.url, %error, "fails");
                }
            }
        }
    }

    fn no_server(&self) -> UpstreamError {
        UpstreamError {
            origin: self.name().to_owned(),
            fault: Fault::Origin,
            timeout: false,
            reason: "origin-without-server",
            detail: "no server is left to ask".to_owned(),
        }
    }
}

impl Member {
    fn is_well(&self) -> bool {
        self.reachable.load(Ordering::Relaxed) && self.healthy.load(Ordering::Relaxed)
    }
}

fn member(
    config: &OriginConfig,
    server: &ServerConfig,
    name: Option<&str>,
    egress: &Egress,
) -> Result<Member, SetupError> {
    let endpoint = &server.url;
    let target = match endpoint.scheme {
        Scheme::Http => Server::http(&endpoint.host, endpoint.port),
        Scheme::Https => {
            let tls = tls_config(None)?;
            Server::https(&endpoint.host, endpoint.port, name, tls)
                // Not the name: it may hold what a variable stands for, and this is told to others.
                .map_err(|_| SetupError::Name(config.name.clone()))?
        }
    };
    let protocol = match config.protocol {
        Spoken::Auto => Protocol::Agreed,
        Spoken::Http1 => Protocol::Http1,
        Spoken::Http2 => Protocol::Http2,
    };
    let pool = PoolConfig {
        protocol,
        max_connections: config.max_connections,
        max_idle: config.max_idle,
        idle_timeout: config.keepalive_timeout,
        connect_timeout: config.connect_timeout,
        response_timeout: config.response_timeout,
        read_timeout: config.idle_timeout,
        egress: egress.clone(),
        ..PoolConfig::default()
    };
    Ok(Member {
        url: endpoint.to_string(),
        pool: Pool::new(target, pool),
        weight: server.weight,
        backup: server.backup,
        reachable: AtomicBool::new(true),
        healthy: AtomicBool::new(true),
    })
}

/// The same server is asked again only if it did not take the connection: that may pass at once.
fn is_worth_asking(next: &Member, failed: &Member, error: &ClientError) -> bool {
    !std::ptr::eq(next, failed) || error.kind == ClientErrorKind::Connect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::address::Endpoint;

    #[test]
    fn what_cannot_be_set_up_is_told_without_what_a_variable_may_stand_for() {
        let server = ServerConfig {
            url: Endpoint::parse("https://a.example").unwrap(),
            ..ServerConfig::default()
        };
        let config = OriginConfig {
            name: "app".to_owned(),
            host: Some("secret..example".parse().unwrap()),
            servers: vec![server],
            ..OriginConfig::default()
        };
        let metrics = Arc::new(Metrics::new(&["hit"]));
        let error = Origin::new(&config, &Egress::default(), metrics).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
