//! `[site.security]` and `[site.hotlink]`: what browsers are told, and whose pages may embed.

use std::time::Duration;

use crate::config::address::HostPattern;
use crate::config::reader::Document;
use crate::config::reference::Sample::Commented;
use crate::config::rule::Within;
use crate::config::section::{choice, section};

section! {
    /// What browsers are told for the safety of their users.
    pub struct Security {
        /// Fields that responses get in the place of the origin's; what headers.response says of
        /// one comes before. "basic": X-Content-Type-Options nosniff, X-Frame-Options SAMEORIGIN,
        /// Referrer-Policy strict-origin-when-cross-origin. "strict": X-Content-Type-Options
        /// nosniff, X-Frame-Options DENY, Referrer-Policy no-referrer, Cross-Origin-Opener-Policy
        /// and Cross-Origin-Resource-Policy same-origin, and a Permissions-Policy without camera,
        /// microphone and geolocation.
        preset: SecurityPreset = SecurityPreset::default();
        /// Strict-Transport-Security, over TLS alone (RFC 6797).
        hsts: Option<Hsts> = None, Commented(r#"{ max_age = "365d", include_subdomains = true }"#);
    }
}

choice! {
    /// Fields that responses get.
    pub enum SecurityPreset {
        /// None.
        Off = "off",
        /// Those that break no usual site.
        Basic = "basic",
        /// Those of a site that works alone.
        Strict = "strict",
    }
}

section! {
    /// Browsers use https alone.
    pub struct Hsts {
        /// How long a browser remembers it.
        max_age: Duration = Duration::from_hours(24 * 365),
            Within(Duration::ZERO..=Duration::from_hours(24 * 3650));
        /// Whether it holds for the hosts below as well.
        include_subdomains: bool = false;
        /// Whether browsers may ship with it.
        preload: bool = false;
    }
}

section! {
    /// Whose pages may embed what is served, by the Referer field. Pages of the host that is asked
    /// always may; those of others get 403.
    pub struct Hotlink {
        /// The hosts of such pages. Empty: all.
        hosts: Vec<HostPattern> = vec![];
        /// Whether requests are served that name no page.
        empty: bool = true;
    }
}

impl Security {
    /// Tells what contradicts itself; `key` is that of the table.
    pub(in crate::config) fn check(&self, document: &Document<'_>, key: &str) {
        // What the lists that browsers ship ask for.
        const YEAR: Duration = Duration::from_hours(24 * 365);
        let Some(hsts) = &self.hsts else { return };
        if hsts.preload && !(hsts.include_subdomains && hsts.max_age >= YEAR) {
            let expected = "include_subdomains and a max_age of at least 365d with it";
            document.tell(&format!("{key}.hsts.preload"), expected, "found true alone");
        }
    }
}
