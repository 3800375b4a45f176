//! Assemble, run, reload, drain: one node in one process.
//!
//! May use every room below.
//!
//! ```text
//!  caller ── start ─┬─ control thread: admin door, certificate watch, drain
//!                   └─ event loop 0..n: its own listeners, its own upstream connections
//! ```
//!
//! The control thread has a runtime of its own, so that probes, metrics and purges are answered
//! whatever the event loops are busy with.

mod admin_door;
mod assemble;
mod control;
mod error;
mod event_loop;
mod generations;
mod identity;
mod observe;
mod published;
mod reload;
mod routing;
mod run;
mod storage;
mod subscription;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

pub use control::ControlFault;
pub use error::StartError;
pub use generations::GenerationsError;
pub use identity::IdentityError;
pub use reload::{ReloadError, Reloaded};
pub use routing::RoutingFault;
pub use run::run;
pub use storage::{unfit as unfit_cache, verify as verify_cache};

use self::assemble::Assembled;
use crate::admin::State;
use crate::config::Config;
use crate::net::Drain;
use crate::net::worker::Workers;
use crate::purge::Follower;

/// How long the control plane may take to be told that this node serves nothing any more.
const LEAVE: Duration = Duration::from_secs(2);

/// How long the access log may take for its last lines.
const LOG_FLUSH: Duration = Duration::from_secs(5);

/// A node that serves.
pub struct Node {
    addresses: Addresses,
    shared: Arc<Assembled>,
    stop: watch::Sender<Stop>,
    control: JoinHandle<()>,
    workers: Workers,
}

/// Where a node can be reached; port 0 of the config is the real port here.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// HTTP in clear.
    pub http: Vec<SocketAddr>,
    /// HTTP over TLS, and HTTP/3 on the same ports.
    pub https: Vec<SocketAddr>,
    /// The admin door.
    pub admin: Option<SocketAddr>,
}

/// What the threads are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    /// Go on.
    Run,
    /// Finish what was begun.
    Drain,
    /// End now.
    Now,
}

impl Node {
    /// Binds every address, starts every thread, and serves.
    ///
    /// # Errors
    /// What cannot be had: an address, a certificate, a file. Nothing is left running then.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let (shared, mut sockets) = assemble::assemble(config)?;
        let shared = Arc::new(shared);
        let addresses = sockets.addresses.clone();
        let (stop, stopped) = watch::channel(Stop::Run);
        let (drain, drain_watch) = Drain::new();
        let admin = sockets.admin.take();
        let (loops, handles) = std::sync::mpsc::channel();
        let workers = event_loop::start(&shared, sockets, &drain_watch, &stopped, loops)?;
        let handles: Vec<Handle> = handles.into_iter().collect();
        let control =
            control_thread(shared.clone(), admin, handles, drain, (stop.clone(), stopped))?;
        drop(drain_watch);
        shared.life.set(State::Serving);
        Ok(Self { addresses, shared, stop, control, workers })
    }

    /// Where it can be reached.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops gracefully: no longer ready, nothing new is accepted, what was begun is finished
    /// within the configured time. Blocks until all threads have ended.
    pub fn shutdown(self) {
        self.stop.send_replace(Stop::Drain);
        if self.control.join().is_err() {
            tracing::error!("the control thread ended by a panic");
            self.stop.send_replace(Stop::Now);
        }
        if let Err(error) = self.workers.join() {
            tracing::error!(%error, "an event loop failed");
        }
        self.shared.proxy.store().flush();
        if !self.shared.log.flush(LOG_FLUSH) {
            tracing::warn!("the access log did not take its last lines in time");
        }
    }
}

/// The thread of everything that is not traffic.
fn control_thread(
    shared: Arc<Assembled>,
    admin: Option<std::net::TcpListener>,
    loops: Vec<Handle>,
    drain: Drain,
    (stop, mut stopped): (watch::Sender<Stop>, watch::Receiver<Stop>),
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let handle = shared.runtime.get_or_init(|| runtime.handle().clone());
    {
        let _entered = handle.enter();
        shared.proxy.routing().upstreams.watch(None);
    }
    let body = move || {
        runtime.block_on(async {
            // The admin door answers to the end, so that a drain can be watched.
            let (_admin_drain, admin_watch) = Drain::new();
            if let Some(listener) = admin {
                admin_door::open(&shared, listener, loops, admin_watch.clone());
            }
            shared.watch_certificates(admin_watch);
            // An error means that the node was dropped without a shutdown.
            let _dropped = stopped.wait_for(|stop| *stop >= Stop::Drain).await.is_err();
            shared.life.set(State::Draining);
            drain.begin();
            let longest = shared.drain_timeout;
            if tokio::time::timeout(longest, drain.done()).await.is_err() {
                tracing::warn!(?longest, "connections are cut at the end of the drain");
            }
            if let Some(follower) = shared.follower.get() {
                leave(follower).await;
            }
            stop.send_replace(Stop::Now);
        });
    };
    let thread = std::thread::Builder::new().name("control".to_owned());
    thread.spawn(body).map_err(StartError::Thread)
}

/// Tells the control plane that nothing waits for this node any more.
async fn leave(follower: &Follower) {
    match tokio::time::timeout(LEAVE, follower.leave()).await {
        Ok(Ok(())) => tracing::info!("the control plane waits for this node no more"),
        Ok(Err(error)) => tracing::warn!("the control plane may wait for this node: {error}"),
        Err(_) => tracing::warn!("the control plane may wait for this node: it does not answer"),
    }
}
