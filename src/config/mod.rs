//! A node's configuration, and that of a control plane: plain data, read from TOML and checked, all
//! faults in one report.
//!
//! ```text
//! text ──▶ reader ──▶ sections ──▶ check ──▶ Config, or Report with every fault
//!            │            ▲
//!            └ asks the rows of each section: key, type, default, rule, sentence
//!                         └──▶ reference: config/reference.toml
//! ```
//!
//! Uses nothing of the house. Invariant: a [`Config`] that [`Config::parse`] gave out keeps every
//! rule of this folder, so that no consumer needs to check, merge or default anything again.
//! A part is handed its own section, never the whole.

pub mod address;
mod bucket;
pub mod cache;
mod check;
pub mod compress;
pub mod control;
pub mod control_plane;
pub mod fault;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod geo;
mod key;
mod later;
pub mod limits;
pub mod listen;
mod load;
pub mod logging;
pub mod moment;
pub mod node;
pub mod origin;
pub mod pattern;
pub mod peer;
pub mod published;
pub mod purge;
mod reader;
pub mod reference;
mod rule;
pub mod s3;
pub mod secret;
mod section;
pub mod shield;
pub mod site;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod token;
pub mod units;
mod value;

use std::collections::BTreeMap;
use std::path::Path;

use self::cache::Cache;
use self::control::Control;
use self::fault::{Place, Report};
use self::geo::Geo;
use self::limits::Limits;
use self::listen::Listen;
use self::load::{load, read_file};
use self::logging::Logging;
use self::node::Node;
use self::origin::Origin;
use self::peer::Peer;
use self::published::Published;
use self::purge::Purge;
use self::reader::{Surroundings, Table};
use self::reference::{Key, Keys};
use self::rule::Anything;
use self::section::Section;
use self::shield::Shield;
use self::site::Site;
use self::tls::Tls;
use self::token::Token;

/// Everything that a node is told.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[node]`
    pub node: Node,
    /// `[listen]`
    pub listen: Listen,
    /// `[tls]`
    pub tls: Tls,
    /// `[cache]`
    pub cache: Cache,
    /// `[shield]`
    pub shield: Option<Shield>,
    /// `[peer]`
    pub peer: Option<Peer>,
    /// `[control]`
    pub control: Option<Control>,
    /// `[limits]`
    pub limits: Limits,
    /// `[logging]`
    pub logging: Logging,
    /// `[purge]`
    pub purge: Purge,
    /// `[geo]`
    pub geo: Geo,
    /// Each `[[origin]]`
    pub origins: Vec<Origin>,
    /// Each `[[site]]`
    pub sites: Vec<Site>,
    /// Each `[[token]]`
    pub tokens: Vec<Token>,
    /// Where sites and origins were said: with what was published, not the node's own file.
    pub source: Source,
}

/// The file that a config came from, and the place of every key in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The file as it was named.
    pub file: String,
    places: BTreeMap<String, Place>,
}

impl Source {
    /// Where the file says something about `key`, such as `site[0].freshness.default`.
    pub fn place(&self, key: &str) -> Option<Place> {
        self.places.get(key).copied()
    }
}

impl Config {
    /// Reads a file. Paths in it start from its folder, variables come from the environment.
    pub fn read(path: &Path) -> Result<Self, Report> {
        read_file(path, Self::parse)
    }

    /// Reads a text. `name` stands for the file in faults, paths start from `folder`, and `env`
    /// gives the values of variables.
    pub fn parse(
        text: &str,
        name: &str,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Report> {
        let around = Surroundings { file: name, folder: Some(folder), environment: Some(env) };
        let (mut config, source) = load(text, around, Self::read_table, check::rules)?;
        config.settle();
        Ok(Self { source, ..config })
    }

    /// The same with sites and origins that were published: none of its own are left.
    pub fn with_published(self, published: &Published) -> Self {
        let Published { origins, sites, source } = published.clone();
        Self { origins, sites, source, ..self }
    }

    /// Every key that a config may have.
    pub fn keys() -> Vec<Key> {
        let none = Self::default();
        let mut list = Keys::new();
        list.key("node", Node::ABOUT, &none.node, &Anything);
        list.key("listen", Listen::ABOUT, &none.listen, &Anything);
        list.key("tls", Tls::ABOUT, &none.tls, &Anything);
        list.key("cache", Cache::ABOUT, &none.cache, &Anything);
        list.key("shield", Shield::ABOUT, &none.shield, &Anything);
        list.key("peer", Peer::ABOUT, &none.peer, &Anything);
        list.key("control", Control::ABOUT, &none.control, &Anything);
        list.key("limits", Limits::ABOUT, &none.limits, &Anything);
        list.key("logging", Logging::ABOUT, &none.logging, &Anything);
        list.key("purge", Purge::ABOUT, &none.purge, &Anything);
        list.key("geo", Geo::ABOUT, &none.geo, &Anything);
        list.key("origin", Origin::ABOUT, &none.origins, &Anything);
        list.key("site", Site::ABOUT, &none.sites, &Anything);
        list.key("token", Token::ABOUT, &none.tokens, &Anything);
        list.into_keys()
    }

    /// The text of `config/reference.toml`.
    pub fn reference() -> String {
        reference::render(&Self::keys())
    }

    fn read_table(mut table: Table<'_>) -> Self {
        let none = Self::default();
        let config = Self {
            node: table.key("node", &none.node, &Anything),
            listen: table.key("listen", &none.listen, &Anything),
            tls: table.key("tls", &none.tls, &Anything),
            cache: table.key("cache", &none.cache, &Anything),
            shield: table.key("shield", &none.shield, &Anything),
            peer: table.key("peer", &none.peer, &Anything),
            control: table.key("control", &none.control, &Anything),
            limits: table.key("limits", &none.limits, &Anything),
            logging: table.key("logging", &none.logging, &Anything),
            purge: table.key("purge", &none.purge, &Anything),
            geo: table.key("geo", &none.geo, &Anything),
            origins: table.key("origin", &none.origins, &Anything),
            sites: table.key("site", &none.sites, &Anything),
            tokens: table.key("token", &none.tokens, &Anything),
            source: none.source,
        };
        table.finish();
        config
    }

    /// Settles the defaults that depend on other keys.
    fn settle(&mut self) {
        bucket::settle(&self.origins, &mut self.sites);
        self.listen.http3 &= !self.listen.https.is_empty();
        self.cache.max_object = self.cache.max_object.min(self.cache.memory);
    }
}
