//! One request and its response.
//!
//! ```text
//!   receive:  Head ──> Framing ──> Content ──> Done          Discard: read and thrown away
//!                         │ (is there any content?)
//!                         v
//!   answer:    Idle ──> Waiting ──> Responding ──> Done
//! ```

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use quinn_proto::{Connection, ReadError, StreamId};
use smallvec::SmallVec;

use super::code::{Code, Failure};
use super::frame::{Frame, FrameReader, kind};
use super::head::{NoHead, SectionReader};
use super::inbox::Inbox;
use super::outgoing::{Outgoing, Progress};
use super::waiting::Waiting;
use crate::message::{Body, BodyError, BodyErrorKind, Peer, Request, RequestHead};
use crate::net::ready::Ready;
use crate::net::request_head::Head;
use crate::net::{Answer, Fault, Handler, Limits, Outcome, Reply};

/// Bytes read from a stream before others have their turn.
const READ_A_TURN: usize = 64 * 1024;
/// Content that nobody reads is taken and thrown away up to this; then the client is told to stop.
/// Some clients take being told, though RFC 9114 section 4.1 allows it, for a failed response.
const DISCARDED: usize = 64 * 1024;

/// What a stream may use of its connection while it is driven.
pub(super) struct Turn<'a, H> {
    pub(super) transport: &'a mut Connection,
    pub(super) handler: &'a H,
    pub(super) limits: &'a Limits,
    pub(super) peer: Peer,
    pub(super) ready: &'a Arc<Ready<StreamId>>,
    pub(super) sections: &'a mut SectionReader,
    pub(super) buffer: &'a mut BytesMut,
    pub(super) now: Instant,
    /// Bytes that moved either way, for the minimum rate.
    pub(super) moved: &'a mut usize,
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// Content from the client, or room for bytes to it.
    ForClient,
    /// The handler, the body it gave, or the rest of a head.
    ForHandler,
    /// Nothing: both directions are done with.
    Done,
}

/// A request stream.
pub(super) struct Stream<X> {
    id: StreamId,
    began: Instant,
    receive: Receive,
    answer: State<X>,
    to_head: bool,
    /// Made when something is first waited for.
    waker: Option<Waker>,
}

enum Receive {
    Head(FrameReader),
    /// The head is there, and nothing tells yet whether content follows.
    Framing(Box<Head>, FrameReader),
    Content(Content),
    /// Bytes that may yet be thrown away.
    Discard(usize),
    Done,
}

struct Content {
    reader: FrameReader,
    inbox: Inbox,
    expected: Option<u64>,
    taken: u64,
    trailers: Option<http::HeaderMap>,
}

enum State<X> {
    Idle,
    Waiting(Waiting<X>),
    Responding(Outgoing<X>),
    Done,
}

/// What a stream's receiving side has at hand.
struct Input {
    chunks: SmallVec<[Bytes; 4]>,
    finished: bool,
    /// There is more than was read.
    more: bool,
}

impl<X: Send + 'static> Stream<X> {
    /// A stream that the client has opened.
    pub(super) fn new(id: StreamId, limits: &Limits, now: Instant) -> Self {
        Self {
            id,
            began: now,
            receive: Receive::Head(FrameReader::new(limits.header_bytes)),
            answer: State::Idle,
            to_head: false,
            waker: None,
        }
    }

    /// Does all that can be done now.
    pub(super) fn drive<H>(&mut self, turn: &mut Turn<'_, H>) -> Result<Waits, Failure>
    where
        H: Handler<Exchange = X>,
    {
        self.take_input(turn)?;
        let waits = self.write(turn)?;
        if matches!(self.answer, State::Done) {
            return Ok(self.leave_rest(turn));
        }
        Ok(waits)
    }

    /// When to give up on the client, or on the exchange as a whole.
    pub(super) fn deadline(&self, limits: &Limits) -> Instant {
        let longest = match self.receive {
            Receive::Head(_) | Receive::Framing(..) => limits.header_timeout,
            _ => limits.request_timeout,
        };
        self.began + longest
    }

    /// The deadline has passed: a request that never became whole gets its status, all else is cut.
    pub(super) fn expire<H>(&mut self, turn: &mut Turn<'_, H>) -> Result<Waits, Failure>
    where
        H: Handler<Exchange = X>,
    {
        if !matches!(self.receive, Receive::Head(_) | Receive::Framing(..)) {
            return Err(Failure::Stream(Code::REQUEST_CANCELLED));
        }
        // The time of the response counts from here.
        self.began = turn.now;
        self.refuse(Fault::new(StatusCode::REQUEST_TIMEOUT, "request head too slow"), turn);
        self.drive(turn)
    }

    /// The response, while its body is on its way.
    pub(super) fn outgoing(&mut self) -> Option<&mut Outgoing<X>> {
        match &mut self.answer {
            State::Responding(outgoing) => Some(outgoing).filter(|it| it.has_body()),
            State::Idle | State::Waiting(_) | State::Done => None,
        }
    }

    /// Ends the exchange early, if one has begun.
    pub(super) fn abandon<H: Handler<Exchange = X>>(self, handler: &H, outcome: Outcome) {
        if let Receive::Content(content) = &self.receive {
            content.inbox.fail(BodyError::new(BodyErrorKind::Truncated, "stream ended early"));
        }
        if let State::Responding(outgoing) = self.answer {
            outgoing.end(handler, outcome);
        }
    }

    fn waker<H>(&mut self, turn: &Turn<'_, H>) -> Waker {
        let id = self.id;
        self.waker.get_or_insert_with(|| turn.ready.waker(id)).clone()
    }

    fn take_input<H>(&mut self, turn: &mut Turn<'_, H>) -> Result<(), Failure>
    where
        H: Handler<Exchange = X>,
    {
        match &self.receive {
            Receive::Done => return Ok(()),
            Receive::Content(content) if content.inbox.is_dropped() => {
                self.receive = Receive::Discard(DISCARDED);
            }
            Receive::Content(content) if !content.inbox.has_room() => return Ok(()),
            _ => {}
        }
        let input = read(self.id, turn)?;
        for chunk in input.chunks {
            self.take(chunk, turn)?;
        }
        if input.finished {
            return self.finish(turn);
        }
        if input.more {
            self.waker(turn).wake();
        }
        self.settle_framing(turn);
        Ok(())
    }

    fn take<H>(&mut self, mut chunk: Bytes, turn: &mut Turn<'_, H>) -> Result<(), Failure>
    where
        H: Handler<Exchange = X>,
    {
        loop {
            let reader = match &mut self.receive {
                Receive::Head(reader) | Receive::Framing(_, reader) => reader,
                Receive::Content(content) => &mut content.reader,
                Receive::Discard(left) => {
                    *left = left.saturating_sub(chunk.len());
                    return Ok(());
                }
                Receive::Done => return Ok(()),
            };
            let Some(frame) = reader.read(&mut chunk) else { return Ok(()) };
            match frame {
                Frame::Data(data) => self.take_data(data, turn)?,
                Frame::Whole(kind::HEADERS, section) => self.take_headers(&section, turn)?,
                Frame::TooLong(kind::HEADERS) if matches!(self.receive, Receive::Head(_)) => {
                    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                    self.refuse(Fault::new(status, "field section too large"), turn);
                }
                Frame::TooLong(kind::HEADERS) => return Err(Failure::Stream(Code::EXCESSIVE_LOAD)),
                // RFC 9114 section 7.2: all other known frames belong on the control stream, or
                // are a server's to send.
                Frame::Whole(..) | Frame::TooLong(_) => {
                    return Err(Failure::Connection(Code::FRAME_UNEXPECTED));
                }
            }
        }
    }

    fn take_headers<H>(&mut self, section: &[u8], turn: &mut Turn<'_, H>) -> Result<(), Failure>
    where
        H: Handler<Exchange = X>,
    {
        self.settle_as_content(turn);
        match std::mem::replace(&mut self.receive, Receive::Done) {
            Receive::Head(reader) => {
                let head = turn.sections.request(section, turn.limits);
                self.to_head = turn.sections.is_head();
                match head {
                    Ok(head) => self.receive = Receive::Framing(Box::new(head), reader),
                    Err(NoHead::Refused(fault)) => self.refuse(fault, turn),
                    Err(NoHead::Broken(failure)) => return Err(failure),
                }
            }
            Receive::Content(mut content) if content.trailers.is_none() => {
                content.trailers = Some(turn.sections.trailers(section, turn.limits)?);
                self.receive = Receive::Content(content);
            }
            // RFC 9114 section 4.1: nothing follows the trailers.
            Receive::Content(_) => return Err(Failure::Connection(Code::FRAME_UNEXPECTED)),
            other => self.receive = other,
        }
        Ok(())
    }

    fn take_data<H>(&mut self, data: Bytes, turn: &mut Turn<'_, H>) -> Result<(), Failure>
    where
        H: Handler<Exchange = X>,
    {
        self.settle_as_content(turn);
        let content = match &mut self.receive {
            Receive::Content(content) if content.trailers.is_none() => content,
            Receive::Content(_) | Receive::Head(_) => {
                return Err(Failure::Connection(Code::FRAME_UNEXPECTED));
            }
            _ => return Ok(()),
        };
        content.taken += data.len() as u64;
        if content.expected.is_some_and(|expected| content.taken > expected) {
            return Err(content.malformed("longer than its content-length"));
        }
        if turn.limits.request_body > 0 && content.taken > turn.limits.request_body {
            let error = BodyError::new(BodyErrorKind::TooLarge, "content too large");
            content.inbox.fail(error);
            self.receive = Receive::Discard(DISCARDED);
            return Ok(());
        }
        content.inbox.push(data);
        Ok(())
    }

    /// The client has sent all it will.
    fn finish<H>(&mut self, turn: &mut Turn<'_, H>) -> Result<(), Failure>
    where
        H: Handler<Exchange = X>,
    {
        match std::mem::replace(&mut self.receive, Receive::Done) {
            // RFC 9114 section 4.1: an incomplete request.
            Receive::Head(_) => Err(Failure::Stream(Code::REQUEST_INCOMPLETE)),
            Receive::Framing(_, reader) if !reader.is_between_frames() => {
                Err(Failure::Connection(Code::FRAME_ERROR))
            }
            Receive::Framing(head, _) if head.content_length.is_some_and(|length| length > 0) => {
                Err(Failure::Stream(Code::MESSAGE_ERROR))
            }
            Receive::Framing(head, _) => {
                self.serve(*head, Body::Empty, turn);
                Ok(())
            }
            Receive::Content(content) => content.finish(),
            Receive::Discard(_) | Receive::Done => Ok(()),
        }
    }

    /// Nothing more is at hand: a request that may have content is served without waiting for it,
    /// since its client may wait for us. One that usually has none waits for its FIN, or content.
    fn settle_framing<H>(&mut self, turn: &mut Turn<'_, H>)
    where
        H: Handler<Exchange = X>,
    {
        if let Receive::Framing(head, _) = &self.receive
            && (!head.method.is_safe() || head.content_length.is_some_and(|length| length > 0))
        {
            self.settle_as_content(turn);
        }
    }

    fn settle_as_content<H>(&mut self, turn: &mut Turn<'_, H>)
    where
        H: Handler<Exchange = X>,
    {
        if !matches!(self.receive, Receive::Framing(..)) {
            return;
        }
        let Receive::Framing(head, reader) = std::mem::replace(&mut self.receive, Receive::Done)
        else {
            return;
        };
        let (inbox, body) = Inbox::new(self.waker(turn), head.expects_continue);
        let expected = head.content_length;
        self.receive =
            Receive::Content(Content { reader, inbox, expected, taken: 0, trailers: None });
        self.serve(*head, Body::Stream(body), turn);
    }

    fn serve<H>(&mut self, head: Head, body: Body, turn: &mut Turn<'_, H>)
    where
        H: Handler<Exchange = X>,
    {
        let Head { method, host, target, fields, content_length, .. } = head;
        let peer = turn.peer;
        let head = Box::new(RequestHead { method, host, target, fields, content_length, peer });
        self.answer = match turn.handler.serve(Request { head, body }) {
            Answer::Now(reply) => self.respond(reply, turn),
            Answer::Later(later) => State::Waiting(Waiting::new(later)),
        };
    }

    fn refuse<H>(&mut self, fault: Fault, turn: &mut Turn<'_, H>)
    where
        H: Handler<Exchange = X>,
    {
        self.receive = Receive::Discard(DISCARDED);
        let reply = turn.handler.refuse(&turn.peer, fault);
        self.answer = self.respond(reply, turn);
    }

    fn respond<H>(&self, reply: Reply<X>, turn: &mut Turn<'_, H>) -> State<X> {
        State::Responding(Outgoing::new(reply, self.to_head, turn.buffer))
    }

    fn write<H>(&mut self, turn: &mut Turn<'_, H>) -> Result<Waits, Failure>
    where
        H: Handler<Exchange = X>,
    {
        if let State::Waiting(_) = self.answer {
            let waker = self.waker(turn);
            if let State::Waiting(waiting) = &mut self.answer {
                if let Receive::Content(content) = &self.receive
                    && content.inbox.take_continue()
                {
                    waiting.owe_continue(turn.buffer);
                }
                let cx = &mut Context::from_waker(&waker);
                if let Some(reply) = waiting.poll(self.id, turn.transport, cx, turn.buffer)? {
                    self.answer = self.respond(reply, turn);
                }
            }
        }
        let id = self.id;
        let State::Responding(outgoing) = &mut self.answer else {
            return Ok(self.waits_without_response());
        };
        let waker = self.waker.get_or_insert_with(|| turn.ready.waker(id));
        let before = outgoing.body_bytes();
        let progress =
            outgoing.write(id, turn.transport, &mut Context::from_waker(waker), turn.buffer);
        *turn.moved += (outgoing.body_bytes() - before) as usize;
        match progress? {
            Progress::Complete => {
                let State::Responding(done) = std::mem::replace(&mut self.answer, State::Done)
                else {
                    return Ok(Waits::Done);
                };
                done.end(turn.handler, Outcome::Complete);
                Ok(Waits::Done)
            }
            Progress::Blocked => Ok(Waits::ForClient),
            Progress::Starved => Ok(self.waits_without_response()),
        }
    }

    fn waits_without_response(&self) -> Waits {
        match &self.receive {
            // A head has a time of its own.
            Receive::Content(content) if content.inbox.is_awaited() => Waits::ForClient,
            _ => Waits::ForHandler,
        }
    }

    /// The response is complete: what the client still sends is of no use.
    fn leave_rest<H>(&mut self, turn: &mut Turn<'_, H>) -> Waits {
        match self.receive {
            Receive::Done => return Waits::Done,
            Receive::Discard(0) => {
                // RFC 9114 section 4.1. Fails only if all has come meanwhile.
                let _ = turn.transport.recv_stream(self.id).stop(Code::NO_ERROR.into());
                return Waits::Done;
            }
            Receive::Discard(_) => {}
            _ => {
                if let Receive::Content(content) = &self.receive {
                    let error = BodyError::new(BodyErrorKind::Aborted, "response complete");
                    content.inbox.fail(error);
                }
                self.receive = Receive::Discard(DISCARDED);
            }
        }
        Waits::ForClient
    }
}

impl Content {
    fn finish(mut self) -> Result<(), Failure> {
        if !self.reader.is_between_frames() {
            self.malformed("frame cut short");
            return Err(Failure::Connection(Code::FRAME_ERROR));
        }
        if self.expected.is_some_and(|expected| self.taken < expected) {
            return Err(self.malformed("shorter than its content-length"));
        }
        self.inbox.finish(self.trailers.take());
        Ok(())
    }

    fn malformed(&self, detail: &'static str) -> Failure {
        self.inbox.fail(BodyError::new(BodyErrorKind::Malformed, detail));
        Failure::Stream(Code::MESSAGE_ERROR)
    }
}

/// Takes what has come on a stream, up to a turn's share.
fn read<H>(id: StreamId, turn: &mut Turn<'_, H>) -> Result<Input, Failure> {
    let mut input = Input { chunks: SmallVec::new(), finished: false, more: false };
    let mut stream = turn.transport.recv_stream(id);
    // It is an error to read a stream that has been read to its end.
    let Ok(mut chunks) = stream.read(true) else { return Ok(input) };
    let mut left = READ_A_TURN;
    let result = loop {
        if left == 0 {
            input.more = true;
            break Ok(());
        }
        match chunks.next(left) {
            Ok(Some(chunk)) => {
                left -= chunk.bytes.len();
                input.chunks.push(chunk.bytes);
            }
            Ok(None) => {
                input.finished = true;
                break Ok(());
            }
            Err(ReadError::Blocked) => break Ok(()),
            Err(ReadError::Reset(_)) => break Err(Failure::ClientGone),
        }
    };
    // Packets are sent after the turn in any case.
    let _ = chunks.finalize();
    *turn.moved += READ_A_TURN - left;
    result.map(|()| input)
}
