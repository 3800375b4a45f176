//! Takes what the control plane publishes: told by the answers to heartbeats which version is
//! wanted, it fetches the text, has it applied, and tells how that went.
//!
//! ```text
//!  heartbeat's answer ─► wanted ─► fetch ─► read ─► keep, swap ─► told by the next heartbeat
//!                                    │        │        │
//!                          pending ◄─┘        └────────┴─► failed: what was served is served on
//!                             └──────────── again, after a while ◄─┘
//! ```
//!
//! Invariant: what is told to be applied is kept durably, and served by.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::assemble::Assembled;
use super::published::Taken;
use crate::config::published::{Release, digest};
use crate::net::worker::off_loop;
use crate::purge::{Beside, Figures, Follower};

/// Between two attempts, at first and at most.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Bytes of a fault that the control plane is told of.
const FAULT_MAX: usize = 1 << 10;

/// This node's side of what is published.
pub(super) struct Subscription {
    wanted: watch::Receiver<Option<Release>>,
    says: watch::Sender<Value>,
    serves_by: Release,
    /// What was fetched last.
    fetched: Option<(Release, String)>,
}

/// Why a version is not applied.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    /// It could not be had.
    #[error("{0}")]
    Fetch(String),
    /// This node cannot serve by it.
    #[error("{0}")]
    Apply(String),
}

impl Subscription {
    /// Of a node that serves by this one; and what goes along with its heartbeats.
    pub(super) fn new(serves_by: Release, figures: Figures) -> (Self, Beside) {
        let (want, wanted) = watch::channel(None);
        let (says, said) = watch::channel(serves_by.to_json());
        let hears = move |config: &Value| {
            // Who says nothing does not know: what is served is served on.
            if let Some(release) = Release::from_json(config) {
                want.send_if_modified(|wanted| wanted.replace(release) != Some(release));
            }
        };
        let beside = Beside { says: said, hears: Box::new(hears), figures };
        (Self { wanted, says, serves_by, fetched: None }, beside)
    }

    /// Takes what is wanted, until the runtime ends.
    pub(super) async fn run(mut self, shared: Arc<Assembled>, follower: Arc<Follower>) {
        let mut pause = PAUSE;
        loop {
            let wanted = *self.wanted.borrow_and_update();
            let Some(wanted) = wanted.filter(|wanted| *wanted != self.serves_by) else {
                self.say(None);
                if self.wanted.changed().await.is_err() {
                    return;
                }
                pause = PAUSE;
                continue;
            };
            let Err(why) = self.take(wanted, &shared, &follower).await else { continue };
            let version = wanted.number();
            if pause == PAUSE {
                tracing::error!(version, "the published config is not applied: {why}");
            }
            match why {
                NotTaken::Apply(fault) => self.say(Some((wanted, &fault))),
                NotTaken::Fetch(_) => {}
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                changed = self.wanted.changed() => match changed {
                    Ok(()) => pause = PAUSE,
                    Err(_) => return,
                },
            }
        }
    }

    async fn take(
        &mut self,
        wanted: Release,
        shared: &Arc<Assembled>,
        follower: &Follower,
    ) -> Result<(), NotTaken> {
        let taken = match wanted {
            Release::Own => None,
            Release::Published { version, hash } => {
                let text = self.fetch(version, hash, follower).await?;
                let taken = off_loop(move || Taken::read(version, text)).await;
                let taken = taken.map_err(|error| NotTaken::Apply(error.to_string()))?;
                Some(taken.map_err(|report| NotTaken::Apply(report.to_string()))?)
            }
        };
        let shared = shared.clone();
        let applied = off_loop(move || shared.take(taken)).await;
        let applied = applied.map_err(|error| NotTaken::Apply(error.to_string()))?;
        applied.map_err(|error| NotTaken::Apply(error.to_string()))?;
        self.serves_by = wanted;
        self.fetched = None;
        match wanted.number() {
            0 => tracing::info!("sites and origins are those of the node's own file"),
            version => tracing::info!(version, "sites and origins are those that are published"),
        }
        Ok(())
    }

    async fn fetch(
        &mut self,
        version: u64,
        hash: blake3::Hash,
        follower: &Follower,
    ) -> Result<String, NotTaken> {
        let wanted = Release::Published { version, hash };
        if let Some((_, text)) = self.fetched.as_ref().filter(|(fetched, _)| *fetched == wanted) {
            return Ok(text.clone());
        }
        let body = follower.look(format!("/v1/config/{version}")).await;
        let body = body.map_err(|error| NotTaken::Fetch(error.to_string()))?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let text = answer.as_ref().and_then(|answer| answer["data"]["toml"].as_str());
        let text = text.filter(|text| digest(text) == hash);
        let other =
            || NotTaken::Fetch("the control plane told another text than it announced".to_owned());
        let text = text.ok_or_else(other)?.to_owned();
        self.fetched = Some((wanted, text.clone()));
        Ok(text)
    }

    /// Tells by what is served, and what cannot be.
    fn say(&self, failed: Option<(Release, &str)>) {
        let mut said = self.serves_by.to_json();
        if let Some((release, fault)) = failed {
            said["failed"] = release.to_json();
            said["failed"]["fault"] = fault[..fault.floor_char_boundary(FAULT_MAX)].into();
        }
        self.says.send_if_modified(|before| std::mem::replace(before, said.clone()) != said);
    }
}
