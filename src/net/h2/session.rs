//! The state of one connection, without its socket and without a clock.
//!
//! ```text
//! bytes ─▶ receive ─▶ frames ─▶ requests ─▶ handler ─▶ replies ─▶ output ─▶ bytes
//!                                  │                      ▲
//!                                  └── streams: waiting, sending ── schedule
//! ```
//!
//! This file: frames that concern the connection. `incoming.rs`: requests and their content.
//! `outgoing.rs`: responses. `deadlines.rs`: what time does to it.
//!
//! Invariant: whatever the peer sends, what is kept of it is bounded. Frames are read only while
//! the output is short, streams are counted, and frames that move nothing are paid for from an
//! allowance.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Instant;

use super::allowance::Allowance;
use super::flow::{ReceiveWindow, SendWindow};
use super::frame::{self, Code, FrameHead, HEAD, MAX_31_BITS, PREFACE, flag, kind, setting};
use super::hpack::{self, Decoder, Encoder};
use super::output::Output;
use super::schedule::Schedule;
use super::streams::{ResponseSide, Stream};
use crate::message::losses::Mark;
use crate::message::{FieldBlock, Peer};
use crate::net::ready::Ready;
use crate::net::request_head::FieldList;
use crate::net::{Handler, Limits, Outcome};

/// The window and frame size before SETTINGS say otherwise (RFC 9113 section 6.5.2).
const INITIAL_WINDOW: u32 = 65_535;

/// Content of the PING that tells when the client has seen the GOAWAY of a drain.
const DRAIN_PING: [u8; 8] = *b"draining";

/// What ends a connection or a stream (RFC 9113 section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// The connection, with a phrase for the peer's log.
    Connection(Code, &'static str),
    /// The stream of the frame at hand.
    Stream(Code),
}

/// What has come of the client's side of the connection preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Preface,
    Settings,
    Done,
}

/// How far the end of the connection is (RFC 9113 section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goaway {
    None,
    /// The client was told to begin nothing new; until it has heard that, streams are accepted.
    Announced(Instant),
    /// New streams are ignored, the open ones are finished.
    Sent,
    /// Nothing follows.
    Failed,
}

/// A field block whose end has not come.
pub(super) struct PartialBlock {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) fragments: BytesMut,
    pub(super) frames: usize,
}

/// One connection.
pub(super) struct Session<H: Handler> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Arc<Limits>,
    pub(super) peer: Peer,
    pub(super) alt_svc: FieldBlock,
    /// The time of the present poll.
    pub(super) now: Instant,
    pub(super) output: Output<H::Exchange>,
    /// Set before the first of the requests whose responses are open.
    pub(super) mark: Mark,
    pub(super) opening: Opening,
    pub(super) goaway: Goaway,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) fields: FieldList,
    pub(super) block: Option<PartialBlock>,
    pub(super) streams: BTreeMap<u32, Box<Stream<H::Exchange>>>,
    pub(super) schedule: Schedule,
    pub(super) ready: Arc<Ready<u32>>,
    woken: Vec<u32>,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    /// The peer's SETTINGS_INITIAL_WINDOW_SIZE.
    pub(super) peer_window: u32,
    /// What the peer takes in one frame, or less: turns stay short.
    pub(super) max_payload: usize,
    /// The highest stream that the client has begun.
    pub(super) last_stream: u32,
    pub(super) requests: u64,
    pub(super) resets: u32,
    pub(super) allowance: Allowance,
    /// Since when the client owes the rest of a head.
    pub(super) partial_since: Option<Instant>,
    /// Bytes of content received, for the judgement of pace.
    pub(super) content_received: usize,
    /// When a request last began or ended, or something was written.
    pub(super) active: Instant,
    /// When the responses on their way are to be looked at; `None` where none waits.
    pub(super) review_at: Option<Instant>,
    /// The handler wants a response cut that is queued to its end.
    pub(super) is_cut: bool,
}

impl<H: Handler> Session<H> {
    /// A connection that begins at `now`, with our SETTINGS queued.
    pub(super) fn new(
        handler: Arc<H>,
        limits: Arc<Limits>,
        peer: Peer,
        alt_svc: Option<Bytes>,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            handler,
            peer,
            alt_svc: alt_svc.map(FieldBlock::from_lines).unwrap_or_default(),
            now,
            output: Output::new(),
            mark: Mark::now(),
            opening: Opening::Preface,
            goaway: Goaway::None,
            decoder: Decoder::new(hpack::DEFAULT_SIZE),
            encoder: Encoder::default(),
            fields: FieldList::default(),
            block: None,
            streams: BTreeMap::new(),
            schedule: Schedule::default(),
            ready: Ready::new(),
            woken: Vec::new(),
            send_window: SendWindow::new(INITIAL_WINDOW),
            receive_window: ReceiveWindow::new(connection_window(&limits)),
            peer_window: INITIAL_WINDOW,
            max_payload: frame::MAX_PAYLOAD,
            last_stream: 0,
            requests: 0,
            resets: 0,
            allowance: Allowance::new(now),
            partial_since: None,
            content_received: 0,
            active: now,
            review_at: None,
            is_cut: false,
            limits,
        };
        session.greet();
        session
    }

    /// Our side of the connection preface.
    fn greet(&mut self) {
        let bytes = u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX);
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, self.limits.streams),
            (setting::INITIAL_WINDOW_SIZE, stream_window(&self.limits)),
            (setting::MAX_HEADER_LIST_SIZE, bytes),
            (setting::NO_RFC7540_PRIORITIES, 1),
        ];
        let out = self.output.small();
        frame::put_settings(out, &settings);
        let more = connection_window(&self.limits) - INITIAL_WINDOW;
        if more > 0 {
            frame::put_window_update(out, 0, more);
        }
    }

    /// Handles the whole frames at the start of `input` and takes them off, while the output is not
    /// too long to add to.
    pub(super) fn receive(&mut self, input: &mut BytesMut) -> Result<(), Error> {
        if self.opening == Opening::Preface {
            let known = input.len().min(PREFACE.len());
            if input[..known] != PREFACE[..known] {
                return Err(Error::Connection(Code::PROTOCOL_ERROR, "no connection preface"));
            }
            if known < PREFACE.len() {
                return Ok(());
            }
            input.advance(known);
            self.opening = Opening::Settings;
        }
        while self.output.queued() < self.limits.connection_buffer
            && let Some(head) = input.first_chunk().map(FrameHead::parse)
        {
            if head.length > frame::MAX_PAYLOAD {
                return Err(Error::Connection(Code::FRAME_SIZE_ERROR, "a frame too large"));
            }
            let Some(payload) = input.get(HEAD..HEAD + head.length) else {
                break;
            };
            match self.frame(head, payload) {
                Ok(()) => {}
                Err(Error::Stream(code)) => self.stream_error(head.stream, code)?,
                Err(error) => return Err(error),
            }
            input.advance(HEAD + head.length);
            if self.block.is_none() {
                self.partial_since = None;
            }
        }
        Ok(())
    }

    fn frame(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Error> {
        let error = |detail| Err(Error::Connection(Code::PROTOCOL_ERROR, detail));
        if self.opening == Opening::Settings && (head.kind != kind::SETTINGS || head.has(flag::ACK))
        {
            return error("no SETTINGS after the preface");
        }
        // RFC 9113 section 6.2: nothing comes between HEADERS and its CONTINUATION frames.
        if let Some(block) = &self.block
            && (head.kind != kind::CONTINUATION || head.stream != block.stream)
        {
            return error("a field block interrupted");
        }
        let on_connection = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        let on_stream = matches!(
            head.kind,
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION
        );
        if on_connection && head.stream != 0 || on_stream && head.stream == 0 {
            return error("a frame on the wrong stream");
        }
        match head.kind {
            kind::DATA => self.on_data(head, payload),
            kind::HEADERS => self.on_headers(head, payload),
            kind::CONTINUATION => self.on_continuation(head, payload),
            kind::RST_STREAM => self.on_reset(head.stream, payload),
            kind::SETTINGS => self.on_settings(head, payload),
            kind::PING => self.on_ping(head, payload),
            kind::WINDOW_UPDATE => self.on_window_update(head.stream, payload),
            kind::PUSH_PROMISE => error("a push from a client"),
            // RFC 9113 section 6.3.
            kind::PRIORITY if payload.len() != 5 => Err(Error::Stream(Code::FRAME_SIZE_ERROR)),
            // The client begins no streams that we could refuse; unknown frames are ignored
            // (RFC 9113 section 4.1).
            _ => self.spend(),
        }
    }

    /// Pays for a frame that moves nothing.
    pub(super) fn spend(&mut self) -> Result<(), Error> {
        if self.allowance.spend(self.now) {
            return Ok(());
        }
        Err(Error::Connection(Code::ENHANCE_YOUR_CALM, "too many frames without content"))
    }

    /// RFC 9113 section 6.5.
    fn on_settings(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Error> {
        self.spend()?;
        let ack = head.has(flag::ACK);
        if !payload.len().is_multiple_of(6) || ack && !payload.is_empty() {
            return Err(Error::Connection(Code::FRAME_SIZE_ERROR, "a SETTINGS frame of bad size"));
        }
        if ack {
            return Ok(());
        }
        for (setting, value) in frame::settings(payload) {
            self.set(setting, value)?;
        }
        self.opening = Opening::Done;
        frame::put(self.output.small(), kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    fn set(&mut self, setting: u16, value: u32) -> Result<(), Error> {
        match setting {
            setting::HEADER_TABLE_SIZE => self.encoder.peer_table_size(value),
            setting::ENABLE_PUSH if value > 1 => {
                return Err(Error::Connection(Code::PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH"));
            }
            setting::INITIAL_WINDOW_SIZE => {
                let overflow =
                    Error::Connection(Code::FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE");
                if value > MAX_31_BITS {
                    return Err(overflow);
                }
                // RFC 9113 section 6.9.2: open streams move with it.
                let by = i64::from(value) - i64::from(self.peer_window);
                self.peer_window = value;
                for stream in self.streams.values_mut() {
                    stream.request.window.shift(by).map_err(|_| overflow)?;
                    schedule(&mut self.schedule, stream);
                }
            }
            // It can only be raised, above what we use.
            setting::MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                return Err(Error::Connection(Code::PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE"));
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9113 section 6.7.
    fn on_ping(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Error> {
        self.spend()?;
        if payload.len() != 8 {
            return Err(Error::Connection(Code::FRAME_SIZE_ERROR, "a PING frame of bad size"));
        }
        if !head.has(flag::ACK) {
            frame::put(self.output.small(), kind::PING, flag::ACK, 0, payload);
        } else if payload == DRAIN_PING {
            self.finish_drain();
        }
        Ok(())
    }

    /// RFC 9113 section 6.9.
    fn on_window_update(&mut self, id: u32, payload: &[u8]) -> Result<(), Error> {
        self.spend()?;
        let increment = frame::number(payload)
            .ok_or(Error::Connection(Code::FRAME_SIZE_ERROR, "a WINDOW_UPDATE of bad size"))?;
        let increment = increment & MAX_31_BITS;
        if id == 0 {
            let error = |code| Err(Error::Connection(code, "a WINDOW_UPDATE of the connection"));
            return match increment {
                0 => error(Code::PROTOCOL_ERROR),
                _ if self.send_window.shift(increment.into()).is_err() => {
                    error(Code::FLOW_CONTROL_ERROR)
                }
                _ => Ok(()),
            };
        }
        self.not_idle(id)?;
        if increment == 0 {
            return Err(Error::Stream(Code::PROTOCOL_ERROR));
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            let shifted = stream.request.window.shift(increment.into());
            shifted.map_err(|_| Error::Stream(Code::FLOW_CONTROL_ERROR))?;
            schedule(&mut self.schedule, stream);
        }
        Ok(())
    }

    /// RFC 9113 section 6.4.
    fn on_reset(&mut self, id: u32, payload: &[u8]) -> Result<(), Error> {
        self.spend()?;
        if payload.len() != 4 {
            return Err(Error::Connection(Code::FRAME_SIZE_ERROR, "a RST_STREAM of bad size"));
        }
        self.not_idle(id)?;
        if let Some(stream) = self.streams.get(&id) {
            if matches!(stream.response, ResponseSide::Waiting(_)) {
                self.count_reset()?;
            }
            self.remove(id, Outcome::ClientGone);
        }
        Ok(())
    }

    /// Work begun and thrown away by the client's doing (CVE-2023-44487, CVE-2025-8671).
    pub(super) fn count_reset(&mut self) -> Result<(), Error> {
        self.resets += 1;
        if self.resets <= self.limits.resets_per_connection {
            return Ok(());
        }
        Err(Error::Connection(Code::ENHANCE_YOUR_CALM, "too many streams reset"))
    }

    /// RFC 9113 section 5.1: only HEADERS and PRIORITY may name a stream that has not begun.
    pub(super) fn not_idle(&self, id: u32) -> Result<(), Error> {
        // After the GOAWAY there may be streams that we ignore.
        if id % 2 == 1 && (id <= self.last_stream || self.goaway == Goaway::Sent) {
            return Ok(());
        }
        Err(Error::Connection(Code::PROTOCOL_ERROR, "a frame of a stream that has not begun"))
    }

    /// The peer broke a rule on one stream.
    fn stream_error(&mut self, id: u32, code: Code) -> Result<(), Error> {
        self.spend()?;
        frame::put_reset(self.output.small(), id, code);
        if self.streams.contains_key(&id) {
            self.count_reset()?;
            self.remove(id, Outcome::ClientGone);
        }
        Ok(())
    }

    /// Does what the woken streams wait for. False if there was none.
    pub(super) fn work(&mut self) -> bool {
        let mut woken = std::mem::take(&mut self.woken);
        woken.clear();
        self.ready.take(&mut woken);
        for &id in &woken {
            self.poll_stream(id);
        }
        let any = !woken.is_empty();
        self.woken = woken;
        any
    }

    /// Begins a drain: the client is asked to begin nothing new, and a round trip later what it has
    /// begun meanwhile is known (RFC 9113 section 6.8).
    pub(super) fn begin_drain(&mut self, until: Instant) {
        if self.goaway == Goaway::None {
            self.goaway = Goaway::Announced(until);
            let out = self.output.small();
            frame::put_goaway(out, MAX_31_BITS, Code::NO_ERROR, "");
            frame::put(out, kind::PING, 0, 0, &DRAIN_PING);
        }
    }

    /// Takes no more streams; the connection ends with the last open one.
    pub(super) fn finish_drain(&mut self) {
        if matches!(self.goaway, Goaway::None | Goaway::Announced(_)) {
            self.goaway = Goaway::Sent;
            frame::put_goaway(self.output.small(), self.last_stream, Code::NO_ERROR, "");
        }
    }

    /// Ends the connection for an error: nothing follows the GOAWAY.
    pub(super) fn fail(&mut self, code: Code, detail: &'static str) {
        tracing::debug!(peer = %self.peer.address, code = code.0, detail, "h2 connection error");
        while let Some((&id, _)) = self.streams.first_key_value() {
            self.remove(id, Outcome::ClientGone);
        }
        self.goaway = Goaway::Failed;
        frame::put_goaway(self.output.small(), self.last_stream, code, detail);
    }

    /// Whether nothing is left to do but to close, after a failure with what is queued.
    pub(super) fn is_over(&self) -> bool {
        match self.goaway {
            Goaway::None | Goaway::Announced(_) => false,
            Goaway::Sent => self.streams.is_empty() && self.output.is_empty(),
            Goaway::Failed => true,
        }
    }

    /// `bytes` of the output were written.
    pub(super) fn written(&mut self, bytes: usize) {
        if bytes > 0 {
            self.active = self.now;
        }
        let handler = &self.handler;
        self.output.advance(bytes, |exchange, ended| handler.ended(exchange, ended));
    }

    /// Gives back the memory that only work needs.
    pub(super) fn shrink(&mut self) {
        self.output.shrink();
        self.fields.shrink();
        self.decoder.shrink();
        self.woken = Vec::new();
        self.schedule = Schedule::default();
    }
}

impl<H: Handler> Drop for Session<H> {
    /// Every exchange ends, also when the connection is cut off or its task is cancelled.
    fn drop(&mut self) {
        let outcome = if self.is_intact() { Outcome::ClientGone } else { Outcome::Truncated };
        while let Some((&id, _)) = self.streams.first_key_value() {
            self.remove(id, outcome);
        }
        let handler = &self.handler;
        self.output.abandon(outcome, |exchange, ended| handler.ended(exchange, ended));
    }
}

/// Puts a stream that has something to send into the schedule, once.
pub(super) fn schedule<X>(schedule: &mut Schedule, stream: &mut Stream<X>) {
    let sending = matches!(stream.response, ResponseSide::Sending(_));
    if sending && !std::mem::replace(&mut stream.scheduled, true) {
        schedule.push_back(stream.request.urgency, stream.request.id);
    }
}

/// What one stream may send ahead of its handler.
pub(super) fn stream_window(limits: &Limits) -> u32 {
    connection_window(limits).div_ceil(2).max(INITIAL_WINDOW)
}

/// What all streams together may send ahead of their handlers.
fn connection_window(limits: &Limits) -> u32 {
    u32::try_from(limits.connection_buffer)
        .unwrap_or(MAX_31_BITS)
        .clamp(INITIAL_WINDOW, MAX_31_BITS)
}
