//! URI references, as `Location` and `Content-Location` hold them (RFC 3986 sections 4 and 5).

use std::borrow::Cow;

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'r> {
    /// The authority that it names; `None`: that of whoever gave it.
    pub authority: Option<&'r str>,
    /// Path and query as written, the path not yet in normal form. It begins with a slash.
    pub target: Cow<'r, str>,
}

impl<'r> Reference<'r> {
    /// Resolves `reference`, given by the resource at `base`, a target that begins with a slash.
    /// Fragments are left out. `None` where it leads out of HTTP.
    pub fn resolve(reference: &'r str, base: &str) -> Option<Self> {
        let reference = reference.split('#').next().unwrap_or_default();
        let rest = match scheme_of(reference) {
            None => reference,
            // RFC 9110 section 4.2: a scheme of HTTP has an authority.
            Some((scheme, rest)) if is_http(scheme) && rest.starts_with("//") => rest,
            Some(_) => return None,
        };
        if let Some(rest) = rest.strip_prefix("//") {
            let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let target = match target.starts_with('/') {
                true => Cow::Borrowed(target),
                false => Cow::Owned(format!("/{target}")),
            };
            return Some(Self { authority: Some(authority), target });
        }
        let path = base.split('?').next().unwrap_or_default();
        let target = match rest.as_bytes().first() {
            Some(b'/') => Cow::Borrowed(rest),
            None => Cow::Owned(base.to_owned()),
            Some(b'?') => Cow::Owned(format!("{path}{rest}")),
            Some(_) => {
                let folder = path.rfind('/').map_or("/", |last| &path[..=last]);
                Cow::Owned(format!("{folder}{rest}"))
            }
        };
        Some(Self { authority: None, target })
    }
}

/// The scheme that a reference begins with, and what stands behind its colon.
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        let cases = [
            ("http://a.example/x?y", Some("a.example"), "/x?y"),
            ("HTTPS://a.example:8443/x#f", Some("a.example:8443"), "/x"),
            ("https://a.example", Some("a.example"), "/"),
            ("https://a.example?y", Some("a.example"), "/?y"),
            ("http://user@a.example/", Some("user@a.example"), "/"),
            ("//a.example/x", Some("a.example"), "/x"),
            ("///x", Some(""), "/x"),
            ("/x?y#f", None, "/x?y"),
            ("x", None, "/base/x"),
            ("../x", None, "/base/../x"),
            ("./a:b", None, "/base/./a:b"),
            ("?y", None, "/base/here?y"),
            ("", None, "/base/here?q/z"),
            ("#f", None, "/base/here?q/z"),
        ];
        for (reference, authority, target) in cases {
            let resolved = Reference::resolve(reference, "/base/here?q/z").unwrap();
            assert_eq!((resolved.authority, &*resolved.target), (authority, target), "{reference}");
        }
    }

    #[test]
    fn what_leads_out_of_http_is_none() {
        for reference in ["mailto:a@b.example", "http:x", "https:/x", "a:b", "ftp://a.example/"] {
            assert_eq!(Reference::resolve(reference, "/"), None, "{reference}");
        }
    }
}
