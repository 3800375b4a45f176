//! The lines between machines: bytes that come late, in pieces, or never.
//!
//! ```text
//!  Dialer ──► Line (client's machine, server's machine): open, held or cut
//!               └─ Connection ─┬─ pipe  client ─► server   pieces, each due at a time
//!                              └─ pipe  server ─► client
//!  Listener ◄── what was dialled, when it is due
//! ```
//!
//! A piece is due no sooner than a [`STEP`] after it was sent, and never before the one ahead of
//! it. What a line carries is delayed by a draw of its own, so lines do not depend on each other.

mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

pub(super) use self::stream::Stream;
use super::time::{STEP, instant, now};
use crate::net::client::{ByteStream, ClientError, ClientErrorKind, Dialer, Dialing};

/// How late a piece may be, in milliseconds: few are.
const LATE_MAX: u64 = 200;

/// Bytes that a pipe holds.
const PIPE: usize = 16 << 10;

/// A machine, by its number.
pub(super) type Place = usize;

/// All lines.
#[derive(Clone)]
pub(super) struct Network(Arc<Mutex<State>>);

struct State {
    seed: u64,
    lines: BTreeMap<(Place, Place), Line>,
    listeners: BTreeMap<u16, Door>,
    connections: BTreeMap<u64, Connection>,
    last: u64,
    /// A machine that is ending, and what its peers see of that.
    ending: Option<(Place, Death)>,
}

/// What the others see of a machine that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// The process is gone: connections are reset.
    Reset,
    /// The same, where all was read: they end.
    End,
    /// The machine is gone: nothing comes any more, until it is back.
    Silence,
}

struct Line {
    /// The least that a piece takes.
    delay: Duration,
    standing: Standing,
    /// Connections so far.
    count: u64,
    /// Who dials while it is held.
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Held,
    Cut,
}

/// Where connections to a port arrive.
struct Door {
    place: Place,
    arriving: VecDeque<(Duration, Stream)>,
    waker: Option<Waker>,
}

struct Connection {
    line: (Place, Place),
    /// What client and server send, in this order.
    pipes: [Pipe; 2],
    /// Whether client and server are there.
    ends: [End; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Here,
    Gone,
    /// Gone without a word.
    Silent,
}

struct Pipe {
    random: Rng,
    /// Each with when it is due; `None` while the line is held.
    pieces: VecDeque<(Option<Duration>, Piece)>,
    bytes: usize,
    last: Duration,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

enum Piece {
    Data(Bytes),
    End,
    Reset,
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            seed,
            lines: BTreeMap::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            last: 0,
            ending: None,
        })))
    }

    /// The way out of a machine.
    pub(super) fn dialer(&self, from: Place) -> Arc<dyn Dialer> {
        Arc::new(Wire { network: self.clone(), from })
    }

    /// Listens on a port, whose connections come to a machine.
    pub(super) fn listen(&self, place: Place, port: u16) -> Listener {
        let door = Door { place, arriving: VecDeque::new(), waker: None };
        self.0.lock().listeners.insert(port, door);
        Listener { network: self.clone(), port }
    }

    /// Nothing passes from now on, and nothing is lost.
    pub(super) fn hold(&self, line: (Place, Place)) {
        self.0.lock().line(line).standing = Standing::Held;
    }

    /// Connections break, and none can be made.
    pub(super) fn cut(&self, line: (Place, Place)) {
        let wakers = {
            let mut state = self.0.lock();
            state.line(line).standing = Standing::Cut;
            let mut wakers = std::mem::take(&mut state.line(line).waiting);
            wakers.extend(state.break_off(line));
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The line is as good as new; what it held comes, or is lost with its connections.
    pub(super) fn mend(&self, line: (Place, Place), is_lost: bool) {
        let wakers = {
            let mut state = self.0.lock();
            let was = std::mem::replace(&mut state.line(line).standing, Standing::Open);
            let mut wakers = std::mem::take(&mut state.line(line).waiting);
            if was == Standing::Held {
                wakers.extend(if is_lost { state.break_off(line) } else { state.release(line) });
            }
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends a machine by what `end` drops.
    pub(super) fn end(&self, place: Place, death: Death, end: impl FnOnce()) {
        let closed = {
            let mut state = self.0.lock();
            state.ending = Some((place, death));
            let of = |door: &Door| door.place == place;
            let ports: Vec<_> = state
                .listeners
                .iter()
                .filter(|(_, door)| of(door))
                .map(|(port, _)| *port)
                .collect();
            ports.iter().filter_map(|port| state.listeners.remove(port)).collect::<Vec<_>>()
        };
        drop(closed);
        end();
        self.0.lock().ending = None;
    }

    /// A machine is back, and knows nothing of the connections that it had.
    pub(super) fn back(&self, place: Place) {
        let wakers: Vec<_> = {
            let mut state = self.0.lock();
            let of = |connection: &Connection| {
                let (client, server) = connection.line;
                [client, server].iter().position(|at| *at == place)
            };
            let silent: Vec<_> = state
                .connections
                .iter()
                .filter_map(|(id, it)| Some((*id, of(it)?, it)))
                .filter(|(_, side, it)| it.ends[*side] == End::Silent)
                .map(|(id, side, it)| (id, side, it.pipes[1 - side].bytes > 0))
                .collect();
            let mut wakers = Vec::new();
            for (id, side, is_owed) in silent {
                state.connections.get_mut(&id).unwrap().ends[side] = End::Gone;
                if is_owed {
                    wakers.extend(state.send(id, side, Piece::Reset));
                }
            }
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn line(&mut self, line: (Place, Place)) -> &mut Line {
        let seed = self.seed;
        self.lines.entry(line).or_insert_with(|| {
            let delay = STEP
                + Duration::from_millis(random(&[seed, line.0 as u64, line.1 as u64]).u64(..6));
            Line { delay, standing: Standing::Open, count: 0, waiting: Vec::new() }
        })
    }

    /// When what is sent now is due at the soonest; `None` where the line is held.
    fn due(&mut self, line: (Place, Place)) -> Option<Duration> {
        let line = self.line(line);
        (line.standing == Standing::Open).then(|| now() + line.delay)
    }

    /// A connection of a line.
    fn connect(&mut self, line: (Place, Place)) -> u64 {
        self.last += 1;
        self.line(line).count += 1;
        let which = [self.seed, line.0 as u64, line.1 as u64, self.line(line).count];
        let pipes = [0, 1].map(|side| Pipe {
            random: random(&[&which[..], &[side]].concat()),
            pieces: VecDeque::new(),
            bytes: 0,
            last: Duration::ZERO,
            reader: None,
            writer: None,
        });
        self.connections.insert(self.last, Connection { line, pipes, ends: [End::Here; 2] });
        self.last
    }

    /// Sends a piece from one side of a connection; who reads on the other is to be woken.
    fn send(&mut self, id: u64, side: usize, piece: Piece) -> Option<Waker> {
        let line = self.connections.get(&id)?.line;
        let due = self.due(line);
        let connection = self.connections.get_mut(&id)?;
        let pipe = &mut connection.pipes[side];
        let held = pipe.pieces.back().is_some_and(|(due, _)| due.is_none());
        let late = match pipe.random.u8(..12) {
            0 => pipe.random.u64(..LATE_MAX),
            _ => pipe.random.u64(..3),
        };
        let due = due.map(|due| due + Duration::from_millis(late));
        let due = due.filter(|_| !held).map(|due| due.max(pipe.last));
        pipe.last = due.unwrap_or(pipe.last);
        if let Piece::Data(bytes) = &piece {
            pipe.bytes += bytes.len();
        }
        pipe.pieces.push_back((due, piece));
        pipe.reader.take()
    }

    fn of_line(&self, line: (Place, Place)) -> Vec<u64> {
        let of = self.connections.iter().filter(|(_, connection)| connection.line == line);
        of.map(|(id, _)| *id).collect()
    }

    /// Resets every connection of a line; what was on its way is lost.
    fn break_off(&mut self, line: (Place, Place)) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let due = now() + STEP;
        for id in self.of_line(line) {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            for pipe in &mut connection.pipes {
                pipe.pieces.retain(|(due, _)| due.is_some_and(|due| due <= now()));
                pipe.pieces.push_back((Some(due), Piece::Reset));
                wakers.extend(pipe.reader.take());
                wakers.extend(pipe.writer.take());
            }
        }
        wakers
    }

    /// Lets what a line held pass.
    fn release(&mut self, line: (Place, Place)) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for id in self.of_line(line) {
            for side in [0, 1] {
                let Some(due) = self.due(line) else { continue };
                let Some(connection) = self.connections.get_mut(&id) else { continue };
                let pipe = &mut connection.pipes[side];
                for (held, _) in pipe.pieces.iter_mut().filter(|(due, _)| due.is_none()) {
                    *held = Some(due.max(pipe.last));
                }
                pipe.last = pipe.last.max(due);
                wakers.extend(pipe.reader.take());
            }
        }
        wakers
    }

    /// One end is gone.
    fn leave(&mut self, id: u64, side: usize, is_reset: bool) -> Vec<Waker> {
        let ending = self.ending;
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        let place = [connection.line.0, connection.line.1][side];
        let death = ending.filter(|(ending, _)| *ending == place).map(|(_, death)| death);
        let is_silent = death == Some(Death::Silence);
        connection.ends[side] = if is_silent { End::Silent } else { End::Gone };
        let has_ended = connection.ends.iter().all(|end| *end != End::Here);
        let mut wakers: Vec<_> = connection.pipes[1 - side].writer.take().into_iter().collect();
        if has_ended {
            self.connections.remove(&id);
        } else if !is_silent {
            let is_reset = is_reset || death == Some(Death::Reset);
            let piece = if is_reset { Piece::Reset } else { Piece::End };
            wakers.extend(self.send(id, side, piece));
        }
        wakers
    }
}

/// Draws of its own for whatever has these numbers.
pub(super) fn random(numbers: &[u64]) -> Rng {
    let bytes: Vec<_> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let hash = blake3::hash(&bytes);
    Rng::with_seed(u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()))
}

/// The way out of one machine.
struct Wire {
    network: Network,
    from: Place,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire({})", self.from)
    }
}

impl Dialer for Wire {
    fn dial<'a>(&'a self, _: &'a str, port: u16, _: Instant) -> Dialing<'a> {
        Box::pin(async move {
            let there_and_back = self.network.0.lock().setting_out(self.from, port);
            if let Some(due) = there_and_back {
                sleep_until(instant(due)).await;
            }
            let stream = poll_fn(|cx| self.network.connected(self.from, port, cx)).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}

impl State {
    /// When it is known whether there is a connection.
    fn setting_out(&mut self, from: Place, port: u16) -> Option<Duration> {
        let to = self.listeners.get(&port)?.place;
        self.due((from, to)).map(|due| due + STEP)
    }
}

impl Network {
    fn connected(
        &self,
        from: Place,
        port: u16,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, ClientError>> {
        let refused = || ClientError::unsent(ClientErrorKind::Connect, "refused");
        let mut state = self.0.lock();
        let Some(door) = state.listeners.get(&port) else { return Poll::Ready(Err(refused())) };
        let line = (from, door.place);
        match state.line(line).standing {
            Standing::Cut => return Poll::Ready(Err(refused())),
            Standing::Held => {
                state.line(line).waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            Standing::Open => {}
        }
        let Some(due) = state.due(line) else { return Poll::Pending };
        let id = state.connect(line);
        let [client, server] = [0, 1].map(|side| Stream::new(self.clone(), id, side));
        let waker = state.listeners.get_mut(&port).and_then(|door| {
            door.arriving.push_back((due, server));
            door.waker.take()
        });
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(client))
    }
}

/// Takes the connections to a port.
pub(super) struct Listener {
    network: Network,
    port: u16,
}

impl Listener {
    /// The next connection, and where it comes from.
    pub(super) async fn accept(&self) -> (Stream, SocketAddr) {
        let (due, stream) = poll_fn(|cx| {
            let mut state = self.network.0.lock();
            let Some(door) = state.listeners.get_mut(&self.port) else { return Poll::Pending };
            door.waker = Some(cx.waker().clone());
            door.arriving.pop_front().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        sleep_until(instant(due)).await;
        (stream, (Ipv4Addr::LOCALHOST, 1).into())
    }
}
