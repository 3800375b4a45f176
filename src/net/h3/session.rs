//! One HTTP/3 connection: its streams, its limits and its end.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use quinn_proto::{Connection, Dir, Side, StreamEvent, StreamId, VarInt, WriteError};

use super::code::{Code, Failure};
use super::control::{self, Control};
use super::frame::{self, kind};
use super::head::SectionReader;
use super::stream::{Stream, Turn, Waits};
use crate::message::Peer;
use crate::message::losses::Mark;
use crate::net::pace::Pace;
use crate::net::quic;
use crate::net::ready::Ready;
use crate::net::{Handler, Limits, Outcome};

/// Heads of responses share buffers of this size; each is freed when its last response is
/// acknowledged.
const BUFFER: usize = 8 * 1024;
/// In the first GOAWAY of a drain: no stream is refused yet (RFC 9114 section 5.2).
const EVERY_STREAM: u64 = (1 << 60) - 1;
/// How long requests that crossed the first GOAWAY are still taken: two round trips, at most this.
const LONGEST_GRACE: Duration = Duration::from_millis(500);
/// The streams that the server opens: its control stream.
const OWN_STREAMS: usize = 1;

/// An HTTP/3 connection. `G` is kept for its life: the caller's count of connections.
pub(in crate::net) struct Session<H: Handler, G> {
    handler: Arc<H>,
    limits: Arc<Limits>,
    peer: Peer,
    control: Control,
    own_control: Option<StreamId>,
    /// What waits for the control stream: a few frames at most.
    unsent: BytesMut,
    streams: BTreeMap<StreamId, Slot<H::Exchange>>,
    ready: Arc<Ready<StreamId>>,
    /// Streams to be driven.
    due: Vec<StreamId>,
    stopped: Vec<StreamId>,
    sections: SectionReader,
    buffer: BytesMut,
    going: Going,
    /// The index of the next stream that the client will open.
    next: u64,
    requests: u64,
    resets: u32,
    /// Streams that wait for the client, and whether it is fast enough for them.
    waiting: usize,
    pace: Option<Pace>,
    last_active: Instant,
    /// Set before the first of the requests whose responses are not acknowledged.
    mark: Mark,
    /// When the responses on their way are to be looked at; `None` where none waits.
    review_at: Option<Instant>,
    /// When time has to be looked at; never later than needed.
    look_at: Instant,
    _guard: G,
}

struct Slot<X> {
    stream: Stream<X>,
    waits_for_client: bool,
}

/// How far the connection is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// It is not.
    Not,
    /// It has to say so.
    Asked,
    /// It has said so; requests that are on their way are still taken until then.
    Announced(Instant),
    /// Streams from this index on are refused.
    Last(u64),
}

impl<H: Handler, G> Session<H, G> {
    /// The session of a client whose handshake begins.
    pub(super) fn new(
        handler: Arc<H>,
        limits: Arc<Limits>,
        peer: Peer,
        guard: G,
        now: Instant,
    ) -> Self {
        Self {
            look_at: now + limits.idle_timeout,
            handler,
            limits,
            peer,
            control: Control::default(),
            own_control: None,
            unsent: BytesMut::new(),
            streams: BTreeMap::new(),
            ready: Ready::new(),
            due: Vec::new(),
            stopped: Vec::new(),
            sections: SectionReader::default(),
            buffer: BytesMut::with_capacity(BUFFER),
            going: Going::Not,
            next: 0,
            requests: 0,
            resets: 0,
            waiting: 0,
            pace: None,
            last_active: now,
            mark: Mark::now(),
            review_at: None,
            _guard: guard,
        }
    }

    fn drive_all(&mut self, transport: &mut Connection, now: Instant) -> Result<(), Failure> {
        if self.own_control.is_none() {
            self.open_control(transport, now)?;
        }
        if self.is_quiet(transport) {
            self.mark = Mark::now();
        }
        self.flush_control(transport)?;
        while let Some(id) = transport.streams().accept(Dir::Uni) {
            self.control.open(id);
            self.control.read(id, transport)?;
        }
        self.ready.take(&mut self.due);
        let mut due = std::mem::take(&mut self.due);
        for id in due.drain(..) {
            if Some(id) == self.own_control {
                continue;
            }
            if id.dir() == Dir::Uni {
                self.control.read(id, transport)?;
            } else if let Some(slot) = self.streams.remove(&id) {
                self.drive_stream(id, slot, transport, now)?;
            }
        }
        self.due = due;
        while let Some(id) = transport.streams().accept(Dir::Bi) {
            self.accept(id, transport, now)?;
        }
        self.drop_stopped(transport)?;
        // In this order: the next look is found by the next review.
        self.review(transport, now)?;
        if now >= self.look_at {
            self.look(transport, now)?;
        }
        self.watch_pace(now);
        self.go(transport, now)
    }

    /// RFC 9114 section 6.2.1: the control stream begins with SETTINGS.
    fn open_control(&mut self, transport: &mut Connection, now: Instant) -> Result<(), Failure> {
        let opened = transport.streams().open(Dir::Uni);
        self.own_control = opened;
        self.last_active = now;
        let mut out = Vec::new();
        control::put_opening(&mut out, self.limits.header_bytes as u64);
        self.write_control(&out, transport)
    }

    fn write_control(&mut self, out: &[u8], transport: &mut Connection) -> Result<(), Failure> {
        self.unsent.extend_from_slice(out);
        self.flush_control(transport)
    }

    /// Writes what waits for the control stream. Bodies on their way may have filled the window:
    /// then it waits for their acknowledgement.
    fn flush_control(&mut self, transport: &mut Connection) -> Result<(), Failure> {
        // RFC 9114 section 6.2: a client has to allow three such streams.
        let refused = Failure::Connection(Code::GENERAL_PROTOCOL_ERROR);
        let id = self.own_control.ok_or(refused)?;
        while !self.unsent.is_empty() {
            match transport.send_stream(id).write(&self.unsent) {
                Ok(written) => self.unsent.advance(written),
                Err(WriteError::Blocked) => break,
                Err(_) => return Err(Failure::Connection(Code::CLOSED_CRITICAL_STREAM)),
            }
        }
        Ok(())
    }

    fn accept(
        &mut self,
        id: StreamId,
        transport: &mut Connection,
        now: Instant,
    ) -> Result<(), Failure> {
        self.next = id.index() + 1;
        if matches!(self.going, Going::Last(first_refused) if id.index() >= first_refused) {
            close_stream(id, Code::REQUEST_REJECTED, transport);
            return Ok(());
        }
        self.requests += 1;
        if self.limits.requests_per_connection == self.requests {
            self.going = Going::Last(self.next);
            self.write_goaway(self.next, transport)?;
        }
        let stream = Stream::new(id, &self.limits, now);
        self.drive_stream(id, Slot { stream, waits_for_client: false }, transport, now)
    }

    fn drive_stream(
        &mut self,
        id: StreamId,
        slot: Slot<H::Exchange>,
        transport: &mut Connection,
        now: Instant,
    ) -> Result<(), Failure> {
        self.run(id, slot, transport, now, |stream, turn| stream.drive(turn))
    }

    /// Runs one step of a stream and files the stream again, or ends it.
    fn run(
        &mut self,
        id: StreamId,
        mut slot: Slot<H::Exchange>,
        transport: &mut Connection,
        now: Instant,
        step: impl FnOnce(&mut Stream<H::Exchange>, &mut Turn<'_, H>) -> Result<Waits, Failure>,
    ) -> Result<(), Failure> {
        if self.buffer.capacity() - self.buffer.len() < BUFFER / 8 {
            self.buffer.reserve(BUFFER);
        }
        let mut moved = 0;
        let mut turn = Turn {
            transport,
            handler: &*self.handler,
            limits: &self.limits,
            peer: self.peer,
            ready: &self.ready,
            sections: &mut self.sections,
            buffer: &mut self.buffer,
            now,
            moved: &mut moved,
        };
        let stream = &mut slot.stream;
        // A panic costs its own stream alone: nothing else is touched while a stream is driven
        // but the transport, whose calls complete, and buffers that begin anew.
        let result = catch_unwind(AssertUnwindSafe(|| step(stream, &mut turn)));
        if let Some(pace) = &mut self.pace {
            pace.moved(moved, now.into());
        }
        self.waiting -= usize::from(slot.waits_for_client);
        self.last_active = now;
        match result {
            Ok(Ok(Waits::Done)) => self.look_by(now + self.limits.idle_timeout),
            Ok(Ok(waits)) => {
                slot.waits_for_client = waits == Waits::ForClient;
                self.waiting += usize::from(slot.waits_for_client);
                self.look_by(slot.stream.deadline(&self.limits));
                if slot.stream.outgoing().is_some() {
                    self.review_at.get_or_insert(now);
                }
                self.streams.insert(id, slot);
            }
            Ok(Err(failure)) => return self.fail(id, slot, failure, transport),
            Err(_panic) => {
                self.buffer = BytesMut::with_capacity(BUFFER);
                return self.fail(id, slot, Failure::Stream(Code::INTERNAL_ERROR), transport);
            }
        }
        Ok(())
    }

    fn fail(
        &mut self,
        id: StreamId,
        slot: Slot<H::Exchange>,
        failure: Failure,
        transport: &mut Connection,
    ) -> Result<(), Failure> {
        let outcome = match failure {
            Failure::Stream(Code::INTERNAL_ERROR) => Outcome::Truncated,
            _ => Outcome::ClientGone,
        };
        slot.stream.abandon(&*self.handler, outcome);
        match failure {
            Failure::Connection(_) => return Err(failure),
            Failure::Stream(code) => close_stream(id, code, transport),
            Failure::ClientGone => {
                close_stream(id, Code::REQUEST_CANCELLED, transport);
                self.count_reset()?;
            }
        }
        Ok(())
    }

    /// CVE-2023-44487: requests given up at once cost us more than the client.
    fn count_reset(&mut self) -> Result<(), Failure> {
        self.resets += 1;
        if self.resets > self.limits.resets_per_connection {
            return Err(Failure::Connection(Code::EXCESSIVE_LOAD));
        }
        Ok(())
    }

    fn drop_stopped(&mut self, transport: &mut Connection) -> Result<(), Failure> {
        for id in std::mem::take(&mut self.stopped) {
            if Some(id) == self.own_control {
                return Err(Failure::Connection(Code::CLOSED_CRITICAL_STREAM));
            }
            match self.streams.remove(&id) {
                Some(slot) => {
                    self.waiting -= usize::from(slot.waits_for_client);
                    self.fail(id, slot, Failure::ClientGone, transport)?;
                }
                // Written to its end; what is not yet acknowledged need not be repeated.
                None => close_stream(id, Code::REQUEST_CANCELLED, transport),
            }
        }
        Ok(())
    }

    fn look_by(&mut self, at: Instant) {
        self.look_at = self.look_at.min(at);
    }

    /// Looks at every deadline, and finds the next.
    fn look(&mut self, transport: &mut Connection, now: Instant) -> Result<(), Failure> {
        self.look_at = self.last_active + self.limits.idle_timeout;
        if self.look_at <= now {
            self.look_at = now + self.limits.idle_timeout;
            if self.streams.is_empty() {
                return Err(Failure::Connection(Code::NO_ERROR));
            }
        }
        if let Some(pace) = &mut self.pace {
            // A client that is too slow is no good to the streams of this connection either.
            if !pace.judge(now.into()) {
                return Err(Failure::Connection(Code::EXCESSIVE_LOAD));
            }
            self.look_at = self.look_at.min(pace.next_judgement().into_std());
        }
        let limits = Arc::clone(&self.limits);
        let late: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, slot)| slot.stream.deadline(&limits) <= now)
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            if let Some(slot) = self.streams.remove(&id) {
                self.run(id, slot, transport, now, |stream, turn| stream.expire(turn))?;
            }
        }
        let next = self.streams.values().map(|slot| slot.stream.deadline(&limits)).min();
        let next = next.into_iter().chain(self.review_at).min();
        self.look_at = next.map_or(self.look_at, |next| next.min(self.look_at));
        if let Going::Announced(until) = self.going {
            self.look_at = self.look_at.min(until);
        }
        Ok(())
    }

    /// Asks, when it is time, whether the responses on their way may go on, and cuts those that may
    /// not.
    fn review(&mut self, transport: &mut Connection, now: Instant) -> Result<(), Failure> {
        if self.review_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        let (mut next, mut cut) = (None::<Instant>, Vec::new());
        for (id, slot) in &mut self.streams {
            let Some(response) = slot.stream.outgoing() else { continue };
            match response.may_run_until(&*self.handler, now) {
                Some(at) => next = next.into_iter().chain([at]).min(),
                None => cut.push(*id),
            }
        }
        self.review_at = next;
        next.into_iter().for_each(|next| self.look_by(next));
        for id in cut {
            if let Some(slot) = self.streams.remove(&id) {
                self.waiting -= usize::from(slot.waits_for_client);
                self.fail(id, slot, Failure::Stream(Code::INTERNAL_ERROR), transport)?;
            }
        }
        Ok(())
    }

    /// A pace is asked of a client only while it is waited for.
    fn watch_pace(&mut self, now: Instant) {
        if self.waiting == 0 {
            self.pace = None;
        } else if self.pace.is_none() {
            let pace = Pace::new(&self.limits, now.into());
            self.look_by(pace.next_judgement().into_std());
            self.pace = Some(pace);
        }
    }

    /// Takes the next step on the way out. RFC 9114 section 5.2: first all are told, then, when
    /// what was on its way has come, what is refused; the connection is closed after the last
    /// response has been acknowledged.
    fn go(&mut self, transport: &mut Connection, now: Instant) -> Result<(), Failure> {
        if self.going == Going::Asked {
            self.write_goaway(EVERY_STREAM, transport)?;
            let until = now + (transport.rtt() * 2).min(LONGEST_GRACE);
            self.going = Going::Announced(until);
            self.look_by(until);
        }
        if let Going::Announced(until) = self.going
            && now >= until
        {
            self.write_goaway(self.next, transport)?;
            self.going = Going::Last(self.next);
        }
        if matches!(self.going, Going::Last(_)) && self.is_quiet(transport) {
            return Err(Failure::Connection(Code::NO_ERROR));
        }
        Ok(())
    }

    /// Whether every response is acknowledged.
    fn is_quiet(&self, transport: &mut Connection) -> bool {
        self.streams.is_empty() && transport.streams().send_streams() <= OWN_STREAMS
    }

    fn write_goaway(&mut self, index: u64, transport: &mut Connection) -> Result<(), Failure> {
        let mut id = Vec::new();
        frame::put_varint(&mut id, StreamId::new(Side::Client, Dir::Bi, index).into());
        let mut out = Vec::new();
        frame::put_header(&mut out, kind::GOAWAY, id.len() as u64);
        out.extend(id);
        self.write_control(&out, transport)
    }
}

impl<H: Handler, G> quic::Session for Session<H, G> {
    const NO_ERROR: VarInt = Code::NO_ERROR.value();
    const INTERNAL_ERROR: VarInt = Code::INTERNAL_ERROR.value();

    fn event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Readable { id } | StreamEvent::Writable { id } => self.due.push(id),
            StreamEvent::Stopped { id, .. } => self.stopped.push(id),
            StreamEvent::Opened { .. }
            | StreamEvent::Finished { .. }
            | StreamEvent::Available { .. } => {}
        }
    }

    fn drive(&mut self, transport: &mut Connection, cx: &mut Context<'_>, now: Instant) {
        self.ready.set_parent(cx.waker());
        if let Err(failure) = self.drive_all(transport, now) {
            let code = match failure {
                Failure::Connection(code) | Failure::Stream(code) => code,
                Failure::ClientGone => Code::NO_ERROR,
            };
            tracing::debug!(client = %self.peer.address, ?code, "HTTP/3 connection closed");
            transport.close(now, code.into(), Bytes::new());
        }
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.look_at)
    }

    fn drain(&mut self, _now: Instant) {
        if self.going == Going::Not {
            self.going = Going::Asked;
        }
    }
}

impl<H: Handler, G> Drop for Session<H, G> {
    fn drop(&mut self) {
        let outcome = if self.mark.holds() { Outcome::ClientGone } else { Outcome::Truncated };
        for slot in std::mem::take(&mut self.streams).into_values() {
            slot.stream.abandon(&*self.handler, outcome);
        }
    }
}

/// Ends both directions of a stream. Each fails only if it has ended already.
fn close_stream(id: StreamId, code: Code, transport: &mut Connection) {
    let _ = transport.send_stream(id).reset(code.into());
    let _ = transport.recv_stream(id).stop(code.into());
}
