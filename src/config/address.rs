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
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= width)?,
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
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/x", "2001:db8::1/64"] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
