//! One response on its way to its stream.
//!
//! ```text
//!   HEADERS | DATA header | body ..............| HEADERS (trailers) | FIN
//!   \______ frame _______/ \____ data ____/ next piece, when `data` is written
//! ```
//!
//! Where the length is known, one DATA frame holds the whole body and its pieces follow unframed;
//! else each piece is a frame. The body is polled only when the transport took all before it, so a
//! slow client holds back its body's writer and nothing else.

use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use quinn_proto::{Connection, StreamId, WriteError};

use super::code::{Code, Failure};
use super::{frame, qpack};
use crate::message::{Body, Interim, Piece, Response};
use crate::net::{Ended, Handler, Outcome, Reply};

/// Pieces written in a row before other streams have their turn.
const PIECES_A_TURN: usize = 32;

/// A response that is being written.
pub(super) struct Outgoing<X> {
    exchange: X,
    frame: Bytes,
    data: Bytes,
    body: Body,
    /// Bytes that the announced DATA frame still needs; `None` where each piece is framed.
    left: Option<u64>,
    /// Nothing is to come after `frame` and `data`.
    last: bool,
    body_bytes: u64,
}

/// How far writing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All is written, FIN included.
    Complete,
    /// The client has to take some first.
    Blocked,
    /// The body has to bring some first.
    Starved,
}

impl<X> Outgoing<X> {
    /// Encodes the head of a reply into `buffer`, which is shared by the responses of a connection.
    pub(super) fn new(reply: Reply<X>, to_head: bool, buffer: &mut BytesMut) -> Self {
        let Reply { response, exchange } = reply;
        // RFC 9110 sections 6.4.1 and 9.3.2: these have no content, whatever the body says.
        let without_content =
            to_head || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        put_head(buffer, &response);
        let (left, body) = match without_content {
            true => (Some(0), Body::Empty),
            false => (response.content_length.or(response.body.known_length()), response.body),
        };
        if let Some(length) = left.filter(|&length| length > 0) {
            frame::put_header(buffer, frame::kind::DATA, length);
        }
        let frame = buffer.split().freeze();
        let data = Bytes::new();
        Self { exchange, frame, data, body, left, last: false, body_bytes: 0 }
    }

    /// Writes what can be written.
    pub(super) fn write(
        &mut self,
        id: StreamId,
        transport: &mut Connection,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Result<Progress, Failure> {
        for _ in 0..PIECES_A_TURN {
            if self.data.is_empty() && !self.last {
                match self.body.poll_piece(cx) {
                    Poll::Ready(piece) => self.take(piece, buffer)?,
                    Poll::Pending if self.frame.is_empty() => return Ok(Progress::Starved),
                    // The head does not wait for the body.
                    Poll::Pending => {}
                }
            }
            if !self.flush(id, transport)? {
                return Ok(Progress::Blocked);
            }
            if self.last {
                transport.send_stream(id).finish().map_err(|_| Failure::ClientGone)?;
                return Ok(Progress::Complete);
            }
        }
        cx.waker().wake_by_ref();
        Ok(Progress::Starved)
    }

    /// Whether some of its body may still be to leave.
    pub(super) fn has_body(&self) -> bool {
        !self.data.is_empty() || !self.last && self.left != Some(0)
    }

    /// Until when it may run on; `None` if it is to be cut.
    pub(super) fn may_run_until<H>(&mut self, handler: &H, now: Instant) -> Option<Instant>
    where
        H: Handler<Exchange = X>,
    {
        handler.may_run_until(&mut self.exchange, now)
    }

    /// Tells the handler how the exchange ended.
    pub(super) fn end<H: Handler<Exchange = X>>(self, handler: &H, outcome: Outcome) {
        handler.ended(self.exchange, Ended { body_bytes: self.body_bytes, outcome });
    }

    fn take(
        &mut self,
        piece: Option<Result<Piece, crate::message::BodyError>>,
        buffer: &mut BytesMut,
    ) -> Result<(), Failure> {
        // A body that broke off, or is not of the announced length, must not end with a FIN.
        const TRUNCATED: Failure = Failure::Stream(Code::INTERNAL_ERROR);
        match piece {
            Some(Ok(Piece::Data(data))) => {
                match &mut self.left {
                    Some(left) => {
                        *left = left.checked_sub(data.len() as u64).ok_or(TRUNCATED)?;
                    }
                    None => {
                        frame::put_header(buffer, frame::kind::DATA, data.len() as u64);
                        self.append(buffer);
                    }
                }
                self.data = data;
                // Spares a poll, and lets FIN leave with the last bytes.
                self.last = matches!(self.body, Body::Empty) && self.left.unwrap_or(0) == 0;
            }
            Some(Ok(Piece::Trailers(trailers))) => {
                self.check_length(TRUNCATED)?;
                put_trailers(buffer, &trailers);
                self.append(buffer);
                self.last = true;
            }
            Some(Err(_)) => return Err(TRUNCATED),
            None => {
                self.check_length(TRUNCATED)?;
                self.last = true;
            }
        }
        Ok(())
    }

    fn check_length(&self, failure: Failure) -> Result<(), Failure> {
        if self.left.unwrap_or(0) == 0 { Ok(()) } else { Err(failure) }
    }

    /// Appends what `buffer` holds to the framing not written yet.
    fn append(&mut self, buffer: &mut BytesMut) {
        let more = buffer.split().freeze();
        if self.frame.is_empty() {
            self.frame = more;
        } else {
            self.frame = [&self.frame[..], &more].concat().into();
        }
    }

    /// Hands framing and data to the transport, uncopied; false if it does not take all.
    fn flush(&mut self, id: StreamId, transport: &mut Connection) -> Result<bool, Failure> {
        while !(self.frame.is_empty() && self.data.is_empty()) {
            let before = self.data.len();
            let mut chunks = [std::mem::take(&mut self.frame), std::mem::take(&mut self.data)];
            let written = transport.send_stream(id).write_chunks(&mut chunks);
            [self.frame, self.data] = chunks;
            self.body_bytes += (before - self.data.len()) as u64;
            match written {
                Ok(_) => {}
                Err(WriteError::Blocked) => return Ok(false),
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                    return Err(Failure::ClientGone);
                }
            }
        }
        Ok(true)
    }

    /// Bytes of body that the transport took.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

fn put_head(out: &mut BytesMut, response: &Response) {
    frame::put_headers(out, |out| {
        qpack::begin(out);
        qpack::put_status(out, response.status);
        if let Some(length) = response.content_length {
            qpack::put_field(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        qpack::put_lines(out, response.fields());
    });
}

/// An interim response.
pub(super) fn put_interim(out: &mut BytesMut, interim: &Interim) {
    frame::put_headers(out, |out| {
        qpack::begin(out);
        qpack::put_status(out, interim.status);
        qpack::put_lines(out, interim.block.iter());
    });
}

fn put_trailers(out: &mut BytesMut, trailers: &HeaderMap) {
    frame::put_headers(out, |out| {
        qpack::begin(out);
        let lines = trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        qpack::put_lines(out, lines);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_body_to_send_is_known() {
        let some = || Body::Full(Bytes::from_static(b"some"));
        for (status, length, body, to_head, has_body) in [
            (200, Some(4), some(), false, true),
            (200, Some(4), some(), true, false),
            (200, Some(4), Body::Empty, true, false),
            (304, None, some(), false, false),
            (200, Some(0), Body::Empty, false, false),
            (200, None, Body::Empty, false, false),
        ] {
            let empty = Response::empty(StatusCode::from_u16(status).unwrap());
            let response = Response { content_length: length, body, ..empty };
            let reply = Reply { response, exchange: () };
            let outgoing = Outgoing::new(reply, to_head, &mut BytesMut::new());
            assert_eq!(outgoing.has_body(), has_body, "{status} {length:?} {to_head}");
        }
    }
}
