//! Who is meant: the hosts of a site, the address of a server, a network of clients.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host name that a site answers to: lower-cased, without port or final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This host alone. IPv6 addresses stand in brackets.
    Exact(String),
    /// Any host below this one, one or more labels deep: `*.example.com` keeps `example.com`.
    Below(String),
}

impl HostPattern {
    /// Reads `www.example.com` or `*.example.com`; case and port do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(parent) => {
                let host = parse_host(parent)?;
                let named = !host.starts_with('[') && host.parse::<Ipv4Addr>().is_err();
                named.then_some(Self::Below(host))
            }
            None => parse_host(text).map(Self::Exact),
        }
    }

    /// Whether it answers to `host`, a lower-case name without port.
    pub fn takes(&self, host: &str) -> bool {
        match self {
            Self::Exact(own) => own == host,
            Self::Below(parent) => {
                host.strip_suffix(parent.as_str()).is_some_and(|labels| labels.ends_with('.'))
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Lower-cases a host and strips its port; `None` where it is no host name or address.
fn parse_host(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() {
            parse_port(port.strip_prefix(':')?)?;
        }
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let name = match text.split_once(':') {
        Some((name, port)) => parse_port(port).map(|_| name)?,
        None => text,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    // RFC 1035 section 2.3.4; the underscore is no letter of a host name, but found in them.
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name.len() <= 253 && name.split('.').all(label)).then_some(name)
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear; port 80 unless said otherwise.
    #[default]
    Http,
    /// Over TLS; port 443 unless said otherwise.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A server that this node connects to, written as a URL without a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// In clear or over TLS.
    pub scheme: Scheme,
    /// Name or address, lower-cased; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `http://10.0.0.5:8080` or `https://origin.example.com`.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://")? {
            ("http", rest) => (Scheme::Http, rest),
            ("https", rest) => (Scheme::Https, rest),
            _ => return None,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let bare = parse_host(authority)?;
        // The colon of a port comes behind the bracket of an IPv6 address, if there is one.
        let port = authority.rsplit_once(']').map_or(authority, |(_, port)| port);
        let port = match port.split_once(':') {
            Some((_, port)) => parse_port(port).filter(|port| *port > 0)?,
            None => scheme.default_port(),
        };
        let host = bare.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { scheme, host, port })
    }

    /// Whether what is sent there never leaves this machine.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            // RFC 6761 section 6.3.
            Err(_) => self.host == "localhost",
        }
    }

    /// Host and port as they stand in a `Host` field: the scheme's own port is left out.
    pub fn authority(&self) -> String {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.host.clone(),
        };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// A range of addresses in CIDR form. A single address is a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first address, its host bits zero.
    pub address: IpAddr,
    /// How many leading bits are the same throughout.
    pub prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // `parse` lets a sign pass.
            Some(prefix) if !prefix.starts_with('+') => {
                prefix.parse().ok().filter(|prefix| *prefix <= width)?
            }
            Some(_) => return None,
            None => width,
        };
        (host_bits(address, prefix) == 0).then_some(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The bits of `address` behind the first `prefix` ones.
fn host_bits(address: IpAddr, prefix: u8) -> u128 {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits().checked_shl(prefix).unwrap_or(0)),
        IpAddr::V6(v6) => v6.to_bits().checked_shl(prefix).unwrap_or(0),
    }
}

/// The origin of a page (RFC 6454), or many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// Every origin.
    Any,
    /// Those of one scheme and port at some hosts.
    Of {
        /// `http://`, `https://`, or that of an app.
        scheme: String,
        /// One host, or all below it.
        host: HostPattern,
        /// The port where it is not the scheme's own, with its colon.
        port: String,
    },
}

impl OriginPattern {
    /// Reads `*`, `https://app.example.com`, `https://*.example.com` or `http://localhost:3000`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let end = text.find("://")? + "://".len();
        let (scheme, rest) = text.split_at(end);
        let behind_address = rest.rfind(']').unwrap_or(0);
        let port = rest[behind_address..].find(':').map_or("", |at| &rest[behind_address + at..]);
        let scheme = scheme.to_ascii_lowercase();
        let is_own = matches!((scheme.as_str(), port), ("http://", ":80") | ("https://", ":443"));
        let port = if is_own { "" } else { port }.to_owned();
        Some(Self::Of { scheme, host: HostPattern::parse(rest)?, port })
    }

    /// Whether the value of an `Origin` field is meant.
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Of { scheme, host, port } => origin
                .strip_prefix(scheme.as_str())
                .and_then(|rest| rest.strip_suffix(port.as_str()))
                .is_some_and(|name| host.takes(name) && !is_with_port(name)),
        }
    }
}

/// Whether a port is left in it: then it is another origin.
fn is_with_port(name: &str) -> bool {
    name.rsplit(']').next().unwrap_or_default().contains(':')
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Of { scheme, host, port } => write!(f, "{scheme}{host}{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let cases = [
            ("WWW.Example.com", Some("www.example.com")),
            ("www.example.com:8443", Some("www.example.com")),
            ("www.example.com.", Some("www.example.com")),
            ("*.CDN.example.com", Some("*.cdn.example.com")),
            ("localhost", Some("localhost")),
            ("127.0.0.1:8080", Some("127.0.0.1")),
            ("[2001:DB8::1]:443", Some("[2001:db8::1]")),
            ("a_b.example.com", Some("a_b.example.com")),
            ("*", None),
            ("*.", None),
            ("a.*.example.com", None),
            ("*.127.0.0.1", None),
            ("", None),
            ("-a.example.com", None),
            ("a..example.com", None),
            ("münchen.example", None),
            ("www.example.com:", None),
            ("www.example.com:port", None),
            ("http://www.example.com", None),
            ("2001:db8::1", None),
        ];
        for (text, host) in cases {
            let shown = HostPattern::parse(text).map(|host| host.to_string());
            assert_eq!(shown.as_deref(), host, "{text}");
        }
    }

    #[test]
    fn endpoints() {
        let cases = [
            ("http://10.0.0.5:8080", Some("http://10.0.0.5:8080")),
            ("https://Origin.example.com/", Some("https://origin.example.com")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("https://[::1]", Some("https://[::1]")),
            ("10.0.0.5:8080", None),
            ("ftp://10.0.0.5", None),
            ("http://10.0.0.5/path", None),
            ("http://user@10.0.0.5", None),
            ("http://10.0.0.5:0", None),
            ("http://", None),
        ];
        for (text, endpoint) in cases {
            let shown = Endpoint::parse(text).map(|endpoint| endpoint.to_string());
            assert_eq!(shown.as_deref(), endpoint, "{text}");
        }
        assert_eq!(Endpoint::parse("https://[::1]").unwrap().host, "::1");
    }

    #[test]
    fn what_stays_on_this_machine() {
        let cases = [
            ("http://127.0.0.1", true),
            ("http://127.8.0.1:80", true),
            ("http://[::1]:80", true),
            ("http://localhost:80", true),
            ("http://10.0.0.5", false),
            ("http://[2001:db8::1]", false),
            ("http://localhost.example.com", false),
        ];
        for (text, expected) in cases {
            assert_eq!(Endpoint::parse(text).unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn networks() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "192.0.2.1/32", "::/0"] {
            assert_eq!(Network::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Network::parse("::1").unwrap().prefix, 128);
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/+8", "2001:db8::1/64"]
        {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn origins_are_told_apart() {
        let cases = [
            ("*", "https://any.example", true),
            ("*", "null", true),
            ("https://a.example", "https://a.example", true),
            ("https://A.example:443", "https://a.example", true),
            ("https://a.example", "https://a.example:443", false),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://a.example.evil", false),
            ("https://a.example", "https://evil-a.example", false),
            ("https://a.example", "null", false),
            ("https://a.example:8443", "https://a.example:8443", true),
            ("https://a.example:8443", "https://a.example", false),
            ("https://*.a.example", "https://x.a.example", true),
            ("https://*.a.example", "https://x.y.a.example", true),
            ("https://*.a.example", "https://a.example", false),
            ("https://*.a.example", "https://evila.example", false),
            ("https://*.a.example", "https://evil.example:1.a.example", false),
            ("https://*.a.example:8443", "https://x.a.example:8443", true),
            ("https://*.a.example:8443", "https://x.a.example", false),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("http://[::1]", "http://[::1]", true),
            ("capacitor://localhost", "capacitor://localhost", true),
        ];
        for (pattern, origin, expected) in cases {
            let parsed = OriginPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(origin), expected, "{pattern} {origin}");
            assert_eq!(OriginPattern::parse(&parsed.to_string()), Some(parsed));
        }
        for text in ["", "a.example", "https://", "https://*", "https://a.example/", "https://a*"] {
            assert_eq!(OriginPattern::parse(text), None, "{text}");
        }
    }
}
