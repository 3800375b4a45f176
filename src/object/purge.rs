//! The purge command and its sequence.

use crate::semantics::uri::normalize_host;

/// A place in the ordered log of purges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    /// The entry's number; 0 is before the first.
    pub number: u64,
}

/// How hard a purge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeKind {
    /// What it covers is gone.
    Hard,
    /// What it covers is stale.
    Soft,
}

/// The highest hard and soft sequences that cover something; 0 where none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// By a hard purge.
    pub hard: u64,
    /// By a soft purge.
    pub soft: u64,
}

impl Purged {
    /// Takes the purge `number` of `kind` in.
    pub fn raise(&mut self, kind: PurgeKind, number: u64) {
        match kind {
            PurgeKind::Hard => self.hard = self.hard.max(number),
            PurgeKind::Soft => self.soft = self.soft.max(number),
        }
    }

    /// The later of both, each kind by itself.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { hard: self.hard.max(other.hard), soft: self.soft.max(other.soft) }
    }
}

/// A url purge as the user named it: raw, to be resolved by each node's own sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeUrl {
    /// Host in normal form.
    pub host: String,
    /// Path and query as the user wrote them, at least `/`.
    pub target: String,
    /// Whether only this query is meant, or every query of the path.
    pub exact: bool,
}

impl PurgeUrl {
    /// Reads an absolute URL. Without a query it names itself with every query, unless `exact`.
    ///
    /// # Errors
    /// What was expected, for the one who asked.
    pub fn parse(value: &str, exact: bool) -> Result<Self, PurgeUrlError> {
        let rest = value
            .strip_prefix("https://")
            .or_else(|| value.strip_prefix("http://"))
            .ok_or(PurgeUrlError::Scheme)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = normalize_host(authority).ok_or(PurgeUrlError::Host)?.into_owned();
        let root = if target.starts_with('/') { "" } else { "/" };
        let exact = exact || target.contains('?');
        Ok(Self { host, target: format!("{root}{target}"), exact })
    }
}

/// Why a value is no URL to purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeUrlError {
    /// No host, or not a valid one.
    #[error("expected a host name or address after the scheme")]
    Host,
    /// Not an absolute http or https URL.
    #[error("expected an absolute URL that begins with http:// or https://")]
    Scheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_to_purge() {
        let parse = |value| PurgeUrl::parse(value, false);
        let url = |host: &str, target: &str, exact| {
            Ok(PurgeUrl { host: host.to_owned(), target: target.to_owned(), exact })
        };
        assert_eq!(parse("https://A.example:8443/x"), url("a.example", "/x", false));
        assert_eq!(parse("http://a.example"), url("a.example", "/", false));
        assert_eq!(parse("http://a.example?q#f"), url("a.example", "/?q", true));
        assert_eq!(PurgeUrl::parse("http://a/x", true), url("a", "/x", true));
        assert_eq!(parse("/x"), Err(PurgeUrlError::Scheme));
        assert_eq!(parse("https:///x"), Err(PurgeUrlError::Host));
    }
}
