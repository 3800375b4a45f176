//! What browsers are told for the safety of their users; whose pages may embed. Pure.

use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, HeaderName, HeaderValue,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::Asked;
use crate::config::address::HostPattern;
use crate::config::site::FieldRules;
use crate::config::site::security::{Hotlink, Hsts, Security, SecurityPreset};
use crate::message::push_field;
use crate::semantics::uri::{Reference, normalize_host};
use crate::site::header_rules::HeaderRules;

type Field = (HeaderName, &'static str);

const BASIC: [Field; 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "SAMEORIGIN"),
    (REFERRER_POLICY, "strict-origin-when-cross-origin"),
];

const STRICT: [Field; 6] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// What responses of a route tell browsers.
#[derive(Debug)]
pub(super) struct SecurityRules {
    preset: Vec<Field>,
    /// The line of HSTS, for responses over TLS.
    pub(super) hsts: Option<Vec<u8>>,
}

impl SecurityRules {
    /// The rules of a route whose site says the fields of `own`; `None` where it has none.
    pub(super) fn new(security: &Security, own: &FieldRules) -> Option<Self> {
        let preset = match security.preset {
            SecurityPreset::Off => vec![],
            SecurityPreset::Basic => BASIC.to_vec(),
            SecurityPreset::Strict => STRICT.to_vec(),
        };
        let said = own.set.get(STRICT_TRANSPORT_SECURITY).map(HeaderValue::as_bytes);
        let hsts = security.hsts.as_ref().map(|hsts| {
            let mut line = Vec::new();
            let value = hsts_value(hsts);
            push_field(&mut line, "strict-transport-security", said.unwrap_or(value.as_bytes()));
            line
        });
        (!preset.is_empty() || hsts.is_some()).then_some(Self { preset, hsts })
    }

    /// Adds what every response has alike. What the site says itself comes before.
    pub(super) fn extend(&self, rules: &mut HeaderRules) {
        for (name, value) in &self.preset {
            let is_said = rules.remove.contains(name) || rules.set.iter().any(|(it, _)| it == name);
            if !is_said {
                rules.set.push((name.clone(), HeaderValue::from_static(value)));
            }
        }
        if self.hsts.is_some() {
            // RFC 6797 section 7.2: not over a connection in clear, whoever says it.
            rules.remove.push(STRICT_TRANSPORT_SECURITY);
            rules.set.retain(|(name, _)| name != STRICT_TRANSPORT_SECURITY);
        }
    }
}

/// Whether a field is for the safety of users: a site that says it means all of its responses.
pub(super) fn is_for_safety(name: &HeaderName) -> bool {
    let policies = [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY];
    STRICT.iter().map(|(known, _)| known).chain(&policies).any(|known| known == name)
}

fn hsts_value(hsts: &Hsts) -> String {
    let mut value = format!("max-age={}", hsts.max_age.as_secs());
    if hsts.include_subdomains {
        value.push_str("; includeSubDomains");
    }
    if hsts.preload {
        value.push_str("; preload");
    }
    value
}

/// Whose pages may embed what a route serves.
#[derive(Debug)]
pub(super) struct HotlinkRules {
    hosts: Vec<HostPattern>,
    empty: bool,
}

impl HotlinkRules {
    /// The rules of a route; `None` where it has none.
    pub(super) fn new(hotlink: &Hotlink) -> Option<Self> {
        let Hotlink { hosts, empty } = hotlink.clone();
        (!hosts.is_empty()).then_some(Self { hosts, empty })
    }

    /// Whether the page that the request names may embed it.
    pub(super) fn admit(&self, asked: &Asked<'_>) -> bool {
        let Some(referer) = asked.fields.get("referer").filter(|value| !value.is_empty()) else {
            return self.empty;
        };
        let referer = std::str::from_utf8(referer).ok();
        let led = referer.and_then(|referer| Reference::resolve(referer, "/"));
        let host = led.and_then(|led| led.authority).and_then(normalize_host);
        host.is_some_and(|host| {
            host == asked.host || self.hosts.iter().any(|allowed| allowed.takes(&host))
        })
    }
}
