//! Connections of each event loop, and who gets their streams.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::SendRequest;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::net::client::{ClientError, ClientErrorKind, PoolConfig, Server, http1};
use crate::net::worker;

/// What all event loops know of one server.
pub(in crate::net::client) struct Shared {
    pub(in crate::net::client) server: Server,
    pub(in crate::net::client) config: PoolConfig,
    /// Takes the connections on which the server agrees to HTTP/1.1; `None` refuses them.
    pub(super) http1: Option<Arc<http1::Shared>>,
    /// Connections that exist.
    pub(super) open: Arc<AtomicUsize>,
    /// Exchanges under way.
    busy: AtomicUsize,
    /// Begins a connect for an event loop, from that loop; tells [`opened`](Self::opened) or
    /// [`not_opened`](Self::not_opened) how it ended.
    connect: fn(Arc<Self>, usize),
    /// Connections that each event loop may have.
    links_max: usize,
    loops: Box<[Mutex<List>]>,
}

#[derive(Default)]
struct List {
    /// Oldest first.
    links: Vec<Link>,
    opening: usize,
    waiting: VecDeque<oneshot::Sender<Outcome>>,
    next_id: u64,
}

/// What a request that waits is given.
type Outcome = Result<Slot, ClientError>;

/// A connection that takes new requests.
struct Link {
    id: u64,
    sender: SendRequest<Bytes>,
    /// Exchanges under way.
    busy: usize,
    /// Whether it has served a request.
    used: bool,
    idle_since: Instant,
}

/// The right to one stream of one link; it goes back when dropped.
pub(super) struct Slot {
    sender: SendRequest<Bytes>,
    reused: bool,
    link: u64,
    home: usize,
    shared: Arc<Shared>,
}

impl Shared {
    pub(super) fn new(
        server: Server,
        config: PoolConfig,
        http1: Option<Arc<http1::Shared>>,
        connect: fn(Arc<Self>, usize),
    ) -> Self {
        let loops = config.egress.loops.max(1);
        Self {
            server,
            http1,
            connect,
            open: Arc::default(),
            busy: AtomicUsize::new(0),
            links_max: match config.max_connections {
                0 => usize::MAX,
                max => (max / loops).max(1),
            },
            loops: (0..loops).map(|_| Mutex::default()).collect(),
            config,
        }
    }

    pub(in crate::net::client) fn open_connections(&self) -> usize {
        let http1 = self.http1.as_ref().map_or(0, |http1| http1.open_connections());
        self.open.load(Relaxed) + http1
    }

    pub(in crate::net::client) fn busy(&self) -> usize {
        self.busy.load(Relaxed) + self.http1.as_ref().map_or(0, |http1| http1.busy())
    }

    /// Whether all connections that there are agreed to HTTP/1.1.
    pub(super) fn has_agreed_to_http1(&self) -> bool {
        let http1 = self.http1.as_ref();
        self.open.load(Relaxed) == 0 && http1.is_some_and(|http1| http1.open_connections() > 0)
    }

    /// Waits for a stream of this event loop's connections. Cancel safe.
    pub(super) async fn slot(self: &Arc<Self>) -> Result<Slot, ClientError> {
        let home = worker::index() % self.loops.len();
        let (place, max_wait) = {
            let mut list = self.loops[home].lock();
            if list.waiting.is_empty()
                && let Some(slot) = self.choose(&mut list, home)
            {
                return Ok(slot);
            }
            let place = self.queue(&mut list)?;
            self.open_if_needed(&mut list, home);
            let connect = self.config.connect_timeout * u32::from(list.opening > 0);
            (place, self.config.max_wait + connect)
        };
        match timeout(max_wait, place).await {
            Ok(Ok(outcome)) => outcome,
            _ => Err(exhausted("no stream came free within max_wait")),
        }
    }

    /// A place behind all that wait already.
    fn queue(&self, list: &mut List) -> Result<oneshot::Receiver<Outcome>, ClientError> {
        // Those that a connect under way, or about to begin, will serve are not in the way.
        let opening = list.opening + self.room(list).min(1);
        let max = self.streams().saturating_mul(opening).saturating_add(self.config.max_waiting);
        if list.waiting.len() >= max {
            list.waiting.retain(|waiter| !waiter.is_closed());
        }
        if list.waiting.len() >= max {
            return Err(exhausted("max_waiting requests wait"));
        }
        let (waiter, place) = oneshot::channel();
        list.waiting.push_back(waiter);
        Ok(place)
    }

    /// Hands out what came free, and opens a link if that is not enough. Called by the driver of
    /// each link, on the event loop of the list.
    pub(super) fn turn(self: &Arc<Self>, home: usize) {
        let unclaimed = {
            let mut list = self.loops[home].lock();
            let unclaimed = self.hand_out(&mut list, home);
            self.open_if_needed(&mut list, home);
            unclaimed
        };
        drop(unclaimed);
    }

    /// A connect has ended. Gives the id of the link.
    pub(super) fn opened(self: &Arc<Self>, home: usize, sender: SendRequest<Bytes>) -> u64 {
        let mut list = self.loops[home].lock();
        list.opening -= 1;
        let id = list.next_id;
        list.next_id += 1;
        list.links.push(Link { id, sender, busy: 0, used: false, idle_since: Instant::now() });
        id
    }

    /// A connect has failed: so have those who wait, unless another link may still serve them and
    /// HTTP/1.1 does not.
    pub(super) fn not_opened(&self, home: usize, error: &ClientError) {
        let mut list = self.loops[home].lock();
        list.opening -= 1;
        list.links.retain_mut(|link| is_open(&mut link.sender));
        let falls_back = self.http1.is_some() && error.kind == ClientErrorKind::Protocol;
        if falls_back || (list.opening == 0 && list.links.is_empty()) {
            for waiter in list.waiting.drain(..) {
                // Whoever gave up does not need to know.
                let _ = waiter.send(Err(error.clone()));
            }
        }
    }

    /// A link has ended.
    pub(super) fn closed(self: &Arc<Self>, home: usize, id: u64) {
        self.loops[home].lock().links.retain(|link| link.id != id);
        self.turn(home);
    }

    /// Lets a link go that has been idle too long. Gives when to look again, if it stays.
    pub(super) fn retire(&self, home: usize, id: u64, now: Instant) -> Option<Instant> {
        let mut list = self.loops[home].lock();
        let place = list.links.iter().position(|link| link.id == id)?;
        let link = &list.links[place];
        let since = if link.busy > 0 { now } else { link.idle_since };
        if since + self.config.idle_timeout > now {
            return Some(since + self.config.idle_timeout);
        }
        list.links.remove(place);
        None
    }

    /// A stream of the first link that has one left.
    fn choose(self: &Arc<Self>, list: &mut List, home: usize) -> Option<Slot> {
        // The server may have said GOAWAY, or have gone.
        list.links.retain_mut(|link| is_open(&mut link.sender));
        let free = |link: &&mut Link| {
            link.busy < self.streams().min(link.sender.current_max_send_streams())
        };
        let link = list.links.iter_mut().find(free)?;
        link.busy += 1;
        self.busy.fetch_add(1, Relaxed);
        Some(Slot {
            sender: link.sender.clone(),
            reused: std::mem::replace(&mut link.used, true),
            link: link.id,
            home,
            shared: self.clone(),
        })
    }

    /// Gives streams to those who wait. A slot whose taker has gone comes back; it has to be
    /// dropped without the lock.
    #[must_use]
    fn hand_out(self: &Arc<Self>, list: &mut List, home: usize) -> Option<Slot> {
        loop {
            while list.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                list.waiting.pop_front();
            }
            if list.waiting.is_empty() {
                return None;
            }
            let slot = self.choose(list, home)?;
            let waiter = list.waiting.pop_front()?;
            if let Err(Ok(unclaimed)) = waiter.send(Ok(slot)) {
                return Some(unclaimed);
            }
        }
    }

    /// Opens a link if more wait than those being opened will serve.
    fn open_if_needed(self: &Arc<Self>, list: &mut List, home: usize) {
        let served = self.streams().saturating_mul(list.opening);
        if list.waiting.len() > served && self.room(list) > 0 {
            list.opening += 1;
            (self.connect)(self.clone(), home);
        }
    }

    /// Links that may yet be opened.
    fn room(&self, list: &List) -> usize {
        self.links_max.saturating_sub(list.links.len() + list.opening)
    }

    /// Takes a link out that is idle, if too many are.
    fn surplus(&self, list: &mut List, id: u64) -> Option<Link> {
        let idle = list.links.iter().filter(|link| link.busy == 0).count();
        let place = list.links.iter().position(|link| link.id == id && link.busy == 0)?;
        (idle > self.config.max_idle).then(|| list.links.remove(place))
    }

    fn streams(&self) -> usize {
        self.config.http2.streams.max(1)
    }

    fn release(self: &Arc<Self>, home: usize, id: u64) {
        self.busy.fetch_sub(1, Relaxed);
        let (unclaimed, surplus) = {
            let mut list = self.loops[home].lock();
            if let Some(link) = list.links.iter_mut().find(|link| link.id == id) {
                link.busy -= 1;
                link.idle_since = Instant::now();
            }
            (self.hand_out(&mut list, home), self.surplus(&mut list, id))
        };
        drop((unclaimed, surplus));
    }
}

impl Slot {
    /// Whether the link had served another request before.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// The handle on the link; `None` if that takes no new request any more.
    pub(super) fn sender(&mut self) -> Option<&mut SendRequest<Bytes>> {
        is_open(&mut self.sender).then_some(&mut self.sender)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.release(self.home, self.link);
    }
}

/// Whether a link takes new requests. Its handle has never a request of its own outstanding, so it
/// has nothing to wait for.
fn is_open(sender: &mut SendRequest<Bytes>) -> bool {
    let mut nobody = Context::from_waker(Waker::noop());
    matches!(sender.poll_ready(&mut nobody), Poll::Ready(Ok(())))
}

fn exhausted(detail: &str) -> ClientError {
    ClientError::unsent(ClientErrorKind::PoolExhausted, detail)
}
