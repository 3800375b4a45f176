//! URLs that hold for a while: who has one may have what it names. Pure.
//!
//! ```text
//!  /media/film.mp4?q=1&hl_expires=1800000000&hl_prefix=7&hl_ip=1&hl_key=2027&hl_signature=…
//!  └──────┴─ the 7 bytes of the path that count; all of them where hl_prefix is left out
//!
//!  hl_signature = base64url(HMAC-SHA256(key,
//!      "headland-url-1" LF host LF expires LF client's address or nothing LF
//!      "prefix" LF what counts of the path, or "path" LF the path and, behind ?, the query))
//! ```
//!
//! Host and path in normal form, the query as it is without what is ours. Below a prefix any query
//! goes. A signature lets its holder read: it holds for GET and HEAD. The origin learns nothing of
//! ours, nor does the key.

use std::net::IpAddr;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use http::Method;

use super::{Asked, Denial};
use crate::config::secret::SecretFault;
use crate::config::secret::{Secret, base64url, same_bytes};
use crate::config::site::signed_urls::{SignedUrls, SigningKey};
use crate::semantics::uri::{escape, loosest_path, normalize_host, split_target};

/// The parameters that are ours.
pub(in crate::site) const PARAMETERS: [&str; 5] =
    ["hl_expires", "hl_ip", "hl_key", "hl_prefix", "hl_signature"];

/// The keys of a route.
#[derive(Debug)]
pub(super) struct SignatureRules {
    keys: Vec<(String, hmac::Key)>,
}

impl SignatureRules {
    /// The rules of a route; `None` where nothing has to be signed.
    ///
    /// # Errors
    /// A key cannot be had.
    pub(super) fn read(signed: &SignedUrls) -> Result<Option<Self>, SecretFault> {
        let key = |key: &SigningKey| Ok((key.id.clone(), key_of(&key.read()?)));
        let keys: Vec<_> = signed.keys.iter().map(key).collect::<Result<_, SecretFault>>()?;
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }

    /// Whether the URL is signed, and holds still.
    pub(super) fn judge(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        let parameters = Parameters::read(asked.query.unwrap_or_default());
        let Some(parameters) = parameters.map_err(|_| Denial::WrongSignature)? else {
            return Err(Denial::NoSignature);
        };
        let is_right = self.is_right(&parameters, asked).unwrap_or(false);
        match is_right {
            false => Err(Denial::WrongSignature),
            true if parameters.expires <= asked.now.seconds() => Err(Denial::Expired),
            true => Ok(()),
        }
    }

    fn is_right(&self, parameters: &Parameters<'_>, asked: &Asked<'_>) -> Option<bool> {
        if !matches!(*asked.method, Method::GET | Method::HEAD) {
            return Some(false);
        }
        let covered = match parameters.prefix {
            Some(length) => {
                let prefix = asked.path.get(..length)?;
                // However the origin reads the path, it is below the prefix.
                let loosest = loosest_path(asked.path);
                loosest.is_none_or(|loosest| loosest.starts_with(prefix)).then_some(())?;
                Covered::Prefix(prefix)
            }
            None => Covered::Target(asked.path, asked.query),
        };
        let client = parameters.ip.then(|| asked.client.to_canonical());
        let message = message(asked.host, parameters.expires, client, covered);
        let named = |id: &str| parameters.key.is_none_or(|key| key == id);
        // Every key is tried, whatever the first says.
        let right = self.keys.iter().filter(|(id, _)| named(id)).filter(|(_, key)| {
            same_bytes(signature(key, &message).as_bytes(), parameters.signature.as_bytes())
        });
        Some(right.count() > 0)
    }
}

/// What a URL says of its signature.
#[derive(PartialEq)]
pub(super) struct Parameters<'q> {
    pub(super) expires: u64,
    pub(super) ip: bool,
    pub(super) key: Option<&'q str>,
    pub(super) prefix: Option<usize>,
    pub(super) signature: &'q str,
}

/// A parameter is not as it has to be, or there twice.
#[derive(PartialEq)]
pub(super) struct Malformed;

impl<'q> Parameters<'q> {
    pub(super) fn read(query: &'q str) -> Result<Option<Self>, Malformed> {
        let mut found = [None; PARAMETERS.len()];
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(at) = PARAMETERS.iter().position(|known| *known == name)
                && found[at].replace(value).is_some()
            {
                return Err(Malformed);
            }
        }
        let [expires, ip, key, prefix, signature] = found;
        let (Some(expires), Some(signature)) = (expires, signature) else { return Ok(None) };
        Ok(Some(Self {
            expires: expires.parse().map_err(|_| Malformed)?,
            ip: ip.is_some(),
            key,
            prefix: prefix.map(str::parse).transpose().map_err(|_| Malformed)?,
            signature,
        }))
    }
}

fn key_of(secret: &Secret) -> hmac::Key {
    hmac::Key::new(HMAC_SHA256, secret.reveal().as_bytes())
}

fn signature(key: &hmac::Key, message: &str) -> String {
    base64url(hmac::sign(key, message.as_bytes()).as_ref())
}

/// What of a URL a signature holds for.
#[derive(Clone, Copy)]
enum Covered<'a> {
    /// Every path that begins so.
    Prefix(&'a str),
    /// This path, and this query but for what is ours.
    Target(&'a str, Option<&'a str>),
}

fn message(host: &str, expires: u64, ip: Option<IpAddr>, covered: Covered<'_>) -> String {
    let ip = ip.map(|ip| ip.to_string()).unwrap_or_default();
    let covered = match covered {
        Covered::Prefix(prefix) => format!("prefix\n{prefix}"),
        Covered::Target(path, query) => {
            let pairs = query.into_iter().flat_map(|query| query.split('&'));
            let rest: Vec<_> = pairs.filter(|pair| !pair.is_empty() && !is_ours(pair)).collect();
            let mark = if rest.is_empty() { "" } else { "?" };
            format!("path\n{path}{mark}{}", rest.join("&"))
        }
    };
    format!("headland-url-1\n{host}\n{expires}\n{ip}\n{covered}")
}

/// Whether a parameter is one of a signature.
fn is_ours(pair: &str) -> bool {
    PARAMETERS.contains(&pair.split('=').next().unwrap_or_default())
}

/// A target as it may stand in a URL: what no URL holds is escaped (RFC 3986 section 2).
fn escaped(target: &str) -> String {
    escape(target, |byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

/// What a signature is to hold for.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// What the key is called, where several may be in use.
    pub key: Option<&'a str>,
    /// When it ends, in seconds since the epoch.
    pub expires: u64,
    /// The one client it is for.
    pub ip: Option<IpAddr>,
    /// The beginning of the paths it is for, with any query; without it path and query of the URL
    /// alone.
    pub prefix: Option<&'a str>,
}

/// Why a URL cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// It does not begin with `http://` or `https://`, and a host.
    #[error("expected a URL such as https://static.example.com/film.mp4")]
    Url,
    /// It has a signature already.
    #[error("the URL is signed already")]
    Signed,
    /// It does not begin with the prefix.
    #[error("the path of the URL does not begin with the prefix")]
    Prefix,
}

/// `url` with its signature.
///
/// # Errors
/// It is none that can be signed.
pub fn sign_url(url: &str, secret: &Secret, grant: &Grant<'_>) -> Result<String, Unsignable> {
    let url = url.split('#').next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").ok_or(Unsignable::Url)?;
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let target = escaped(&format!("{}{target}", if target.starts_with('/') { "" } else { "/" }));
    if !matches!(scheme, "http" | "https") || authority.is_empty() {
        return Err(Unsignable::Url);
    }
    let host = normalize_host(authority).ok_or(Unsignable::Url)?;
    let (path, query) = split_target(&target);
    if query.is_some_and(|query| query.split('&').any(is_ours)) {
        return Err(Unsignable::Signed);
    }
    let covered = match grant.prefix {
        Some(prefix) if path.starts_with(prefix) && !prefix.is_empty() => Covered::Prefix(prefix),
        Some(_) => return Err(Unsignable::Prefix),
        None => Covered::Target(&path, query),
    };
    let ip = grant.ip.map(|ip| ip.to_canonical());
    let signature = signature(&key_of(secret), &message(&host, grant.expires, ip, covered));
    let mut parameters = vec![format!("hl_expires={}", grant.expires)];
    parameters.extend(ip.map(|_| "hl_ip=1".to_owned()));
    parameters.extend(grant.key.map(|key| format!("hl_key={key}")));
    parameters.extend(grant.prefix.map(|prefix| format!("hl_prefix={}", prefix.len())));
    parameters.push(format!("hl_signature={signature}"));
    let query = query.map(|query| format!("{query}&")).unwrap_or_default();
    Ok(format!("{scheme}://{authority}{path}?{query}{}", parameters.join("&")))
}
