//! The log and the fleet together: purges that are appended and acknowledged, heartbeats that are
//! granted, receipts that are waited for.
//!
//! ```text
//!  purge ─────► log: durable ──► head ──► every entry becomes a receipt, in order ─► completed
//!  heartbeat ─► admit ─┬─ known ───────────────────────────────► beat: grant ────────┘
//!                      └─ new ─► Registrar: durable ─► registered ─┘      time ─► fenced ─┘
//! ```
//!
//! Invariant: the head by which a grant is given is looked up while the fleet is locked, and so
//! never behind a receipt that counted the node as fenced.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::fleet::{Admission, Fleet, FleetBounds, Heartbeat, Refusal};
use super::lead::Lead;
use super::log::{Asked, LogError, Logged, PurgeLog};
use super::publish::Publisher;
use super::registrar::{NotGranted, Registrar};
use super::registry::{Registry, RegistryError};
use crate::net::DrainWatch;
use crate::object::Position;

/// Entries that become receipts at a time.
const AT_ONCE: usize = 256;

/// Between two attempts to read what is published.
const AGAIN: Duration = Duration::from_secs(5);

/// What a plane is made of.
pub struct PlaneParts {
    /// The log.
    pub log: Arc<dyn PurgeLog>,
    /// Where registrations are kept.
    pub registry: Arc<dyn Registry>,
    /// Whether this process leads.
    pub lead: Lead,
    /// What is published to the nodes.
    pub publisher: Arc<Publisher>,
    /// How much the fleet may be.
    pub bounds: FleetBounds,
    /// A clock that never goes back and counts suspension.
    pub clock: fn() -> Duration,
}

/// The log and the fleet.
pub struct Plane {
    log: Arc<dyn PurgeLog>,
    lead: Lead,
    publisher: Arc<Publisher>,
    bounds: FleetBounds,
    clock: fn() -> Duration,
    fleet: Arc<Mutex<Fleet>>,
    registrar: Arc<Registrar>,
    /// Receipts that became complete, ever.
    completed: watch::Sender<u64>,
    /// Held by whoever makes receipts of entries.
    receipts: tokio::sync::Mutex<()>,
}

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How long, from when the node asked.
    pub lease: Duration,
    /// How far the log goes.
    pub head: Position,
    /// The purge up to which the node must reflect it before it takes what it has stored for clean.
    pub since: u64,
}

impl Plane {
    /// A plane over a log and registrations. One that leads takes them up, and what is published.
    ///
    /// # Errors
    /// As of [`Self::take_up`].
    pub async fn open(parts: PlaneParts) -> Result<Arc<Self>, OpenError> {
        let PlaneParts { log, registry, lead, publisher, bounds, clock } = parts;
        let head = *log.head().borrow();
        let fleet = Arc::new(Mutex::new(Fleet::new(bounds, head, Vec::new(), clock())));
        let plane = Arc::new(Self {
            log,
            lead,
            publisher,
            bounds,
            clock,
            registrar: Registrar::new(registry, fleet.clone(), clock),
            fleet,
            completed: watch::Sender::new(0),
            receipts: tokio::sync::Mutex::new(()),
        });
        if plane.leads() {
            plane.take_up().await?;
            plane.publisher.take_up().await;
        }
        Ok(plane)
    }

    /// Takes up the log and the registrations as they are now. The leases of all who are registered
    /// are held live from now on for one lease. What is published is [yet to be](Self::publish_on)
    /// read: purges do not wait for it.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub async fn take_up(&self) -> Result<(), OpenError> {
        let known = self.registrar.take_up(self.bounds.lease).await?;
        self.publisher.forget();
        self.log.refresh().await?;
        let _alone = self.receipts.lock().await;
        let head = self.head();
        let recent = self.log.recent(self.bounds.receipts).await?;
        let now = (self.clock)();
        let mut fleet = Fleet::new(self.bounds, head, known, now);
        if let Some(first) = recent.first() {
            let (number, hash) = (first.first - 1, first.previous);
            fleet.begin(Position { log: head.log, number, hash });
        }
        recent.into_iter().for_each(|entry| fleet.recall(head.log, entry, now));
        *self.fleet.lock() = fleet;
        Ok(())
    }

    /// Takes up what is published, however often it cannot be read.
    ///
    /// Cancel safe.
    pub async fn publish_on(&self) {
        while !self.publisher.take_up().await {
            sleep(AGAIN).await;
        }
    }

    /// Whether this process leads: what one that stands by tells of the fleet counts for nothing.
    pub fn leads(&self) -> bool {
        self.lead.holds((self.clock)())
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn PurgeLog> {
        &self.log
    }

    /// What is published to the nodes.
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// How far the log goes.
    pub fn head(&self) -> Position {
        *self.log.head().borrow()
    }

    /// Looks at the fleet as it is now.
    pub fn look<T>(&self, look: impl FnOnce(&Fleet, Duration) -> T) -> T {
        look(&self.fleet.lock(), (self.clock)())
    }

    /// Carries on until the drain begins: makes receipts of what others append, and lets leases run
    /// out.
    pub async fn run(self: Arc<Self>, mut drain: DrainWatch) {
        let tick = (self.bounds.lease / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mut head = self.log.head();
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = drain.draining() => return,
                _tick = ticks.tick() => self.advance(),
                moved = head.changed() => {
                    if moved.is_err() {
                        return;
                    }
                    if let Err(error) = self.catch_up().await {
                        tracing::error!("the purge log cannot be read: {error}");
                        sleep(tick).await;
                        head.mark_changed();
                    }
                }
            }
        }
    }

    /// Appends purges. What is returned is durable and has a receipt.
    ///
    /// Cancel safe: what was taken is appended whoever waits.
    ///
    /// # Errors
    /// The log's.
    pub async fn purge(&self, asked: Asked) -> Result<Arc<Logged>, LogError> {
        let entry = self.log.append(asked).await?;
        match self.catch_up().await {
            Ok(()) => Ok(entry),
            // It is durable, and who asks again does no harm.
            Err(_) => Err(LogError::Late),
        }
    }

    /// Waits up to `patience` until the receipt of the purge `number` is complete.
    ///
    /// Cancel safe.
    pub async fn wait(&self, number: u64, patience: Duration) {
        let mut completed = self.completed.subscribe();
        let complete = async {
            // An error would mean that this plane is gone.
            while !self.is_complete(number) && completed.changed().await.is_ok() {}
        };
        // Too late is told by the receipt: it is pending.
        let _late = timeout(patience, complete).await.is_err();
    }

    /// Takes a heartbeat, and grants a lease.
    ///
    /// Cancel safe: a node whose registration was begun is registered whoever waits.
    ///
    /// # Errors
    /// Why there is no lease.
    pub async fn heartbeat(&self, name: &str, mut beat: Heartbeat) -> Result<Grant, NotGranted> {
        if let (Some((_, number)), Some(hash)) = (beat.position, beat.hash)
            && self.log.hash_at(number).await.ok().flatten() != Some(hash)
        {
            // It has applied other purges under the same numbers.
            beat.position = None;
        }
        let admitted = self.fleet.lock().admit(name, &beat, (self.clock)());
        if let Admission::New(node) = admitted.map_err(NotGranted::Refused)? {
            self.registrar.register(node).await?;
        }
        let mut fleet = self.fleet.lock();
        let head = self.head();
        let since = fleet.beat(name, beat, head, (self.clock)());
        self.tell(&fleet);
        let since = since.ok_or(NotGranted::Refused(Refusal::Taken(Duration::ZERO)))?;
        Ok(Grant { lease: self.bounds.lease, head, since })
    }

    /// Strikes a node off by its own word that it serves nothing any more; false if the name is
    /// not its own.
    ///
    /// Cancel safe: what was begun is carried out whoever waits.
    ///
    /// # Errors
    /// It is struck off, but that cannot be made durable.
    pub async fn leave(&self, name: &str, incarnation: u64) -> Result<bool, NotGranted> {
        self.strike(|fleet| fleet.leave(name, incarnation)).await
    }

    /// Strikes a node off by somebody's word; false if there is none of that name.
    ///
    /// Cancel safe: what was begun is carried out whoever waits.
    ///
    /// # Errors
    /// It is struck off, but that cannot be made durable.
    pub async fn remove(&self, name: &str, by: &str) -> Result<bool, NotGranted> {
        self.strike(|fleet| fleet.remove(name, by)).await
    }

    async fn strike(&self, strike: impl FnOnce(&mut Fleet) -> bool) -> Result<bool, NotGranted> {
        let is_struck = {
            let mut fleet = self.fleet.lock();
            let is_struck = strike(&mut fleet);
            self.tell(&fleet);
            is_struck
        };
        if is_struck {
            self.registrar.removed().await?;
        }
        Ok(is_struck)
    }

    fn is_complete(&self, number: u64) -> bool {
        self.fleet.lock().receipt(number).is_some_and(|receipt| receipt.is_complete())
    }

    fn advance(&self) {
        let mut fleet = self.fleet.lock();
        fleet.advance((self.clock)());
        self.tell(&fleet);
    }

    /// Makes receipts of all entries that have none.
    async fn catch_up(&self) -> Result<(), LogError> {
        let _alone = self.receipts.lock().await;
        loop {
            let head = self.head();
            let (log, seen) = self.fleet.lock().seen();
            if log == head.log && seen >= head.number {
                return Ok(());
            }
            let after = if log == head.log { seen } else { 0 };
            let entries = self.log.read(after, AT_ONCE).await?;
            let mut fleet = self.fleet.lock();
            match entries {
                Some(entries) => entries
                    .into_iter()
                    .for_each(|entry| fleet.appended(head.log, entry, (self.clock)())),
                // What is not kept any more has no receipt any more.
                None => fleet.begin(head),
            }
            self.tell(&fleet);
        }
    }

    fn tell(&self, fleet: &Fleet) {
        self.completed.send_if_modified(|completed| {
            std::mem::replace(completed, fleet.completed()) != fleet.completed()
        });
    }
}

/// Why a plane cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The registrations cannot be read.
    #[error(transparent)]
    Registrations(#[from] RegistryError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}
