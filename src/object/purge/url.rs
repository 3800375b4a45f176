//! URLs as purges name them.

use std::borrow::Cow;

use crate::semantics::uri::{normalize_host, split_target};

/// A URL to purge as the user named it: raw, to be resolved by each node's own sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeUrl {
    /// Host in normal form, stars left as they are.
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
        let (authority, target) = split(value)?;
        let host = normalize_host(authority).ok_or(PurgeUrlError::Host)?.into_owned();
        let exact = exact || target.contains('?');
        Ok(Self { host, target, exact })
    }

    /// Reads an absolute URL in which stars stand for any row of characters.
    ///
    /// # Errors
    /// What was expected, for the one who asked.
    pub fn wildcard(value: &str) -> Result<Self, PurgeUrlError> {
        let (authority, target) = split(value)?;
        // What stands for a star is a name's part as far as the form of the whole is concerned.
        let formed = normalize_host(&authority.replace('*', "x")).is_some();
        let host = match authority.contains('*') {
            true if formed => without_port(authority).to_ascii_lowercase(),
            true => return Err(PurgeUrlError::Host),
            false => normalize_host(authority).ok_or(PurgeUrlError::Host)?.into_owned(),
        };
        let exact = target.contains('?');
        Ok(Self { host, target, exact })
    }

    /// The path in normal form, and the query.
    pub fn split(&self) -> (Cow<'_, str>, Option<&str>) {
        split_target(&self.target)
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

/// Authority and target; the fragment, which no server ever sees, is left out.
fn split(value: &str) -> Result<(&str, String), PurgeUrlError> {
    let (scheme, rest) = value.split_once("://").ok_or(PurgeUrlError::Scheme)?;
    // RFC 3986 section 3.1: of any case.
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(PurgeUrlError::Scheme);
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let root = if target.starts_with('/') { "" } else { "/" };
    Ok((authority, format!("{root}{}", escape(target))))
}

/// What no request can hold stands there as clients send it (RFC 3986 section 2.1).
fn escape(target: &str) -> String {
    let mut out = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            0x21..=0x7e => out.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
                out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out
}

fn without_port(authority: &str) -> &str {
    let name = authority.split_once(':').map_or(authority, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, target: &str, exact: bool) -> Result<PurgeUrl, PurgeUrlError> {
        Ok(PurgeUrl { host: host.to_owned(), target: target.to_owned(), exact })
    }

    #[test]
    fn urls_to_purge() {
        let parse = |value| PurgeUrl::parse(value, false);
        assert_eq!(parse("https://A.example:8443/x"), url("a.example", "/x", false));
        assert_eq!(parse("HTTP://a.example"), url("a.example", "/", false));
        assert_eq!(parse("http://a.example?q#f"), url("a.example", "/?q", true));
        assert_eq!(PurgeUrl::parse("http://a/x", true), url("a", "/x", true));
        assert_eq!(parse("http://a/ä b?ö"), url("a", "/%C3%A4%20b?%C3%B6", true));
        assert_eq!(parse("/x"), Err(PurgeUrlError::Scheme));
        assert_eq!(parse("ftp://a/x"), Err(PurgeUrlError::Scheme));
        assert_eq!(parse("https:///x"), Err(PurgeUrlError::Host));
        assert_eq!(parse("https://*.example/x"), Err(PurgeUrlError::Host));
    }

    #[test]
    fn urls_with_stars() {
        let parse = PurgeUrl::wildcard;
        assert_eq!(parse("https://*.Example:8443/a*"), url("*.example", "/a*", false));
        assert_eq!(parse("https://a.example./*?v=*"), url("a.example", "/*?v=*", true));
        assert_eq!(parse("https://*"), url("*", "/", false));
        assert_eq!(parse("https://a b*/x"), Err(PurgeUrlError::Host));
        assert_eq!(parse("*"), Err(PurgeUrlError::Scheme));
    }
}
