//! Replies become HEADERS and DATA frames.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::frame::{self, Code, HEAD};
use super::hpack::{put_field, put_status};
use super::output::seal_headers;
use super::session::{Session, schedule};
use super::streams::{Next, RequestSide, ResponseSide, Sending, Stream, Turn};
use crate::message::losses::Mark;
use crate::message::{Body, Response};
use crate::net::{Ended, Handler, Outcome, Reply};

impl<H: Handler> Session<H> {
    /// Requests may be handed on next: what is stored is vouched for from here on, unless something
    /// is under way.
    pub(super) fn mark(&mut self) {
        if self.streams.is_empty() && self.output.is_empty() {
            self.mark = Mark::now();
        }
    }

    /// Whether what waits may leave: it is as it was stored, as is what the transport took last,
    /// and the handler wants nothing of it cut.
    pub(super) fn is_intact(&self) -> bool {
        self.mark.holds() && !self.is_cut
    }

    /// Sends a reply: at once and whole if it is small and nothing holds it up.
    pub(super) fn respond(&mut self, side: RequestSide, reply: Reply<H::Exchange>) {
        let Reply { mut response, exchange } = reply;
        let body = std::mem::take(&mut response.body);
        let status = response.status;
        // RFC 9110 section 6.4.1.
        let forbidden =
            side.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let left = response.content_length.filter(|_| !forbidden);
        let is_whole = forbidden || matches!(body, Body::Empty) && left.unwrap_or(0) == 0;
        self.put_head(side.id, &response, is_whole);
        if is_whole {
            let ended = Ended { body_bytes: 0, outcome: Outcome::Complete };
            return self.finish(side, exchange, ended);
        }
        match body {
            Body::Full(bytes) if self.fits(&side, &bytes, left) => {
                let body_bytes = bytes.len() as u64;
                self.send_window.spend(bytes.len());
                self.output.data(side.id, bytes, true);
                self.allowance.earn();
                self.finish(side, exchange, Ended { body_bytes, outcome: Outcome::Complete });
            }
            body => {
                let next = Next::Data(Bytes::new());
                let sending = Sending { exchange, body, left, next, framed: 0 };
                let response = ResponseSide::Sending(sending);
                let id = side.id;
                let mut stream = Box::new(Stream { request: side, response, scheduled: false });
                schedule(&mut self.schedule, &mut stream);
                self.streams.insert(id, stream);
            }
        }
    }

    /// Whether a body can leave in one frame, now.
    fn fits(&self, side: &RequestSide, body: &Bytes, left: Option<u64>) -> bool {
        let length = body.len();
        length <= self.max_payload
            && length <= side.window.available()
            && length <= self.send_window.available()
            && left.is_none_or(|left| left == length as u64)
            && self.output.queued() < self.limits.connection_buffer
    }

    fn put_head(&mut self, id: u32, response: &Response, end_stream: bool) {
        let out = self.output.small();
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        self.encoder.begin(out);
        put_status(out, response.status);
        for (name, value) in response.fields() {
            put_field(out, name, value);
        }
        if let Some(length) = response.content_length {
            let mut digits = itoa::Buffer::new();
            put_field(out, "content-length", digits.format(length).as_bytes());
        }
        for (name, value) in self.alt_svc.iter() {
            put_field(out, name, value);
        }
        seal_headers(out, start, id, end_stream, self.max_payload);
    }

    /// An interim response (RFC 9110 section 15.2).
    pub(super) fn put_interim<'f>(
        &mut self,
        id: u32,
        status: StatusCode,
        fields: impl Iterator<Item = (&'f str, &'f [u8])>,
    ) {
        let out = self.output.small();
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        self.encoder.begin(out);
        put_status(out, status);
        for (name, value) in fields {
            put_field(out, name, value);
        }
        seal_headers(out, start, id, false, self.max_payload);
    }

    fn put_trailers(&mut self, id: u32, trailers: &HeaderMap) {
        let out = self.output.small();
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        self.encoder.begin(out);
        for (name, value) in trailers {
            put_field(out, name.as_str(), value.as_bytes());
        }
        seal_headers(out, start, id, true, self.max_payload);
    }

    /// Lets the streams send in turn, while the output is short.
    pub(super) fn pump(&mut self) {
        while self.output.queued() < self.limits.connection_buffer
            && let Some(id) = self.schedule.pop()
        {
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            let urgency = stream.request.urgency;
            let turn =
                stream.turn(&mut self.send_window, self.max_payload, &self.ready, &mut self.output);
            match turn {
                Turn::More => {
                    self.allowance.earn();
                    self.schedule.push_back(urgency, id);
                }
                Turn::Waits => stream.scheduled = false,
                Turn::Blocked => {
                    self.schedule.push_front(urgency, id);
                    break;
                }
                Turn::Ended(trailers) => {
                    stream.scheduled = false;
                    self.allowance.earn();
                    if let Some(trailers) = trailers {
                        self.put_trailers(id, &trailers);
                    }
                    self.complete(id);
                }
                Turn::Broken => {
                    // Never END_STREAM: the client has to see that something is missing.
                    frame::put_reset(self.output.small(), id, Code::INTERNAL_ERROR);
                    self.remove(id, Outcome::Truncated);
                }
            }
        }
    }

    /// The last frame of a response is queued.
    fn complete(&mut self, id: u32) {
        if let Some(stream) = self.streams.remove(&id)
            && let ResponseSide::Sending(Sending { exchange, framed, .. }) = stream.response
        {
            let ended = Ended { body_bytes: framed, outcome: Outcome::Complete };
            self.finish(stream.request, exchange, ended);
        }
    }

    /// A reply is over; its stream is not in the table, or no more.
    fn finish(&mut self, side: RequestSide, exchange: H::Exchange, ended: Ended) {
        self.active = self.now;
        if side.is_open {
            // RFC 9113 section 8.1: the rest of the request is not needed.
            frame::put_reset(self.output.small(), side.id, Code::NO_ERROR);
        }
        self.output.finish(side.id, exchange, ended);
        self.close(side);
    }

    /// Takes a stream out of the table: it was reset, by whichever side.
    pub(super) fn remove(&mut self, id: u32, outcome: Outcome) {
        let Some(stream) = self.streams.remove(&id) else {
            return;
        };
        if stream.scheduled {
            self.schedule.remove(stream.request.urgency, id);
        }
        if let ResponseSide::Sending(Sending { exchange, framed, .. }) = stream.response {
            self.output.finish(id, exchange, Ended { body_bytes: framed, outcome });
        }
        self.active = self.now;
        self.close(stream.request);
    }

    fn close(&mut self, side: RequestSide) {
        if let Some(content) = side.content {
            let unread = content.close();
            self.release(unread);
        }
    }
}
