//! Request to key: which URL a request stands for.
//!
//! Invariant: a fetch that may be stored asks upstream for exactly what its key says. So a request
//! cannot store, under one key, what the origin answers to another URL.

use std::borrow::Cow;

use http::HeaderName;
use smallvec::SmallVec;

use crate::message::Fields;
use crate::object::{CacheKey, SiteKey, TargetUri};
use crate::semantics::uri::{Pattern, Reference, normalize_host, normalize_query, split_target};

/// What of a request makes its key.
#[derive(Clone, Debug, Default)]
pub struct KeyPolicy {
    /// Query parameters that are left out of the key and of what is asked upstream.
    pub ignore: Vec<Pattern>,
    /// Whether the order of query parameters says nothing.
    pub sort: bool,
    /// Request fields whose values are part of the key.
    pub headers: Vec<HeaderName>,
}

/// A URL in the form that keys and purges are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUrl<'a> {
    /// Host in normal form.
    pub host: Cow<'a, str>,
    /// Normalised path.
    pub path: Cow<'a, str>,
    /// Query by the site's rules.
    pub query: Option<Cow<'a, str>>,
}

impl KeyPolicy {
    /// The URL that a request for `path` and `query` at `host` stands for; host and path come in
    /// normal form.
    pub fn resource<'a>(
        &self,
        host: Cow<'a, str>,
        path: Cow<'a, str>,
        query: Option<&'a str>,
    ) -> ResourceUrl<'a> {
        let query = query.map(|query| (query, normalize_query(query, &self.ignore, self.sort)));
        let query = match query {
            // Nothing is left of what was there: the same as no query.
            Some((whole, rest)) if rest.is_empty() && !whole.is_empty() => None,
            Some((_, query)) => Some(query),
            None => None,
        };
        ResourceUrl { host, path, query }
    }

    /// Whether every query is left as it is sent.
    pub fn keeps_query(&self) -> bool {
        self.ignore.is_empty() && !self.sort
    }

    /// What a request's fields add to the key. Absent and empty differ, and no value can be taken
    /// for another's end. The scheme adds nothing: both doors serve the same site.
    pub fn extra(&self, fields: &Fields) -> SmallVec<[u8; 64]> {
        let mut extra = SmallVec::new();
        for name in &self.headers {
            for value in fields.all(name.as_str()) {
                extra.push(b'=');
                extra.extend_from_slice(&(value.len() as u64).to_le_bytes());
                extra.extend_from_slice(value);
            }
            extra.push(b';');
        }
        extra
    }
}

impl ResourceUrl<'_> {
    /// The primary cache key.
    pub fn key(&self, generation: u64, extra: &[u8]) -> CacheKey {
        let query = self.query.as_deref().map(str::as_bytes);
        CacheKey::new(generation, self.host.as_bytes(), self.path.as_bytes(), query, extra)
    }

    /// Whether `location` is this URL, perhaps under another scheme or port. Such a redirect is
    /// meant for clients of one scheme, and to share it would send the others round for ever.
    pub fn is_itself(&self, location: &str) -> bool {
        let Some(led) = Reference::resolve(location, "/") else { return false };
        let (path, query) = split_target(&led.target);
        led.authority.and_then(normalize_host).is_some_and(|host| host == self.host)
            && path == self.path
            && query == self.query.as_deref()
    }

    /// The same, as purges are judged against it; `policy` made it.
    pub fn target_uri(&self, site: SiteKey, policy: &KeyPolicy) -> TargetUri<'_> {
        TargetUri {
            site,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            query_as_sent: policy.keeps_query(),
        }
    }

    /// Path and query, as asked upstream.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        }
    }

    /// What decides which shield it belongs to: for every edge the same.
    pub fn shield_key(&self) -> Vec<u8> {
        [self.host.as_bytes(), self.target().as_bytes()].concat()
    }

    /// The same URL, borrowing nothing.
    pub fn into_owned(self) -> ResourceUrl<'static> {
        ResourceUrl {
            host: self.host.into_owned().into(),
            path: self.path.into_owned().into(),
            query: self.query.map(|query| query.into_owned().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> KeyPolicy {
        let ignore = ["utm_*", "fbclid"].map(Pattern::new).into();
        KeyPolicy { ignore, sort: true, headers: vec![HeaderName::from_static("x-device")] }
    }

    fn resource<'a>(policy: &KeyPolicy, target: &'a str) -> ResourceUrl<'a> {
        let (path, query) = split_target(target);
        policy.resource("h".into(), path, query)
    }

    fn target(target: &str) -> String {
        resource(&policy(), target).target()
    }

    #[test]
    fn targets_that_mean_the_same_are_the_same() {
        let cases = [
            ("/a", "/a"),
            ("/a?", "/a?"),
            ("/a?utm_source=x", "/a"),
            ("/a?b=2&utm_x=1&a=1", "/a?a=1&b=2"),
            ("/x/../a", "/a"),
            ("/%61", "/a"),
            ("/a%2fb", "/a%2Fb"),
        ];
        for (sent, meant) in cases {
            assert_eq!(target(sent), meant, "{sent}");
        }
    }

    #[test]
    fn fields_of_the_key_tell_requests_apart() {
        let extra = |fields: &[(&str, &str)]| {
            let fields: Fields = fields.iter().map(|(name, value)| (*name, *value)).collect();
            policy().extra(&fields)
        };
        let absent = extra(&[]);
        let empty = extra(&[("X-Device", "")]);
        let phone = extra(&[("x-device", "phone"), ("other", "1")]);
        assert_ne!(absent, empty);
        assert_ne!(empty, phone);
        assert_eq!(phone, extra(&[("X-DEVICE", "phone")]));
    }

    #[test]
    fn a_redirect_to_itself_is_told() {
        let policy = KeyPolicy::default();
        let url = policy.resource("a.example".into(), "/x".into(), Some("q"));
        for itself in ["https://a.example/x?q", "http://A.example:8080/x?q#f"] {
            assert!(url.is_itself(itself), "{itself}");
        }
        for other in ["https://b.example/x?q", "https://a.example/x", "/x?q", "https://a.example"] {
            assert!(!url.is_itself(other), "{other}");
        }
        assert!(
            policy.resource("a.example".into(), "/".into(), None).is_itself("https://a.example")
        );
    }

    proptest! {
        #[test]
        fn what_is_asked_upstream_has_the_same_key(sent in "/[ -~]{0,30}") {
            let policy = policy();
            let first = resource(&policy, &sent);
            let asked = first.target();
            let second = resource(&policy, &asked);
            prop_assert_eq!(first.key(1, b""), second.key(1, b""));
        }
    }
}
