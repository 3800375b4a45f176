//! Request to key: which URL a request stands for.
//!
//! Invariant: a fetch that may be stored asks upstream for exactly what its key says. So a request
//! cannot store, under one key, what the origin answers to another URL.

use std::borrow::Cow;

use http::HeaderName;
use smallvec::SmallVec;

use super::device::class;
use super::key_cookie::{self, Cookie};
use crate::config::geo::Country;
use crate::message::{COUNTRY, DEVICE, Fields};
use crate::object::{CacheKey, PrimaryKey, SiteKey, TargetUri};
use crate::semantics::uri::{Pattern, Reference, normalize_host, normalize_query, split_target};

/// What of a request makes its key.
#[derive(Clone, Debug, Default)]
pub struct KeyPolicy {
    /// Query parameters that are left out of the key and of what is asked upstream.
    pub ignore: Vec<Pattern>,
    /// Query parameters that alone are part of the key and of what is asked upstream; empty: all.
    pub keep: Vec<Pattern>,
    /// Whether the order of query parameters says nothing.
    pub sort: bool,
    /// Query parameters that are for this node alone: they are in neither, nor in what is passed
    /// on as it is.
    pub own: &'static [&'static str],
    /// Request fields whose values are part of the key.
    pub headers: Vec<HeaderName>,
    /// Cookies whose values are part of the key.
    pub cookies: Vec<String>,
    /// Whether the class of the client's device is. It stands among `headers` then.
    pub device: bool,
    /// Whether the client's country is. It stands among `headers` then.
    pub country: bool,
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
        let query = query.and_then(|query| self.query(query, |name| self.keeps(name), self.sort));
        ResourceUrl { host, path, query }
    }

    /// A query that is passed on as it is but for what is for this node alone; `None` where nothing
    /// else was there.
    pub fn passed<'a>(&self, query: &'a str) -> Option<Cow<'a, str>> {
        self.query(query, |name| !self.own.contains(&name), false)
    }

    fn query<'a>(
        &self,
        query: &'a str,
        kept: impl Fn(&str) -> bool,
        sort: bool,
    ) -> Option<Cow<'a, str>> {
        if self.keeps_query() {
            return Some(Cow::Borrowed(query));
        }
        let rest = normalize_query(query, kept, sort);
        // Nothing is left of what was there: the same as no query.
        (!rest.is_empty() || query.is_empty()).then_some(rest)
    }

    /// Whether a parameter of this name is part of the key.
    fn keeps(&self, name: &str) -> bool {
        let is_in = |list: &[Pattern]| list.iter().any(|pattern| pattern.matches(name));
        !self.own.contains(&name)
            && (self.keep.is_empty() || is_in(&self.keep))
            && !is_in(&self.ignore)
    }

    /// Whether every query is left as it is sent.
    pub fn keeps_query(&self) -> bool {
        self.ignore.is_empty() && self.keep.is_empty() && self.own.is_empty() && !self.sort
    }

    /// What a request's fields add to the key; `lines` gives those that go upstream by their
    /// lower-case names. Absent and empty differ, and no value can be taken for another's end. The
    /// scheme adds nothing: both doors serve the same site.
    pub fn extra<'f>(&self, lines: impl Fn(&str) -> SmallVec<[&'f [u8]; 4]>) -> SmallVec<[u8; 64]> {
        let mut extra = SmallVec::new();
        for name in &self.headers {
            push_values(lines(name.as_str()).into_iter(), &mut extra);
        }
        if !self.cookies.is_empty() {
            let lines = lines("cookie");
            for name in &self.cookies {
                let value = match key_cookie::read(&lines, name) {
                    Cookie::Value(value) => Some(value),
                    Cookie::Absent | Cookie::Ambiguous => None,
                };
                push_values(value.into_iter(), &mut extra);
            }
        }
        extra
    }

    /// Whether others may read a cookie of the key otherwise than it stands there: then nothing
    /// tells what the origin makes of it, and the response is for nobody else.
    pub fn is_ambiguous(&self, fields: &Fields) -> bool {
        if self.cookies.is_empty() {
            return false;
        }
        let lines: SmallVec<[_; 4]> = fields.all("cookie").collect();
        self.cookies.iter().any(|name| key_cookie::read(&lines, name) == Cookie::Ambiguous)
    }

    /// Whether this node tells of clients in the fields of their requests.
    pub(super) fn tells(&self) -> bool {
        self.device || self.country
    }

    /// What it tells, before the key is made of it.
    pub fn told(
        &self,
        fields: &Fields,
        country: impl FnOnce() -> Option<Country>,
    ) -> impl Iterator<Item = (&'static str, String)> {
        let class = || class(fields.get("user-agent"), fields.get("sec-ch-ua-mobile"));
        let device = self.device.then(|| (DEVICE, class().to_owned()));
        let country = self.country.then(country).flatten();
        device.into_iter().chain(country.map(|country| (COUNTRY, country.to_string())))
    }
}

fn push_values<'v>(values: impl Iterator<Item = &'v [u8]>, extra: &mut SmallVec<[u8; 64]>) {
    for value in values {
        extra.push(b'=');
        extra.extend_from_slice(&(value.len() as u64).to_le_bytes());
        extra.extend_from_slice(value);
    }
    extra.push(b';');
}

impl ResourceUrl<'_> {
    /// The primary cache key.
    pub fn key(&self, generation: u64, extra: &[u8]) -> PrimaryKey {
        let query = self.query.as_deref().map(str::as_bytes);
        let (host, path) = (self.host.as_bytes(), self.path.as_bytes());
        let key = |extra| CacheKey::new(generation, host, path, query, extra);
        let url = key(b"");
        PrimaryKey { url, own: if extra.is_empty() { url } else { key(extra) } }
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
        KeyPolicy {
            ignore,
            own: &["sig"],
            sort: true,
            cookies: vec!["tier".to_owned()],
            headers: vec![HeaderName::from_static("x-device")],
            ..KeyPolicy::default()
        }
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
            ("/a?sig=1", "/a"),
            ("/a?sig", "/a"),
            ("/a?sigs=1&sig=2", "/a?sigs=1"),
            ("/a?sig=1&utm_x=2&b&sig=3", "/a?b"),
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
            policy().extra(|name| fields.all(name).collect())
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

    #[test]
    fn cookies_of_the_key_tell_requests_apart() {
        let extra = |lines: &[&str]| {
            let fields: Fields = lines.iter().map(|line| ("Cookie", *line)).collect();
            assert!(!policy().is_ambiguous(&fields), "{lines:?}");
            policy().extra(|name| fields.all(name).collect())
        };
        let absent = extra(&[]);
        let gold = extra(&["tier=gold"]);
        assert_eq!(extra(&["a=1; tier=gold"]), gold);
        for other in ["tier=", "tier=silver", "tier=gold2", "xtier=gold"] {
            assert_ne!(extra(&[other]), gold, "{other:?}");
        }
        assert_eq!(extra(&["atier=gold; tiers=1"]), absent);
        assert_ne!(extra(&["tier="]), absent);
        let twice: Fields = [("cookie", "tier=gold; tier=silver")].into_iter().collect();
        assert!(policy().is_ambiguous(&twice) && !KeyPolicy::default().is_ambiguous(&twice));
    }

    #[test]
    fn a_list_of_what_is_kept_leaves_all_else_out() {
        let patterns = |list: &[&str]| list.iter().map(|text| Pattern::new(text)).collect();
        let policy =
            KeyPolicy { keep: patterns(&["q", "page*"]), ignore: patterns(&["pagex"]), ..policy() };
        for (sent, meant) in [
            ("/a?q=1&x=2&page=3", "/a?page=3&q=1"),
            ("/a?pagex=1&pages=2", "/a?pages=2"),
            ("/a?x=1", "/a"),
            ("/a?", "/a?"),
        ] {
            assert_eq!(resource(&policy, sent).target(), meant, "{sent}");
        }
        assert!(!policy.keeps_query());
        let keep = KeyPolicy { keep: patterns(&["q"]), ..KeyPolicy::default() };
        assert!(!keep.keeps_query());
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
