//! Following the log of a control plane.
//!
//! ```text
//!                 ┌── tail: GET /v1/log ──► entries ──► apply: journal, rules, barrier ─┐
//!  control plane ─┤                                                            position │
//!                 └── heart: POST /v1/nodes/{name} ◄── acknowledges ────────────────────┘
//!                          └──► grant: lease, since ──► fence
//! ```
//!
//! What the stream asks beside the log, such as what purges would hit, is answered apart.
//!
//! Invariants:
//! - a position is told only when it is journaled and every event loop judges by it;
//! - what is not the next entry of the log that was followed makes it another log: whatever is
//!   stored is possibly purged from there on;
//! - the fence is up before the first request is served, and down only as `lease` says.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod heart;
mod lease;
mod nowhere;
mod survey;
mod tail;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};

use self::lease::Lease;
use self::nowhere::Nowhere;
use self::survey::Surveys;
pub use self::wire::{Incarnation, NodeFacts};
use super::Purger;
use crate::config::control::OnControlLoss;
use crate::message::{Body, BodyError, Piece};
use crate::net::client::{ClientError, IncomingResponse, OutgoingRequest, Pool};

/// Between two looks at the clock that counts suspension.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes of an answer, and of a line of the log: a thousand purges of URLs of 8 KiB.
const ANSWER_MAX: usize = 16 << 20;

/// What following needs.
pub struct FollowParts {
    /// Applies what comes.
    pub purger: Arc<Purger>,
    /// The control plane.
    pub pool: Pool,
    /// `Bearer …`
    pub authorization: HeaderValue,
    /// This node.
    pub facts: NodeFacts,
    /// This process.
    pub incarnation: Incarnation,
    /// Called once, on a thread that may block, when this process is registered.
    pub registered: Registered,
    /// What is done with stored responses while the control plane cannot be reached.
    pub on_loss: OnControlLoss,
    /// Whether the journal says that the node was granted to go on alone.
    pub served: bool,
    /// How long the machine is up, suspension counted.
    pub uptime: fn() -> Duration,
    /// What goes along with heartbeats.
    pub beside: Beside,
}

/// What goes along with heartbeats and their answers, and is no matter of the log: `config` in
/// both, `status` in heartbeats.
pub struct Beside {
    /// What is said; what is new is said at once.
    pub says: watch::Receiver<Value>,
    /// Told what each grant says; does not block.
    pub hears: Box<dyn Fn(&Value) + Send + Sync>,
    /// Figures of the node for people, as they are now: an object of less than 2 KiB.
    pub figures: Figures,
}

/// Looks at a node, in no time.
pub type Figures = Box<dyn Fn() -> Value + Send + Sync>;

/// Makes durable that a process is registered: who succeeds it need not name those before. Logs
/// what fails: nothing but a longer list comes of it.
pub type Registered = Arc<dyn Fn() + Send + Sync>;

/// A node's side of following.
pub struct Follower {
    parts: FollowParts,
    /// Whether a grant has been heard of.
    is_registered: AtomicBool,
    lease: Mutex<Lease>,
    /// The lease has changed.
    changed: Notify,
    /// Whether the journal says that the node goes on alone.
    noted: Mutex<bool>,
    /// Held by whoever moves the position.
    moving: AsyncMutex<()>,
    /// Held by whoever waits for the answer to a heartbeat.
    beating: AsyncMutex<()>,
    /// What purges would hit, to be told.
    surveys: Surveys,
    /// Purges that name nothing here, to be told.
    nowhere: Mutex<Nowhere>,
    /// How long the last purges took from their coming to their being judged by.
    applied_in: Mutex<Option<Duration>>,
}

/// Why the control plane waits for a node still that serves nothing any more.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LeaveError(#[from] FollowError);

/// Why the control plane did not tell what it was asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AskError(#[from] FollowError);

/// Why there was no answer to go on with.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the answer broke off: {0}")]
    Body(#[from] BodyError),
    #[error("the control plane answered {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("the answer is not one of a control plane: {0}")]
    Unreadable(#[from] wire::Unreadable),
    #[error("an answer or a line is longer than {ANSWER_MAX} bytes")]
    TooLong,
    #[error("{0}")]
    Journal(String),
    #[error("the log ended")]
    Ended,
    #[error("it did not answer of late")]
    Unheard,
}

impl FollowError {
    /// The status of a refusal.
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl Follower {
    /// A follower whose fence stands as its journal says.
    pub fn new(parts: FollowParts) -> Arc<Self> {
        let lease = Lease::new(parts.on_loss, parts.served);
        let follower = Self {
            is_registered: AtomicBool::new(false),
            lease: Mutex::new(lease),
            changed: Notify::new(),
            noted: Mutex::new(parts.served),
            moving: AsyncMutex::default(),
            beating: AsyncMutex::default(),
            surveys: Surveys::new(),
            nowhere: Mutex::default(),
            applied_in: Mutex::default(),
            parts,
        };
        follower.settle();
        Arc::new(follower)
    }

    /// Follows until the runtime ends.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.beat(), self.tail(), self.guard(), self.survey());
    }

    /// What the control plane tells by `target`: the whole body.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn look(&self, target: String) -> Result<Vec<u8>, AskError> {
        Ok(read(self.ask(Method::GET, target, None).await?).await?)
    }

    /// Puts the fence up when the lease ends.
    async fn guard(&self) {
        loop {
            let changed = self.changed.notified();
            let ends = self.lease.lock().ends();
            match ends.map(|ends| ends.saturating_sub((self.parts.uptime)())) {
                Some(left) => {
                    tokio::select! {
                        () = changed => {}
                        // The timer does not count suspension.
                        () = tokio::time::sleep(left.min(LOOK)), if !left.is_zero() => {}
                    }
                }
                None => changed.await,
            }
            self.settle();
        }
    }

    /// Puts the fence where it belongs.
    fn settle(&self) {
        let now = (self.parts.uptime)();
        let number = self.parts.purger.standing().position.map_or(0, |at| at.number);
        // One at a time: the last to look at the lease is the last to move the fence.
        let lease = self.lease.lock();
        let is_fenced = lease.is_fenced(now, number);
        let rules = self.parts.purger.rules();
        if rules.is_fenced() != is_fenced {
            rules.fence(is_fenced);
            match is_fenced {
                true => tracing::warn!("fenced: what is stored is served once it is validated"),
                false => tracing::info!("no longer fenced"),
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        target: String,
        json: Option<&Value>,
    ) -> Result<IncomingResponse, FollowError> {
        let mut headers = HeaderMap::new();
        let content = HeaderValue::from_static("application/json");
        headers.insert(AUTHORIZATION, self.parts.authorization.clone());
        headers.insert(ACCEPT, content.clone());
        let body = match json {
            None => {
                // RFC 7240: one that does not know it asks nothing beside the log.
                headers.insert("prefer", HeaderValue::from_static("surveys"));
                Body::Empty
            }
            Some(json) => {
                headers.insert(CONTENT_TYPE, content);
                Body::Full(json.to_string().into())
            }
        };
        let content_length = body.known_length();
        let target = target.into();
        let on_interim = None;
        let request = OutgoingRequest { method, target, headers, body, content_length, on_interim };
        Ok(self.parts.pool.send(request).await?)
    }
}

/// The whole body of an answer; a refusal becomes an error that says why.
async fn read(response: IncomingResponse) -> Result<Vec<u8>, FollowError> {
    let IncomingResponse { status, mut body, .. } = response;
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        if let Piece::Data(bytes) = piece? {
            if whole.len() + bytes.len() > ANSWER_MAX {
                return Err(FollowError::TooLong);
            }
            whole.extend_from_slice(&bytes);
        }
    }
    if status.is_success() {
        return Ok(whole);
    }
    let problem: Option<Value> = serde_json::from_slice(&whole).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    let detail = detail.unwrap_or("nothing that says why").to_owned();
    Err(FollowError::Refused { status, detail })
}

/// How long to wait after so many failures in a row: doubling, with a share left to chance, so that
/// a fleet does not come back in step.
fn backoff(failures: u32, longest: Duration) -> Duration {
    let doubled = Duration::from_millis(100) * 2_u32.saturating_pow(failures.min(16));
    doubled.min(longest).mul_f64(0.5 + fastrand::f64() / 2.0)
}
