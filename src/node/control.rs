//! The control plane as a node reaches it, and the follower of its log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::identity::Identity;
use crate::config::address::{Endpoint, Scheme};
use crate::config::control::{Control, OnControlLoss};
use crate::net::client::{Egress, Pool, PoolConfig, RootsError, Server, tls_config};
use crate::purge::{Beside, FollowParts, Followed, Follower, NodeFacts, Purger};

/// Between two bytes of the log: the control plane sends an empty line more often.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// For an answer to a heartbeat.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Where the control plane is, and how this node signs in.
pub(super) struct ControlPlane {
    pool: Pool,
    /// How long the machine is up, suspension counted.
    pub(super) uptime: fn() -> Duration,
    authorization: HeaderValue,
    on_loss: OnControlLoss,
}

/// Why a control plane cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlFault {
    /// The name is not one that a certificate can have.
    #[error("control.url: expected a host name or an address, found {0}")]
    Name(Endpoint),
    /// Nothing can be trusted.
    #[error("control.ca_file: {0}")]
    Roots(#[from] RootsError),
    /// The token cannot be had.
    #[error("control.token_file: expected a token, {cause}: {}", file.display())]
    Token {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl ControlPlane {
    /// Reads the files that the config names; connects to nobody yet.
    pub(super) fn new(control: &Control, egress: Egress) -> Result<Self, ControlFault> {
        let Endpoint { scheme, host, port } = &control.url;
        let server = match scheme {
            Scheme::Http => Server::http(host, *port),
            Scheme::Https => {
                let tls = tls_config(control.ca_file.as_deref())?;
                let server = Server::https(host, *port, None, tls);
                server.map_err(|_| ControlFault::Name(control.url.clone()))?
            }
        };
        let fault = |cause: String| ControlFault::Token { file: control.token_file.clone(), cause };
        let token = control.token().map_err(|error| fault(error.to_string()))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
            .map_err(|_| fault("found what no header can hold".to_owned()))?;
        authorization.set_sensitive(true);
        let pool = PoolConfig {
            response_timeout: ANSWER_MAX,
            read_timeout: SILENCE_MAX,
            egress,
            ..PoolConfig::default()
        };
        let on_loss = control.on_control_loss;
        Ok(Self { pool: Pool::new(server, pool), uptime, authorization, on_loss })
    }
}

impl ControlPlane {
    /// Whether a node that has come so far starts with nothing to be trusted.
    pub(super) fn starts_fenced(&self, followed: Option<Followed>) -> bool {
        let serves = self.on_loss == OnControlLoss::Serve;
        !(serves && followed.is_some_and(|followed| followed.serves))
    }

    /// The follower of a node that has come so far. The fence stands as it must from here on.
    pub(super) fn follower(
        &self,
        facts: NodeFacts,
        identity: &Arc<Identity>,
        followed: Option<Followed>,
        purger: &Arc<Purger>,
        beside: Beside,
    ) -> Arc<Follower> {
        let registered = identity.clone();
        Follower::new(FollowParts {
            purger: purger.clone(),
            pool: self.pool.clone(),
            authorization: self.authorization.clone(),
            facts,
            incarnation: identity.incarnation().clone(),
            registered: Arc::new(move || registered.registered()),
            on_loss: self.on_loss,
            served: followed.is_some_and(|followed| followed.serves),
            uptime: self.uptime,
            beside,
        })
    }
}

/// How long the machine is up, suspension counted.
fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}
