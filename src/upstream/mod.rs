//! Where responses come from: origins, each with its servers, and the shields before them.
//!
//! May use `net`, `object`, `semantics`, `config` and `telemetry`.
//!
//! Invariant: a request is sent to a second server only if that is safe: none of it reached the
//! first, or its method is idempotent and its content is at hand.

mod balance;
mod breaker;
mod error;
mod health;
mod origin;
mod rendezvous;
mod repeat;
mod s3;
pub mod shield;
mod shields;
mod status;

use std::collections::HashMap;
use std::sync::Arc;

pub use error::{Fault, SetupError, UpstreamError};
pub use origin::Origin;
pub use shields::{Acceptance, ShieldSettings, Shields, ShieldsFailed};
pub use status::ServerStatus;

use crate::config::origin::Origin as OriginConfig;
pub use crate::net::client::{Egress, IncomingResponse, OutgoingRequest};
use crate::telemetry::metrics::Metrics;

/// The origins of a node, by name, and its shields.
#[derive(Debug, Default)]
pub struct Upstreams {
    origins: HashMap<String, Arc<Origin>>,
    shields: Option<Arc<Shields>>,
}

impl Upstreams {
    /// The origins of a config; those that did not change are taken from `previous`, with their
    /// connections. `egress` is how they are asked.
    ///
    /// # Errors
    /// The trusted roots cannot be read, or a server's name is none.
    pub fn from_config(
        origins: &[OriginConfig],
        egress: &Egress,
        metrics: &Arc<Metrics>,
        previous: Option<&Self>,
    ) -> Result<Self, SetupError> {
        let build = |origin: &OriginConfig| {
            let same = previous.and_then(|previous| previous.get(&origin.name));
            let built = match same.filter(|same| same.config() == origin) {
                Some(same) => same.clone(),
                None => Arc::new(Origin::new(origin, egress, metrics.clone())?),
            };
            Ok::<_, SetupError>((origin.name.clone(), built))
        };
        let origins = origins.iter().map(build).collect::<Result<_, _>>()?;
        Ok(Self { origins, shields: None })
    }

    /// The same with the shields of `settings`, if any; where nothing changed they are taken from
    /// `previous`, with their connections and breakers.
    ///
    /// # Errors
    /// The trusted roots cannot be read, or a shield's name is none.
    pub fn with_shields(
        self,
        settings: Option<ShieldSettings>,
        egress: &Egress,
        metrics: &Arc<Metrics>,
        previous: Option<&Self>,
    ) -> Result<Self, SetupError> {
        let build = |settings: ShieldSettings| {
            let same = previous.and_then(Self::shields);
            match same.filter(|same| *same.settings() == settings) {
                Some(same) => Ok(same.clone()),
                None => Shields::new(settings, egress, metrics.clone()).map(Arc::new),
            }
        };
        Ok(Self { shields: settings.map(build).transpose()?, ..self })
    }

    /// The origin of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Origin>> {
        self.origins.get(name)
    }

    /// The shields to ask before any origin; `None` on a node that asks none.
    pub fn shields(&self) -> Option<&Arc<Shields>> {
        self.shields.as_ref()
    }

    /// Takes over from `previous`: begins the active checks of every origin that it does not have
    /// already, on the calling runtime, and shows the shields in the metrics.
    pub fn watch(&self, previous: Option<&Self>) {
        if let Some(gone) = previous.and_then(Self::shields) {
            gone.withdraw();
        }
        if let Some(shields) = &self.shields {
            shields.announce();
        }
        for origin in self.iter() {
            let same = previous.and_then(|previous| previous.get(origin.name()));
            if !same.is_some_and(|same| Arc::ptr_eq(same, origin)) {
                origin.watch();
            }
        }
    }

    /// Every server of every origin, and every shield, in no order.
    pub fn status(&self) -> impl Iterator<Item = ServerStatus> {
        let origins = self.iter().flat_map(|origin| origin.status());
        origins.chain(self.shields.iter().flat_map(|shields| shields.status()))
    }

    /// Every origin, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Origin>> {
        self.origins.values()
    }
}
