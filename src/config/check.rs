//! The rules between keys.
//!
//! What a single key must keep to stands in its row; here is what needs two of them.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use super::Config;
use super::address::Scheme;
use super::bucket;
use super::node::Role;
use super::origin::Origin;
use super::reader::{Document, did_you_mean, nearest};
use super::shield::Shield;
use super::site::check::rules as edge_rules;
use super::site::{Route, Site};
use super::units::show_duration;

/// Tells each broken rule between keys.
pub(super) fn rules(config: &Config, document: &Document<'_>) {
    let check = Check { config, document };
    check.listeners();
    check.admin_door();
    check.tiers();
    check.cache();
    check.purge();
    let served = Served { origins: &config.origins, sites: &config.sites, document };
    // A node that follows a control plane may have all of it from there.
    let may_be_without = config.control.is_some() || document.is_faulty("control");
    if !(config.sites.is_empty() && may_be_without) {
        served.sites();
    }
    served.origins();
    check.tokens();
    check.geo();
}

/// Tells each broken rule between origins and sites, as they stand by themselves.
pub(super) fn served(origins: &[Origin], sites: &[Site], document: &Document<'_>) {
    let served = Served { origins, sites, document };
    served.sites();
    served.origins();
}

impl Document<'_> {
    /// Tells a fault, unless the key was found faulty before: one cause, one line.
    pub(super) fn tell(&self, key: &str, expected: &str, wrong: &str) {
        if !self.is_faulty(key) {
            let place = self.place_of(key);
            self.fault(place, key, expected, wrong);
        }
    }

    /// Tells each value that stands twice, at its second place.
    pub(super) fn unique<T: Hash + Eq + Display>(&self, values: impl Iterator<Item = (String, T)>) {
        let mut first: HashMap<T, String> = HashMap::new();
        for (key, value) in values {
            if self.is_faulty(&key) {
                continue;
            }
            match first.get(&value) {
                Some(earlier) => {
                    let line = self.place_of(earlier).line;
                    let words = self.words(&key, &value);
                    let wrong = format!("found \"{words}\" again, as in line {line}");
                    self.tell(&key, "another value", &wrong);
                }
                None => drop(first.insert(value, key)),
            }
        }
    }

    /// Tells each name that two tables of a kind share.
    fn unique_names<'n>(&self, table: &str, names: impl Iterator<Item = &'n str>) {
        let numbered = |(index, name)| (format!("{table}[{index}].name"), name);
        self.unique(names.enumerate().map(numbered));
    }

    /// The names of the tables of a kind.
    fn names<'n>(&self, table: &'static str, names: impl Iterator<Item = &'n str>) -> Names<'n> {
        let keyed = names.enumerate().map(|(index, name)| (format!("{table}[{index}].name"), name));
        let (mut is_whole, mut all) = (true, HashMap::new());
        for (key, name) in keyed {
            is_whole &= !self.is_faulty(&key);
            all.insert(name, self.words(&key, &name));
        }
        Names { table, all, is_whole }
    }

    /// Tells a name that no table of a kind has.
    fn known(&self, key: &str, name: &str, names: &Names<'_>) {
        // A table whose own name is faulty may be the one that is meant.
        if names.all.contains_key(name) || !names.is_whole {
            return;
        }
        let expected = format!("the name of an existing [[{}]]", names.table);
        let wrong = match &*self.words(key, &name) {
            "" => "found none".to_owned(),
            _ if self.is_full() => String::new(),
            words => {
                let nearest = nearest(words, names.all.values().map(String::as_str));
                format!("found \"{words}\"{}", did_you_mean(nearest))
            }
        };
        self.tell(key, &expected, &wrong);
    }
}

/// The names of the tables of a kind.
struct Names<'n> {
    table: &'static str,
    /// Each, and how it is written.
    all: HashMap<&'n str, String>,
    /// Whether all of them are known.
    is_whole: bool,
}

struct Check<'a> {
    config: &'a Config,
    document: &'a Document<'a>,
}

impl Check<'_> {
    fn listeners(&self) {
        let (listen, tls) = (&self.config.listen, &self.config.tls);
        let is_faulty = |key| self.document.is_faulty(key);
        if listen.http.is_empty() && listen.https.is_empty() && !is_faulty("listen.https") {
            self.document.tell("listen.http", "an address here or under https", "found none");
        }
        if !listen.https.is_empty() && tls.certificates.is_empty() && !is_faulty("tls") {
            self.document.tell("listen.https", "certificates under [tls]", "found none");
        }
        if listen.http3 && listen.https.is_empty() && self.document.says("listen.http3") {
            self.document.tell("listen.http3", "addresses under https", "found none");
        }
        let numbered = |name: &'static str| {
            move |(index, address)| (format!("listen.{name}[{index}]"), address)
        };
        let http = listen.http.iter().enumerate().map(numbered("http"));
        let https = listen.https.iter().enumerate().map(numbered("https"));
        let admin = std::iter::once(("listen.admin".to_owned(), &listen.admin));
        let addresses = http.chain(https).chain(admin);
        // Port 0 is whichever port is free.
        self.document.unique(addresses.filter(|(_, address)| address.port() != 0));
    }

    fn admin_door(&self) {
        let Config { listen, tls, tokens, .. } = self.config;
        let is_guarded = !tls.certificates.is_empty() && !tokens.is_empty();
        if !listen.admin.ip().is_loopback() && !is_guarded {
            let expected = "a loopback address such as \"127.0.0.1:9180\"";
            let wrong = "found another without [tls] certificates and a [[token]]";
            self.document.tell("listen.admin", expected, wrong);
        }
    }

    fn tiers(&self) {
        let Config { node, shield, peer, .. } = self.config;
        if node.role == Role::Shield && shield.is_some() {
            self.document.tell("shield", "", "a node with role = \"shield\" asks no shield");
        }
        // A table that is there, but is none, has been told.
        let knows_peers = peer.is_some() || self.document.is_faulty("peer");
        if node.role == Role::Shield && !knows_peers {
            let expected = "a [peer] by which a shield knows its edges";
            self.document.tell("node.role", expected, "found none");
        }
        if let Some(shield) = shield {
            if node.role == Role::Edge && !knows_peers {
                let expected = "a [peer] with the secret of the shields";
                self.document.tell("shield", expected, "found none");
            }
            self.shields(shield);
        }
    }

    fn shields(&self, shield: &Shield) {
        if shield.nodes.is_empty() {
            self.document.tell("shield.nodes", "at least one shield", "found none");
        }
        let numbered = |(index, url)| (format!("shield.nodes[{index}]"), url);
        let urls = || shield.nodes.iter().map(|node| &node.url).enumerate().map(numbered);
        for (key, url) in urls() {
            if url.scheme == Scheme::Http && !url.is_loopback() {
                let expected = "https://, or an address of this machine alone";
                let words = self.document.words(&key, url);
                self.document.tell(&key, expected, &format!("found \"{words}\""));
            }
        }
        self.document.unique(urls());
        if shield.pause > shield.pause_max {
            let expected = format!("at most shield.pause_max, {}", show_duration(shield.pause_max));
            let wrong = format!("found {}", show_duration(shield.pause));
            self.document.tell("shield.pause", &expected, &wrong);
        }
    }

    /// Sites that are published find out when they come.
    fn geo(&self) {
        if self.config.geo.database.is_some() || self.document.is_faulty("geo") {
            return;
        }
        let routes = self.config.sites.iter().flat_map(|site| &site.routes);
        let needs = |route: &Route| {
            let policy = &route.policy;
            let is_listed = !(policy.country_allow.is_empty() && policy.country_deny.is_empty());
            is_listed || policy.key.country
        };
        if routes.into_iter().any(needs) {
            let expected = "a database, by which sites tell countries";
            self.document.tell("geo.database", expected, "found none");
        }
    }

    fn cache(&self) {
        let cache = &self.config.cache;
        if cache.max_object > cache.memory && self.document.says("cache.max_object") {
            let expected = format!("at most cache.memory, {}", cache.memory);
            let wrong = format!("found {}", cache.max_object);
            self.document.tell("cache.max_object", &expected, &wrong);
        }
    }

    fn purge(&self) {
        let settle = self.config.purge.settle;
        if self.config.control.is_some() && !settle.is_zero() {
            let expected = "it without [control] alone; with one, in the control plane's config";
            let wrong = format!("found {}", show_duration(settle));
            self.document.tell("purge.settle", expected, &wrong);
        }
    }

    fn tokens(&self) {
        let Config { tokens, sites, control, .. } = self.config;
        self.document.unique_names("token", tokens.iter().map(|token| token.name.as_str()));
        if control.is_some() {
            // Which sites there are may be published.
            return;
        }
        let names = self.document.names("site", sites.iter().map(|site| site.name.as_str()));
        for (index, token) in tokens.iter().enumerate() {
            for (number, name) in token.sites.iter().enumerate() {
                let key = format!("token[{index}].sites[{number}]");
                self.document.known(&key, name, &names);
            }
        }
    }
}

/// What is served, and from where: in a file of its node's, or published.
struct Served<'a> {
    origins: &'a [Origin],
    sites: &'a [Site],
    document: &'a Document<'a>,
}

impl Served<'_> {
    fn origins(&self) {
        let origins = self.origins;
        self.document.unique_names("origin", origins.iter().map(|origin| origin.name.as_str()));
        for (index, origin) in origins.iter().enumerate() {
            let servers = format!("origin[{index}].servers");
            match (&origin.s3, origin.servers.is_empty()) {
                (Some(_), false) => {
                    self.document.tell(&servers, "either servers or s3", "found both")
                }
                (None, true) if !self.document.says(&format!("origin[{index}].s3")) => {
                    self.document.tell(&servers, "servers or s3", "found neither");
                }
                (None, false) if origin.servers.iter().all(|server| server.backup) => {
                    self.document.tell(&servers, "a server that is no backup", "found none");
                }
                (Some(s3), true) => {
                    bucket::rules(&format!("origin[{index}]"), origin, s3, self.document)
                }
                _ => {}
            }
        }
        bucket::methods(origins, self.sites, self.document);
    }

    fn sites(&self) {
        let sites = self.sites;
        if sites.is_empty() {
            self.document.tell("site", "at least one [[site]]", "found none");
        }
        let origins = self.origins.iter().map(|origin| origin.name.as_str());
        let origins = self.document.names("origin", origins);
        self.document.unique_names("site", sites.iter().map(|site| site.name.as_str()));
        for (index, site) in sites.iter().enumerate() {
            if site.hosts.is_empty() {
                let hosts = format!("site[{index}].hosts");
                self.document.tell(&hosts, "at least one host", "found none");
            }
            self.routes(&format!("site[{index}]"), site, &origins);
        }
        edge_rules(sites, self.document);
        self.document.unique(sites.iter().enumerate().flat_map(|(index, site)| {
            let key = move |(host, pattern)| (format!("site[{index}].hosts[{host}]"), pattern);
            site.hosts.iter().enumerate().map(key)
        }));
    }

    fn routes(&self, site_key: &str, site: &Site, origins: &Names<'_>) {
        let Some((rest, routes)) = site.routes.split_last() else {
            return;
        };
        let key = format!("{site_key}.origin");
        self.document.known(&key, &rest.policy.origin, origins);
        for (number, route) in routes.iter().enumerate() {
            let key = format!("{site_key}.route[{number}].origin");
            // What a route inherits is told once, at its site.
            if self.document.says(&key) {
                self.document.known(&key, &route.policy.origin, origins);
            }
        }
        let numbered = |(number, route): (usize, &'_ Route)| {
            (format!("{site_key}.route[{number}].path"), route.path.clone())
        };
        self.document.unique(routes.iter().enumerate().map(numbered));
    }
}
