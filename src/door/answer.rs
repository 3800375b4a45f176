//! What the door answers: JSON envelopes, plain text, problem details. Never stored by anyone.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::life::State;
use crate::message::{Body, Extra, Fault, FieldBlock, Response, push_field};

/// A request that is not carried out (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem.
    pub status: StatusCode,
    /// What is wrong, and what was expected.
    pub detail: String,
    field: Option<(&'static str, &'static str)>,
    member: Option<(&'static str, Value)>,
}

impl Problem {
    /// A problem whose detail names what is wrong and what was expected.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), field: None, member: None }
    }

    /// With one more response field.
    pub fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { field: Some((name, value)), ..self }
    }

    /// With one more member, for machines (RFC 9457 section 3.2).
    pub fn telling(self, name: &'static str, value: Value) -> Self {
        Self { member: Some((name, value)), ..self }
    }

    /// The response; `trace` is the trace that the request belongs to.
    pub fn response(&self, trace: Option<u128>) -> Response {
        let mut problem = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(trace) = trace {
            problem["trace_id"] = format!("{trace:032x}").into();
        }
        if let Some((name, value)) = &self.member {
            problem[*name] = value.clone();
        }
        let mut response = response(self.status, "application/problem+json", text(&problem));
        if let Some((name, value)) = self.field {
            push_field(&mut response.extra, name, value.as_bytes());
        }
        response
    }
}

/// A request for which there is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// There is no such path.
    Path,
    /// There is the path, but with these methods.
    Method(&'static str),
}

impl Unrouted {
    /// The problem of a request for `path`.
    pub fn problem(self, method: &Method, path: &str) -> Problem {
        match self {
            Self::Path => {
                Problem::new(StatusCode::NOT_FOUND, format!("There is no endpoint {path:?}."))
            }
            Self::Method(allow) => {
                let detail = format!("method: expected {allow}, found {method}");
                // RFC 9110 section 15.5.6.
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).with("allow", allow)
            }
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(fault.status, fault.detail)
    }
}

/// `{ "data": …, "meta": … }`.
pub fn envelope(status: StatusCode, data: Value, meta: Value) -> Response {
    response(status, "application/json", text(&json!({ "data": data, "meta": meta })))
}

/// How far the process is in its life.
pub fn health(state: State) -> Response {
    envelope(StatusCode::OK, json!({ "state": state.as_str() }), json!({}))
}

/// The same while it serves; else the problem with what `detail` says of the state.
///
/// # Errors
/// It does not serve.
pub fn ready(state: State, detail: impl FnOnce(&str) -> String) -> Result<Response, Problem> {
    match state {
        State::Serving => Ok(health(state)),
        State::Starting | State::Draining => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail(state.as_str())))
        }
    }
}

/// What the door takes and answers, as OpenAPI.
pub fn description(openapi: &'static str) -> Response {
    response(StatusCode::OK, "application/json", openapi.to_owned())
}

/// A list for a list, and the one for one.
pub fn listed(shown: Vec<Value>, is_list: bool) -> Value {
    match is_list {
        true => Value::Array(shown),
        false => shown.into_iter().next().unwrap_or_default(),
    }
}

/// The metrics in the Prometheus text format.
pub fn metrics(rendered: String) -> Response {
    response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", rendered)
}

fn text(json: &Value) -> String {
    format!("{json}\n")
}

fn response(status: StatusCode, content_type: &str, body: String) -> Response {
    let mut lines = Vec::new();
    push_field(&mut lines, "content-type", content_type.as_bytes());
    push_field(&mut lines, "cache-control", b"no-store");
    push_field(&mut lines, "x-content-type-options", b"nosniff");
    Response {
        status,
        content_length: Some(body.len() as u64),
        block: FieldBlock::from_lines(lines.into()),
        extra: Extra::new(),
        body: Body::Full(body.into()),
    }
}
