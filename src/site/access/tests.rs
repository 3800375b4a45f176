//! Tables of requests and what becomes of them, by rules as a config has them.

mod cors;
mod countries;
mod rate_limit;
mod redirects;
mod respond;
mod security;
mod signed_urls;

use std::net::IpAddr;

use http::Method;

use super::{Access, Asked, Canned, EdgeRules, SiteRules, SiteRulesFault};
use crate::config::Config;
use crate::message::Fields;
use crate::semantics::time::Timestamp;
use crate::semantics::uri::split_target;

/// A request, told in short: `https://www.example.com:8443/a?b`.
pub(super) struct Request {
    method: Method,
    url: String,
    fields: Fields,
    client: IpAddr,
    at: u64,
}

/// The time of every request that has none of its own, in seconds.
const NOW: u64 = 1_800_000_000;

/// A GET.
pub(super) fn get(url: &str) -> Request {
    let client = IpAddr::from([192, 0, 2, 1]);
    Request { method: Method::GET, url: url.to_owned(), fields: Fields::default(), client, at: NOW }
}

impl Request {
    pub(super) fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// What a rule answers.
    pub(super) fn answered(&self, rules: &EdgeRules) -> Canned {
        match self.judged(rules) {
            Access::Answer(canned) => canned,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn client(self, client: IpAddr) -> Self {
        Self { client, ..self }
    }

    pub(super) fn field(self, name: &str, value: &str) -> Self {
        let before = self.fields.iter();
        let fields = before.chain([(name.as_bytes(), value.as_bytes())]).collect();
        Self { fields, ..self }
    }

    pub(super) fn judged(&self, rules: &EdgeRules) -> Access {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let (authority, target) = rest.split_at(rest.find('/').unwrap());
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let (path, query) = split_target(target);
        rules.judge(&Asked {
            method: &self.method,
            is_secure: scheme == "https",
            host,
            port,
            path: &path,
            query,
            fields: &self.fields,
            client: self.client,
            now: Timestamp::from_seconds(self.at),
        })
    }
}

/// The rules of a site with these lines, or of its first route.
pub(super) fn rules(lines: &str) -> Box<EdgeRules> {
    all_rules(lines).remove(0).expect("rules")
}

/// The rules of all routes of a site with these lines, the site's own behind them.
pub(super) fn all_rules(lines: &str) -> Vec<Option<Box<EdgeRules>>> {
    read(lines).unwrap().rules.remove(0)
}

fn read(lines: &str) -> Result<SiteRules, SiteRulesFault> {
    let text = format!(
        "[listen]\nhttp = [\"127.0.0.1:0\"]\n[[origin]]\nname = \"app\"\n\
         servers = [{{ url = \"http://a.example\" }}]\n[[site]]\nname = \"shop\"\n\
         hosts = [\"example.com\", \"*.example.com\"]\norigin = \"app\"\n{lines}\n"
    );
    let parsed = Config::parse(&text, "t.toml", "/".as_ref(), &|_| None);
    let config = parsed.unwrap_or_else(|report| panic!("{report}"));
    SiteRules::read(&config.sites, &config.geo)
}

#[test]
fn a_key_is_made_of_what_goes_on() {
    for name in ["x-original-url", "x-forwarded-host", "proxy-authorization", "max-forwards"] {
        let fault = read(&format!("key.headers = [\"accept\", \"{name}\"]")).unwrap_err();
        let why = "site shop: key.headers: expected fields that go on to origins, found";
        assert_eq!(fault.to_string(), format!("{why} {name}"));
    }
    assert!(read("key.headers = [\"accept\", \"x-forwarded-proto\"]").is_ok());
}
