//! Heartbeats: each registers, acknowledges what is applied, and asks for a lease; the last says
//! that the node serves nothing any more.

use std::cmp::Ordering;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::lease::History;
use super::wire::{Grant, Heartbeat};
use super::{FollowError, Follower, LeaveError, backoff, read};
use crate::net::worker::off_loop;
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
        let mut says = self.parts.beside.says.clone();
        let (mut failures, mut period, mut said) = (0, PERIOD, None);
        loop {
            let told = standing.borrow_and_update().position;
            says.mark_unchanged();
            let beating = self.beating.lock().await;
            if self.lease.lock().has_left() {
                return;
            }
            let outcome = self.beat_once(told).await;
            drop(beating);
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
                    self.lease.lock().unheard();
                    // What an operator is to do comes maybe after a while without any answer.
                    let says = error.status();
                    if failures == 0 || says.is_some() && says != said {
                        tracing::warn!("the control plane cannot be told: {error}");
                    }
                    said = says.or(said.filter(|_| failures > 0));
                    failures += 1;
                    sleep(backoff(failures, period)).await;
                    continue;
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                _moved = standing.wait_for(|standing| standing.position != told) => {}
                () = anew(&mut says) => {}
            }
        }
    }

    /// One heartbeat; the lease that it brought.
    pub(super) async fn beat_once(
        &self,
        position: Option<Position>,
    ) -> Result<Duration, FollowError> {
        let sent = (self.parts.uptime)();
        match self.say(position, false).await {
            Ok(body) => match Grant::read(&body)? {
                Some((grant, config)) => {
                    // What was noted before the position moved was told with it.
                    if let Some(told) = position {
                        self.nowhere.lock().told(told.number);
                    }
                    self.granted(sent, grant, position).await?;
                    (self.parts.beside.hears)(&config);
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

    /// Says how the node is, and returns the answer.
    async fn say(&self, position: Option<Position>, leaves: bool) -> Result<Vec<u8>, FollowError> {
        let parts = &self.parts;
        let heartbeat = Heartbeat {
            process: &parts.incarnation,
            leaves,
            on_control_loss: parts.on_loss.as_str(),
            fenced: parts.purger.rules().is_fenced(),
            position,
        };
        let mut json = heartbeat.to_json(&parts.facts);
        json["config"] = parts.beside.says.borrow().clone();
        json["status"] = (parts.beside.figures)();
        json["unmatched"] = self.nowhere.lock().to_json();
        let applied_in = *self.applied_in.lock();
        json["applied_ms"] = applied_in.map(|it| (it.as_secs_f64() * 1e6).round() / 1e3).into();
        let target = format!("/v1/nodes/{}", parts.facts.name);
        read(self.ask(Method::POST, target, Some(&json)).await?).await
    }

    /// Tells the control plane that this node serves nothing any more: no receipt waits for it from
    /// then on, and its name is free. What it has stored is not trusted from here on, nor at its
    /// next start before it has applied what it missed. Where the last heartbeat was not answered
    /// this would not be heard either, and would fence the next start of a node that serves on.
    ///
    /// # Errors
    /// It is waited for still.
    pub async fn leave(&self) -> Result<(), LeaveError> {
        if !self.lease.lock().is_heard((self.parts.uptime)()) {
            return Err(FollowError::Unheard.into());
        }
        self.lease.lock().leave();
        self.settle();
        self.parts.purger.parts.barrier.pass().await;
        // What was said before is answered, and nothing is said after.
        let _beating = self.beating.lock().await;
        {
            let _moving = self.moving.lock().await;
            self.note_serving().await?;
        }
        self.say(self.parts.purger.standing().position, true).await?;
        Ok(())
    }

    async fn granted(
        &self,
        sent: Duration,
        grant: Grant,
        told: Option<Position>,
    ) -> Result<(), FollowError> {
        let purger = &self.parts.purger;
        purger.told_of(grant.head);
        let history = match told {
            Some(told) if told.log == grant.log => match told.number.cmp(&grant.head) {
                Ordering::Less => History::Same,
                Ordering::Equal if told.hash == grant.hash => History::Same,
                Ordering::Equal => History::Other,
                Ordering::Greater => History::Behind,
            },
            _ => History::Other,
        };
        let position = purger.standing().position.map_or(0, |at| at.number);
        self.lease.lock().granted(sent, grant.lease, (history, grant.since), position);
        self.settle();
        if !self.is_registered.swap(true, SeqCst) {
            let registered = self.parts.registered.clone();
            let _panicked = off_loop(move || registered()).await.is_err();
        }
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
            let noted = self.parts.purger.apply(&[], position, serves, |_| ()).await;
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

/// Waits until there is something new to say; for ever, where nobody says anything.
async fn anew(says: &mut watch::Receiver<Value>) {
    if says.changed().await.is_err() {
        std::future::pending().await
    }
}
