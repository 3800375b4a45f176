//! Which of several control processes leads: one key of the bucket, held for a term at a time.
//!
//! ```text
//!  stand by ─► the key is free, or did not move for a term ─► compare-and-set ─► take up
//!      ▲                                                          │                 ▼
//!      ├──────────────────────────────────────────── another was first ── compare-and-set
//!      └─────────────────────────────────────────────── term ran out ── lead ◄──────┘
//! ```
//!
//! One who leads counts a term from before it asked for it, and gives up a tenth of it for clocks
//! that run apart; one who stands by counts it from when it saw the key move, and waits for the
//! longer one of its own and of what the key says. So the one has stopped before the other begins.
//! What is granted is granted only if the lead holds once it is computed; and whoever takes up
//! holds the leases of all nodes live for a whole lease, so no grant of the one before outlives
//! that. What is published is read while it leads already: that takes as long as it takes, and
//! purges do not wait for it.
//!
//! Clocks count suspension, and are never compared between processes.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Store};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::Plane;
use super::nats::{Nats, NatsError};
use crate::net::DrainWatch;

const KEY: &str = "lead";

/// Whether this process leads, and until when if nothing happens.
#[derive(Clone, Debug)]
pub struct Lead(Arc<AtomicU64>);

impl Lead {
    /// Of a process that is alone.
    pub fn always() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Of one that stands by.
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Whether it holds at `now`.
    pub fn holds(&self, now: Duration) -> bool {
        let until = self.0.load(Ordering::SeqCst);
        u64::try_from(now.as_nanos()).is_ok_and(|now| now < until)
    }

    fn set(&self, until: Duration) {
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(until, Ordering::SeqCst);
    }
}

/// Wants to lead.
pub(super) struct Contest {
    bucket: Store,
    lead: Lead,
    term: Duration,
    clock: fn() -> Duration,
    /// Random, of this process.
    holder: String,
}

/// How the key stands.
#[derive(Default)]
struct Seen {
    revision: u64,
    holder: String,
    /// Of the holder's config.
    term: Duration,
}

impl Contest {
    /// For a lead that `lead` shows, a `term` at a time.
    pub(super) async fn new(
        nats: &Nats,
        lead: Lead,
        term: Duration,
        clock: fn() -> Duration,
    ) -> Result<Self, NatsError> {
        let holder = format!("{:016x}", fastrand::u64(..));
        Ok(Self { bucket: nats.bucket().await?, lead, term, clock, holder })
    }

    /// Leads whenever no other does, until the drain begins; then lets another.
    pub(super) async fn run(self, plane: Arc<Plane>, mut drain: DrainWatch) {
        tokio::select! {
            () = drain.draining() => self.leave().await,
            () = self.contend(&plane) => {}
        }
    }

    /// Never ends.
    async fn contend(&self, plane: &Plane) {
        loop {
            let revision = self.stand_by().await;
            let Some((revision, _)) = self.hold_on(revision, self.a_term_from_now()).await else {
                sleep(self.term / 8).await;
                continue;
            };
            match plane.take_up().await {
                Ok(()) => self.keep_for(plane, revision).await,
                Err(error) => tracing::error!("this control plane cannot lead: {error}"),
            }
            self.lead.set(Duration::ZERO);
        }
    }

    /// Leads with a plane that was taken up, until the lead is lost.
    async fn keep_for(&self, plane: &Plane, revision: u64) {
        // Taking up may have outlasted the term, and another may lead since: one more is asked for.
        let Some((revision, asked)) = self.hold_on(revision, self.a_term_from_now()).await else {
            tracing::warn!("this control plane stands by: it could not take the lead");
            return;
        };
        tracing::info!("this control plane leads");
        tokio::select! {
            () = self.keep(revision, asked) => {}
            // Ends with the lead: what is published is the next one's then.
            () = async { plane.publish_on().await; pending().await } => {}
        }
        tracing::warn!("this control plane stands by: it lost the lead");
    }

    /// Waits until the key is free, and returns its revision.
    async fn stand_by(&self) -> u64 {
        let mut seen: Option<(u64, Duration)> = None;
        loop {
            match self.look().await {
                Ok(now) if now.holder.is_empty() => return now.revision,
                Ok(now) => match seen {
                    Some((revision, since)) if revision == now.revision => {
                        if (self.clock)().saturating_sub(since) > self.term.max(now.term) {
                            return revision;
                        }
                    }
                    _ => seen = Some((now.revision, (self.clock)())),
                },
                Err(error) => tracing::debug!("{error}"),
            }
            sleep(self.term / 8).await;
        }
    }

    /// Takes the key for a term, or for one more.
    async fn hold(&self, revision: u64) -> Option<u64> {
        let term = self.term.as_millis() as u64;
        let value = json!({ "holder": self.holder, "term_ms": term }).to_string();
        let held = self.bucket.update(KEY, value.into(), revision);
        timeout(self.term / 2, held).await.ok()?.ok()
    }

    /// Takes the key for a term, however often an answer is lost, unless another holds it or it is
    /// `until`. Tells its revision and when the term was asked for.
    async fn hold_on(&self, mut revision: u64, until: Duration) -> Option<(u64, Duration)> {
        loop {
            let asked = (self.clock)();
            if asked >= until {
                return None;
            }
            if let Some(held) = self.hold(revision).await {
                return Some((held, asked));
            }
            // The answer may have been lost. When what stands there was asked for is not known: so
            // one more is asked for behind it.
            match self.look().await {
                Ok(seen) if seen.holder == self.holder && seen.revision != revision => {
                    revision = seen.revision;
                    continue;
                }
                // It was refused, by servers that answer.
                Ok(seen) if seen.holder == self.holder => {}
                Ok(_) => return None,
                Err(error) => tracing::debug!("{error}"),
            }
            sleep(self.term / 16).await;
        }
    }

    fn a_term_from_now(&self) -> Duration {
        (self.clock)() + self.term
    }

    /// Leads for as long as each term is asked for before the last one ran out.
    async fn keep(&self, mut revision: u64, mut asked: Duration) {
        loop {
            let until = asked + self.term * 9 / 10;
            self.lead.set(until);
            sleep(self.term / 4).await;
            match self.hold_on(revision, until).await {
                Some(held) => (revision, asked) = held,
                None => return,
            }
        }
    }

    /// Leads for one term, without a plane; false if another process does.
    pub(super) async fn take_for_a_term(&self) -> bool {
        // Whoever leads moves the key several times a term.
        let term = self.look().await.map_or(self.term, |seen| self.term.max(seen.term));
        let Ok(revision) = timeout(term * 2, self.stand_by()).await else { return false };
        let held = self.hold_on(revision, self.a_term_from_now()).await;
        if let Some((_, asked)) = held {
            self.lead.set(asked + self.term * 9 / 10);
        }
        held.is_some()
    }

    /// Lets the next one lead at once.
    pub(super) async fn leave(&self) {
        let led = self.lead.holds((self.clock)());
        self.lead.set(Duration::ZERO);
        if let Ok(Seen { revision, holder, .. }) = self.look().await
            && led
            && holder == self.holder
        {
            let value = json!({ "holder": "" }).to_string();
            let left = timeout(self.term, self.bucket.update(KEY, value.into(), revision)).await;
            if !matches!(left, Ok(Ok(_))) {
                tracing::warn!("the lead ends by itself");
            }
        }
    }

    async fn look(&self) -> Result<Seen, NatsError> {
        let failed = |why: &dyn std::fmt::Display| NatsError::new("the lead cannot be read", why);
        let entry = timeout(self.term / 2, self.bucket.entry(KEY)).await;
        let entry = entry.map_err(|late| failed(&late))?.map_err(|error| failed(&error))?;
        let Some(entry) = entry else { return Ok(Seen::default()) };
        let value = match entry.operation {
            Operation::Put => serde_json::from_slice(&entry.value).unwrap_or(Value::Null),
            Operation::Delete | Operation::Purge => Value::Null,
        };
        Ok(Seen {
            revision: entry.revision,
            holder: value["holder"].as_str().unwrap_or_default().to_owned(),
            term: Duration::from_millis(value["term_ms"].as_u64().unwrap_or_default()),
        })
    }
}

#[cfg(test)]
mod tests;
