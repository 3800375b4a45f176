//! The sites of a node, found by host.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::HashMap;
use http::Method;
use parking_lot::Mutex;

use super::access::{EdgeRules, Limiters};
use super::countries::Countries;
use super::header_rules::HeaderRules;
use super::key_policy::{KeyPolicy, ResourceUrl};
use crate::config::Source;
use crate::config::geo::Country;
use crate::object::SiteKey;
use crate::semantics::coding::CompressPolicy;
use crate::semantics::freshness::FreshnessPolicy;
use crate::semantics::upgrade::Protocol;
use crate::semantics::uri::{Pattern, loosest_path, split_target};

/// Every site of a node.
#[derive(Debug, Default)]
pub struct SiteTable {
    exact: HashMap<Box<str>, Arc<Site>>,
    /// `*.example.com` as `example.com`: covers every name below it, at any depth.
    wildcard: HashMap<Box<str>, Arc<Site>>,
    sites: Vec<Arc<Site>>,
    source: Source,
    /// Whether any route has clients told of.
    tells: bool,
    /// Where clients are.
    pub(super) countries: Option<Arc<Countries>>,
}

/// One site.
#[derive(Debug)]
pub struct Site {
    /// What it is called in logs and metrics.
    pub label: SiteLabel,
    /// What purge rules call it.
    pub key: SiteKey,
    /// Goes into every key: two settings of a site never share a stored response, nor the same ones
    /// at two times with others between.
    pub generation: u64,
    /// Tells the settings by which keys are made and purges are read from all others: the same on
    /// every node that has them.
    pub settings: u64,
    /// In order; the last matches every path.
    pub routes: Vec<Arc<Route>>,
}

/// What a site is called: to be copied where a reference would be shared by all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteLabel {
    /// Its name.
    pub name: &'static str,
    /// Its index in the metrics.
    pub metric: usize,
}

impl SiteLabel {
    /// No site.
    pub const NONE: Self = Self { name: "-", metric: 0 };

    /// The label of a name. Names are kept for the life of the process, each once: they are as many
    /// as the configs have ever named.
    pub fn new(name: &str, metric: usize) -> Self {
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut names = NAMES.lock();
        let name = match names.get(name) {
            Some(name) => name,
            None => {
                let name: &'static str = Box::leak(name.into());
                names.insert(name);
                name
            }
        };
        Self { name, metric }
    }
}

/// How requests for some paths of a site are served.
#[derive(Debug)]
pub struct Route {
    /// Which paths; `None` is every path.
    pub path: Option<Pattern>,
    /// The origin's name.
    pub origin: String,
    /// Methods that are let through; `None` is every method.
    pub allow: Option<Vec<Method>>,
    /// Request to key.
    pub key: KeyPolicy,
    /// What the origin leaves open.
    pub freshness: FreshnessPolicy,
    /// Changes to the request on its way to the origin.
    pub request_headers: HeaderRules,
    /// Changes to the response, made once when it comes from the origin.
    pub response_headers: HeaderRules,
    /// What is done for clients before anything is looked up; `None` where there is no such rule.
    pub rules: Option<Box<EdgeRules>>,
    /// What is compressed for clients, and how; `None` for nothing.
    pub compress: Option<CompressPolicy>,
    /// Protocols for which connections may leave HTTP.
    pub upgrade: Vec<Protocol>,
}

impl SiteTable {
    /// A table of `sites` and the hosts of each: names, or wildcards `*.name`, in normal form.
    pub fn new(sites: Vec<(Site, Vec<String>)>) -> Self {
        let mut table = Self::default();
        for (site, hosts) in sites {
            let site = Arc::new(site);
            for host in hosts {
                match host.strip_prefix("*.") {
                    Some(parent) => table.wildcard.insert(parent.into(), site.clone()),
                    None => table.exact.insert(host.into(), site.clone()),
                };
            }
            table.tells |= site.routes.iter().any(|route| route.key.tells());
            table.sites.push(site);
        }
        table
    }

    /// The same, read from `source`.
    pub fn said_by(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// What it was read from.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The site of a host in normal form: by its own name, else by the longest wildcard.
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        if let Some(site) = self.exact.get(host) {
            return Some(site);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        host.match_indices('.').find_map(|(dot, _)| self.wildcard.get(&host[dot + 1..]))
    }

    /// Whether any route has this node tell of clients in the fields of their requests.
    pub fn tells(&self) -> bool {
        self.tells
    }

    /// Which country a client is in, if that is known.
    pub fn country_of(&self, client: IpAddr) -> Option<Country> {
        self.countries.as_ref()?.of(client)
    }

    /// The limits of the site of this name, to go on counting.
    pub fn limiters(&self, name: &str) -> Limiters<'_> {
        let site = self.sites.iter().find(|site| site.label.name == name);
        let routes = site.map_or(&[][..], |site| &site.routes);
        Limiters::of(routes.iter().map(|route| {
            let path = route.path.as_ref().map_or("*", Pattern::as_str);
            (path, route.rules.as_deref())
        }))
    }

    /// The sites in the order of the config.
    pub fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }
}

impl Site {
    /// The route of `target` (path and query as sent) at `host` (in normal form), and the URL it
    /// stands for. The route is chosen by the path that is asked upstream; what that may be beside
    /// is told by [`may_evade`](Self::may_evade).
    pub fn locate<'a>(
        &self,
        host: Cow<'a, str>,
        target: &'a str,
    ) -> Option<(&Arc<Route>, ResourceUrl<'a>)> {
        let (path, query) = split_target(target);
        let route = self.route(&path)?;
        Some((route, route.key.resource(host, path, query)))
    }

    /// Whether the origin may take a normalised path for one of another route: the rules of
    /// `route`, by which it would be served, need not be those that guard what it names there.
    pub fn may_evade(&self, route: &Arc<Route>, path: &str) -> bool {
        // Where there is one route there is no other.
        self.routes.len() > 1
            && loosest_path(path).is_some_and(|loosest| {
                self.route(&loosest).is_none_or(|other| !Arc::ptr_eq(other, route))
            })
    }

    /// The first route that covers a normalised path.
    pub fn route(&self, path: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.path.as_ref().is_none_or(|at| at.matches(path)))
    }
}

impl Route {
    /// Whether requests of `method` are let through.
    pub fn allows(&self, method: &Method) -> bool {
        self.allow.as_ref().is_none_or(|allowed| allowed.contains(method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> Site {
        let route = |path: Option<&str>, origin: &str| {
            Arc::new(Route {
                path: path.map(Pattern::new),
                origin: origin.to_owned(),
                allow: None,
                key: KeyPolicy::default(),
                freshness: FreshnessPolicy::default(),
                request_headers: HeaderRules::default(),
                response_headers: HeaderRules::default(),
                rules: None,
                compress: None,
                upgrade: Vec::new(),
            })
        };
        let routes = vec![route(Some("/media/*"), "bucket"), route(None, "app")];
        let (label, key) = (SiteLabel::new(name, 1), SiteKey::new(name));
        Site { label, key, generation: 0, settings: 0, routes }
    }

    #[test]
    fn the_closest_host_wins() {
        let hosts = |hosts: &[&str]| hosts.iter().map(|&host| host.to_owned()).collect();
        let table = SiteTable::new(vec![
            (site("exact"), hosts(&["a.example.com"])),
            (site("near"), hosts(&["*.cdn.example.com"])),
            (site("far"), hosts(&["*.example.com", "[::1]"])),
        ]);
        let cases = [
            ("a.example.com", Some("exact")),
            ("b.example.com", Some("far")),
            ("x.y.example.com", Some("far")),
            ("x.cdn.example.com", Some("near")),
            ("x.y.cdn.example.com", Some("near")),
            ("cdn.example.com", Some("far")),
            ("example.com", None),
            ("notexample.com", None),
            ("[::1]", Some("far")),
            ("", None),
        ];
        for (host, expected) in cases {
            assert_eq!(table.find(host).map(|site| site.label.name), expected, "{host}");
        }
    }

    #[test]
    fn the_first_route_that_covers_the_path_serves_it() {
        let site = site("s");
        let origin = |path| site.route(path).map(|route| route.origin.as_str());
        assert_eq!(origin("/media/a.jpg"), Some("bucket"));
        assert_eq!(origin("/media"), Some("app"));
    }

    #[test]
    fn a_path_that_is_read_in_two_ways_may_be_of_two_routes() {
        let site = site("s");
        let cases = [
            ("/media/a", false),
            ("/media//a", false),
            ("/media/a%2Fb;v=1", false),
            ("/a//b", false),
            ("/other/a;v=1", false),
            ("//media/a", true),
            ("/media%2Fa", true),
            ("/media;v=1/a", true),
            ("/media/..%2Fa", true),
            ("/media/%/../../a", true),
        ];
        for (path, expected) in cases {
            let route = site.route(path).unwrap();
            assert_eq!(site.may_evade(route, path), expected, "{path}");
        }
        // Where all paths are alike, none evades.
        let alone = Site { routes: site.routes[1..].to_vec(), ..site };
        assert!(!alone.may_evade(&alone.routes[0], "//media/a"));
    }
}
