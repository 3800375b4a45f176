//! New config without a restart: all of it or nothing.

use std::io;

use super::Node;
use super::admin_door::version;
use super::assemble::{Assembled, certificate_files};
use super::generations::GenerationsError;
use super::published::Taken;
use super::routing::{RoutingFault, routing};
use crate::config::Config;
use crate::config::published::Release;
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
    /// What was published cannot be kept.
    #[error("what was published cannot be kept: {0}")]
    Keep(#[source] io::Error),
}

impl Node {
    /// Takes sites, origins, shields and certificates of `config`, the node's own file, for the
    /// requests that come from now on, and opens the access log anew. Sites and origins that were
    /// published stay in the place of the file's. Blocks on files.
    ///
    /// # Errors
    /// What cannot be had; nothing has changed then.
    pub fn reload(&self, config: Config) -> Result<Reloaded, ReloadError> {
        let shared = &self.shared;
        let mut configs = shared.configs.lock();
        let in_force = configs.with_own(&config);
        shared.swap_in(&in_force, configs.release(), || {
            let Some(tls) = &shared.tls else { return Ok(()) };
            Ok(tls.certificates().reload(Some(certificate_files(&in_force)))?)
        })?;
        shared.log.reopen();
        let after_restart = fixed_sections(configs.own(), &config);
        configs.set_own(config);
        Ok(Reloaded { after_restart })
    }
}

impl Assembled {
    /// Takes the sites and origins of a published version, or those of the node's own file again.
    /// What is taken is kept durably before it is served by. Blocks on files.
    ///
    /// # Errors
    /// What cannot be had; nothing has changed then.
    pub(super) fn take(&self, taken: Option<Taken>) -> Result<(), ReloadError> {
        let mut configs = self.configs.lock();
        let in_force = configs.with_taken(taken.as_ref());
        let release = taken.as_ref().map_or(Release::Own, Taken::release);
        let keep = || configs.keep(taken.as_ref()).map_err(ReloadError::Keep);
        self.swap_in(&in_force, release, keep)?;
        configs.set_taken(taken);
        Ok(())
    }

    /// Serves by another config, if what comes with it succeeds too.
    fn swap_in(
        &self,
        config: &Config,
        release: Release,
        with: impl FnOnce() -> Result<(), ReloadError>,
    ) -> Result<(), ReloadError> {
        let previous = self.proxy.routing();
        let mut generations = self.generations.lock();
        let next = generations.used().next(&config.sites);
        let egress = Egress::of(self.loops);
        let routing = routing(config, &next, &egress, &self.metrics, Some(&previous))?;
        generations.note(&next)?;
        with()?;
        if let Some(runtime) = self.runtime.get() {
            let _entered = runtime.enter();
            routing.upstreams.watch(Some(&previous.upstreams));
        }
        self.proxy.swap(routing);
        generations.set_used(next);
        if let Some(door) = self.admin.get() {
            door.reload(config.tokens.clone(), version(config, release));
        }
        Ok(())
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
        ("control", before.control == after.control),
        ("logging", before.logging == after.logging),
    ];
    sections.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}
