//! A page of the site's in the place of an error's body.

use http::Method;

use crate::message::{Body, Piece, Response, push_field};
use crate::site::Page;

/// Of a body that is replaced, what is read at most: an error longer than that is not stored.
const REPLACED_MAX: usize = 1 << 20;

/// Puts `page` in the place of the body of `response`, which tells of nothing else then.
pub(super) fn put_in_place(page: &Page, method: &Method, response: &mut Response) {
    response.block = response.block.without(is_of_body);
    push_field(&mut response.extra, "content-type", page.content_type.as_bytes());
    response.content_length = Some(page.body.len() as u64);
    let body = page.body.clone();
    let page = if *method == Method::HEAD { Body::Empty } else { Body::Full(body) };
    let replaced = std::mem::replace(&mut response.body, page);
    if let Body::Stream(_) = replaced {
        // What nobody reads is not stored; and who waits for the page does not wait for it.
        tokio::spawn(read_to_end(replaced));
    }
}

/// Whether a field tells of the body that is replaced (RFC 9110 section 8, RFC 9530).
fn is_of_body(name: &str) -> bool {
    matches!(
        name,
        "accept-ranges"
            | "content-digest"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "content-length"
            | "content-location"
            | "content-md5"
            | "content-range"
            | "content-type"
            | "digest"
            | "etag"
            | "last-modified"
            | "repr-digest"
            | "trailer"
    )
}

async fn read_to_end(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(piece)) = body.next().await
        && read < REPLACED_MAX
    {
        if let Piece::Data(data) = piece {
            read += data.len();
        }
    }
}
