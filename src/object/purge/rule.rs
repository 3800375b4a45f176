//! What a purge covers on one node, in the form in which it is kept and judged.

use super::{PurgeUrl, SiteKey, TagKey, TargetUri};
use crate::object::UrlKey;
use crate::semantics::uri::Pattern;

/// A purge as one node understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeRule {
    /// The site within which it holds; `None` is every site.
    pub site: Option<SiteKey>,
    /// What of it.
    pub covers: Coverage,
}

/// What a rule covers within its site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every response.
    Whole,
    /// A path with every query, or one URL.
    Url(UrlKey),
    /// Every URL that begins like this: host, path and query in normal form, without the scheme.
    Prefix(Box<str>),
    /// Every URL that a pattern matches.
    Wildcard(UrlWildcard),
    /// Every response that the origin gave this tag.
    Tag(TagKey),
}

/// A URL with stars, each of which stands for any row of characters of its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlWildcard {
    host: Pattern,
    path: Pattern,
    /// `None` is every query.
    query: Option<Pattern>,
}

impl UrlWildcard {
    /// The pattern of a URL whose parts may hold stars.
    pub fn new(url: &PurgeUrl) -> Self {
        let (path, query) = url.split();
        let query = query.map(Pattern::new);
        Self { host: Pattern::new(&url.host), path: Pattern::new(&path), query }
    }

    /// The pattern of a text that was [`Self::to_text`].
    pub fn from_text(text: &str) -> Self {
        let (host, target) = text.split_at(text.find('/').unwrap_or(text.len()));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(Pattern::new(query))),
            None => (target, None),
        };
        Self { host: Pattern::new(host), path: Pattern::new(path), query }
    }

    /// Host, path and query in one, for a journal.
    pub fn to_text(&self) -> String {
        let query = self.query.as_ref().map_or(String::new(), |query| format!("?{query}"));
        format!("{}{}{query}", self.host, self.path)
    }

    /// Whether it covers a URL. A query that the site's rules have changed cannot be compared, and
    /// counts as covered.
    pub fn matches(&self, target: &TargetUri<'_>) -> bool {
        let of_query = || match &self.query {
            Some(query) if target.query_as_sent => {
                target.query.is_some_and(|sent| query.matches(sent))
            }
            _ => true,
        };
        self.path.matches(target.path) && self.host.matches(target.host) && of_query()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_within_their_part() {
        let cases = [
            ("https://a.example/img/*.jpg", "a.example", "/img/x/y.jpg", None, true),
            ("https://a.example/img/*.jpg", "a.example", "/img/y.jpg", Some("v=1"), true),
            ("https://a.example/img/*.jpg", "a.example", "/img/y.png", None, false),
            ("https://a.example/img/*.jpg", "b.example", "/img/y.jpg", None, false),
            ("https://*.example/x", "a.b.example", "/x", None, true),
            ("https://a.example/*?v=*", "a.example", "/y", Some("v=1"), true),
            ("https://a.example/*?v=*", "a.example", "/y", Some("w=1"), false),
            ("https://a.example/*?v=*", "a.example", "/y", None, false),
            ("https://a.example/*", "a.example", "/", None, true),
        ];
        for (pattern, host, path, query, expected) in cases {
            let wildcard = UrlWildcard::new(&PurgeUrl::wildcard(pattern).unwrap());
            let site = SiteKey::new("shop");
            let target = TargetUri { site, host, path, query, query_as_sent: true };
            assert_eq!(wildcard.matches(&target), expected, "{pattern} {host}{path}");
            assert_eq!(UrlWildcard::from_text(&wildcard.to_text()), wildcard, "{pattern}");
        }
    }

    #[test]
    fn a_query_that_was_changed_is_covered() {
        let wildcard = UrlWildcard::new(&PurgeUrl::wildcard("https://a/*?utm=1").unwrap());
        let site = SiteKey::new("shop");
        let (host, path) = ("a", "/x");
        let target = TargetUri { site, host, path, query: None, query_as_sent: false };
        assert!(wildcard.matches(&target));
        assert!(!wildcard.matches(&TargetUri { host: "b", ..target }));
    }
}
