//! Failure to synthetic response: the one place that makes error responses.
//!
//! What a client reads comes from the fixed lists below; what happened in detail is for the log.

use http::StatusCode;

use crate::message::{Body, Extra, Fault, FieldBlock, Response, push_field};
use crate::site::Denial;
use crate::upstream::{self, UpstreamError};

/// Seconds until another tunnel may have ended.
const TUNNEL_WAIT: u64 = 10;

/// A request that this node does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The origin may take the path for one that another route covers.
    AmbiguousPath,
    /// A rule of the route says no.
    Denied(Denial),
    /// The host is no host name or address.
    InvalidHost,
    /// The target is no path.
    InvalidTarget,
    /// The request has passed here before (RFC 8586).
    Loop,
    /// The route does not let the method through.
    Method,
    /// The request wanted a stored response or none (RFC 9111 section 5.2.1.7).
    NotStored,
    /// As many connections have left HTTP as may.
    Tunnels,
    /// No site answers to the host.
    UnknownHost,
}

impl Refusal {
    /// The status that the RFCs name.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Denied(denial) => denial.status(),
            Self::AmbiguousPath | Self::InvalidHost | Self::InvalidTarget => {
                StatusCode::BAD_REQUEST
            }
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotStored => StatusCode::GATEWAY_TIMEOUT,
            Self::Tunnels => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    /// The stable name, in `Cache-Status`, log and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmbiguousPath => "ambiguous-path",
            Self::Denied(denial) => denial.as_str(),
            Self::InvalidHost => "invalid-host",
            Self::InvalidTarget => "invalid-target",
            Self::Loop => "loop",
            Self::Method => "method-not-allowed",
            Self::NotStored => "not-stored",
            Self::Tunnels => "tunnels-exhausted",
            Self::UnknownHost => "unknown-host",
        }
    }

    /// Seconds after which the client may try again, where that would help.
    fn retry_after(self) -> Option<u64> {
        match self {
            Self::Denied(denial) => denial.retry_after(),
            Self::Tunnels => Some(TUNNEL_WAIT),
            _ => None,
        }
    }

    /// What the client reads.
    fn detail(self) -> &'static str {
        match self {
            Self::AmbiguousPath => "The path can be read in two ways, by different rules.",
            Self::Denied(denial) => denial.detail(),
            Self::InvalidHost => "The host is neither a host name nor an address.",
            Self::InvalidTarget => "The request target is not a valid path.",
            Self::Loop => "The request has passed through this server before.",
            Self::Method => "The method is not allowed for this resource.",
            Self::NotStored => "There is no stored response, and none was to be fetched.",
            Self::Tunnels => "Too many connections have switched to other protocols.",
            Self::UnknownHost => "No site of this server answers to the host.",
        }
    }
}

/// The response to a request that is refused; `allow` tells the methods that are let through.
pub(super) fn refused(refusal: Refusal, allow: Option<&str>) -> Response {
    let mut response = problem(refusal.status(), refusal.detail());
    // RFC 9110 section 15.5.6.
    if let (Refusal::Method, Some(allow)) = (refusal, allow) {
        push_field(&mut response.extra, "allow", allow.as_bytes());
    }
    if let Some(seconds) = refusal.retry_after() {
        push_field(&mut response.extra, "retry-after", seconds.to_string().as_bytes());
    }
    response
}

/// The response to a request that an engine could not read.
pub(super) fn faulty(fault: Fault) -> Response {
    problem(fault.status, fault.detail)
}

/// The response where upstream gave none.
pub(super) fn unavailable(error: &UpstreamError) -> Response {
    let (status, detail) = match (error.fault, error.timeout) {
        (upstream::Fault::Client, true) => {
            (StatusCode::REQUEST_TIMEOUT, "The request's content did not come in time.")
        }
        (upstream::Fault::Client, false) => {
            (StatusCode::BAD_REQUEST, "The request's content broke off, or is malformed.")
        }
        (upstream::Fault::Unsayable, _) => {
            (StatusCode::BAD_REQUEST, "The request has a target or fields that cannot be sent on.")
        }
        (upstream::Fault::ContentTooLarge, _) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "The request's content is too large.")
        }
        (upstream::Fault::Ours, _) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too many requests wait for the origin.")
        }
        (upstream::Fault::Origin | upstream::Fault::Shield, true) => {
            (StatusCode::GATEWAY_TIMEOUT, "The origin did not answer in time.")
        }
        (upstream::Fault::Origin | upstream::Fault::Shield, false) => {
            (StatusCode::BAD_GATEWAY, "The origin could not be reached, or broke off.")
        }
    };
    problem(status, detail)
}

/// RFC 9457: problem details. Never stored by anyone.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = serde_json::json!({
        "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail,
    });
    let mut body = problem.to_string().into_bytes();
    body.push(b'\n');
    Response {
        status,
        content_length: Some(body.len() as u64),
        block: FieldBlock::from_lines(bytes::Bytes::from_static(PROBLEM_LINES)),
        extra: Extra::new(),
        body: Body::Full(body.into()),
    }
}

const PROBLEM_LINES: &[u8] =
    b"content-type: application/problem+json\r\ncache-control: no-store\r\n";
