//! A response that is the same for everybody. Pure.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::{Asked, Canned, push_lifetime};
use crate::config::site::pages::Respond;
use crate::message::{FieldBlock, Seen, push_field};
use crate::semantics::cacheability;
use crate::semantics::conditional::{Conditions, Outcome, Validators, evaluate};

/// The response of a route.
#[derive(Debug)]
pub(super) struct Responder {
    canned: Canned,
    etag: Vec<u8>,
    /// The lines of a 304.
    unchanged: FieldBlock,
    /// The lines where the method is not for reading.
    readable: FieldBlock,
}

impl Responder {
    /// The response of a route. Reads its file.
    pub(super) fn read(respond: &Respond) -> io::Result<Self> {
        let body = Bytes::from(respond.read()?);
        let digest = blake3::hash(&body).to_hex();
        let etag = format!("\"{}\"", &digest[..32]).into_bytes();
        let status = u16::try_from(respond.status).unwrap_or_default();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let mut unchanged = Vec::new();
        push_freshness(respond.max_age, status, &mut unchanged);
        if status.is_success() {
            push_field(&mut unchanged, "etag", &etag);
        }
        let mut lines = unchanged.clone();
        if !body.is_empty() {
            push_field(&mut lines, "content-type", respond.content_type.as_bytes());
        }
        let canned = Canned {
            reason: "respond",
            status,
            block: FieldBlock::from_lines(lines.into()),
            content_length: (status != StatusCode::NO_CONTENT).then_some(body.len() as u64),
            body,
        };
        let unchanged = FieldBlock::from_lines(unchanged.into());
        let mut readable = Vec::new();
        push_field(&mut readable, "allow", b"GET, HEAD");
        push_lifetime(Duration::ZERO, &mut readable);
        Ok(Self { canned, etag, unchanged, readable: FieldBlock::from_lines(readable.into()) })
    }

    /// The response to a request.
    pub(super) fn answer(&self, asked: &Asked<'_>) -> Canned {
        match self.without_body(asked) {
            None => self.canned.clone(),
            Some((status, block)) => Canned {
                status,
                block,
                content_length: (status != StatusCode::NOT_MODIFIED).then_some(0),
                body: Bytes::new(),
                ..self.canned
            },
        }
    }

    /// Status and lines where the request does not get what there is. An error is for all alike.
    fn without_body(&self, asked: &Asked<'_>) -> Option<(StatusCode, FieldBlock)> {
        if !self.canned.status.is_success() {
            return None;
        }
        // RFC 9110 section 15.5.6: there is nothing to write to.
        if !matches!(*asked.method, Method::GET | Method::HEAD) {
            return Some((StatusCode::METHOD_NOT_ALLOWED, self.readable.clone()));
        }
        let conditional = asked.fields.seen().any(Seen::CONDITIONAL);
        match if conditional { self.condition(asked)? } else { return None } {
            StatusCode::NOT_MODIFIED => Some((StatusCode::NOT_MODIFIED, self.unchanged.clone())),
            // It answers one client's condition: how long the body may be kept is not its own.
            status => Some((status, FieldBlock::default())),
        }
    }

    /// RFC 9110 section 13.2.
    fn condition(&self, asked: &Asked<'_>) -> Option<StatusCode> {
        let mut conditions = Conditions::default();
        for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
            asked.fields.all(name).for_each(|line| conditions.add(name, line));
        }
        let method = cacheability::Method::from_bytes(asked.method.as_str().as_bytes());
        let validators = Validators { etag: Some(&self.etag), ..Validators::default() };
        match evaluate(method, &conditions, &validators) {
            Outcome::Proceed => None,
            Outcome::NotModified => Some(StatusCode::NOT_MODIFIED),
            Outcome::PreconditionFailed => Some(StatusCode::PRECONDITION_FAILED),
        }
    }
}

/// A success may be kept and asked after; an error is kept only where that is said.
fn push_freshness(max_age: Duration, status: StatusCode, lines: &mut Vec<u8>) {
    let value = match max_age.as_secs() {
        0 if status.is_success() => "no-cache".to_owned(),
        0 => "no-store".to_owned(),
        seconds => format!("max-age={seconds}"),
    };
    push_field(lines, "cache-control", value.as_bytes());
}
