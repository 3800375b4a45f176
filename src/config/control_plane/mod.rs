//! The configuration of the control plane: a file of its own, read by the same reader, all faults
//! in one report.
//!
//! ```text
//! [listen]     where its door is
//! [tls]        certificates of the door, beyond loopback
//! [fleet]      leases, and how many nodes there may be
//! [purge_log]  where the ordered log of purges lives
//! [purge]      what a purge does beyond the promise
//! [publish]    sites and origins that are published to the nodes
//! [audit]      what is remembered of who did what
//! [limits]     what may be asked of it
//! [logging]    what it tells of itself
//! [[token]]    who may ask
//! [[hook]]     buckets whose changes purge what is served of them
//! ```

mod check;
mod hook;
mod sections;

use std::path::Path;

pub use self::hook::Hook;
pub use self::sections::{
    Audit, Backend, Fleet, Limits, Listen, Logging, Publish, Purge, PurgeLog,
};

use super::Source;
use super::fault::Report;
use super::load::{has_table, load, read_file};
use super::reader::{Surroundings, Table};
use super::reference::{Key, Keys};
use super::rule::Anything;
use super::section::Section;
use super::tls::Tls;
use super::token::Token;

/// Everything that a control plane is told.
#[derive(Clone, Debug, Default)]
pub struct ControlPlane {
    /// `[listen]`
    pub listen: Listen,
    /// `[tls]`
    pub tls: Tls,
    /// `[fleet]`
    pub fleet: Fleet,
    /// `[purge_log]`
    pub purge_log: PurgeLog,
    /// `[purge]`
    pub purge: Purge,
    /// `[publish]`
    pub publish: Publish,
    /// `[audit]`
    pub audit: Audit,
    /// `[limits]`
    pub limits: Limits,
    /// `[logging]`
    pub logging: Logging,
    /// Each `[[token]]`
    pub tokens: Vec<Token>,
    /// Each `[[hook]]`
    pub hooks: Vec<Hook>,
    /// Where all this was said.
    pub source: Source,
}

impl ControlPlane {
    /// Reads a file. Paths in it start from its folder, variables come from the environment.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn read(path: &Path) -> Result<Self, Report> {
        read_file(path, Self::parse)
    }

    /// Reads a text. `name` stands for the file in faults, paths start from `folder`, and `env`
    /// gives the values of variables.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn parse(
        text: &str,
        name: &str,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Report> {
        let around = Surroundings { file: name, folder: Some(folder), environment: Some(env) };
        let (config, source) = load(text, around, Self::read_table, check::rules)?;
        Ok(Self { source, ..config })
    }

    /// Whether a file is meant to be one: it has a table that no node has. A file that cannot be
    /// read is of nobody.
    pub fn is_meant(path: &Path) -> bool {
        const ITS_OWN: [&str; 5] = ["fleet", "purge_log", "publish", "audit", "hook"];
        std::fs::read_to_string(path).is_ok_and(|text| has_table(&text, &ITS_OWN))
    }

    /// Every key that such a config may have.
    pub fn keys() -> Vec<Key> {
        let none = Self::default();
        let mut list = Keys::new();
        list.key("listen", Listen::ABOUT, &none.listen, &Anything);
        list.key("tls", Tls::ABOUT, &none.tls, &Anything);
        list.key("fleet", Fleet::ABOUT, &none.fleet, &Anything);
        list.key("purge_log", PurgeLog::ABOUT, &none.purge_log, &Anything);
        list.key("purge", Purge::ABOUT, &none.purge, &Anything);
        list.key("publish", Publish::ABOUT, &none.publish, &Anything);
        list.key("audit", Audit::ABOUT, &none.audit, &Anything);
        list.key("limits", Limits::ABOUT, &none.limits, &Anything);
        list.key("logging", Logging::ABOUT, &none.logging, &Anything);
        list.key("token", Token::ABOUT, &none.tokens, &Anything);
        list.key("hook", Hook::ABOUT, &none.hooks, &Anything);
        list.into_keys()
    }

    fn read_table(mut table: Table<'_>) -> Self {
        let none = Self::default();
        let config = Self {
            listen: table.key("listen", &none.listen, &Anything),
            tls: table.key("tls", &none.tls, &Anything),
            fleet: table.key("fleet", &none.fleet, &Anything),
            purge_log: table.key("purge_log", &none.purge_log, &Anything),
            purge: table.key("purge", &none.purge, &Anything),
            publish: table.key("publish", &none.publish, &Anything),
            audit: table.key("audit", &none.audit, &Anything),
            limits: table.key("limits", &none.limits, &Anything),
            logging: table.key("logging", &none.logging, &Anything),
            tokens: table.key("token", &none.tokens, &Anything),
            hooks: table.key("hook", &none.hooks, &Anything),
            source: none.source,
        };
        table.finish();
        config
    }
}

#[cfg(test)]
mod tests;
