//! The table of the sites in a config.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::generations::Generations;
use super::key_policy::KeyPolicy;
use super::table::{HeaderRules, Route, Site, SiteLabel, SiteTable};
use crate::config::site::{
    self as config, FieldRules, Policy, RequestDirectives, Route as RouteConfig,
    Site as SiteConfig, Statuses,
};
use crate::object::SiteKey;
use crate::semantics::freshness::{FreshnessPolicy, SetCookie, StatusMatch};
use crate::semantics::uri::Pattern;

impl SiteTable {
    /// The table of `sites`, whose key generations are among `generations`; `metric` gives a site's
    /// index in the metrics.
    pub fn from_config(
        sites: &[SiteConfig],
        generations: &Generations,
        metric: impl Fn(&str) -> usize,
    ) -> Self {
        let entry = |site: &SiteConfig| {
            let hosts = site.hosts.iter().map(ToString::to_string).collect();
            (build_site(site, generations, metric(&site.name)), hosts)
        };
        Self::new(sites.iter().map(entry).collect())
    }
}

fn build_site(site: &SiteConfig, generations: &Generations, metric: usize) -> Site {
    let routes = site.routes.iter().map(|route| Arc::new(build_route(route))).collect();
    Site {
        label: SiteLabel::new(&site.name, metric),
        key: SiteKey::new(&site.name),
        generation: generations.of(&site.name),
        settings: generations.settings_of(&site.name).unwrap_or_default(),
        routes,
    }
}

fn build_route(route: &RouteConfig) -> Route {
    let Policy { origin, allow, key, freshness, headers } = &route.policy;
    let everything = route.path.as_str() == "*";
    Route {
        path: (!everything).then(|| Pattern::new(route.path.as_str())),
        origin: origin.clone(),
        allow: (!allow.is_empty()).then(|| allow.clone()),
        key: KeyPolicy {
            ignore: key.query.ignore.iter().map(|name| Pattern::new(name.as_str())).collect(),
            sort: key.query.sort,
            headers: key.headers.clone(),
        },
        freshness: FreshnessPolicy {
            default: seconds(freshness.default),
            negative: freshness.negative.iter().map(negative).collect(),
            stale_while_revalidate: seconds(freshness.stale_while_revalidate),
            stale_if_error: seconds(freshness.stale_if_error),
            obeys_requests: freshness.request_directives == RequestDirectives::Obey,
            set_cookie: match freshness.set_cookie {
                config::SetCookie::Pass => SetCookie::Pass,
                config::SetCookie::Remove => SetCookie::Remove,
                config::SetCookie::Store => SetCookie::Store,
            },
        },
        request_headers: rules(&headers.request),
        response_headers: rules(&headers.response),
    }
}

fn negative((statuses, lifetime): (Statuses, Duration)) -> (StatusMatch, u32) {
    let statuses = match statuses {
        Statuses::One(status) => StatusMatch::Exact(status),
        Statuses::Class(class) => StatusMatch::Class(class as u8),
    };
    (statuses, seconds(lifetime))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn rules(rules: &FieldRules) -> HeaderRules {
    let set = rules.set.iter().map(|(name, value)| (HeaderName::clone(name), value.clone()));
    HeaderRules { set: set.collect(), remove: rules.remove.clone() }
}
