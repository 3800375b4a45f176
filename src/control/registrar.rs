//! Makes registrations durable before they count: all that have gathered in one write.
//!
//! ```text
//!  register ──► waiting ──► Registry: all nodes, durable ──► Fleet::register ──► told
//!                                └── failed: refused, and the fleet is as it was
//! ```
//!
//! Who is here has claimed its name: no other process has a lease under it meanwhile.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::fleet::{Fleet, Refusal, Registration};
use super::registry::{Registry, RegistryError};

/// Why a heartbeat is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGranted {
    /// The node may not be registered.
    Refused(Refusal),
    /// The registration cannot be made durable.
    Failed(String),
}

/// Writes the registrations of a fleet.
pub(super) struct Registrar {
    registry: Arc<dyn Registry>,
    fleet: Arc<Mutex<Fleet>>,
    clock: fn() -> Duration,
    queue: Mutex<Queue>,
}

type Told = oneshot::Sender<Result<(), String>>;
type Answer = oneshot::Receiver<Result<(), String>>;

#[derive(Default)]
struct Queue {
    /// A node to register, or none where one was struck off; and who waits for that.
    waiting: Vec<(Option<Registration>, Told)>,
    /// Whether somebody writes what waits.
    is_recorded: bool,
}

impl Registrar {
    pub(super) fn new(
        registry: Arc<dyn Registry>,
        fleet: Arc<Mutex<Fleet>>,
        clock: fn() -> Duration,
    ) -> Arc<Self> {
        Arc::new(Self { registry, fleet, clock, queue: Mutex::default() })
    }

    /// What is registered, which from now on this process alone writes. Where that is lost, one
    /// that stands for whoever may have been, with leases of up to `lease`.
    pub(super) async fn take_up(
        &self,
        lease: Duration,
    ) -> Result<Vec<Registration>, RegistryError> {
        if let Some(known) = self.registry.take_up().await? {
            return Ok(known);
        }
        tracing::warn!(
            ?lease,
            "the registrations are gone: no purge completes within one lease, and nodes that serve \
             on and are not heard until then are not waited for"
        );
        // Durable, lest a restart within that lease take the nodes for none.
        let known = vec![Registration::unknown(lease)];
        self.registry.write(known.clone()).await?;
        Ok(known)
    }

    /// Registers a node that was admitted.
    pub(super) async fn register(self: &Arc<Self>, node: Registration) -> Result<(), NotGranted> {
        let answer = self.push(Some(node));
        told(answer).await
    }

    /// Makes durable that a node was struck off.
    pub(super) async fn removed(self: &Arc<Self>) -> Result<(), NotGranted> {
        let answer = self.push(None);
        told(answer).await
    }

    fn push(self: &Arc<Self>, node: Option<Registration>) -> Answer {
        let (told, answer) = oneshot::channel();
        let mut queue = self.queue.lock();
        queue.waiting.push((node, told));
        if !std::mem::replace(&mut queue.is_recorded, true) {
            tokio::spawn(self.clone().record());
        }
        answer
    }

    async fn record(self: Arc<Self>) {
        while let Some((nodes, told)) = self.take_waiting() {
            let all = self.with(&nodes);
            let written = self.registry.write(all).await.map_err(|error| error.to_string());
            {
                let mut fleet = self.fleet.lock();
                let now = (self.clock)();
                for node in nodes {
                    match &written {
                        Ok(()) => fleet.register(node, now),
                        Err(_) => drop(fleet.give_up(&node)),
                    }
                }
            }
            if let Err(error) = &written {
                tracing::error!("nodes are not registered: {error}");
            }
            for told in told {
                let _left = told.send(written.clone()).is_err();
            }
        }
    }

    fn take_waiting(&self) -> Option<(Vec<Registration>, Vec<Told>)> {
        let mut queue = self.queue.lock();
        let (nodes, told): (Vec<_>, Vec<_>) =
            std::mem::take(&mut queue.waiting).into_iter().unzip();
        let nodes = nodes.into_iter().flatten().collect();
        queue.is_recorded = !told.is_empty();
        queue.is_recorded.then_some((nodes, told))
    }

    /// All that are registered, the new ones in the place of those of their name.
    fn with(&self, nodes: &[Registration]) -> Vec<Registration> {
        let mut all = self.fleet.lock().registrations();
        all.retain(|known| nodes.iter().all(|node| node.name != known.name));
        all.extend_from_slice(nodes);
        all
    }
}

async fn told(answer: Answer) -> Result<(), NotGranted> {
    // The answer fails to come only where the runtime ends.
    let answer = answer.await.unwrap_or_else(|_| Err("the control plane stops".to_owned()));
    answer.map_err(NotGranted::Failed)
}
