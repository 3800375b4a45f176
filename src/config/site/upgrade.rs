//! `site.upgrade`: what connections may switch to.

use std::fmt;

use crate::config::value::{Value, quote};

/// A protocol as `Upgrade` names it (RFC 9110 section 7.8): `name`, or `name/version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol(String);

/// Versions of HTTP, in which requests would go to the origin past all rules, and TLS (RFC 2817),
/// which is a matter of each connection.
const OURS: [&str; 5] = ["http", "h2", "h2c", "h3", "tls"];

impl Protocol {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for Protocol {
    fn expected() -> String {
        "a protocol other than HTTP and TLS such as \"websocket\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let name = text.split('/').next().unwrap_or_default();
        let is_ours = OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
        // RFC 9110 section 5.6.2. A "*" stands for nothing here, so it is not taken for a token.
        let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(in_token);
        let is_protocol = text.split('/').count() <= 2 && text.split('/').all(is_token);
        (is_protocol && !is_ours).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0))
    }
}
