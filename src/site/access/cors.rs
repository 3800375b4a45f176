//! Pages of other origins: preflights, and what lets them read a response. Pure.
//!
//! ```text
//!  preflight ─────────────► answered here
//!  any other, of "*" ─────► fields put in when the response is made ready
//!  any other, of a list ──► the origin that asks is named in each response, beside Vary: Origin
//! ```

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, VARY,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::{Access, Asked, Canned, Denial};
use crate::config::address::OriginPattern;
use crate::config::site::cors::Cors;
use crate::message::{Extra, FieldBlock, Fields, push_field};
use crate::site::header_rules::HeaderRules;

/// What an origin says of them is replaced.
const REPLACED: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Which pages may read the responses of a route.
#[derive(Debug)]
pub(super) struct CorsRules {
    cors: Cors,
    /// Whether all may, so that no response depends on who asks.
    is_for_all: bool,
    /// The lines of an answer to a preflight that depend on nothing.
    preflight: Vec<u8>,
    /// The lines beside the one that names the origin.
    beside: Vec<u8>,
}

impl CorsRules {
    /// The rules of a route; `None` where it has none.
    pub(super) fn new(cors: &Cors) -> Option<Self> {
        if cors.origins.is_empty() {
            return None;
        }
        let (mut preflight, mut beside) = (Vec::new(), Vec::new());
        let methods = list(cors.methods.iter().map(Method::as_str));
        push_field(&mut preflight, "access-control-allow-methods", methods.as_bytes());
        let max_age = cors.max_age.as_secs().to_string();
        push_field(&mut preflight, "access-control-max-age", max_age.as_bytes());
        if !cors.headers.is_empty() && !is_wild(&cors.headers) {
            let headers = list(cors.headers.iter().map(HeaderName::as_str));
            push_field(&mut preflight, "access-control-allow-headers", headers.as_bytes());
        }
        if cors.credentials {
            push_field(&mut beside, "access-control-allow-credentials", b"true");
        }
        if let Some(expose) = exposed(cors) {
            push_field(&mut beside, "access-control-expose-headers", expose.as_bytes());
        }
        let is_for_all = cors.origins.contains(&OriginPattern::Any);
        Some(Self { cors: cors.clone(), is_for_all, preflight, beside })
    }

    /// The answer to a preflight.
    pub(super) fn judge(&self, asked: &Asked<'_>) -> Option<Access> {
        let origin = asked.fields.get("origin")?;
        let is_preflight = *asked.method == Method::OPTIONS
            && asked.fields.get("access-control-request-method").is_some();
        if !is_preflight {
            return None;
        }
        if !self.allows(origin) {
            return Some(Access::Refuse(Denial::Origin));
        }
        let mut lines = self.preflight.clone();
        if is_wild(&self.cors.headers) {
            // A "*" would stand for itself where there are credentials.
            for headers in asked.fields.all("access-control-request-headers") {
                push_field(&mut lines, "access-control-allow-headers", headers);
            }
        }
        Some(Access::Answer(Canned {
            reason: "preflight",
            status: StatusCode::NO_CONTENT,
            block: FieldBlock::from_lines(lines.into()),
            content_length: None,
            body: Bytes::new(),
        }))
    }

    /// Adds what every response has alike.
    pub(super) fn extend(&self, rules: &mut HeaderRules) {
        rules.set.retain(|(name, _)| !REPLACED.contains(name));
        rules.remove.extend(REPLACED);
        if !self.is_for_all {
            rules.add.push((VARY, HeaderValue::from_static("origin")));
            return;
        }
        rules.set.push((ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")));
        let expose = exposed(&self.cors).and_then(|names| HeaderValue::try_from(names).ok());
        rules.set.extend(expose.map(|names| (ACCESS_CONTROL_EXPOSE_HEADERS, names)));
    }

    /// Appends what the response to one page has.
    pub(super) fn push_own(&self, fields: &Fields, extra: &mut Extra) {
        if self.is_for_all {
            return;
        }
        if let Some(origin) = fields.get("origin").filter(|origin| self.allows(origin)) {
            push_field(extra, "access-control-allow-origin", origin);
            extra.extend_from_slice(&self.beside);
        }
    }

    /// Whether pages of this origin may read what is served.
    pub(super) fn allows(&self, origin: &[u8]) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        self.cors.origins.iter().any(|pattern| pattern.matches(origin))
    }
}

fn exposed(cors: &Cors) -> Option<String> {
    (!cors.expose.is_empty()).then(|| list(cors.expose.iter().map(HeaderName::as_str)))
}

fn is_wild(names: &[HeaderName]) -> bool {
    names.iter().any(|name| name == "*")
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
