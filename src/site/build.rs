//! The table of the sites in a config.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::access::{EdgeRules, PARAMETERS, SiteRules};
use super::generations::Generations;
use super::header_rules::HeaderRules;
use super::key_policy::KeyPolicy;
use super::table::{Route, Site, SiteLabel, SiteTable};
use crate::config::compress::{Coding as CodingConfig, Compress};
use crate::config::pattern::Pattern as PatternConfig;
use crate::config::site::{
    self as config, KeyPolicy as KeyPolicyConfig, Policy, RequestDirectives, Route as RouteConfig,
    Site as SiteConfig, Statuses,
};
use crate::message::{COUNTRY, DEVICE};
use crate::object::SiteKey;
use crate::semantics::coding::{Coding, CompressPolicy, Levels};
use crate::semantics::freshness::{FreshnessPolicy, SetCookie, StatusMatch};
use crate::semantics::upgrade::Protocol;
use crate::semantics::uri::{Pattern, normalize_path_pattern};

impl SiteTable {
    /// The table of `sites` with their `rules`, whose key generations are among `generations`;
    /// `metric` gives a site's index in the metrics.
    pub fn from_config(
        sites: &[SiteConfig],
        rules: SiteRules,
        generations: &Generations,
        metric: impl Fn(&str) -> usize,
    ) -> Self {
        let entry = |(site, rules): (&SiteConfig, Vec<_>)| {
            let hosts = site.hosts.iter().map(ToString::to_string).collect();
            (build_site(site, rules, generations, metric(&site.name)), hosts)
        };
        let SiteRules { rules, countries } = rules;
        let mut table = Self::new(sites.iter().zip(rules).map(entry).collect());
        table.countries = countries;
        table
    }
}

fn build_site(
    site: &SiteConfig,
    rules: Vec<Option<Box<EdgeRules>>>,
    generations: &Generations,
    metric: usize,
) -> Site {
    let routes = site.routes.iter().zip(rules);
    let routes = routes.map(|(route, rules)| Arc::new(build_route(route, rules))).collect();
    Site {
        label: SiteLabel::new(&site.name, metric),
        key: SiteKey::new(&site.name),
        generation: generations.of(&site.name),
        settings: generations.settings_of(&site.name).unwrap_or_default(),
        routes,
    }
}

fn build_route(route: &RouteConfig, edge_rules: Option<Box<EdgeRules>>) -> Route {
    let Policy { origin, allow, signed_urls, key, freshness, headers, compress, upgrade, .. } =
        &route.policy;
    let mut response_headers = HeaderRules::from_config(&headers.response);
    if let Some(rules) = &edge_rules {
        rules.extend(&mut response_headers);
    }
    let everything = route.path.as_str() == "*";
    Route {
        path: (!everything).then(|| Pattern::new(&normalize_path_pattern(route.path.as_str()))),
        origin: origin.clone(),
        allow: (!allow.is_empty()).then(|| allow.clone()),
        key: KeyPolicy {
            ignore: patterns(&key.query.ignore),
            own: if signed_urls.keys.is_empty() { &[] } else { &PARAMETERS },
            sort: key.query.sort,
            keep: patterns(&key.query.keep),
            headers: key_headers(key),
            cookies: key.cookies.clone(),
            device: key.device,
            country: key.country,
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
        request_headers: HeaderRules::from_config(&headers.request),
        response_headers,
        rules: edge_rules,
        compress: compress.as_ref().filter(|it| !it.codings.is_empty()).map(compress_policy),
        upgrade: upgrade.iter().map(|protocol| Protocol::new(protocol.as_str())).collect(),
    }
}

fn compress_policy(compress: &Compress) -> CompressPolicy {
    let coding = |coding: &CodingConfig| match coding {
        CodingConfig::Zstd => Coding::Zstd,
        CodingConfig::Brotli => Coding::Brotli,
        CodingConfig::Gzip => Coding::Gzip,
    };
    let Compress { zstd_level, br_level, gzip_level, .. } = *compress;
    CompressPolicy {
        codings: compress.codings.iter().map(coding).collect(),
        types: compress.types.iter().map(|types| Pattern::new(types.as_str())).collect(),
        lengths: (compress.min.0, compress.max.0),
        levels: Levels {
            zstd: zstd_level as u32,
            brotli: br_level as u32,
            gzip: gzip_level as u32,
        },
    }
}

fn patterns(patterns: &[PatternConfig]) -> Vec<Pattern> {
    patterns.iter().map(|pattern| Pattern::new(pattern.as_str())).collect()
}

/// What is told of a client is in its fields by then.
fn key_headers(key: &KeyPolicyConfig) -> Vec<HeaderName> {
    let device = key.device.then(|| HeaderName::from_static(DEVICE));
    let country = key.country.then(|| HeaderName::from_static(COUNTRY));
    key.headers.iter().cloned().chain(device).chain(country).collect()
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
