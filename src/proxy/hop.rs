//! What of a message ends at this hop: fields that `Connection` names, and trailers that would have
//! been no fields.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::message::{Body, BodyError, BodyStream, Fields, FilePart, Piece};
use crate::semantics::headers::{connection_names, is_hop_by_hop};

/// RFC 9110 section 7.6.1: what `Connection` names is of the connection, and no part of what is
/// asked. The options themselves stay for whoever speaks for the connection.
pub(super) fn without_connection_fields(fields: Fields) -> Fields {
    let named = named_by_connection(&fields);
    let is_named = |name: &[u8]| named.iter().any(|it| name.eq_ignore_ascii_case(it.as_bytes()));
    match named.is_empty() {
        true => fields,
        false => fields.without(is_named),
    }
}

/// The fields that `Connection` names and that would go on otherwise, in lower case.
pub(super) fn named_by_connection(fields: &Fields) -> SmallVec<[String; 2]> {
    let is_usual = |name: &&[u8]| {
        [&b"close"[..], b"keep-alive"].iter().any(|usual| name.eq_ignore_ascii_case(usual))
    };
    connection_names(fields.all("connection"))
        .filter(|name| !is_usual(name))
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
        .filter(|name| !is_hop_by_hop(name))
        .collect()
}

/// A body whose trailers are those alone that `goes` lets by, given the lower-case name.
pub(super) fn with_trailers(body: Body, goes: impl Fn(&str) -> bool + Send + 'static) -> Body {
    match body {
        Body::Stream(body) => Body::Stream(Box::new(Trailed { body, goes })),
        body => body,
    }
}

struct Trailed<F> {
    body: Box<dyn BodyStream>,
    goes: F,
}

impl<F: Fn(&str) -> bool + Send> BodyStream for Trailed<F> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        Poll::Ready(match ready!(self.body.poll_piece(cx)) {
            Some(Ok(Piece::Trailers(mut trailers))) => {
                let held: Vec<_> =
                    trailers.keys().filter(|name| !(self.goes)(name.as_str())).cloned().collect();
                for name in held {
                    trailers.remove(name);
                }
                (!trailers.is_empty()).then_some(Ok(Piece::Trailers(trailers)))
            }
            piece => piece,
        })
    }

    fn file(&self, piece: &Bytes) -> Option<FilePart> {
        self.body.file(piece)
    }
}
