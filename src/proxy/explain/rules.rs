//! The rules that mattered, each with its source: from the grounds that the decisions themselves
//! give. Pure, but for what is asked of the journey.

use std::time::Duration;

use super::super::context::Journey;
use super::super::head::{as_received, upstream_lines};
use super::Found;
use crate::config::units::show_duration;
use crate::message::{COUNTRY, DEVICE};
use crate::object::{ObjectHead, PurgeState};
use crate::semantics::freshness::{
    Freshness, FreshnessFlags, FreshnessPolicy, Grounds, LifetimeSource, MustRevalidate,
    ResponseFacts, StatusMatch, WindowSource, grounded,
};
use crate::site::Said;

/// One rule that mattered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who says so.
    pub source: RuleSource,
    /// What it says, such as `s-maxage=60`.
    pub says: String,
    /// What comes of it.
    pub effect: String,
}

/// Who gives a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// The request: its method, or this field of it.
    Request(&'static str),
    /// This field of the stored response, as the origin sent it.
    Response(&'static str),
    /// A setting of the site or route.
    Config(Said),
    /// The purges that are applied here.
    Purges,
    /// The node, by what it remembers.
    Node,
}

impl Rule {
    pub(super) fn new(
        source: RuleSource,
        says: impl Into<String>,
        effect: impl Into<String>,
    ) -> Self {
        Self { source, says: says.into(), effect: effect.into() }
    }
}

impl Journey {
    /// The rules that matter for what is stored.
    pub(super) fn of_stored(
        &self,
        stored: Option<&ObjectHead>,
        found: Option<&Found>,
        said: &dyn Fn(&str) -> RuleSource,
    ) -> Vec<Rule> {
        let mut rules = Vec::new();
        if let (Some(head), Some(found)) = (stored, found) {
            rules.extend(of_stored(head, found.freshness, &self.route.freshness, said));
            rules.extend(of_purges(found.purged));
            let own = self.inbound.rules(&self.route);
            if own.is_some_and(|own| own.page_for_origin(head.status).is_some()) {
                let effect = "the site's own page is its body";
                rules.push(Rule::new(said("error_pages.files"), head.status.as_str(), effect));
            }
        }
        if self.proxy.store.rules().is_fenced() {
            let effect = "what is stored counts as perhaps purged, and is validated";
            rules.push(Rule::new(RuleSource::Node, "fenced", effect));
        }
        rules
    }

    /// Which site, route and origin.
    pub(super) fn of_way(&self, said: &dyn Fn(&str) -> RuleSource) -> Vec<Rule> {
        let host = self.resource.host.to_string();
        let site = format!("site {}", self.site.label.name);
        let mut rules = vec![Rule::new(said("hosts"), host, site)];
        if let Some(path) = &self.route.path {
            rules.push(Rule::new(said("path"), path.as_str(), "this route"));
        }
        rules.push(Rule::new(
            said("origin"),
            &self.route.origin,
            "asked where nothing stored will do",
        ));
        rules
    }

    /// What makes the key another than host, path and query as sent.
    pub(super) fn of_key(&self, said: &dyn Fn(&str) -> RuleSource) -> Vec<Rule> {
        let key = &self.route.key;
        let mut rules = Vec::new();
        let sent = std::str::from_utf8(&self.inbound.head.target)
            .ok()
            .and_then(|target| target.split_once('?').map(|(_, query)| query));
        if sent != self.resource.query.as_deref() {
            let query = self.resource.query.as_deref().unwrap_or("none");
            let effect = format!("the query of the key: {query}");
            if !key.ignore.is_empty() {
                let names: Vec<_> = key.ignore.iter().map(|name| name.as_str()).collect();
                rules.push(Rule::new(said("key.query.ignore"), names.join(", "), effect.clone()));
            }
            if key.sort {
                rules.push(Rule::new(said("key.query.sort"), "true", effect));
            }
        }
        let told = [("key.device", key.device, DEVICE), ("key.country", key.country, COUNTRY)];
        let headers = key.headers.iter().map(http::HeaderName::as_str);
        let headers: Vec<_> = headers.filter(|name| ![DEVICE, COUNTRY].contains(name)).collect();
        for (setting, names) in
            [("key.headers", headers.join(", ")), ("key.cookies", key.cookies.join(", "))]
        {
            if !names.is_empty() {
                rules.push(Rule::new(said(setting), names, "their values are part of the key"));
            }
        }
        for (setting, _, name) in told.into_iter().filter(|(_, is_told, _)| *is_told) {
            let value = self.inbound.head.fields.get(name).unwrap_or(b"not known");
            let effect = "it is part of the key";
            rules.push(Rule::new(said(setting), String::from_utf8_lossy(value), effect));
        }
        rules
    }

    pub(super) fn of_method(&self) -> Option<Rule> {
        let method = self.inbound.head.method.as_str();
        let effect = "never answered from what is stored";
        (!self.facts.method.is_cacheable())
            .then(|| Rule::new(RuleSource::Request("method"), method, effect))
    }
}

/// What settles how a stored response is used; `held` is what was settled when it came.
fn of_stored(
    head: &ObjectHead,
    held: Freshness,
    policy: &FreshnessPolicy,
    said: &dyn Fn(&str) -> RuleSource,
) -> Vec<Rule> {
    let lines = |name: &'static str| {
        let lines: Vec<_> = as_received(head, name).map(String::from_utf8_lossy).collect();
        lines.join(", ")
    };
    let facts = ResponseFacts::read(head.status.as_u16(), upstream_lines(head));
    let (settled, grounds) = grounded(&facts, policy, held.born, held.born);
    let mut rules = Vec::new();
    if !facts.vary.is_empty() {
        let effect = "a variant for each selection of these fields";
        rules.push(Rule::new(RuleSource::Response("vary"), lines("vary"), effect));
    }
    rules.push(of_lifetime(&settled, &grounds, &lines, said));
    rules.extend(of_use(&facts, &settled, &grounds));
    rules.extend(of_windows(&settled, &grounds, policy, said));
    if (settled.lifetime, settled.flags) != (held.lifetime, held.flags) {
        let says = format!("fresh for {}", seconds(held.lifetime));
        let effect = "settled when it came, by other settings or since expired: this holds";
        rules.push(Rule::new(RuleSource::Node, says, effect));
    }
    rules
}

fn of_lifetime(
    settled: &Freshness,
    grounds: &Grounds,
    lines: &dyn Fn(&'static str) -> String,
    said: &dyn Fn(&str) -> RuleSource,
) -> Rule {
    let (lifetime, shown) = (settled.lifetime, seconds(settled.lifetime));
    let effect = match lifetime {
        0 => "never fresh".to_owned(),
        _ => format!("fresh for {shown}"),
    };
    let directive = |name: &str| {
        let source = RuleSource::Response(grounds.field.as_str());
        Rule::new(source, format!("{name}={lifetime}"), effect.clone())
    };
    let line = |name: &'static str, effect: String| {
        Rule::new(RuleSource::Response(name), lines(name), effect)
    };
    match grounds.lifetime {
        LifetimeSource::SMaxage => directive("s-maxage"),
        LifetimeSource::MaxAge => directive("max-age"),
        LifetimeSource::Expires => line("expires", effect),
        LifetimeSource::InvalidExpires => line("expires", "no date: it has passed".to_owned()),
        LifetimeSource::Pragma => line("pragma", effect),
        LifetimeSource::LastModified => {
            line("last-modified", format!("{effect}: a tenth of the time since, for nobody says"))
        }
        LifetimeSource::SiteStatus(statuses) => {
            let says = format!("\"{}\" = \"{shown}\"", statuses_shown(statuses));
            Rule::new(said("freshness.negative"), says, effect)
        }
        LifetimeSource::SiteDefault => Rule::new(said("freshness.default"), shown, effect),
        LifetimeSource::Nobody => {
            Rule::new(said("freshness.default"), shown, "never fresh: nobody gives a lifetime")
        }
    }
}

/// What keeps a stored response from being used as it is.
fn of_use(facts: &ResponseFacts, settled: &Freshness, grounds: &Grounds) -> Vec<Rule> {
    let field = || RuleSource::Response(grounds.field.as_str());
    let mut rules = Vec::new();
    if settled.flags.has(FreshnessFlags::NO_CACHE) {
        let effect = match facts.has_validator() {
            true => "validated at each use",
            false => "fetched at each use: it has no validator",
        };
        rules.push(Rule::new(field(), "no-cache", effect));
    }
    if let Some(directive) = grounds.must_revalidate {
        let effect = match directive {
            MustRevalidate::SMaxage => "never served stale, which it implies",
            MustRevalidate::Itself | MustRevalidate::Proxy => "never served stale",
        };
        rules.push(Rule::new(field(), directive.as_str(), effect));
    }
    rules
}

/// For how long it is served once stale.
fn of_windows(
    settled: &Freshness,
    grounds: &Grounds,
    policy: &FreshnessPolicy,
    said: &dyn Fn(&str) -> RuleSource,
) -> Vec<Rule> {
    let windows = [
        (
            "stale-while-revalidate",
            "freshness.stale_while_revalidate",
            settled.stale_while_revalidate,
            grounds.stale_while_revalidate,
            policy.stale_while_revalidate,
            "while it is refreshed",
        ),
        (
            "stale-if-error",
            "freshness.stale_if_error",
            settled.stale_if_error,
            grounds.stale_if_error,
            policy.stale_if_error,
            "while upstream fails",
        ),
    ];
    let mut rules = Vec::new();
    for (directive, key, window, source, of_site, purpose) in windows {
        let effect = format!("once stale, served for {} {purpose}", seconds(window));
        rules.extend(match source {
            WindowSource::Response => {
                let field = RuleSource::Response(grounds.field.as_str());
                Some(Rule::new(field, format!("{directive}={window}"), effect))
            }
            WindowSource::Site if window > 0 => {
                Some(Rule::new(said(key), seconds(of_site), effect))
            }
            WindowSource::RuledOut if of_site > 0 => {
                Some(Rule::new(said(key), seconds(of_site), "ruled out by s-maxage"))
            }
            WindowSource::Site | WindowSource::RuledOut => None,
        });
    }
    rules
}

fn of_purges(purged: PurgeState) -> Option<Rule> {
    let (says, effect) = match purged {
        PurgeState::Clean => return None,
        PurgeState::Soft => ("a soft purge covers it", "it counts as stale"),
        PurgeState::Hard => ("a hard purge covers it", "it is gone, and fetched anew"),
        PurgeState::Possibly => {
            ("a purge may cover it", "validated by a strong tag, or fetched anew")
        }
    };
    Some(Rule::new(RuleSource::Purges, says, effect))
}

fn statuses_shown(statuses: StatusMatch) -> String {
    match statuses {
        StatusMatch::Exact(status) => status.to_string(),
        StatusMatch::Class(class) => format!("{class}xx"),
    }
}

fn seconds(seconds: u32) -> String {
    show_duration(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests;
