//! Heartbeats: each registers, acknowledges what is applied, and asks for a lease.

use std::cmp::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::sleep;

use super::wire::{Grant, Heartbeat};
use super::{FollowError, Follower, backoff, read};
use crate::object::Position;

/// Between two heartbeats while the lease is not known.
const PERIOD: Duration = Duration::from_secs(1);

/// Between two heartbeats that have nothing new to tell, at least.
const PERIOD_MIN: Duration = Duration::from_millis(50);

impl Follower {
    /// Beats. What is applied while one is under way rides on the next, at once.
    pub(super) async fn beat(&self) {
        // What is told of `on_control_loss` must hold for the next start as well.
        self.note_until_done().await;
        let mut standing = self.parts.purger.subscribe();
        let (mut failures, mut period) = (0, PERIOD);
        loop {
            let told = standing.borrow_and_update().position;
            let outcome = self.beat_once(told).await;
            self.changed.notify_waiters();
            self.settle();
            let wait = match outcome {
                Ok(lease) => {
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!("the control plane answers again");
                    }
                    period = (lease / 3).max(PERIOD_MIN);
                    period
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!("the control plane cannot be told: {error}");
                    }
                    failures += 1;
                    sleep(backoff(failures, period)).await;
                    continue;
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                _moved = standing.wait_for(|standing| standing.position != told) => {}
            }
        }
    }

    /// One heartbeat; the lease that it brought.
    pub(super) async fn beat_once(
        &self,
        position: Option<Position>,
    ) -> Result<Duration, FollowError> {
        let parts = &self.parts;
        let heartbeat = Heartbeat {
            incarnation: self.incarnation,
            on_control_loss: parts.on_loss.as_str(),
            fenced: parts.purger.rules().is_fenced(),
            position,
        };
        let json = heartbeat.to_json(&parts.facts);
        let sent = (parts.uptime)();
        let target = format!("/v1/nodes/{}", parts.facts.name);
        let answer = async { read(self.ask(Method::POST, target, Some(&json)).await?).await };
        match answer.await {
            Ok(body) => match Grant::read(&body)? {
                Some(grant) => {
                    self.granted(sent, grant, position).await?;
                    Ok(grant.lease)
                }
                None => {
                    self.refused().await;
                    Ok(PERIOD)
                }
            },
            Err(error) => {
                // Who is refused has no lease; who gets no answer keeps what he has.
                if let FollowError::Refused { status, .. } = &error
                    && matches!(*status, StatusCode::CONFLICT | StatusCode::FORBIDDEN)
                {
                    self.refused().await;
                }
                Err(error)
            }
        }
    }

    async fn granted(
        &self,
        sent: Duration,
        grant: Grant,
        told: Option<Position>,
    ) -> Result<(), FollowError> {
        let purger = &self.parts.purger;
        purger.told_of(grant.head);
        // Of another history nothing is applied, however far its numbers go.
        let is_same = told.is_some_and(|told| match told.number.cmp(&grant.head) {
            Ordering::Less => told.log == grant.log,
            Ordering::Equal => told.log == grant.log && told.hash == grant.hash,
            Ordering::Greater => false,
        });
        let head = if is_same { grant.head } else { u64::MAX };
        self.lease.lock().granted(sent, grant.lease, head);
        self.settle();
        let _moving = self.moving.lock().await;
        self.note_serving().await
    }

    /// The fence goes up at once, and stays up over a restart.
    async fn refused(&self) {
        self.lease.lock().refused();
        self.settle();
        self.note_until_done().await;
    }

    /// Notes in the journal whether the node goes on alone, once that has changed. By whoever moves
    /// the position.
    pub(super) async fn note_serving(&self) -> Result<(), FollowError> {
        let Some(position) = self.parts.purger.standing().position else { return Ok(()) };
        let serves = {
            let mut lease = self.lease.lock();
            lease.stands_at((self.parts.uptime)(), position.number);
            lease.serves()
        };
        if *self.noted.lock() != serves {
            let noted = self.parts.purger.apply(&[], position, serves).await;
            noted.map_err(FollowError::Journal)?;
            *self.noted.lock() = serves;
        }
        Ok(())
    }

    async fn note_until_done(&self) {
        let mut failures = 0;
        loop {
            let moving = self.moving.lock().await;
            let Err(error) = self.note_serving().await else { return };
            drop(moving);
            if failures == 0 {
                tracing::error!("the purge journal cannot be written: {error}");
            }
            failures += 1;
            sleep(backoff(failures, PERIOD)).await;
        }
    }
}
