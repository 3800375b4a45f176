//! Clients that are sent elsewhere. Pure.
//!
//! A `Location` always names scheme and host: what a client writes into a path (`//evil.example/`)
//! can never be taken for a host.

use std::collections::HashMap;

use bytes::Bytes;
use http::StatusCode;

use super::{Asked, Canned, push_lifetime};
use crate::config::address::HostPattern;
use crate::config::pattern::Pattern;
use crate::config::site::redirects::{Redirect, RedirectStatus, Redirects, Slash};
use crate::message::{FieldBlock, push_field};
use crate::semantics::uri::normalize_path_pattern;

/// The redirects of a route.
#[derive(Debug)]
pub(super) struct RedirectRules {
    https: bool,
    host: Option<String>,
    slash: Slash,
    status: StatusCode,
    /// The line that says how long a redirect may be kept.
    lifetime: Vec<u8>,
    /// As they stand in the config.
    rules: Vec<Redirect>,
    /// The places among them of paths without "*", and of those with one.
    literal: HashMap<Box<str>, usize>,
    patterns: Vec<usize>,
}

impl RedirectRules {
    /// The rules of a route; `None` where there are none.
    pub(super) fn new(redirects: &Redirects) -> Option<Self> {
        let Redirects { https, host, slash, status, max_age, rules } = redirects;
        let is_any = *https || host.is_some() || *slash != Slash::Keep || !rules.is_empty();
        let mut lifetime = Vec::new();
        push_lifetime(*max_age, &mut lifetime);
        let own = |rule: &Redirect| {
            let from = Pattern::new(normalize_path_pattern(rule.from.as_str()));
            Redirect { from, ..rule.clone() }
        };
        let rules: Vec<_> = rules.iter().map(own).collect();
        let from = |at: usize| rules[at].from.as_str();
        let (patterns, literal): (Vec<_>, Vec<_>) =
            (0..rules.len()).partition(|at| from(*at).contains('*'));
        // The first of several for one path is the one that holds.
        let literal = literal.into_iter().rev().map(|at| (from(at).into(), at)).collect();
        is_any.then(|| Self {
            https: *https,
            host: host.as_ref().map(HostPattern::to_string),
            slash: *slash,
            status: status_of(*status),
            lifetime,
            rules,
            literal,
            patterns,
        })
    }

    /// The redirect of a request, if it is one that leads elsewhere.
    pub(super) fn judge(&self, asked: &Asked<'_>) -> Option<Canned> {
        let (location, status, reason) = self.table(asked).or_else(|| self.canonical(asked))?;
        let mut lines = Vec::with_capacity(location.len() + 64);
        push_field(&mut lines, "location", location.as_bytes());
        lines.extend_from_slice(&self.lifetime);
        Some(Canned {
            reason,
            status,
            block: FieldBlock::from_lines(lines.into()),
            content_length: Some(0),
            body: Bytes::new(),
        })
    }

    /// The place in the config of the rule that sends the path elsewhere.
    pub(super) fn rule(&self, path: &str) -> Option<usize> {
        let leads = |at: &&usize| self.rules[**at].lead(path).is_some();
        self.literal.get(path).or_else(|| self.patterns.iter().find(leads)).copied()
    }

    /// Where the table sends the path.
    fn table(&self, asked: &Asked<'_>) -> Option<(String, StatusCode, &'static str)> {
        let rule = &self.rules[self.rule(asked.path)?];
        let to = rule.lead(asked.path)?;
        let mut location = match to.starts_with('/') {
            true => self.base(asked) + &to,
            false => to,
        };
        if let Some(query) = asked.query.filter(|_| rule.query) {
            let fragment = location.find('#').map(|at| location.split_off(at));
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str(query);
            location.push_str(&fragment.unwrap_or_default());
        }
        let is_elsewhere = location != asked.url();
        is_elsewhere.then(|| (location, rule.status.map_or(self.status, status_of), "redirect"))
    }

    /// The same resource by the scheme, host and slash that it should be asked by.
    fn canonical(&self, asked: &Asked<'_>) -> Option<(String, StatusCode, &'static str)> {
        let scheme = self.https && !asked.is_secure;
        let host = self.host.as_ref().is_some_and(|host| host != asked.host);
        let slash = self.slash.settle(asked.path);
        let reason = match (scheme, host, &slash) {
            (true, ..) => "redirect-https",
            (_, true, _) => "redirect-host",
            (.., Some(_)) => "redirect-slash",
            (false, false, None) => return None,
        };
        let path = slash.as_deref().unwrap_or(asked.path);
        // The asterisk of OPTIONS is of no resource.
        if !path.starts_with('/') {
            return None;
        }
        let mut location = self.base(asked) + path;
        if let Some(query) = asked.query {
            location = location + "?" + query;
        }
        Some((location, self.status, reason))
    }

    /// Scheme and host as they should be. A port is that of its scheme.
    fn base(&self, asked: &Asked<'_>) -> String {
        let host = self.host.as_deref().unwrap_or(asked.host);
        let is_secure = self.https || asked.is_secure;
        let port = asked.port.filter(|_| is_secure == asked.is_secure);
        base(is_secure, host, port)
    }
}

/// A scheme and an authority.
pub(super) fn base(is_secure: bool, host: &str, port: Option<&str>) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

fn status_of(status: RedirectStatus) -> StatusCode {
    StatusCode::from_u16(status.0).unwrap_or(StatusCode::PERMANENT_REDIRECT)
}
