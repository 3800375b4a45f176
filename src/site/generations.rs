//! Which generation of keys each site has. Pure; whoever keeps it says where.
//!
//! A generation goes into every key of a site, is drawn at random, and lives as long as the
//! settings that shape the site's keys: its name, its hosts, its routes' paths and key policies,
//! and what other sites take out of its wildcards. A purge is resolved by the settings of its time,
//! and so covers what is stored under those. What was stored under others is out of its reach, and
//! must be out of the reach of requests for ever: settings that come back are of a new generation.
//!
//! ```text
//!  <generation, 16 hex> <BLAKE3 of the settings, 64 hex> <name>
//!  …
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::config::address::HostPattern;
use crate::config::site::Site;

/// The generation of each site of one config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations(BTreeMap<String, Generation>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Generation {
    number: u64,
    settings: blake3::Hash,
}

impl Generations {
    /// Those of `sites`: of a site that is here with the same settings its own, of any other a new
    /// one. What is not among `sites` is forgotten.
    pub fn next(&self, sites: &[Site]) -> Self {
        let generation = |site: &Site| {
            let settings = settings(site, sites);
            let known = self.0.get(&site.name).filter(|known| known.settings == settings);
            let drawn = || Generation { number: fastrand::u64(..), settings };
            (site.name.clone(), known.copied().unwrap_or_else(drawn))
        };
        Self(sites.iter().map(generation).collect())
    }

    /// The generation of a site; that of none is like no other.
    pub(super) fn of(&self, site: &str) -> u64 {
        self.0.get(site).map_or_else(|| fastrand::u64(..), |generation| generation.number)
    }

    /// What tells the settings of a site from all others: the same on every node that has them.
    pub(super) fn settings_of(&self, site: &str) -> Option<u64> {
        let settings = self.0.get(site)?.settings;
        settings.as_bytes().first_chunk().map(|half| u64::from_le_bytes(*half))
    }

    /// As lines of text.
    pub fn to_lines(&self) -> String {
        self.0.iter().fold(String::new(), |mut lines, (name, Generation { number, settings })| {
            // Writing to a string does not fail.
            let _written = writeln!(lines, "{number:016x} {settings} {name}").is_ok();
            lines
        })
    }

    /// What [`Self::to_lines`] wrote; `None` for anything else.
    pub fn from_lines(lines: &str) -> Option<Self> {
        let generation = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let number = u64::from_str_radix(words.next()?, 16).ok()?;
            let settings = blake3::Hash::from_hex(words.next()?).ok()?;
            Some((words.next()?.to_owned(), Generation { number, settings }))
        };
        lines.lines().map(generation).collect::<Option<_>>().map(Self)
    }
}

/// A digest of all that decides which requests share a stored response of `site`.
fn settings(site: &Site, sites: &[Site]) -> blake3::Hash {
    let keys: Vec<_> = site.routes.iter().map(|route| (&route.path, &route.policy.key)).collect();
    let others = sites.iter().filter(|other| other.name != site.name);
    let mut taken: Vec<_> = others
        .flat_map(|other| &other.hosts)
        .filter(|host| site.hosts.iter().any(|own| takes_from(host, own)))
        .collect();
    taken.sort_unstable();
    // Their order says nothing, and may be another in another node's file.
    let mut hosts: Vec<_> = site.hosts.iter().collect();
    hosts.sort_unstable();
    let mut settings = format!("{:?} {hosts:?} {keys:?} {taken:?}", site.name);
    for (number, route) in site.routes.iter().enumerate() {
        // Parameters of signatures are left out of keys. Sites without are as they ever were.
        if !route.policy.signed_urls.keys.is_empty() {
            settings.push_str(&format!(" signed {number}"));
        }
    }
    blake3::hash(settings.as_bytes())
}

/// Whether some of the hosts below `own` are `host`'s.
fn takes_from(host: &HostPattern, own: &HostPattern) -> bool {
    let (HostPattern::Exact(name) | HostPattern::Below(name)) = host;
    matches!(own, HostPattern::Below(_)) && own.takes(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The sites of a config: lines of each, behind its name.
    fn sites(each: &[(&str, &str)]) -> Vec<Site> {
        let origin = "[[origin]]\nname = \"app\"\nservers = [{ url = \"http://a.example\" }]\n";
        let listen = "[listen]\nhttp = [\"127.0.0.1:0\"]\n";
        let site = |(name, lines): &(&str, &str)| {
            format!("[[site]]\nname = \"{name}\"\norigin = \"app\"\n{lines}\n")
        };
        let text = format!("{listen}{origin}{}", each.iter().map(site).collect::<String>());
        let parsed = Config::parse(&text, "t.toml", "/".as_ref(), &|_| None);
        parsed.unwrap_or_else(|report| panic!("{report}")).sites
    }

    #[test]
    fn settings_that_shape_no_key_keep_the_generation() {
        let plain = sites(&[("shop", "hosts = [\"a.example\"]")]);
        let first = Generations::default().next(&plain);
        let number = first.of("shop");
        for lines in [
            "hosts = [\"a.example\"]\nallow = [\"GET\"]",
            "hosts = [\"a.example\"]\n[site.freshness]\ndefault = \"7s\"",
            "hosts = [\"a.example\"]\n[site.headers.response]\nset = { x-a = \"1\" }",
        ] {
            let next = first.next(&sites(&[("shop", lines), ("b", "hosts = [\"b.example\"]")]));
            assert_eq!(next.of("shop"), number, "{lines}");
            assert_ne!(next.of("b"), number);
            assert_eq!(next.next(&plain), first);
        }
    }

    #[test]
    fn the_same_settings_are_the_same_on_every_node() {
        let both = [("shop", "hosts = [\"a.example\"]"), ("b", "hosts = [\"b.example\"]")];
        let of = |each: &[(&str, &str)]| Generations::default().next(&sites(each));
        let (one, other) = (of(&both), of(&both));
        assert_ne!(one.of("shop"), other.of("shop"));
        assert_eq!(one.settings_of("shop"), other.settings_of("shop"));
        assert_ne!(one.settings_of("shop"), one.settings_of("b"));
        let sorted = "hosts = [\"a.example\"]\n[site.key.query]\nsort = true";
        assert_ne!(of(&[("shop", sorted)]).settings_of("shop"), one.settings_of("shop"));
        let signed = |secret: &str| {
            let keys = format!("keys = [{{ secret = \"{secret}\" }}]");
            let lines = format!("hosts = [\"a.example\"]\n[site.signed_urls]\n{keys}");
            of(&[("shop", &lines)]).settings_of("shop")
        };
        assert_ne!(signed("a secret of 16 bytes"), of(&both[..1]).settings_of("shop"));
        assert_eq!(signed("a secret of 16 bytes"), signed("another of 16 bytes"));
        assert_eq!(one.settings_of("other"), None);
    }

    #[test]
    fn only_the_order_of_routes_says_anything() {
        let of = |lines: &str| {
            let host = if lines.contains("hosts") { "" } else { "hosts = [\"h.example\"]" };
            let sites = sites(&[("shop", &format!("{host}\n{lines}"))]);
            Generations::default().next(&sites).settings_of("shop")
        };
        let list = |before: &str, [one, other]: [&str; 2]| {
            [format!("{before} = [{one}]"), format!("{before} = [{other}]")]
        };
        let routes = |paths: [&str; 2]| -> String {
            let route = |path: &str| {
                format!("[[site.route]]\npath = \"{path}\"\nkey.query.ignore = [\"{path}\"]\n")
            };
            paths.map(route).concat()
        };
        let names = [r#""b", "a*", "c""#, r#""c", "b", "a*", "b""#];
        let hosts = [r#""a.example", "b.example""#, r#""b.example", "a.example""#];
        let fields = [r#""x-b", "x-a""#, r#""x-a", "X-B", "x-a""#];
        let query_of_route = "[[site.route]]\npath = \"/a\"\nkey.query.ignore";
        let fields_of_route = "[[site.route]]\npath = \"/a\"\nkey.headers";
        for [one, other] in [
            list("hosts", hosts),
            list("key.query.ignore", names),
            list(query_of_route, names),
            list("key.headers", fields),
            list(fields_of_route, fields),
        ] {
            assert_eq!(of(&one), of(&other), "{one}");
            assert_ne!(of(&one), of(""), "{one}");
        }
        assert_ne!(of(&routes(["/a*", "/*b"])), of(&routes(["/*b", "/a*"])));
    }

    #[test]
    fn settings_that_come_back_are_new() {
        let wild = ("shop", "hosts = [\"*.example.com\"]");
        let taken = [("b", "hosts = [\"b.example.com\"]"), ("b", "hosts = [\"*.b.example.com\"]")];
        let plain = sites(&[wild]);
        let first = Generations::default().next(&plain);
        for others in [
            sites(&[("shop", "hosts = [\"*.example.com\", \"other.example\"]")]),
            sites(&[("shop", "hosts = [\"*.example.com\"]\n[site.key]\nheaders = [\"x-a\"]")]),
            sites(&[("shop", "hosts = [\"*.example.com\"]\n[site.key.query]\nsort = true")]),
            sites(&[("other", "hosts = [\"*.example.com\"]")]),
            sites(&[wild, taken[0]]),
            sites(&[wild, taken[1]]),
        ] {
            let between = first.next(&others);
            let last = between.next(&plain);
            let numbers = [&first, &between, &last].map(|it| it.of("shop"));
            assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2], "{numbers:?}");
            assert_ne!(numbers[0], numbers[2]);
        }
        // Names that only look alike take nothing away.
        let beside = sites(&[wild, ("b", "hosts = [\"example.com\", \"bexample.com\"]")]);
        assert_eq!(first.next(&beside).of("shop"), first.of("shop"));
    }

    #[test]
    fn what_is_written_is_read() {
        let sites = sites(&[("shop", "hosts = [\"a.example\"]"), ("b", "hosts = [\"b.example\"]")]);
        for generations in [Generations::default(), Generations::default().next(&sites)] {
            let lines = generations.to_lines();
            assert_eq!(Generations::from_lines(&lines), Some(generations));
        }
        for lines in ["x", "0 0 shop", "00000000000000aa", "\n"] {
            assert_eq!(Generations::from_lines(lines), None, "{lines}");
        }
    }
}
