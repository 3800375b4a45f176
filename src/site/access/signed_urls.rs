//! URLs that hold for a while: who has one may have what it names. Pure.
//!
//! ```text
//!  /media/film.mp4?q=1&hl_expires=1800000000&hl_prefix=7&hl_ip=1&hl_key=2027&hl_signature=…
//!  └──────┴─ the 7 bytes of the path that count; all of them where hl_prefix is left out
//!
//!  hl_signature = base64url(HMAC-SHA256(key,
//!      "headland-url-1" LF host LF expires LF client's address or nothing LF
//!      "prefix" or "path" LF what counts of the path))
//! ```
//!
//! Host and path in normal form. The rest of the query is not signed: it is for the origin, which
//! learns nothing of ours, as does the key.

use std::net::IpAddr;

use aws_lc_rs::hmac::{self, HMAC_SHA256};

use super::{Asked, Denial};
use crate::config::secret::SecretFault;
use crate::config::secret::{Secret, base64url, same_bytes};
use crate::config::site::signed_urls::{SignedUrls, SigningKey};
use crate::semantics::uri::{normalize_host, split_target};

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
        let (scope, path) = match parameters.prefix {
            Some(length) => ("prefix", asked.path.get(..length)?),
            None => ("path", asked.path),
        };
        let client = parameters.ip.then(|| asked.client.to_canonical());
        let message = message(asked.host, parameters.expires, client, scope, path);
        let named = |id: &str| parameters.key.is_none_or(|key| key == id);
        // Every key is tried, whatever the first says.
        let right = self.keys.iter().filter(|(id, _)| named(id)).filter(|(_, key)| {
            same_bytes(signature(key, &message).as_bytes(), parameters.signature.as_bytes())
        });
        Some(right.count() > 0)
    }
}

/// What a URL says of its signature.
struct Parameters<'q> {
    expires: u64,
    ip: bool,
    key: Option<&'q str>,
    prefix: Option<usize>,
    signature: &'q str,
}

/// A parameter is not as it has to be, or there twice.
struct Malformed;

impl<'q> Parameters<'q> {
    fn read(query: &'q str) -> Result<Option<Self>, Malformed> {
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

fn message(host: &str, expires: u64, ip: Option<IpAddr>, scope: &str, path: &str) -> String {
    let ip = ip.map(|ip| ip.to_string()).unwrap_or_default();
    format!("headland-url-1\n{host}\n{expires}\n{ip}\n{scope}\n{path}")
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
    /// The beginning of the paths it is for; without it the URL's path alone.
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
    let target = if target.starts_with('/') { target } else { &format!("/{target}") };
    if !matches!(scheme, "http" | "https") || authority.is_empty() {
        return Err(Unsignable::Url);
    }
    let host = normalize_host(authority).ok_or(Unsignable::Url)?;
    let (path, query) = split_target(target);
    let is_ours = |pair: &str| PARAMETERS.contains(&pair.split('=').next().unwrap_or_default());
    if query.is_some_and(|query| query.split('&').any(is_ours)) {
        return Err(Unsignable::Signed);
    }
    let (scope, covered) = match grant.prefix {
        Some(prefix) if path.starts_with(prefix) && !prefix.is_empty() => ("prefix", prefix),
        Some(_) => return Err(Unsignable::Prefix),
        None => ("path", &*path),
    };
    let ip = grant.ip.map(|ip| ip.to_canonical());
    let signature = signature(&key_of(secret), &message(&host, grant.expires, ip, scope, covered));
    let mut parameters = vec![format!("hl_expires={}", grant.expires)];
    parameters.extend(ip.map(|_| "hl_ip=1".to_owned()));
    parameters.extend(grant.key.map(|key| format!("hl_key={key}")));
    parameters.extend(grant.prefix.map(|prefix| format!("hl_prefix={}", prefix.len())));
    parameters.push(format!("hl_signature={signature}"));
    let query = query.map(|query| format!("{query}&")).unwrap_or_default();
    Ok(format!("{scheme}://{authority}{path}?{query}{}", parameters.join("&")))
}
