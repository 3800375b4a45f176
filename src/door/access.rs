//! Who may ask what: bearer tokens, their roles and sites; and what a browser may not be made to
//! ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::StatusCode;

use super::answer::Problem;
use crate::config::moment::Moment;
use crate::config::secret::{Secret, TokenHash};
use crate::config::token::{Token, TokenRole};
use crate::semantics::uri::normalize_host;

/// What one needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: probes tell no more than that there is somebody.
    Nothing,
    /// To read.
    View,
    /// To purge.
    Purge,
    /// To follow the log of purges.
    Follow,
    /// To read what is published to nodes.
    ReadConfig,
    /// To change what others rely on.
    Administer,
}

/// The tokens that are known, and whether the door is open without any.
#[derive(Clone, Debug)]
pub struct Access {
    tokens: Vec<Token>,
    is_loopback: bool,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token's holder; `local` where no token is asked for.
    pub name: String,
    /// Sites to which the token is limited; empty: all.
    pub sites: Vec<String>,
    /// The token that was shown; `None` where none is asked for.
    pub token: Option<TokenHash>,
}

/// Why somebody is not let in.
#[derive(Debug)]
pub struct Refusal {
    /// What the caller is told.
    pub problem: Box<Problem>,
    /// Whose token it was, where it is known: for the audit and the log, not for the caller.
    pub holder: String,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem: problem.into(), holder: String::new() }
    }
}

impl Access {
    /// The holders of `tokens`, at a door that listens at an address.
    pub fn new(tokens: Vec<Token>, listens_at: SocketAddr) -> Self {
        Self { tokens, is_loopback: listens_at.ip().is_loopback() }
    }

    /// The caller, if the `Authorization` field allows what is needed.
    ///
    /// # Errors
    /// 401 where nobody is known by it any more, 403 where it is somebody who may not.
    pub fn admit(
        &self,
        need: Need,
        authorization: Option<&[u8]>,
        now: Moment,
    ) -> Result<Caller, Refusal> {
        if need == Need::Nothing || self.is_open() {
            return Ok(Caller { name: "local".to_owned(), ..Caller::default() });
        }
        let unknown = |detail| {
            // RFC 6750 section 3.
            Problem::new(StatusCode::UNAUTHORIZED, detail).with("www-authenticate", "Bearer")
        };
        let sent = authorization
            .and_then(bearer)
            .ok_or_else(|| unknown("authorization: expected \"Bearer\" and a token"))?;
        let hash = TokenHash::of(&sent);
        // Every hash is compared, so that the time does not tell which one it was.
        let known = self.tokens.iter().fold(None, |known, token| match token.hash == hash {
            true => Some(token),
            false => known,
        });
        let token = known.ok_or_else(|| unknown("authorization: the token is not known here"))?;
        let refusal = |problem: Problem| {
            let holder = token.name.clone();
            Refusal { problem: problem.into(), holder }
        };
        if has_expired(token, now) {
            return Err(refusal(unknown("authorization: the token has expired")));
        }
        if !allows(token.role, need) {
            let role = token.role.as_str();
            let needed = need.roles();
            let detail = format!("authorization: expected a token of role {needed}, found {role}");
            return Err(refusal(Problem::new(StatusCode::FORBIDDEN, detail)));
        }
        let Token { name, sites, hash, .. } = token.clone();
        Ok(Caller { name, sites, token: Some(hash) })
    }

    /// Whether a caller who was let in would be again.
    pub fn admits_still(&self, need: Need, caller: &Caller, now: Moment) -> bool {
        let Some(hash) = &caller.token else { return self.is_open() };
        let is_good = |token: &Token| {
            token.hash == *hash && allows(token.role, need) && !has_expired(token, now)
        };
        self.tokens.iter().any(is_good)
    }

    /// Whether no token is asked for.
    fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.is_loopback
    }

    /// Refuses a write that a browser was led to by a name which another made to point here
    /// (DNS rebinding): on loopback the host is a loopback one.
    ///
    /// # Errors
    /// 403 where it is another.
    pub fn check_host(&self, host: &[u8]) -> Result<(), Problem> {
        if !self.is_loopback || is_loopback_host(host) {
            return Ok(());
        }
        let found = String::from_utf8_lossy(host);
        let detail = format!("host: expected localhost or a loopback address, found {found:?}");
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

impl Need {
    /// The roles that are allowed it.
    fn roles(self) -> &'static str {
        match self {
            Self::Nothing | Self::View => "view, purge or admin",
            Self::Purge => "purge or admin",
            Self::Follow => "node or admin",
            Self::ReadConfig => "node, view, purge or admin",
            Self::Administer => "admin",
        }
    }
}

impl Caller {
    /// Whether what concerns `site`, or several sites, is the caller's concern.
    pub fn sees(&self, site: Option<&str>) -> bool {
        self.sites.is_empty() || self.sites.iter().any(|own| Some(own.as_str()) == site)
    }
}

fn has_expired(token: &Token, now: Moment) -> bool {
    token.expires.is_some_and(|expires| expires <= now)
}

fn allows(role: TokenRole, need: Need) -> bool {
    match role {
        TokenRole::Admin => true,
        TokenRole::Purge => {
            matches!(need, Need::Nothing | Need::View | Need::ReadConfig | Need::Purge)
        }
        TokenRole::View => matches!(need, Need::Nothing | Need::View | Need::ReadConfig),
        TokenRole::Node => matches!(need, Need::Nothing | Need::Follow | Need::ReadConfig),
    }
}

/// The token of a `Bearer` credential; the scheme is of any case (RFC 9110 section 11.1).
fn bearer(authorization: &[u8]) -> Option<Secret> {
    let (scheme, token) = std::str::from_utf8(authorization).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

/// A `Basic` credential whose password is a token (RFC 7617) as a `Bearer` one: for senders that
/// know no other.
pub fn basic_as_bearer(authorization: &[u8]) -> Option<String> {
    let (scheme, credential) = std::str::from_utf8(authorization).ok()?.split_once(' ')?;
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| base64(credential.trim()))??;
    let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(format!("Bearer {password}"))
}

/// Bytes of their base64 (RFC 4648 section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        (bits, count) = (bits << 6 | u32::from(digit(byte)?), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn is_loopback_host(host: &[u8]) -> bool {
    let Some(host) = std::str::from_utf8(host).ok().and_then(normalize_host) else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    // RFC 6761 section 6.3: localhost and all below it.
    *host == *"localhost"
        || host.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || address.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: [(&str, TokenRole, &[&str]); 4] = [
        ("viewer", TokenRole::View, &[]),
        ("deploy", TokenRole::Purge, &["shop"]),
        ("follower", TokenRole::Node, &[]),
        ("owner", TokenRole::Admin, &[]),
    ];

    fn access(address: &str, with_tokens: bool) -> Access {
        let token = |(name, role, sites): (&str, TokenRole, &[&str])| Token {
            name: name.to_owned(),
            role,
            sites: sites.iter().map(|&site| site.to_owned()).collect(),
            expires: (name == "owner").then_some(Moment(100)),
            hash: TokenHash::of(&Secret::new(format!("hl_{name}"))),
        };
        let tokens = if with_tokens { TOKENS.map(token).into() } else { Vec::new() };
        Access::new(tokens, address.parse().unwrap())
    }

    #[test]
    fn on_loopback_without_tokens_the_door_is_open() {
        for (address, open) in [("127.0.0.1:1", true), ("[::1]:1", true), ("10.0.0.1:1", false)] {
            let admitted = access(address, false).admit(Need::Purge, None, Moment(0));
            assert_eq!(admitted.is_ok(), open, "{address}");
        }
    }

    #[test]
    fn roles() {
        let access = access("127.0.0.1:1", true);
        let status = |authorization: &str, need| {
            let admitted = access.admit(need, Some(authorization.as_bytes()), Moment(99));
            admitted.map_or_else(|refusal| refusal.problem.status.as_u16(), |_| 200)
        };
        let needs = [
            Need::Nothing,
            Need::View,
            Need::ReadConfig,
            Need::Purge,
            Need::Follow,
            Need::Administer,
        ];
        let cases = [
            ("Bearer hl_viewer", [200, 200, 200, 403, 403, 403]),
            ("Bearer hl_deploy", [200, 200, 200, 200, 403, 403]),
            ("bearer  hl_deploy", [200, 200, 200, 200, 403, 403]),
            ("Bearer hl_follower", [200, 403, 200, 403, 200, 403]),
            ("Bearer hl_owner", [200, 200, 200, 200, 200, 200]),
            ("Bearer hl_other", [200, 401, 401, 401, 401, 401]),
            ("Basic hl_owner", [200, 401, 401, 401, 401, 401]),
            ("Bearer", [200, 401, 401, 401, 401, 401]),
            ("", [200, 401, 401, 401, 401, 401]),
        ];
        for (authorization, expected) in cases {
            let found = needs.map(|need| status(authorization, need));
            assert_eq!(found, expected, "{authorization}");
        }
        let deploy = access.admit(Need::Purge, Some(b"Bearer hl_deploy"), Moment(0)).unwrap();
        assert_eq!(deploy.name, "deploy");
        assert!(deploy.sees(Some("shop")) && !deploy.sees(Some("blog")) && !deploy.sees(None));
    }

    #[test]
    fn a_password_may_be_a_token() {
        let cases = [
            ("Basic aGVhZGxhbmQ6aGxfZGVwbG95", Some("Bearer hl_deploy")),
            ("basic  OmhsXzo6", Some("Bearer hl_::")),
            ("Basic aDpobF8=", Some("Bearer hl_")),
            ("Basic aGVhZGxhbmQ", None),
            ("Basic a!", None),
            ("Bearer hl_deploy", None),
            ("Basic", None),
        ];
        for (authorization, expected) in cases {
            let found = basic_as_bearer(authorization.as_bytes());
            assert_eq!(found.as_deref(), expected, "{authorization}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_expected() {
        let access = access("127.0.0.1:1", true);
        let refusal = |authorization: Option<&str>| {
            let authorization = authorization.map(str::as_bytes);
            access.admit(Need::Purge, authorization, Moment(100)).unwrap_err()
        };
        let detail = |authorization| refusal(authorization).problem.detail;
        assert_eq!(detail(None), "authorization: expected \"Bearer\" and a token");
        assert_eq!(detail(Some("Bearer hl_x")), "authorization: the token is not known here");
        assert_eq!(
            detail(Some("Bearer hl_viewer")),
            "authorization: expected a token of role purge or admin, found view"
        );
        // Who held it is not for the caller.
        let expired = refusal(Some("Bearer hl_owner"));
        assert_eq!(expired.problem.status, StatusCode::UNAUTHORIZED);
        assert_eq!(expired.problem.detail, "authorization: the token has expired");
        assert_eq!((&*expired.holder, &*refusal(Some("Bearer hl_x")).holder), ("owner", ""));
    }

    #[test]
    fn on_loopback_a_write_needs_a_loopback_host() {
        let cases = [
            ("localhost", true),
            ("LocalHost:9180", true),
            ("a.localhost", true),
            ("127.0.0.1:9180", true),
            ("127.9.9.9", true),
            ("[::1]:9180", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
            ("[::2]", false),
            ("", false),
        ];
        for (host, allowed) in cases {
            let here = access("127.0.0.1:1", false).check_host(host.as_bytes());
            assert_eq!(here.is_ok(), allowed, "{host}");
            assert!(access("10.0.0.1:1", true).check_host(host.as_bytes()).is_ok());
        }
    }
}
