//! A page of the site's in the place of an error's body.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;

use crate::message::{Body, BodyError, BodyStream, Piece, Response, push_field};
use crate::site::Page;

/// Puts `page` in the place of the body of `response`, which tells of nothing else then.
pub(super) fn put_in_place(page: &Page, method: &Method, response: &mut Response) {
    let is_of_body = |name: &str| {
        name.starts_with("content-")
            || matches!(name, "accept-ranges" | "etag" | "last-modified" | "trailer")
    };
    response.block = response.block.without(is_of_body);
    push_field(&mut response.extra, "content-type", page.content_type.as_bytes());
    response.content_length = Some(page.body.len() as u64);
    let body = page.body.clone();
    response.body = match std::mem::take(&mut response.body) {
        _ if *method == Method::HEAD => Body::Empty,
        Body::Stream(replaced) => Body::Stream(Box::new(Behind { replaced: Some(replaced), body })),
        Body::Empty | Body::Full(_) => Body::Full(body),
    };
}

/// A page behind the body that it replaces, which is read to its end: what nobody reads is not
/// stored.
struct Behind {
    replaced: Option<Box<dyn BodyStream>>,
    body: Bytes,
}

impl BodyStream for Behind {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        while let Some(replaced) = &mut self.replaced {
            if !matches!(ready!(replaced.poll_piece(cx)), Some(Ok(_))) {
                self.replaced = None;
            }
        }
        let body = std::mem::take(&mut self.body);
        Poll::Ready((!body.is_empty()).then_some(Ok(Piece::Data(body))))
    }
}
