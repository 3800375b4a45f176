//! HEADERS, CONTINUATION and DATA: requests begin, and their content arrives.

use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use http::StatusCode;

use super::flow::SendWindow;
use super::frame::{self, Code, FrameHead, flag};
use super::hpack;
use super::session::{Error, Goaway, PartialBlock, Session, stream_window};
use super::streams::{RequestSide, ResponseSide, Stream};
use super::upload;
use crate::message::{Body, BodyError, BodyErrorKind, Interim, Request, RequestHead};
use crate::net::request_head::{Head, Refusal, TOO_LARGE};
use crate::net::{Answer, Handler, Outcome, Waited, priority};

/// CONTINUATION frames of one block, beyond those that its size explains (CVE-2024-27316).
const SPARE_FRAMES: usize = 8;

impl<H: Handler> Session<H> {
    /// RFC 9113 section 6.2.
    pub(super) fn on_headers(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Error> {
        let fragment = frame::fragment(head, payload)
            .ok_or(Error::Connection(Code::PROTOCOL_ERROR, "HEADERS with bad padding"))?;
        let (stream, end_stream) = (head.stream, head.has(flag::END_STREAM));
        if stream.is_multiple_of(2) {
            return Err(Error::Connection(Code::PROTOCOL_ERROR, "a stream of even number"));
        }
        if head.has(flag::END_HEADERS) {
            return self.on_block(stream, end_stream, fragment);
        }
        let fragments = BytesMut::from(fragment);
        self.block = Some(PartialBlock { stream, end_stream, fragments, frames: 1 });
        Ok(())
    }

    /// RFC 9113 section 6.10.
    pub(super) fn on_continuation(&mut self, head: FrameHead, part: &[u8]) -> Result<(), Error> {
        let Some(mut block) = self.block.take() else {
            return Err(Error::Connection(Code::PROTOCOL_ERROR, "CONTINUATION of nothing"));
        };
        // Twice the limit, so that a list which is a little too long can still be decoded and
        // answered with 431.
        let limit = 2 * self.limits.header_bytes;
        block.frames += 1;
        if block.fragments.len() + part.len() > limit
            || block.frames > limit / frame::MAX_PAYLOAD + SPARE_FRAMES
        {
            return Err(Error::Connection(Code::ENHANCE_YOUR_CALM, "a field block too long"));
        }
        block.fragments.put_slice(part);
        if !head.has(flag::END_HEADERS) {
            self.block = Some(block);
            return Ok(());
        }
        self.on_block(block.stream, block.end_stream, &block.fragments)
    }

    /// A whole field block: a request, trailers, or what comes too late.
    fn on_block(&mut self, id: u32, end_stream: bool, block: &[u8]) -> Result<(), Error> {
        // Whatever becomes of the stream, the dynamic table has to follow (RFC 9113 section 4.3).
        self.fields.begin(&self.limits);
        let fields = &mut self.fields;
        self.decoder
            .decode(block, |name, value| fields.push(name, value))
            .map_err(|hpack::Invalid| Error::Connection(Code::COMPRESSION_ERROR, "HPACK"))?;
        if id > self.last_stream {
            if self.goaway == Goaway::Sent {
                return self.spend();
            }
            self.last_stream = id;
            return self.begin(id, end_stream);
        }
        if self.streams.contains_key(&id) {
            return self.on_trailers(id, end_stream);
        }
        Err(Error::Stream(Code::STREAM_CLOSED))
    }

    fn on_trailers(&mut self, id: u32, end_stream: bool) -> Result<(), Error> {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.request.is_open) else {
            return Err(Error::Stream(Code::STREAM_CLOSED));
        };
        if !end_stream {
            return Err(Error::Stream(Code::PROTOCOL_ERROR));
        }
        let trailers = self.fields.trailers().map_err(|_| Error::Stream(Code::PROTOCOL_ERROR))?;
        stream.request.is_open = false;
        if let Some(content) = &mut stream.request.content {
            if content.expected.is_some_and(|left| left > 0) {
                return Err(Error::Stream(Code::PROTOCOL_ERROR));
            }
            content.end(Ok(Some(trailers)));
        }
        Ok(())
    }

    /// A new stream.
    fn begin(&mut self, id: u32, end_stream: bool) -> Result<(), Error> {
        self.active = self.now;
        self.allowance.earn();
        if self.streams.len() >= self.limits.streams as usize {
            return Err(Error::Stream(Code::REFUSED_STREAM));
        }
        self.requests += 1;
        if self.requests == self.limits.requests_per_connection {
            self.finish_drain();
        }
        let mut side = RequestSide {
            id,
            began: self.now,
            urgency: priority::DEFAULT_URGENCY,
            is_head: self.fields.is_head(),
            is_open: !end_stream,
            content: None,
            window: SendWindow::new(self.peer_window),
            waker: None,
        };
        let head = match self.fields.request() {
            Ok(head) => head,
            Err(Refusal::Malformed(detail)) => {
                tracing::debug!(peer = %self.peer.address, stream = id, detail, "malformed");
                return Err(Error::Stream(Code::PROTOCOL_ERROR));
            }
            Err(Refusal::Fault(fault)) => {
                let reply = self.handler.refuse(&self.peer, fault);
                self.respond(side, reply);
                return Ok(());
            }
        };
        // RFC 9113 section 8.1.1.
        if end_stream && head.content_length.is_some_and(|length| length > 0) {
            return Err(Error::Stream(Code::PROTOCOL_ERROR));
        }
        side.urgency = head.urgency;
        self.ask(side, head);
        Ok(())
    }

    /// Hands a request to the handler.
    fn ask(&mut self, mut side: RequestSide, head: Head) {
        let body = if side.is_open {
            let waker = side.waker(&self.ready).clone();
            let window = stream_window(&self.limits);
            let (content, body) =
                upload::channel(window, head.content_length, head.expects_continue, waker);
            side.content = Some(content);
            Body::Stream(body)
        } else {
            Body::Empty
        };
        let head = Box::new(RequestHead {
            method: head.method,
            host: head.host,
            target: head.target,
            fields: head.fields,
            content_length: head.content_length,
            peer: self.peer,
        });
        match self.handler.serve(Request { head, body }) {
            Answer::Now(reply) => self.respond(side, reply),
            Answer::Later(future) => {
                let id = side.id;
                let response = ResponseSide::Waiting(future);
                let stream = Stream { request: side, response, scheduled: false };
                self.streams.insert(id, Box::new(stream));
                self.poll_stream(id);
            }
        }
    }

    /// Goes on with a stream that was woken: its handler, its content, its body.
    pub(super) fn poll_stream(&mut self, id: u32) {
        self.return_window(id);
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        match &mut stream.response {
            ResponseSide::Sending(_) => super::session::schedule(&mut self.schedule, stream),
            ResponseSide::Waiting(_) => self.poll_handler(id),
        }
    }

    fn poll_handler(&mut self, id: u32) {
        while let Some(stream) = self.streams.get_mut(&id)
            && let ResponseSide::Waiting(later) = &mut stream.response
        {
            let waker = stream.request.waker(&self.ready);
            match later.poll_next(&mut Context::from_waker(waker)) {
                Poll::Ready(Waited::Interim(Interim { status, block })) => {
                    self.put_interim(id, status, block.iter());
                }
                Poll::Ready(Waited::Reply(reply)) => {
                    if let Some(stream) = self.streams.remove(&id) {
                        self.respond(stream.request, reply);
                    }
                }
                Poll::Pending => return,
            }
        }
    }

    /// Gives back what the handler has read of the content, and sends the 100 that it asks for.
    fn return_window(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let side = &mut stream.request;
        let Some(content) = &mut side.content else {
            return;
        };
        let progress = content.progress();
        let waiting = matches!(stream.response, ResponseSide::Waiting(_));
        let owed = progress.begun && waiting && side.is_open;
        let owed = owed && std::mem::take(&mut content.continue_owed);
        if side.is_open
            && progress.taken > 0
            && let Some(increment) = content.window.release(progress.taken)
        {
            frame::put_window_update(self.output.small(), id, increment);
        }
        self.release(progress.taken);
        if owed {
            self.put_interim(id, StatusCode::CONTINUE, std::iter::empty());
        }
    }

    /// Gives bytes back to the window of the connection.
    pub(super) fn release(&mut self, bytes: usize) {
        if bytes > 0
            && let Some(increment) = self.receive_window.release(bytes)
        {
            frame::put_window_update(self.output.small(), 0, increment);
        }
    }

    /// RFC 9113 section 6.1.
    pub(super) fn on_data(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Error> {
        self.not_idle(head.stream)?;
        // Padding counts as well (RFC 9113 section 6.9.1).
        self.receive_window.receive(payload.len()).map_err(|_| {
            Error::Connection(Code::FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
        })?;
        let content = frame::unpadded(head, payload)
            .ok_or(Error::Connection(Code::PROTOCOL_ERROR, "DATA with bad padding"))?;
        if content.is_empty() {
            self.spend()?;
        } else {
            self.allowance.earn();
            self.content_received += content.len();
        }
        let kept = self.take_content(head, payload.len(), content);
        // What nobody keeps is given back at once; the rest when the handler has read it.
        self.release(payload.len() - *kept.as_ref().unwrap_or(&0));
        kept.map(drop)
    }

    /// Adds content to its stream. Returns the bytes that were kept.
    fn take_content(&mut self, head: FrameHead, flow: usize, bytes: &[u8]) -> Result<usize, Error> {
        let id = head.stream;
        let end = head.has(flag::END_STREAM);
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.request.is_open) else {
            return Err(Error::Stream(Code::STREAM_CLOSED));
        };
        stream.request.is_open = !end;
        let Some(content) = &mut stream.request.content else {
            return Ok(0);
        };
        let over = |_| Error::Stream(Code::FLOW_CONTROL_ERROR);
        content.window.receive(flow).map_err(over)?;
        let received = content.received + bytes.len() as u64;
        if let Some(left) = &mut content.expected {
            // RFC 9113 section 8.1.1.
            *left = left
                .checked_sub(bytes.len() as u64)
                .filter(|left| !end || *left == 0)
                .ok_or(Error::Stream(Code::PROTOCOL_ERROR))?;
        }
        let unread = content.push(bytes) + flow - bytes.len();
        if unread > 0
            && let Some(increment) = content.window.release(unread)
            && !end
        {
            frame::put_window_update(self.output.small(), id, increment);
        }
        if end {
            content.end(Ok(None));
        }
        let kept = flow - unread;
        if self.is_too_large(received) {
            self.refuse_content(id);
        }
        Ok(kept)
    }

    fn is_too_large(&self, length: u64) -> bool {
        self.limits.request_body > 0 && length > self.limits.request_body
    }

    /// More content than the limit allows: 413 if there is no response yet, else the stream ends.
    fn refuse_content(&mut self, id: u32) {
        let Some(mut stream) = self.streams.remove(&id) else {
            return;
        };
        if let Some(mut content) = stream.request.content.take() {
            content.end(Err(BodyError::new(BodyErrorKind::TooLarge, "content too large")));
            let unread = content.close();
            self.release(unread);
        }
        match stream.response {
            ResponseSide::Waiting(future) => {
                drop(future);
                let reply = self.handler.refuse(&self.peer, TOO_LARGE);
                self.respond(stream.request, reply);
            }
            ResponseSide::Sending(_) => {
                self.streams.insert(id, stream);
                self.remove(id, Outcome::ClientGone);
                frame::put_reset(self.output.small(), id, Code::CANCEL);
            }
        }
    }
}
