//! One response, ready to be framed.

use http::StatusCode;
use smallvec::SmallVec;

use super::block::field_lines;
use super::{Body, FieldBlock};

/// Field lines of this response alone (`age`, `cache-status`), as
/// [`push_field`](super::push_field) writes them. Inline up to 192 bytes: a hit allocates nothing
/// for them.
pub type Extra = SmallVec<[u8; 192]>;

/// A response: a head made once, a few lines of its own, and a body.
#[derive(Debug)]
pub struct Response {
    /// The final status.
    pub status: StatusCode,
    /// What `Content-Length` is to say; `None` where it is unknown or must not stand (204, 304).
    /// With an empty body this is the length that a GET would have had (HEAD).
    pub content_length: Option<u64>,
    /// The shared lines, made when the response was stored.
    pub block: FieldBlock,
    /// The lines of this response alone.
    pub extra: Extra,
    /// The body. An engine sends none where the method or the status forbids one.
    pub body: Body,
}

impl Response {
    /// A response with no fields and no body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            content_length: None,
            block: FieldBlock::default(),
            extra: Extra::new(),
            body: Body::Empty,
        }
    }

    /// Name and value of every field line, the shared ones first.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.block.iter().chain(field_lines(&self.extra))
    }
}
