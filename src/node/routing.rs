//! Sites, origins and shields of a config: what a reload swaps.

use std::sync::Arc;

use crate::config::Config;
use crate::config::node::Role;
use crate::config::secret::SecretFault;
use crate::net::peer::PeerProof;
use crate::proxy::Routing;
use crate::site::{Generations, SiteRules, SiteRulesFault, SiteTable};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Egress, SetupError, ShieldSettings, Upstreams};

/// Why requests cannot be routed.
#[derive(Debug, thiserror::Error)]
pub enum RoutingFault {
    /// An origin cannot be set up.
    #[error("origin: {0}")]
    Origin(#[source] SetupError),
    /// A shield cannot be set up.
    #[error("shield: {0}")]
    Shield(#[source] SetupError),
    /// An edge rule cannot be set up.
    #[error(transparent)]
    Rules(#[from] SiteRulesFault),
    /// The secret of the fleet cannot be had.
    #[error("peer.secret_file: {0}")]
    Secret(#[from] SecretFault),
}

/// Sites, origins and shields of a config; origins, shields and limits that did not change are
/// taken from `previous`. Reads the files that the config names for them.
pub(super) fn routing(
    config: &Config,
    generations: &Generations,
    egress: &Egress,
    metrics: &Arc<Metrics>,
    previous: Option<&Routing>,
) -> Result<Routing, RoutingFault> {
    let (upstreams, rules) = set_up(config, egress, metrics, previous)?;
    Ok(Routing { sites: sites(config, rules, generations, metrics), upstreams })
}

/// What may fail of it: all but the table of the sites.
pub(super) fn set_up(
    config: &Config,
    egress: &Egress,
    metrics: &Arc<Metrics>,
    previous: Option<&Routing>,
) -> Result<(Upstreams, SiteRules), RoutingFault> {
    let upstreams = upstreams(config, egress, metrics, previous.map(|it| &it.upstreams))?;
    let rules = match previous {
        Some(previous) => {
            let before = |site: &str| previous.sites.limiters(site);
            SiteRules::read_after(before, &config.sites, &config.geo)?
        }
        None => SiteRules::read(&config.sites, &config.geo)?,
    };
    Ok((upstreams, rules))
}

fn upstreams(
    config: &Config,
    egress: &Egress,
    metrics: &Arc<Metrics>,
    previous: Option<&Upstreams>,
) -> Result<Upstreams, RoutingFault> {
    let shields = shield_settings(config, peer_proof(config)?);
    Upstreams::from_config(&config.origins, egress, metrics, previous)
        .map_err(RoutingFault::Origin)?
        .with_shields(shields, egress, metrics, previous)
        .map_err(RoutingFault::Shield)
}

/// The sites of a config.
pub(super) fn sites(
    config: &Config,
    rules: SiteRules,
    generations: &Generations,
    metrics: &Arc<Metrics>,
) -> SiteTable {
    let metric = |name: &str| metrics.register_site(name);
    SiteTable::from_config(&config.sites, rules, generations, metric).said_by(config.source.clone())
}

/// What edges prove to this node; none where it is no shield.
pub(super) fn proof_of_edges(config: &Config) -> Result<Option<PeerProof>, RoutingFault> {
    Ok(peer_proof(config)?.filter(|_| config.node.role == Role::Shield))
}

/// The proof by which nodes of the fleet know each other.
fn peer_proof(config: &Config) -> Result<Option<PeerProof>, SecretFault> {
    config.peer.as_ref().map(|peer| Ok(PeerProof::new(&peer.secret()?))).transpose()
}

fn shield_settings(config: &Config, proof: Option<PeerProof>) -> Option<ShieldSettings> {
    Some(ShieldSettings {
        shield: config.shield.clone()?,
        ca_file: config.peer.as_ref()?.ca_file.clone(),
        proof: proof?,
        region: config.node.region.clone(),
    })
}
