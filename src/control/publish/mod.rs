//! Publishing sites and origins to the nodes, first to a share of them.
//!
//! ```text
//!  POST /v1/config ──► check ──► Versions: decided ──► Shelf: durable ──► looked at
//!                        └ as nodes read it   └ pure                        │
//!  heartbeat ◄──────────────── which version the node is to have ◄──────────┘
//!  GET /v1/config/7 ◄───────── its text
//! ```
//!
//! While a version is rolled out, nodes have different sites. A purge travels as it was asked for,
//! and covers at each node what the sites in use there say; what a node takes later it stores under
//! new keys, so nothing from before the purge is found under them. Between tiers that differ in a
//! site nothing stored is handed on (`proxy::tier`).
//!
//! Purges never wait for any of it: where what is kept cannot be read, nothing is published, nodes
//! are told nothing and keep what they have, and all else goes on.
//!
//! Invariants:
//! - nobody is told of a version that is not durable with its text;
//! - every text was read without a fault, as far as that can be done without a node's environment;
//! - a number stands for one text for ever, and so does a number with a hash after a backup was
//!   put back.

pub mod folder;
pub mod nats;
pub mod rollout;
pub mod shelf;
#[cfg(test)]
mod tests;
pub mod versions;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use self::rollout::Share;
use self::shelf::{Shelf, Shelved};
use self::versions::{Draft, Refusal, Versions};
use crate::config::control_plane::Publish;
use crate::config::fault::Report;
use crate::config::published::{Published, digest};
use crate::net::worker::off_loop;

/// The field of a request that texts come in; it stands for the file in faults.
pub const TEXT: &str = "toml";

/// Publishes, and tells what was published.
pub struct Publisher {
    shelf: Arc<dyn Shelf>,
    bounds: Publish,
    known: ArcSwap<Known>,
    /// Held by whoever changes it.
    writing: Mutex<()>,
}

/// What is published, as far as this process knows.
enum Known {
    /// It is yet to be read.
    Nothing,
    /// It cannot be read, and why.
    Faulty(String),
    /// All of it.
    All(Arc<Shelved>),
}

/// Why nothing was published, promoted or rolled back.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The text is longer than one may be.
    #[error("{TEXT}: expected at most {max} bytes, found {found}")]
    TooLong {
        /// Bytes that one may have.
        max: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// What is wrong with the text.
    #[error("{0}")]
    Faulty(Report),
    /// It would not be what the caller thinks.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was published before is not known.
    #[error("config: {0}")]
    Unknown(String),
    /// It cannot be made durable, as far as is known.
    #[error("config: {0}; expected a look at what is published, and a retry")]
    Failed(String),
}

/// Other versions, and the text of the latest if it is new.
type Decided = (Versions, Option<Arc<str>>);

/// What somebody wants to publish.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Sites and origins.
    pub text: String,
    /// The part of the fleet that it is first for.
    pub share: Share,
    /// The latest version, as far as the caller knows.
    pub after: Option<u64>,
}

/// Who acts, and when.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Name of the token's holder.
    pub by: String,
    /// In milliseconds since 1970.
    pub at: u64,
}

impl Publisher {
    /// A publisher who knows nothing before [`Self::take_up`].
    pub fn new(shelf: Arc<dyn Shelf>, bounds: Publish) -> Arc<Self> {
        let (known, writing) = (ArcSwap::from_pointee(Known::Nothing), Mutex::default());
        Arc::new(Self { shelf, bounds, known, writing })
    }

    /// Knows nothing any more: another process may have published since.
    pub fn forget(&self) {
        self.known.store(Arc::new(Known::Nothing));
    }

    /// Takes up what is kept, which from now on this process alone writes; false where it cannot be
    /// read. Does nothing where that was done.
    ///
    /// Cancel safe.
    pub async fn take_up(&self) -> bool {
        let _alone = self.writing.lock().await;
        if let Known::All(_) = **self.known.load() {
            return true;
        }
        let known = match self.shelf.take_up().await {
            Ok(shelved) => Known::All(Arc::new(shelved)),
            Err(error) => {
                let fault = error.to_string();
                if self.fault().as_ref() != Some(&fault) {
                    tracing::error!(
                        "nothing can be published, and nodes keep what they have: {fault}"
                    );
                }
                Known::Faulty(fault)
            }
        };
        let is_known = matches!(known, Known::All(_));
        self.known.store(Arc::new(known));
        is_known
    }

    /// All that is published, as far as it is known.
    pub fn look(&self) -> Arc<Shelved> {
        self.all().unwrap_or_default()
    }

    /// All that is published.
    ///
    /// # Errors
    /// It is not known.
    pub fn all(&self) -> Result<Arc<Shelved>, PublishError> {
        match &**self.known.load() {
            Known::All(shelved) => Ok(shelved.clone()),
            Known::Faulty(fault) => Err(PublishError::Unknown(fault.clone())),
            Known::Nothing => {
                let why = "what is published is yet to be read; expected a retry";
                Err(PublishError::Unknown(why.to_owned()))
            }
        }
    }

    /// Why it cannot be read, where that is so.
    pub fn fault(&self) -> Option<String> {
        match &**self.known.load() {
            Known::Faulty(fault) => Some(fault.clone()),
            Known::Nothing | Known::All(_) => None,
        }
    }

    /// Bytes that a text may have.
    pub fn bytes_max(&self) -> usize {
        self.bounds.size.as_usize()
    }

    /// Checks a text as [`Self::publish`] does, and gives it back.
    ///
    /// # Errors
    /// Why it would not be published.
    pub async fn check(&self, proposal: Proposal) -> Result<(Published, Proposal), PublishError> {
        let (max, found) = (self.bytes_max(), proposal.text.len());
        if found > max {
            return Err(PublishError::TooLong { max, found });
        }
        let (published, proposal) = checked(proposal).await?;
        let latest = self.all()?.versions.latest();
        if proposal.after.is_some_and(|after| after != latest) {
            return Err(Refusal::Meanwhile(latest).into());
        }
        Ok((published, proposal))
    }

    /// Publishes a text; what is returned has it as the latest version, and is durable.
    ///
    /// Cancel safe: what was begun is carried through whoever waits.
    ///
    /// # Errors
    /// Why it is not published.
    pub async fn publish(
        self: &Arc<Self>,
        proposal: Proposal,
        actor: Actor,
    ) -> Result<Arc<Shelved>, PublishError> {
        let (_, Proposal { text, share, after }) = self.check(proposal).await?;
        let Actor { by, at } = actor;
        let draft = Draft { hash: digest(&text), bytes: text.len(), by, at, share };
        let text: Arc<str> = text.into();
        self.change(move |shelved| {
            let versions = shelved.versions.publish(draft, after)?;
            Ok((versions, Some(text)))
        })
        .await
    }

    /// Has the candidate be for more nodes, or for all.
    ///
    /// Cancel safe, as [`Self::publish`].
    ///
    /// # Errors
    /// Why it is not.
    pub async fn promote(
        self: &Arc<Self>,
        version: Option<u64>,
        share: Share,
    ) -> Result<Arc<Shelved>, PublishError> {
        self.change(move |shelved| Ok((shelved.versions.promote(version, share)?, None))).await
    }

    /// Drops the candidate; where there is none, publishes the text of the version before anew.
    ///
    /// Cancel safe, as [`Self::publish`].
    ///
    /// # Errors
    /// Why nothing changed.
    pub async fn rollback(
        self: &Arc<Self>,
        version: Option<u64>,
        actor: Actor,
    ) -> Result<Arc<Shelved>, PublishError> {
        self.change(move |shelved| {
            let (versions, restored) = shelved.versions.rollback(version, &actor.by, actor.at)?;
            let text = restored.and_then(|number| shelved.texts.get(&number)).cloned();
            Ok((versions, text))
        })
        .await
    }

    /// Makes what `decide` says durable.
    async fn change(
        self: &Arc<Self>,
        decide: impl FnOnce(&Shelved) -> Result<Decided, Refusal> + Send + 'static,
    ) -> Result<Arc<Shelved>, PublishError> {
        // Whoever is to be refused need not wait for those who read.
        self.all()?;
        let publisher = self.clone();
        let changed = tokio::spawn(async move {
            let _alone = publisher.writing.lock().await;
            let before = publisher.all()?;
            let (versions, text) = decide(&before)?;
            let mut texts = before.texts.clone();
            texts.extend(text.map(|text| (versions.latest(), text)));
            let versions = versions.pruned(publisher.bounds.versions);
            texts.retain(|number, _| versions.get(*number).is_some());
            let next = Arc::new(Shelved { versions, texts });
            let written = publisher.shelf.write(before, next.clone()).await;
            written.map_err(|error| PublishError::Failed(error.to_string()))?;
            publisher.known.store(Arc::new(Known::All(next.clone())));
            Ok(next)
        });
        let stops = |_| Err(PublishError::Failed("the control plane stops".to_owned()));
        changed.await.unwrap_or_else(stops)
    }
}

/// A long text takes its time, and others are served meanwhile.
async fn checked(proposal: Proposal) -> Result<(Published, Proposal), PublishError> {
    let check = move || (Published::check(&proposal.text, TEXT), proposal);
    let (published, proposal) =
        off_loop(check).await.map_err(|error| PublishError::Failed(error.to_string()))?;
    Ok((published.map_err(PublishError::Faulty)?, proposal))
}
