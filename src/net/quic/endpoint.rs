//! The loop: datagrams in, connections driven, datagrams out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use std::{future, io};

use bytes::Bytes;
use quinn_proto::{ConnectionHandle, DatagramEvent, Event, Incoming, Transmit, VarInt};

use super::socket::{self, Received, Socket};
use super::{Quic, Session, Sessions};
use crate::net::DrainWatch;
use crate::net::drain::DRAIN_GRACE;
use crate::net::ready::Ready;
use crate::net::timer::Timer;

/// Batches received, and sends of one connection, before others of the event loop have their turn.
const RECEIVES_A_TURN: usize = 4;
const SENDS_A_TURN: usize = 4;
/// Handshakes under way above which a client must first show that its address is its own (RFC 9000
/// section 8.1.2): the bound of what forged addresses can make us keep.
const UNPROVEN_HANDSHAKES: usize = 256;
/// How far the send window may grow beyond the connection's buffer with the congestion window.
const MOST_IN_FLIGHT: u64 = 16 * 1024 * 1024;
/// How long an endpoint that is dropped may hold its thread up until its last packets are taken.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How far ahead the timer is set while no connection has a deadline.
const FAR: Duration = Duration::from_secs(3600);

/// One socket, its connections and what speaks over them.
pub(in crate::net) struct Endpoint<S: Sessions> {
    quic: Quic,
    sessions: S,
    socket: Socket,
    machine: quinn_proto::Endpoint,
    /// By connection handle.
    connections: Vec<Option<Connection<S::Session>>>,
    handshakes: usize,
    /// Connections to be driven in this turn.
    due: Vec<ConnectionHandle>,
    ready: Arc<Ready<ConnectionHandle>>,
    /// When which connection is due; an entry counts only if it is what the connection names.
    deadlines: BinaryHeap<Reverse<(Instant, usize)>>,
    timer: Timer,
    woken: Vec<ConnectionHandle>,
    received: Vec<Received>,
    packets: Vec<u8>,
    /// What the socket could not take; nothing else is sent before it.
    stalled: Option<(Transmit, Vec<u8>)>,
    draining: bool,
}

struct Connection<S> {
    machine: quinn_proto::Connection,
    /// `None` once closed; the machine then lingers to answer late packets.
    session: Option<S>,
    /// Lists this connection as due.
    waker: Waker,
    handshake: bool,
    handshake_until: Instant,
    scheduled: Option<Instant>,
    due: bool,
    /// Bytes that may wait unsent.
    buffer: u64,
    send_window: u64,
}

impl<S: Sessions> Endpoint<S> {
    /// An endpoint of event loop `event_loop` of `loops`, on a bound socket. To be made and run on
    /// that loop.
    pub(in crate::net) fn new(
        socket: std::net::UdpSocket,
        quic: Quic,
        (event_loop, loops): (usize, usize),
        sessions: S,
    ) -> io::Result<Self> {
        let socket = Socket::new(socket)?;
        let machine = quic.endpoint(event_loop, loops, socket.may_probe_mtu());
        Ok(Self {
            quic,
            sessions,
            socket,
            machine,
            connections: Vec::new(),
            handshakes: 0,
            due: Vec::new(),
            ready: Ready::new(),
            deadlines: BinaryHeap::new(),
            timer: Timer::new((Instant::now() + FAR).into()),
            woken: Vec::new(),
            received: Vec::new(),
            packets: Vec::new(),
            stalled: None,
            draining: false,
        })
    }

    /// Serves until it is dropped, or the socket fails. Lets go of `drain` once every connection is
    /// over and its client knows; the socket stays in its group for the sake of the others.
    pub(in crate::net) async fn run(mut self, mut drain: DrainWatch) -> io::Error {
        {
            let mut draining = pin!(drain.draining());
            let drained = future::poll_fn(|cx| {
                if !self.draining && draining.as_mut().poll(cx).is_ready() {
                    self.drain(now());
                }
                match self.turn(cx) {
                    Ok(()) if self.is_drained() => Poll::Ready(Ok(())),
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                }
            });
            if let Err(error) = drained.await {
                return error;
            }
        }
        drop(drain);
        future::poll_fn(|cx| match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error),
        })
        .await
    }

    /// Whether a drain has ended: no connection is open, and nothing waits for room in the socket.
    fn is_drained(&self) -> bool {
        self.draining
            && self.stalled.is_none()
            && self.due.is_empty()
            && self.connections.iter().flatten().all(|one| one.session.is_none())
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let now = now();
        self.ready.set_parent(cx.waker());
        let more = self.receive(cx, now)?;
        self.note_woken();
        self.note_deadlines(now);
        if self.resume_sending(cx) {
            for handle in std::mem::take(&mut self.due) {
                self.drive(handle, now);
            }
        }
        self.arm_timer(cx, now);
        if more || (self.stalled.is_none() && !self.due.is_empty()) {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Takes datagrams that have come; true if more may be there.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        for _ in 0..RECEIVES_A_TURN {
            let Poll::Ready(()) = self.socket.poll_recv(cx, &mut self.received)? else {
                return Ok(false);
            };
            let mut received = std::mem::take(&mut self.received);
            for run in received.drain(..) {
                self.take_run(run, now);
            }
            self.received = received;
        }
        Ok(true)
    }

    fn take_run(&mut self, Received { meta, mut bytes }: Received, now: Instant) {
        let ecn = socket::ecn(&meta);
        while !bytes.is_empty() {
            let datagram = bytes.split_to(meta.stride.clamp(1, bytes.len()));
            self.packets.clear();
            let packets = &mut self.packets;
            match self.machine.handle(now, meta.addr, meta.dst_ip, ecn, datagram, packets) {
                Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                    if let Some(Some(connection)) = self.connections.get_mut(handle.0) {
                        connection.machine.handle_event(event);
                        connection.mark(handle, &mut self.due);
                    }
                }
                Some(DatagramEvent::NewConnection(incoming)) => self.accept(incoming, now),
                Some(DatagramEvent::Response(transmit)) => self.respond(&transmit),
                None => {}
            }
        }
    }

    fn accept(&mut self, incoming: Incoming, now: Instant) {
        let client = incoming.remote_address();
        let unproven = !incoming.remote_address_validated();
        if unproven && self.handshakes >= UNPROVEN_HANDSHAKES && incoming.may_retry() {
            if let Ok(transmit) = self.machine.retry(incoming, &mut self.packets) {
                self.respond(&transmit);
            }
            return;
        }
        let session = if self.draining { None } else { self.sessions.open(client) };
        let Some(session) = session else {
            let transmit = self.machine.refuse(incoming, &mut self.packets);
            return self.respond(&transmit);
        };
        match self.machine.accept(incoming, now, &mut self.packets, None) {
            Ok((handle, machine)) => self.insert(handle, machine, session, now),
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.respond(&transmit);
                }
            }
        }
    }

    fn insert(
        &mut self,
        handle: ConnectionHandle,
        machine: quinn_proto::Connection,
        session: S::Session,
        now: Instant,
    ) {
        let mut connection = Connection {
            machine,
            session: Some(session),
            waker: self.ready.waker(handle),
            handshake: true,
            handshake_until: now + self.quic.handshake_timeout,
            scheduled: None,
            due: false,
            buffer: self.quic.connection_buffer,
            send_window: 0,
        };
        connection.mark(handle, &mut self.due);
        if self.connections.len() <= handle.0 {
            self.connections.resize_with(handle.0 + 1, || None);
        }
        self.connections[handle.0] = Some(connection);
        self.handshakes += 1;
    }

    fn respond(&mut self, transmit: &Transmit) {
        // Lost if the socket is full: none of these packets needs to arrive.
        let _sent = self.socket.send(transmit, &self.packets);
    }

    fn note_woken(&mut self) {
        let mut woken = std::mem::take(&mut self.woken);
        self.ready.take(&mut woken);
        for handle in woken.drain(..) {
            if let Some(Some(connection)) = self.connections.get_mut(handle.0) {
                connection.mark(handle, &mut self.due);
            }
        }
        self.woken = woken;
    }

    fn note_deadlines(&mut self, now: Instant) {
        while let Some(&Reverse((at, place))) = self.deadlines.peek()
            && at <= now
        {
            self.deadlines.pop();
            if let Some(Some(connection)) = self.connections.get_mut(place)
                && connection.scheduled == Some(at)
            {
                connection.scheduled = None;
                connection.mark(ConnectionHandle(place), &mut self.due);
            }
        }
    }

    /// Asks all sessions to finish.
    fn drain(&mut self, now: Instant) {
        self.draining = true;
        for (place, connection) in self.connections.iter_mut().enumerate() {
            if let Some(connection) = connection
                && let Some(session) = &mut connection.session
            {
                session.drain(now);
                // RFC 9000 section 10.2.3: a client that is not yet known cannot be told.
                connection.handshake_until = connection.handshake_until.min(now + DRAIN_GRACE);
                connection.mark(ConnectionHandle(place), &mut self.due);
            }
        }
    }

    /// Does what is due for one connection: timers, events, the session's work, packets.
    fn drive(&mut self, handle: ConnectionHandle, now: Instant) {
        let Some(Some(connection)) = self.connections.get_mut(handle.0) else { return };
        connection.due = false;
        let was_handshake = connection.handshake;
        connection.run(now);
        if was_handshake && !connection.handshake {
            self.handshakes -= 1;
        }
        let mut drained = false;
        while let Some(event) = connection.machine.poll_endpoint_events() {
            drained |= event.is_drained();
            if let Some(event) = self.machine.handle_event(handle, event) {
                connection.machine.handle_event(event);
            }
        }
        if drained {
            self.connections[handle.0] = None;
            return;
        }
        self.transmit(handle, now);
        self.schedule(handle);
    }

    /// Sends what the connection has to send, as far as one turn goes.
    fn transmit(&mut self, handle: ConnectionHandle, now: Instant) {
        let Some(Some(connection)) = self.connections.get_mut(handle.0) else { return };
        for _ in 0..SENDS_A_TURN {
            if self.stalled.is_some() {
                break;
            }
            self.packets.clear();
            let machine = &mut connection.machine;
            let segments = self.socket.segments(machine.current_mtu());
            let Some(transmit) = machine.poll_transmit(now, segments, &mut self.packets) else {
                return;
            };
            // The packets hold what was read of stored bodies just now.
            if connection.session.as_ref().is_some_and(|session| !session.mark().holds()) {
                connection.cut(now);
                continue;
            }
            if !self.socket.send(&transmit, &self.packets) {
                self.stalled = Some((transmit, std::mem::take(&mut self.packets)));
            }
        }
        connection.mark(handle, &mut self.due);
    }

    /// Sends what was held back; false while the socket still cannot take it.
    fn resume_sending(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some((transmit, packets)) = &self.stalled {
            match self.socket.poll_room(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !self.socket.send(transmit, packets) => {}
                // Sent, or lost where waiting is impossible, which QUIC repairs.
                Poll::Ready(_) => self.stalled = None,
            }
        }
        true
    }

    /// Lists the connection's next deadline, unless an entry stands that is early enough: a
    /// deadline that only moves on, as that of a busy connection, costs nothing.
    fn schedule(&mut self, handle: ConnectionHandle) {
        let Some(Some(connection)) = self.connections.get_mut(handle.0) else { return };
        if let Some(at) = connection.deadline()
            && connection.scheduled.is_none_or(|listed| at < listed)
        {
            connection.scheduled = Some(at);
            self.deadlines.push(Reverse((at, handle.0)));
        }
    }

    fn arm_timer(&mut self, cx: &mut Context<'_>, now: Instant) {
        let next = self.deadlines.peek().map_or(now + FAR, |&Reverse((at, _))| at);
        self.timer.set(next.into());
        if self.timer.poll_expired(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl<S: Sessions> Drop for Endpoint<S> {
    /// What is still open ends here. One packet tells each client (RFC 9000 section 10.2), which
    /// would else wait for its idle time-out; nobody is left to repeat it if it is lost. A socket
    /// that is full is waited for, for all of them together no longer than [`LAST_WORDS`].
    fn drop(&mut self) {
        let now = now();
        let mut patience = LAST_WORDS;
        for connection in self.connections.iter_mut().flatten() {
            if connection.machine.is_closed() {
                continue;
            }
            connection.machine.close(now, S::Session::NO_ERROR, Bytes::new());
            self.packets.clear();
            if let Some(close) = connection.machine.poll_transmit(now, 1, &mut self.packets) {
                while !self.socket.send(&close, &self.packets) && !patience.is_zero() {
                    patience = self.socket.wait_for_room(patience);
                }
            }
        }
    }
}

impl<T: Session> Connection<T> {
    fn mark(&mut self, handle: ConnectionHandle, due: &mut Vec<ConnectionHandle>) {
        if !self.due {
            self.due = true;
            due.push(handle);
        }
    }

    fn run(&mut self, now: Instant) {
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
        }
        while let Some(event) = self.machine.poll() {
            match event {
                Event::Connected => self.handshake = false,
                Event::Stream(event) => {
                    if let Some(session) = &mut self.session {
                        session.event(event);
                    }
                }
                Event::ConnectionLost { .. } => self.session = None,
                _ => {}
            }
        }
        if self.handshake && now >= self.handshake_until {
            // RFC 9000 section 10.2.3: nothing is told to a client that is not yet known.
            self.machine.close(now, VarInt::from_u32(0), Bytes::new());
        }
        if !self.handshake {
            self.widen();
        }
        if let Some(session) = self.session.as_mut().filter(|_| !self.handshake) {
            session.drive(&mut self.machine, &mut Context::from_waker(&self.waker), now);
        }
        if self.machine.is_closed() {
            self.session = None;
            self.handshake = false;
        }
    }

    /// Stored bytes were lost that may be under way: nothing more of them is sent, only the close.
    fn cut(&mut self, now: Instant) {
        self.machine.close(now, T::INTERNAL_ERROR, Bytes::new());
        self.session = None;
    }

    /// Lets the send window follow the congestion window: bytes in flight are not queued, they are
    /// kept for the case of loss, and what is queued stays within the connection's buffer.
    fn widen(&mut self) {
        let in_flight = self.machine.congestion_state().window().min(MOST_IN_FLIGHT);
        let window = self.buffer + in_flight;
        if window != self.send_window {
            self.send_window = window;
            self.machine.set_send_window(window);
        }
    }

    fn deadline(&mut self) -> Option<Instant> {
        let session = self.session.as_ref().and_then(|session| match self.handshake {
            true => Some(self.handshake_until),
            false => session.deadline(),
        });
        [session, self.machine.poll_timeout()].into_iter().flatten().min()
    }
}

/// The event loop's clock.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
