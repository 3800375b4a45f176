//! `[site.redirects]`: clients that are sent elsewhere.

use std::time::Duration;

use crate::config::address::HostPattern;
use crate::config::pattern::Pattern;
use crate::config::reader::{Document, Node};
use crate::config::reference::Sample::{self, Commented, Required};
use crate::config::rule::{Rule, Within};
use crate::config::section::{choice, section};
use crate::config::value::Value;

section! {
    /// Clients that are sent elsewhere. The table is asked first; then scheme, host and slash are
    /// set right in one redirect.
    pub struct Redirects {
        /// Sends clients that come in clear to https.
        https: bool = false;
        /// The one host to which clients of all others are sent, such as that with "www." or that
        /// without.
        host: Option<HostPattern> = None, Canonical;
        /// Whether paths end with a slash. One is added only where there is no dot behind the last.
        slash: Slash = Slash::default();
        /// Status of the redirects. 307 and 308 leave the method as it is.
        status: RedirectStatus = RedirectStatus::default();
        /// How long clients may keep a redirect; 0 for not at all.
        max_age: Duration = Duration::ZERO, Within(Duration::ZERO..=Duration::from_hours(24 * 365));
        /// Paths that are elsewhere. Paths without "*" come before those with one, which are asked
        /// in their order.
        rules: Vec<Redirect> = vec![], Commented(r#"[{ from = "/old/*", to = "/new/*" }]"#);
    }
}

section! {
    /// A path that is elsewhere.
    pub struct Redirect {
        /// The path; "*" stands for any characters.
        from: Pattern = Pattern::everything(), FromPath;
        /// A path or a URL; each "*" in it is what the "*" at its place in `from` stood for.
        to: String = String::new(), Target;
        /// Status of this redirect; without it that of the others.
        status: Option<RedirectStatus> = None, Commented("301");
        /// Hands the query on, behind that of `to`.
        query: bool = true;
    }
}

choice! {
    /// Whether paths end with a slash.
    pub enum Slash {
        /// They may or may not.
        Keep = "keep",
        /// They do, unless a file is named.
        Add = "add",
        /// None but the root does.
        Remove = "remove",
    }
}

/// The status of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectStatus(pub u16);

impl Default for RedirectStatus {
    /// Permanent, and the method stays (RFC 9110 section 15.4.9).
    fn default() -> Self {
        Self(308)
    }
}

impl Value for RedirectStatus {
    fn expected() -> String {
        "301, 302, 303, 307 or 308".to_owned()
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let known = |status: &u16| [301, 302, 303, 307, 308].contains(status);
        let status = node.number().and_then(|number| number.try_into().ok()).filter(known);
        if status.is_none() {
            node.misfit(&Self::expected());
        }
        status.map(Self)
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl Slash {
    /// The path as it should be; `None` where it is. Those of RFC 8615 are as their makers say.
    pub fn settle(self, path: &str) -> Option<String> {
        if path.starts_with("/.well-known/") {
            return None;
        }
        match self {
            Self::Add => {
                let last = path.rsplit('/').next().unwrap_or_default();
                let lacks = path.starts_with('/') && !last.is_empty() && !last.contains('.');
                lacks.then(|| format!("{path}/"))
            }
            Self::Remove => {
                let has = path.len() > 1 && path.starts_with('/') && path.ends_with('/');
                has.then(|| format!("/{}", path.trim_matches('/')))
            }
            Self::Keep => None,
        }
    }
}

impl Redirect {
    /// Where a path that is this one leads.
    pub fn lead(&self, path: &str) -> Option<String> {
        let mut taken = self.from.captures(path)?.into_iter();
        let mut pieces = self.to.split('*');
        let first = pieces.next().unwrap_or_default().to_owned();
        Some(pieces.fold(first, |to, piece| to + taken.next().unwrap_or_default() + piece))
    }
}

impl Redirects {
    /// The rule of a path. Those without a star are asked first.
    fn rule(&self, path: &str) -> Option<&Redirect> {
        let literal = self.rules.iter().find(|rule| rule.from.as_str() == path);
        literal.or_else(|| self.rules.iter().find(|rule| rule.from.matches(path)))
    }

    /// Whether a client that begins at `path` is sent on for ever within `hosts`.
    fn goes_round(&self, path: String, hosts: &[HostPattern]) -> bool {
        let mut at = (None, path);
        // Who follows more rules than there are has followed one of them twice.
        for _ in 0..self.rules.len() + 2 {
            let (host, path) = &at;
            let next = match self.rule(path).and_then(|rule| rule.lead(path)) {
                Some(to) => match split_url(&to) {
                    (Some(away), _) if !hosts.iter().any(|own| own.takes(away)) => return false,
                    // What leads to itself is not sent.
                    (named @ Some(_), to) if named == host.as_deref() && to == *path => {
                        return false;
                    }
                    (named, to) => (named.map(str::to_owned).or(host.clone()), to.to_owned()),
                },
                None => match self.slash.settle(path) {
                    Some(path) => (host.clone(), path),
                    None => return false,
                },
            };
            at = next;
        }
        true
    }

    /// Tells rules that contradict one another; `key` is that of the table.
    pub(in crate::config) fn check(
        &self,
        document: &Document<'_>,
        key: &str,
        hosts: &[HostPattern],
    ) {
        // Where one of them is not known it is not known where the others lead.
        if document.is_faulty(&format!("{key}.rules")) {
            return;
        }
        for (number, rule) in self.rules.iter().enumerate() {
            let key = format!("{key}.rules[{number}].to");
            let stars = |text: &str| text.matches('*').count();
            if stars(&rule.to) > stars(rule.from.as_str()) {
                document.tell(&key, "no more \"*\" than in from", "found more");
            }
            let goes_back = self.https
                && rule.to.starts_with("http://")
                && split_url(&rule.to).0.is_some_and(|to| hosts.iter().any(|own| own.takes(to)));
            let path = rule.from.as_str().replace('*', "x");
            if goes_back || self.goes_round(path, hosts) {
                let words = document.words(&key, &rule.to);
                document.tell(&key, "a target that ends", &format!("found a loop by \"{words}\""));
            }
        }
    }
}

/// The host that a target names, if it does, and its path.
fn split_url(to: &str) -> (Option<&str>, &str) {
    let Some((_, rest)) = to.split_once("://") else { return (None, path_of(to)) };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.split(':').next().unwrap_or_default();
    (Some(host), if path.is_empty() { "/" } else { path_of(path) })
}

fn path_of(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

/// One host, and not all below it.
struct Canonical;

impl Rule<Option<HostPattern>> for Canonical {
    fn apply(&self, host: Option<HostPattern>) -> Result<Option<HostPattern>, String> {
        match host {
            Some(HostPattern::Below(_)) => Err(self.bounds()),
            host => Ok(host),
        }
    }

    fn bounds(&self) -> String {
        "one host, without \"*\"".to_owned()
    }

    fn sample(&self) -> Option<Sample> {
        Some(Commented(r#""www.example.com""#))
    }
}

/// A path as requests have it.
struct FromPath;

impl Rule<Pattern> for FromPath {
    fn apply(&self, path: Pattern) -> Result<Pattern, String> {
        let text = path.as_str();
        match text.starts_with('/') && !text.contains(['?', '#', ' ']) {
            true => Ok(path),
            false => Err(self.bounds()),
        }
    }

    fn bounds(&self) -> String {
        "a path that starts with \"/\", without query".to_owned()
    }

    fn sample(&self) -> Option<Sample> {
        Some(Required("\"/old/*\""))
    }
}

/// A path, or a URL whose host no client can choose.
struct Target;

impl Rule<String> for Target {
    fn apply(&self, to: String) -> Result<String, String> {
        let plain = !to.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
        let url = to.strip_prefix("https://").or_else(|| to.strip_prefix("http://"));
        let is_fixed = |rest: &str| {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty() && !host.contains(['*', '@', '?', '#'])
        };
        match plain && url.map_or(to.starts_with('/'), is_fixed) {
            true => Ok(to),
            false => Err(self.bounds()),
        }
    }

    fn bounds(&self) -> String {
        "a path that starts with \"/\", or a URL with a host without \"*\"".to_owned()
    }

    fn sample(&self) -> Option<Sample> {
        Some(Required("\"/new/*\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_settled() {
        let cases = [
            (Slash::Keep, "/a", None),
            (Slash::Keep, "/a/", None),
            (Slash::Add, "/a", Some("/a/")),
            (Slash::Add, "/a/b", Some("/a/b/")),
            (Slash::Add, "/a/", None),
            (Slash::Add, "/", None),
            (Slash::Add, "/a.html", None),
            (Slash::Add, "/v1.2/a", Some("/v1.2/a/")),
            (Slash::Add, "*", None),
            (Slash::Remove, "/a/", Some("/a")),
            (Slash::Remove, "/a//", Some("/a")),
            (Slash::Remove, "/", None),
            (Slash::Remove, "//", Some("/")),
            (Slash::Remove, "/a", None),
            (Slash::Remove, "//evil.example/", Some("/evil.example")),
            (Slash::Remove, "*", None),
        ];
        for (slash, path, settled) in cases {
            assert_eq!(slash.settle(path).as_deref(), settled, "{slash:?} {path}");
            if let Some(settled) = settled {
                assert_eq!(slash.settle(settled), None, "{slash:?} {settled} goes round");
            }
        }
    }

    #[test]
    fn what_stars_stood_for_goes_on() {
        let cases = [
            ("/old", "/new", "/old", Some("/new")),
            ("/old", "/new", "/old/", None),
            ("/old/*", "/new/*", "/old/a/b", Some("/new/a/b")),
            ("/old/*", "/new/*", "/old/", Some("/new/")),
            ("/old/*", "/new", "/old/a", Some("/new")),
            ("/*/p/*", "/p/*/of/*", "/a/p/b/p/c", Some("/p/a/of/b/p/c")),
            (
                "/*.php",
                "https://x.example/*.html?a=*",
                "/a/b.php",
                Some("https://x.example/a/b.html?a="),
            ),
        ];
        for (from, to, path, expected) in cases {
            let rule =
                Redirect { from: Pattern::new(from), to: to.to_owned(), ..Redirect::default() };
            assert_eq!(rule.lead(path).as_deref(), expected, "{from} {to} {path}");
        }
    }
}
