//! Whether a request may leave HTTP, and for which protocol (RFC 9110 section 7.8).

use super::syntax::{is_token, members};

/// A protocol that connections may switch to: by its name, in any version or in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    name: Box<str>,
    version: Option<Box<str>>,
}

impl Protocol {
    /// The protocol that is written `name` or `name/version`.
    pub fn new(text: &str) -> Self {
        let (name, version) = match text.split_once('/') {
            Some((name, version)) => (name, Some(version.into())),
            None => (text, None),
        };
        Self { name: name.into(), version }
    }

    /// Whether `offered` is it. Names have no case, versions do.
    fn is(&self, offered: &[u8]) -> bool {
        let (name, version) = split(offered);
        let is_version = |own: &str| version == Some(own.as_bytes());
        name.eq_ignore_ascii_case(self.name.as_bytes())
            && self.version.as_deref().is_none_or(is_version)
    }
}

/// What of a request bears on that; fields by their lines.
#[derive(Clone, Copy, Debug)]
pub struct Asked<U, C> {
    /// It is a GET.
    pub is_get: bool,
    /// It has content: what follows that would have to wait for it.
    pub has_content: bool,
    /// It is of HTTP/1.1. Others have no such field, or ignore it.
    pub is_http_1_1: bool,
    /// `Upgrade`
    pub upgrade: U,
    /// `Connection`
    pub connection: C,
}

/// What a request offers of what is `allowed`, as the `Upgrade` that goes on; `None` if it is an
/// ordinary request, which an `Upgrade` that is ignored makes of it.
pub fn offer<'a>(
    asked: Asked<impl Iterator<Item = &'a [u8]>, impl Iterator<Item = &'a [u8]>>,
    allowed: &[Protocol],
) -> Option<Vec<u8>> {
    let Asked { is_get, has_content, is_http_1_1, upgrade, mut connection } = asked;
    // A field that Connection does not name may be another hop's.
    let mut is_for_us =
        || connection.any(|line| members(line).any(|name| name.eq_ignore_ascii_case(b"upgrade")));
    if !is_get || has_content || !is_http_1_1 || !is_for_us() {
        return None;
    }
    let is_allowed =
        |offered: &&[u8]| is_protocol(offered) && allowed.iter().any(|one| one.is(offered));
    let offered: Vec<_> = upgrade.flat_map(members).filter(is_allowed).collect();
    (!offered.is_empty()).then(|| offered.join(&b", "[..]))
}

/// Whether what a server has switched to, by the `Upgrade` of its 101, is what it was offered.
pub fn is_offered(switched: &[u8], offer: &[u8]) -> bool {
    // A client that names no version takes any.
    let takes = |offered: &[u8], protocol: &[u8]| match split(offered) {
        (name, None) => split(protocol).0.eq_ignore_ascii_case(name),
        (_, Some(_)) => protocol.eq_ignore_ascii_case(offered),
    };
    let is_among = |protocol| members(offer).any(|offered| takes(offered, protocol));
    members(switched).next().is_some() && members(switched).all(is_among)
}

fn split(protocol: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', protocol) {
        Some(at) => (&protocol[..at], Some(&protocol[at + 1..])),
        None => (protocol, None),
    }
}

fn is_protocol(text: &[u8]) -> bool {
    let (name, version) = split(text);
    is_token(name) && version.is_none_or(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<'a>(text: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
        text.iter().map(|line| line.as_bytes())
    }

    fn offered(upgrade: &[&str], connection: &[&str], allowed: &[&str]) -> Option<String> {
        let allowed: Vec<_> = allowed.iter().map(|text| Protocol::new(text)).collect();
        let asked = Asked {
            is_get: true,
            has_content: false,
            is_http_1_1: true,
            upgrade: lines(upgrade),
            connection: lines(connection),
        };
        offer(asked, &allowed).map(|offer| String::from_utf8(offer).unwrap())
    }

    #[test]
    fn what_is_offered_of_what_is_allowed() {
        type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (&["websocket"], &["upgrade"], &["websocket"], Some("websocket")),
            (&["WebSocket"], &["Upgrade"], &["websocket"], Some("WebSocket")),
            (&["websocket"], &["keep-alive, Upgrade"], &["WEBSOCKET"], Some("websocket")),
            (&["websocket"], &["keep-alive", "upgrade"], &["websocket"], Some("websocket")),
            (&["h2c, websocket"], &["upgrade"], &["websocket"], Some("websocket")),
            (&["h2c", "websocket"], &["upgrade"], &["websocket"], Some("websocket")),
            (&["b , ,a"], &["upgrade"], &["a", "b"], Some("b, a")),
            (&["websocket/13"], &["upgrade"], &["websocket"], Some("websocket/13")),
            (&["IRC/6.9, RTA/x11"], &["upgrade"], &["irc/6.9"], Some("IRC/6.9")),
            (&["IRC/6.8"], &["upgrade"], &["irc/6.9"], None),
            (&["IRC"], &["upgrade"], &["irc/6.9"], None),
            (&["irc/A"], &["upgrade"], &["irc/a"], None),
            (&["websocket"], &["upgrade"], &[], None),
            (&["HTTP/2.0"], &["upgrade"], &["websocket"], None),
            (&["h2c"], &["upgrade, http2-settings"], &["websocket"], None),
            (&["websockets"], &["upgrade"], &["websocket"], None),
            (&["web socket"], &["upgrade"], &["websocket"], None),
            (&["websocket;v=13"], &["upgrade"], &["websocket"], None),
            (&["websocket/1/3"], &["upgrade"], &["websocket"], None),
            (&["websocket/"], &["upgrade"], &["websocket"], None),
            (&["\"websocket\""], &["upgrade"], &["websocket"], None),
            (&[""], &["upgrade"], &["websocket"], None),
            // Both fields are needed.
            (&["websocket"], &[], &["websocket"], None),
            (&["websocket"], &["keep-alive"], &["websocket"], None),
            (&["websocket"], &["upgrades"], &["websocket"], None),
            (&["websocket"], &["websocket"], &["websocket"], None),
            (&[], &["upgrade"], &["websocket"], None),
        ];
        for &(upgrade, connection, allowed, expected) in cases {
            let found = offered(upgrade, connection, allowed);
            assert_eq!(found.as_deref(), expected, "{upgrade:?} {connection:?} {allowed:?}");
        }
    }

    #[test]
    fn a_get_of_http_1_1_without_content_alone_may_leave() {
        for flags in 0..8_u8 {
            let asked = Asked {
                is_get: flags & 1 > 0,
                has_content: flags & 2 > 0,
                is_http_1_1: flags & 4 > 0,
                upgrade: lines(&["websocket"]),
                connection: lines(&["upgrade"]),
            };
            let leaves = offer(asked, &[Protocol::new("websocket")]).is_some();
            assert_eq!(leaves, flags == 0b101, "{flags:03b}");
        }
    }

    #[test]
    fn a_server_switches_to_what_it_was_offered() {
        for (switched, offer, expected) in [
            ("websocket", "websocket", true),
            ("WebSocket", "websocket", true),
            ("b", "a, b", true),
            ("b, a", "a, b", true),
            ("websocket/13", "websocket", true),
            ("irc/6.9", "IRC/6.9", true),
            ("irc/6.8", "IRC/6.9", false),
            ("irc", "IRC/6.9", false),
            ("h2c", "websocket", false),
            ("websocket, h2c", "websocket", false),
            ("", "websocket", false),
            (",", "websocket", false),
        ] {
            let found = is_offered(switched.as_bytes(), offer.as_bytes());
            assert_eq!(found, expected, "{switched} {offer}");
        }
    }
}
