//! Responses that a rule makes by itself.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::message::{FieldBlock, push_field};

/// A response that needs neither store nor origin.
#[derive(Clone, Debug)]
pub struct Canned {
    /// The stable name of the rule, in `Cache-Status` and log.
    pub reason: &'static str,
    /// The status.
    pub status: StatusCode,
    /// All fields but those that tell of this exchange.
    pub block: FieldBlock,
    /// What `Content-Length` says.
    pub content_length: Option<u64>,
    /// What is sent where the method has it.
    pub body: Bytes,
}

/// Appends the line that says how long clients may keep a response; not at all for zero.
pub(super) fn push_lifetime(max_age: Duration, lines: &mut Vec<u8>) {
    let value = match max_age.as_secs() {
        0 => "no-store".to_owned(),
        seconds => format!("max-age={seconds}"),
    };
    push_field(lines, "cache-control", value.as_bytes());
}
