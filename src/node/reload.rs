//! New config without a restart: all of it or nothing.

use super::Node;
use super::admin_door::version;
use super::assemble::certificate_files;
use super::generations::GenerationsError;
use super::routing::{RoutingFault, routing};
use crate::config::Config;
use crate::net::TlsFault;
use crate::upstream::Egress;

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Sections that differ and take effect only after a restart.
    pub after_restart: Vec<&'static str>,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A certificate cannot be used.
    #[error("certificates: {0}")]
    Certificates(#[from] TlsFault),
    /// An origin or a shield cannot be set up.
    #[error(transparent)]
    Routing(#[from] RoutingFault),
    /// What the sites' keys are made of cannot be kept.
    #[error(transparent)]
    Generations(#[from] GenerationsError),
}

impl Node {
    /// Takes sites, origins, shields and certificates of `config` for the requests that come from
    /// now on, and opens the access log anew. Blocks on files.
    ///
    /// # Errors
    /// What cannot be had; nothing has changed then.
    pub fn reload(&self, config: Config) -> Result<Reloaded, ReloadError> {
        let shared = &self.shared;
        let mut current = shared.config.lock();
        let previous = shared.proxy.routing();
        let mut generations = shared.generations.lock();
        let next = generations.used().next(&config.sites);
        let egress = Egress::of(shared.loops);
        let routing = routing(&config, &next, &egress, &shared.metrics, Some(&previous))?;
        generations.note(&next)?;
        if let Some(tls) = &shared.tls {
            tls.certificates().reload(Some(certificate_files(&config)))?;
        }
        if let Some(runtime) = shared.runtime.get() {
            let _entered = runtime.enter();
            routing.upstreams.watch(Some(&previous.upstreams));
        }
        shared.proxy.swap(routing);
        generations.set_used(next);
        shared.log.reopen();
        if let Some(door) = shared.admin.get() {
            door.reload(config.tokens.clone(), version(&config));
        }
        let after_restart = fixed_sections(&current, &config);
        *current = config;
        Ok(Reloaded { after_restart })
    }
}

/// The sections that are read at start alone, and differ.
fn fixed_sections(before: &Config, after: &Config) -> Vec<&'static str> {
    let sections = [
        ("node", before.node == after.node),
        ("listen", before.listen == after.listen),
        ("cache", before.cache == after.cache),
        ("limits", before.limits == after.limits),
        ("peer", before.peer == after.peer),
        ("purge", before.purge == after.purge),
        ("logging", before.logging == after.logging),
    ];
    sections.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}
