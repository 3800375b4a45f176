//! The table of endpoints: method and path to what is asked, and what one needs to ask it.

use http::Method;

use crate::door::{Need, Unrouted};

/// What is asked of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Read(View),
    Explain,
    Purge,
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
}

impl Endpoint {
    /// The endpoint of `method` and `path`. HEAD is answered wherever GET is.
    pub(super) fn find(method: &Method, path: &str) -> Result<Self, Unrouted> {
        if path == "/v1/purges" && *method == Method::POST {
            return Ok(Self::Purge);
        }
        let view = match path {
            "/healthz" => View::Health,
            "/readyz" => View::Ready,
            "/openapi.json" => View::Description,
            "/metrics" => View::Metrics,
            "/v1/status" => View::Status,
            "/v1/purges" => View::Purges,
            "/v1/explain" => {
                return match *method {
                    Method::GET | Method::HEAD => Ok(Self::Explain),
                    _ => Err(Unrouted::Method("GET, HEAD")),
                };
            }
            _ => {
                let number = path.strip_prefix("/v1/purges/").and_then(|it| it.parse().ok());
                View::Receipt(number.ok_or(Unrouted::Path)?)
            }
        };
        match (method, view) {
            (&Method::GET | &Method::HEAD, view) => Ok(Self::Read(view)),
            (_, View::Purges) => Err(Unrouted::Method("GET, HEAD, POST")),
            _ => Err(Unrouted::Method("GET, HEAD")),
        }
    }

    pub(super) fn need(self) -> Need {
        match self {
            Self::Read(View::Health | View::Ready | View::Description) => Need::Nothing,
            Self::Read(_) | Self::Explain => Need::View,
            Self::Purge => Need::Purge,
        }
    }
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
            ("HEAD", "/healthz", Ok(Endpoint::Read(View::Health))),
            ("POST", "/healthz", Err(Unrouted::Method("GET, HEAD"))),
            ("GET", "/readyz", Ok(Endpoint::Read(View::Ready))),
            ("GET", "/metrics", Ok(Endpoint::Read(View::Metrics))),
            ("GET", "/v1/status", Ok(Endpoint::Read(View::Status))),
            ("DELETE", "/v1/status", Err(Unrouted::Method("GET, HEAD"))),
            ("GET", "/v1/explain", Ok(Endpoint::Explain)),
            ("POST", "/v1/explain", Err(Unrouted::Method("GET, HEAD"))),
            ("GET", "/v1/purges", Ok(Endpoint::Read(View::Purges))),
            ("HEAD", "/v1/purges", Ok(Endpoint::Read(View::Purges))),
            ("POST", "/v1/purges", Ok(Endpoint::Purge)),
            ("PUT", "/v1/purges", Err(Unrouted::Method("GET, HEAD, POST"))),
            ("GET", "/v1/purges/7", Ok(Endpoint::Read(View::Receipt(7)))),
            ("POST", "/v1/purges/7", Err(Unrouted::Method("GET, HEAD"))),
            ("GET", "/v1/purges/x", Err(Unrouted::Path)),
            ("GET", "/v1/purges/", Err(Unrouted::Path)),
            ("GET", "/healthz/", Err(Unrouted::Path)),
            ("GET", "/", Err(Unrouted::Path)),
            ("OPTIONS", "*", Err(Unrouted::Path)),
        ];
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Endpoint::find(&method, path), expected, "{method} {path}");
        }
    }
}
