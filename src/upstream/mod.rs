//! Where responses come from: origins, each with its servers.
//!
//! May use `net`, `object`, `semantics`, `config` and `telemetry`.
//!
//! Invariant: a request is sent to a second server only if that is safe: none of it reached the
//! first, or its method is idempotent and its content is at hand.

mod balance;
mod error;
mod health;
mod origin;
mod rendezvous;
pub mod shield;

use std::collections::HashMap;
use std::sync::Arc;

pub use error::{Fault, SetupError, UpstreamError};
pub use origin::{Origin, OriginStatus};

use crate::config::origin::Origin as OriginConfig;
pub use crate::net::client::{IncomingResponse, OutgoingRequest};
use crate::telemetry::metrics::Metrics;

/// The origins of a node, by name.
#[derive(Debug, Default)]
pub struct Upstreams(HashMap<String, Arc<Origin>>);

impl Upstreams {
    /// The origins of a config; those that did not change are taken from `previous`, with their
    /// connections. `loops` is the number of event loops that will ask them.
    ///
    /// # Errors
    /// The trusted roots cannot be read, or a server's name is none.
    pub fn from_config(
        origins: &[OriginConfig],
        loops: usize,
        metrics: &Arc<Metrics>,
        previous: Option<&Self>,
    ) -> Result<Self, SetupError> {
        let build = |origin: &OriginConfig| {
            let same = previous.and_then(|previous| previous.get(&origin.name));
            let built = match same.filter(|same| same.config() == origin) {
                Some(same) => same.clone(),
                None => Arc::new(Origin::new(origin, loops, metrics.clone())?),
            };
            Ok::<_, SetupError>((origin.name.clone(), built))
        };
        Ok(Self(origins.iter().map(build).collect::<Result<_, _>>()?))
    }

    /// The origin of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Origin>> {
        self.0.get(name)
    }

    /// Begins the active checks of every origin that `previous` does not have already, on the
    /// calling runtime.
    pub fn watch(&self, previous: Option<&Self>) {
        for origin in self.iter() {
            let same = previous.and_then(|previous| previous.get(origin.name()));
            if !same.is_some_and(|same| Arc::ptr_eq(same, origin)) {
                origin.watch();
            }
        }
    }

    /// Every origin, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Origin>> {
        self.0.values()
    }
}
