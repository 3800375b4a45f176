//! What purges would hit here, told to the control plane that asks for it on the stream of the log.
//!
//! ```text
//!  tail ── {"commands":[…],"survey":"16 hex"} ──► waiting, bounded ──► one at a time
//!                                                                         │
//!  control plane ◄── POST /v1/nodes/{name}/surveys/{id} ──────────────────┘
//! ```
//!
//! Whoever asks waits for a bounded time, and takes what is not told for an estimate: so what finds
//! no room, or cannot be told, is let go.

use http::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use super::wire::Survey;
use super::{FollowError, Follower, read};
use crate::store::Tally;

/// Surveys that wait for their turn.
const WAITING_MAX: usize = 4;

/// What was asked and is not told yet.
pub(super) struct Surveys {
    asked: mpsc::Sender<Survey>,
    /// Held by whoever tells.
    waiting: Mutex<mpsc::Receiver<Survey>>,
}

impl Surveys {
    pub(super) fn new() -> Self {
        let (asked, waiting) = mpsc::channel(WAITING_MAX);
        Self { asked, waiting: Mutex::new(waiting) }
    }

    /// Has it be told, if there is room.
    pub(super) fn take(&self, survey: Survey) {
        if self.asked.try_send(survey).is_err() {
            tracing::debug!("too many surveys are asked for at once");
        }
    }
}

impl Follower {
    /// Tells what is asked, for as long as the log is followed.
    pub(super) async fn survey(&self) {
        let mut waiting = self.surveys.waiting.lock().await;
        while let Some(survey) = waiting.recv().await {
            if let Err(error) = self.tell(survey).await {
                tracing::debug!("what purges would hit cannot be told: {error}");
            }
        }
    }

    async fn tell(&self, Survey { id, commands }: Survey) -> Result<(), FollowError> {
        let survey = match commands {
            Ok(commands) => {
                let survey = self.parts.purger.survey_followed(&commands).await;
                survey.map_err(|refused| refused.to_string())
            }
            Err(fault) => Err(fault),
        };
        let told = match survey {
            Ok(survey) => {
                let hits: Vec<_> = survey.hits.iter().map(show).collect();
                json!({ "hits": hits, "estimate": survey.is_estimate })
            }
            Err(fault) => json!({ "fault": fault }),
        };
        let target = format!("/v1/nodes/{}/surveys/{id}", self.parts.facts.name);
        read(self.ask(Method::POST, target, Some(&told)).await?).await.map(drop)
    }
}

fn show(hit: &Tally) -> Value {
    json!({ "objects": hit.objects, "bytes": hit.bytes })
}
