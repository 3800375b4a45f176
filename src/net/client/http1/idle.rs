//! Connections at rest, a list for each event loop, and the sweep that closes the stale ones.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::live::Live;
use crate::net::client::{PoolConfig, Server};
use crate::net::worker;

/// How often a list is swept while it holds a connection.
const SWEEP: Duration = Duration::from_secs(1);

/// What all event loops know of one server.
pub(in crate::net::client) struct Shared {
    pub(in crate::net::client) server: Server,
    pub(super) config: PoolConfig,
    /// One for each connection in use.
    pub(super) permits: Arc<Semaphore>,
    /// How many permits there are.
    pub(super) permits_max: usize,
    /// One for each request that waits for a permit.
    pub(super) places: Semaphore,
    /// Connections that exist, idle ones included.
    pub(super) open: Arc<AtomicUsize>,
    /// Connections that have left HTTP. They are none of the above: long as they last, they would
    /// keep requests from going out.
    pub(super) tunnels: Arc<AtomicUsize>,
    /// One list for each event loop. The lock is contended only by an eviction.
    idle: Box<[Mutex<List>]>,
}

#[derive(Default)]
struct List {
    /// Oldest first.
    resting: VecDeque<(Instant, Box<Live>)>,
    is_swept: bool,
}

/// A connection in use: it goes back to the list it belongs to, or is closed.
pub(super) struct Lease {
    live: Box<Live>,
    home: usize,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Shared {
    pub(in crate::net::client) fn new(server: Server, config: PoolConfig) -> Self {
        let permits = match config.max_connections {
            0 => Semaphore::MAX_PERMITS,
            max => max.min(Semaphore::MAX_PERMITS),
        };
        Self {
            server,
            permits: Arc::new(Semaphore::new(permits)),
            permits_max: permits,
            places: Semaphore::new(config.max_waiting.min(Semaphore::MAX_PERMITS)),
            open: Arc::default(),
            tunnels: Arc::default(),
            idle: (0..config.egress.loops.max(1)).map(|_| Mutex::default()).collect(),
            config,
        }
    }

    /// The connection of this event loop that rested least, if one is still open.
    pub(super) fn take(&self) -> Option<Box<Live>> {
        let list = self.idle.get(worker::index())?;
        loop {
            let (_, mut live) = list.lock().resting.pop_back()?;
            if live.is_at_rest() {
                return Some(live);
            }
        }
    }

    /// Whether one more connection would be one too many.
    pub(super) fn is_full(&self) -> bool {
        let max = self.config.max_connections;
        max != 0 && self.open.load(Relaxed) >= max
    }

    /// Closes the longest rested connection of some event loop.
    pub(super) fn evict(&self) {
        let here = worker::index();
        let lists = self.idle.iter().cycle().skip(here).take(self.idle.len());
        for list in lists {
            let evicted = list.lock().resting.pop_front();
            if evicted.is_some() {
                return;
            }
        }
    }

    /// Keeps a connection of an event loop for the next request, if it is at rest.
    pub(super) fn rest(self: &Arc<Self>, home: usize, mut live: Box<Live>) {
        let Some(list) = self.idle.get(home) else { return };
        if !live.is_at_rest() || self.config.max_idle == 0 {
            return;
        }
        let mut list = list.lock();
        list.resting.push_back((Instant::now(), live));
        let surplus = match list.resting.len() > self.config.max_idle {
            true => list.resting.pop_front(),
            false => None,
        };
        if !std::mem::replace(&mut list.is_swept, true) {
            Handle::current().spawn(sweep(Arc::downgrade(self), home));
        }
        drop((list, surplus));
    }

    /// Closes what has rested too long or was closed by the server; false if nothing is left.
    fn sweep(&self, home: usize) -> bool {
        let Some(list) = self.idle.get(home) else { return false };
        let (now, limit) = (Instant::now(), self.config.idle_timeout);
        let mut list = list.lock();
        list.resting.retain_mut(|(since, live)| now < *since + limit && live.is_at_rest());
        list.is_swept = !list.resting.is_empty();
        list.is_swept
    }
}

/// Sweeps one list until it is empty or its pool is gone. Cancel safe.
async fn sweep(pool: Weak<Shared>, home: usize) {
    loop {
        let Some(pause) = pool.upgrade().map(|pool| pool.config.idle_timeout.min(SWEEP)) else {
            return;
        };
        sleep(pause).await;
        if !pool.upgrade().is_some_and(|pool| pool.sweep(home)) {
            return;
        }
    }
}

impl Lease {
    pub(super) fn new(live: Box<Live>, shared: Arc<Shared>, permit: OwnedSemaphorePermit) -> Self {
        Self { live, home: worker::index(), shared, _permit: permit }
    }

    pub(super) fn live(&mut self) -> &mut Live {
        &mut self.live
    }

    /// Gives the connection back if it is at rest, else closes it.
    pub(super) fn give_back(self) {
        self.shared.rest(self.home, self.live);
    }
}
