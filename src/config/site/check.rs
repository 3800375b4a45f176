//! The rules between the keys of a site's edge rules.

use http::Method;

use super::{Policy, Site};
use crate::config::address::HostPattern;
use crate::config::reader::Document;

/// Tells each broken rule of `sites`.
pub(in crate::config) fn rules(sites: &[Site], document: &Document<'_>) {
    for (index, site) in sites.iter().enumerate() {
        let Some((rest, routes)) = site.routes.split_last() else { continue };
        let site_key = format!("site[{index}]");
        let check = Check { sites, site, document };
        check.policy(&site_key, &rest.policy);
        for (number, route) in routes.iter().enumerate() {
            check.policy(&format!("{site_key}.route[{number}]"), &route.policy);
        }
    }
}

struct Check<'a> {
    sites: &'a [Site],
    site: &'a Site,
    document: &'a Document<'a>,
}

impl Check<'_> {
    /// What a route inherits is told once, at its site.
    fn policy(&self, key: &str, policy: &Policy) {
        let redirects = format!("{key}.redirects");
        if self.document.says(&redirects) {
            policy.redirects.check(self.document, &redirects, &self.site.hosts);
            self.canonical(&format!("{redirects}.host"), policy);
        }
        let signed = format!("{key}.signed_urls");
        if self.document.says(&signed) {
            policy.signed_urls.check(self.document, &signed);
        }
        let respond = format!("{key}.respond");
        if let Some(rule) = policy.respond.as_ref().filter(|_| self.document.says(&respond)) {
            rule.check(self.document, &respond);
        }
        let security = format!("{key}.security");
        if self.document.says(&security) {
            policy.security.check(self.document, &security);
        }
        let upgrade = format!("{key}.upgrade");
        let gets = policy.allow.is_empty() || policy.allow.contains(&Method::GET);
        if !policy.upgrade.is_empty() && !gets && self.document.says(&upgrade) {
            self.document.tell(&upgrade, "GET among the methods of allow", "found others alone");
        }
        let cors = format!("{key}.cors");
        if self.document.says(&cors) {
            policy.cors.check(self.document, &cors);
        }
    }

    /// A host to which clients are sent is not to send them on to another.
    fn canonical(&self, key: &str, policy: &Policy) {
        let Some(HostPattern::Exact(host)) = &policy.redirects.host else { return };
        let exact = |site: &&Site| site.hosts.iter().any(|own| own.to_string() == *host);
        let below = |site: &&Site| site.hosts.iter().any(|own| own.takes(host));
        let found = self.sites.iter().find(exact).or_else(|| self.sites.iter().find(below));
        let Some((site, rest)) = found.and_then(|site| Some((site, site.routes.last()?))) else {
            return;
        };
        if site.name != self.site.name
            && let Some(other) = &rest.policy.redirects.host
            && other.to_string() != *host
        {
            let wrong = format!("found one whose site sends clients on to {other}");
            self.document.tell(key, "a host where clients stay", &wrong);
        }
    }
}
