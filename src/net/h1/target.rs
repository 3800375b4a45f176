//! The request target and the authority that is asked (RFC 9112 section 3.2). Pure.

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::message::Scheme;
use crate::net::Fault;

/// Path and query, and authority, of a request whose target and `Host` are `raw` and `host`: both
/// are parts of `head`.
pub(super) fn resolve(
    head: &Bytes,
    method: &Method,
    raw: &[u8],
    host: Option<&[u8]>,
    scheme: Scheme,
) -> Result<(Bytes, Bytes), Fault> {
    if *method == Method::CONNECT {
        return Err(Fault::new(StatusCode::NOT_IMPLEMENTED, "CONNECT is not served"));
    }
    // RFC 9112 section 3.2: without exactly one valid Host a request is refused, whatever its
    // target. Clients of HTTP/1.0 may leave it out, but then no site can be told.
    if host.is_some_and(|host| !host.is_empty() && !is_authority(host)) {
        return Err(Fault::bad_request("invalid Host"));
    }
    if memchr::memchr(b'#', raw).is_some() {
        return Err(Fault::bad_request("fragment in the request target"));
    }
    if raw.first() == Some(&b'/') {
        return Ok((head.slice_ref(raw), named(head, host)?));
    }
    if raw == b"*" {
        let allowed = *method == Method::OPTIONS;
        let target = allowed
            .then(|| head.slice_ref(raw))
            .ok_or(Fault::bad_request("request target: expected a path or a URL"))?;
        return Ok((target, named(head, host)?));
    }
    if host.is_none() {
        return Err(Fault::bad_request("no Host"));
    }
    absolute(head, method, raw, scheme)
}

fn named(head: &Bytes, host: Option<&[u8]>) -> Result<Bytes, Fault> {
    match host {
        Some(host) if !host.is_empty() => Ok(head.slice_ref(host)),
        _ => Err(Fault::bad_request("no Host")),
    }
}

/// RFC 9112 section 3.2.2: the authority of the target is what counts, not that of `Host`.
fn absolute(
    head: &Bytes,
    method: &Method,
    raw: &[u8],
    scheme: Scheme,
) -> Result<(Bytes, Bytes), Fault> {
    let (secure, rest) = if let Some(rest) = strip_scheme(raw, b"http://") {
        (false, rest)
    } else if let Some(rest) = strip_scheme(raw, b"https://") {
        (true, rest)
    } else {
        return Err(Fault::bad_request("request target: expected a path or a URL"));
    };
    // RFC 9110 section 7.4: an https resource is not served in the clear.
    if secure && scheme != Scheme::Https {
        return Err(Fault::new(StatusCode::MISDIRECTED_REQUEST, "https target in the clear"));
    }
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_authority(authority) {
        return Err(Fault::bad_request("invalid host in the request target"));
    }
    let target = match path.first() {
        Some(b'/') => head.slice_ref(path),
        Some(_) => [b"/", path].concat().into(),
        // RFC 9112 section 3.2.4.
        None if *method == Method::OPTIONS => Bytes::from_static(b"*"),
        None => Bytes::from_static(b"/"),
    };
    Ok((target, head.slice_ref(authority)))
}

fn strip_scheme<'a>(raw: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = raw.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// `uri-host [ ":" port ]` of RFC 9110 section 4.2.1, without user information and not empty.
pub(super) fn is_authority(authority: &[u8]) -> bool {
    let (host_is_valid, port) = if let Some(rest) = authority.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let literal = &rest[..end];
        let valid = |&byte: &u8| byte == b':' || byte == b'.' || byte.is_ascii_hexdigit();
        (!literal.is_empty() && literal.iter().all(valid), &rest[end + 1..])
    } else {
        let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
        let (name, port) = authority.split_at(end);
        (!name.is_empty() && name.iter().all(|&byte| is_reg_name(byte)), port)
    };
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_valid && port_is_valid
}

/// `unreserved / "%" / sub-delims` of RFC 3986.
fn is_reg_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'')
        || matches!(byte, b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, raw: &'static str, host: &'static str) -> Option<(String, String)> {
        let head = Bytes::from(format!("{raw} {host}"));
        let (raw, host) = (&head[..raw.len()], &head[raw.len() + 1..]);
        let (target, host) = resolve(&head, &method, raw, Some(host), Scheme::Http).ok()?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Some((text(&target), text(&host)))
    }

    #[test]
    fn all_forms_of_a_target() {
        let is = |method, raw, host, target: &str, authority: &str| {
            assert_eq!(of(method, raw, host), Some((target.into(), authority.into())), "{raw}");
        };
        is(Method::GET, "/a?b", "a.example:80", "/a?b", "a.example:80");
        is(Method::GET, "HTTP://b.example/a", "a.example", "/a", "b.example");
        is(Method::GET, "http://b.example:8080", "", "/", "b.example:8080");
        is(Method::GET, "http://b.example?q", "a.example", "/?q", "b.example");
        is(Method::OPTIONS, "*", "a.example", "*", "a.example");
        is(Method::OPTIONS, "http://b.example", "a.example", "*", "b.example");
        is(Method::GET, "/", "[2001:db8::1]:443", "/", "[2001:db8::1]:443");
    }

    #[test]
    fn what_names_no_resource_is_refused() {
        for raw in ["*", "a", "ftp://a/", "http:///a", "http://u@a/", "/a#b", "https://a/"] {
            assert_eq!(of(Method::GET, raw, "a.example"), None, "{raw}");
        }
        for host in ["", "a b", "a/b", "u@a", "a:b", "[::1", "[]", "a:1:2", ":80", "a\u{e9}"] {
            assert_eq!(of(Method::GET, "/", host), None, "{host}");
        }
        assert_eq!(of(Method::CONNECT, "a.example:443", "a.example:443"), None);
    }
}
