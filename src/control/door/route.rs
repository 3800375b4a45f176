//! The table of endpoints: method and path to what is asked, and what one needs to ask it.

use http::Method;

use super::config::Change;
use crate::door::{Need, Unrouted};

/// What is asked of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    Read(View),
    /// The stream of the log.
    Log,
    Purge,
    /// A heartbeat of the node of this name.
    Beat(&'a str),
    /// Strikes the node of this name off.
    Remove(&'a str),
    /// What the node of this name says to the survey of this number.
    Survey(&'a str, u64),
    /// Events of the bucket of the hook of this name.
    Hook(&'a str),
    /// Changes what is published.
    Config(Change),
}

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Health,
    Ready,
    Description,
    Metrics,
    Status,
    Purges,
    Receipt(u64),
    Nodes,
    Audit,
    Config,
    /// The text of one version.
    ConfigText(u64),
}

impl<'a> Endpoint<'a> {
    /// The endpoint of `method` and `path`. HEAD is answered wherever GET is, but of the log.
    pub(super) fn find(method: &Method, path: &'a str) -> Result<Self, Unrouted> {
        if let Some(name) = path.strip_prefix("/v1/nodes/").filter(|name| is_name(name)) {
            return match *method {
                Method::POST => Ok(Self::Beat(name)),
                Method::DELETE => Ok(Self::Remove(name)),
                _ => Err(Unrouted::Method("POST, DELETE")),
            };
        }
        if let Some(name) = path.strip_prefix("/v1/hooks/s3/").filter(|name| is_name(name)) {
            return match *method {
                Method::POST => Ok(Self::Hook(name)),
                _ => Err(Unrouted::Method("POST")),
            };
        }
        if let Some((name, id)) = survey(path) {
            return match *method {
                Method::POST => Ok(Self::Survey(name, id)),
                _ => Err(Unrouted::Method("POST")),
            };
        }
        let view = match path {
            "/v1/log" if *method == Method::GET => return Ok(Self::Log),
            "/v1/log" => return Err(Unrouted::Method("GET")),
            "/v1/purges" if *method == Method::POST => return Ok(Self::Purge),
            "/v1/config" if *method == Method::POST => return Ok(Self::Config(Change::Publish)),
            "/v1/config/promote" | "/v1/config/rollback" if *method != Method::POST => {
                return Err(Unrouted::Method("POST"));
            }
            "/v1/config/promote" => return Ok(Self::Config(Change::Promote)),
            "/v1/config/rollback" => return Ok(Self::Config(Change::Rollback)),
            "/healthz" => View::Health,
            "/readyz" => View::Ready,
            "/openapi.json" => View::Description,
            "/metrics" => View::Metrics,
            "/v1/status" => View::Status,
            "/v1/purges" => View::Purges,
            "/v1/nodes" => View::Nodes,
            "/v1/audit" => View::Audit,
            "/v1/config" => View::Config,
            _ => {
                let number = |below| path.strip_prefix(below).and_then(|it| it.parse().ok());
                let receipt = number("/v1/purges/").map(View::Receipt);
                let one = receipt.or_else(|| number("/v1/config/").map(View::ConfigText));
                one.ok_or(Unrouted::Path)?
            }
        };
        match (method, view) {
            (&Method::GET | &Method::HEAD, view) => Ok(Self::Read(view)),
            (_, View::Purges | View::Config) => Err(Unrouted::Method("GET, HEAD, POST")),
            _ => Err(Unrouted::Method("GET, HEAD")),
        }
    }

    pub(super) fn need(self) -> Need {
        match self {
            Self::Read(View::Health | View::Ready | View::Description) => Need::Nothing,
            Self::Read(View::Audit) | Self::Remove(_) | Self::Config(_) => Need::Administer,
            Self::Read(View::ConfigText(_)) => Need::ReadConfig,
            Self::Read(_) => Need::View,
            Self::Log | Self::Beat(_) | Self::Survey(..) => Need::Follow,
            Self::Purge | Self::Hook(_) => Need::Purge,
        }
    }

    /// Whether it changes something.
    pub(super) fn is_write(self) -> bool {
        !matches!(self, Self::Read(_) | Self::Log)
    }

    /// Whether it has a body, which is JSON.
    pub(super) fn takes_json(self) -> bool {
        self.is_write() && !matches!(self, Self::Remove(_))
    }
}

/// The node and the number of a survey.
fn survey(path: &str) -> Option<(&str, u64)> {
    let (name, id) = path.strip_prefix("/v1/nodes/")?.split_once("/surveys/")?;
    let is_hex = id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = u64::from_str_radix(id, 16).ok().filter(|_| is_hex)?;
    is_name(name).then_some((name, id))
}

/// A name as the config of a node takes it.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::described::check;

    #[test]
    fn every_endpoint_is_described() {
        let finds = |method: &Method, path: &str| Endpoint::find(method, path).is_ok();
        check(include_str!("openapi.json"), include_str!("route.rs"), finds);
    }

    #[test]
    fn endpoints() {
        let cases = [
            ("GET", "/healthz", Ok(Endpoint::Read(View::Health))),
            ("HEAD", "/readyz", Ok(Endpoint::Read(View::Ready))),
            ("POST", "/healthz", Err(Unrouted::Method("GET, HEAD"))),
            ("GET", "/v1/purges", Ok(Endpoint::Read(View::Purges))),
            ("POST", "/v1/purges", Ok(Endpoint::Purge)),
            ("PUT", "/v1/purges", Err(Unrouted::Method("GET, HEAD, POST"))),
            ("GET", "/v1/purges/7", Ok(Endpoint::Read(View::Receipt(7)))),
            ("GET", "/v1/purges/x", Err(Unrouted::Path)),
            ("GET", "/v1/nodes", Ok(Endpoint::Read(View::Nodes))),
            ("POST", "/v1/nodes/fra-1", Ok(Endpoint::Beat("fra-1"))),
            ("DELETE", "/v1/nodes/fra-1", Ok(Endpoint::Remove("fra-1"))),
            ("GET", "/v1/nodes/fra-1", Err(Unrouted::Method("POST, DELETE"))),
            ("POST", "/v1/nodes/fra/1", Err(Unrouted::Path)),
            ("POST", "/v1/nodes/a/surveys/00000000000000ff", Ok(Endpoint::Survey("a", 255))),
            ("GET", "/v1/nodes/a/surveys/00000000000000ff", Err(Unrouted::Method("POST"))),
            ("POST", "/v1/nodes/a/surveys/ff", Err(Unrouted::Path)),
            ("POST", "/v1/hooks/s3/assets", Ok(Endpoint::Hook("assets"))),
            ("GET", "/v1/hooks/s3/assets", Err(Unrouted::Method("POST"))),
            ("POST", "/v1/hooks/s3/", Err(Unrouted::Path)),
            ("POST", "/v1/nodes/a/surveys/+0000000000000ff", Err(Unrouted::Path)),
            ("POST", "/v1/nodes/", Err(Unrouted::Path)),
            ("GET", "/v1/log", Ok(Endpoint::Log)),
            ("HEAD", "/v1/log", Err(Unrouted::Method("GET"))),
            ("GET", "/v1/config", Ok(Endpoint::Read(View::Config))),
            ("POST", "/v1/config", Ok(Endpoint::Config(Change::Publish))),
            ("DELETE", "/v1/config", Err(Unrouted::Method("GET, HEAD, POST"))),
            ("GET", "/v1/config/7", Ok(Endpoint::Read(View::ConfigText(7)))),
            ("POST", "/v1/config/7", Err(Unrouted::Method("GET, HEAD"))),
            ("POST", "/v1/config/promote", Ok(Endpoint::Config(Change::Promote))),
            ("POST", "/v1/config/rollback", Ok(Endpoint::Config(Change::Rollback))),
            ("GET", "/v1/config/rollback", Err(Unrouted::Method("POST"))),
            ("GET", "/v1/config/x", Err(Unrouted::Path)),
            ("GET", "/v1/audit", Ok(Endpoint::Read(View::Audit))),
            ("GET", "/", Err(Unrouted::Path)),
        ];
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Endpoint::find(&method, path), expected, "{method} {path}");
        }
    }
}
