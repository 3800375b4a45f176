//! `[site.cors]`: which pages of other origins may read responses (Fetch standard).

use std::time::Duration;

use http::{HeaderName, Method};

use crate::config::address::OriginPattern;
use crate::config::reader::Document;
use crate::config::reference::Sample::Shown;
use crate::config::rule::Within;
use crate::config::section::section;

section! {
    /// Which pages of other origins may read responses. Preflights are answered here, and CORS
    /// fields of the origin are replaced.
    pub struct Cors {
        /// The origins of such pages: "*" for all, "https://*.example.com" for all below a host.
        /// Empty: this node has no say in it, and passes on what the origin says.
        origins: Vec<OriginPattern> = vec![], Shown("[]");
        /// Methods that they may use.
        methods: Vec<Method> = vec![Method::GET, Method::HEAD, Method::POST];
        /// Request fields that they may send beyond the safe ones; "*" for all.
        headers: Vec<HeaderName> = vec![];
        /// Response fields that they may read beyond the safe ones; "*" for all.
        expose: Vec<HeaderName> = vec![];
        /// Whether they may send cookies and other credentials. Not with "*" among origins.
        credentials: bool = false;
        /// How long a browser may keep the answer to a preflight.
        max_age: Duration = Duration::from_mins(10),
            Within(Duration::ZERO..=Duration::from_hours(24));
    }
}

impl Cors {
    /// Tells what contradicts itself; `key` is that of the table.
    pub(in crate::config) fn check(&self, document: &Document<'_>, key: &str) {
        // Any page could then act for any user (Fetch standard, section 3.3.5).
        if self.credentials && self.origins.contains(&OriginPattern::Any) {
            let expected = "false where origins has \"*\"";
            document.tell(&format!("{key}.credentials"), expected, "found true");
        }
        let stars = [
            ("methods", self.methods.iter().any(|method| method.as_str() == "*")),
            ("expose", self.expose.iter().any(|name| name.as_str() == "*")),
        ];
        // Browsers take it for a name then (Fetch standard, section 3.3.5); what a preflight asks
        // to send is answered by name.
        for (list, _) in stars.into_iter().filter(|(_, has_star)| self.credentials && *has_star) {
            let expected = "names where credentials is true";
            document.tell(&format!("{key}.{list}"), expected, "found \"*\"");
        }
    }
}
