//! The admin door of a node, on the control thread.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;

use super::assemble::Assembled;
use super::subscription::Subscription;
use crate::admin::{AdminDoor, AdminParts, figures, resolve_by};
use crate::config::Config;
use crate::config::moment::Moment;
use crate::config::published::Release;
use crate::net::{DrainWatch, Front, Gate};
use crate::purge::{EventLoops, Figures, NodeFacts, Purger, PurgerParts};

/// Connections to the door at once.
const CONNECTIONS: usize = 256;

/// Receipts that are remembered.
const RECEIPTS: usize = 1024;

/// Purges that may wait for the event loops at once.
const PENDING: usize = 4096;

/// Serves the admin door on the calling runtime; purges wait for `loops`. Beyond loopback it speaks
/// TLS: a config without certificates was refused.
pub(super) fn open(
    shared: &Arc<Assembled>,
    listener: TcpListener,
    loops: Vec<Handle>,
    drain: DrainWatch,
) {
    let (config, release) = {
        let configs = shared.configs.lock();
        (configs.in_force(), configs.release())
    };
    let purger = Purger::new(PurgerParts {
        store: shared.proxy.store().clone(),
        journal: shared.journal.lock().take(),
        resolve: resolve_by(&shared.proxy),
        barrier: Box::new(EventLoops::new(loops)),
        metrics: shared.metrics.clone(),
        clock: Instant::now,
        recent_max: RECEIPTS,
        pending_max: PENDING,
        follows: shared.control.as_ref().map(|_| shared.followed),
        config: config.purge.clone(),
    });
    if let Some((control, identity)) = &shared.control {
        let facts = NodeFacts {
            name: config.node.name.clone(),
            region: config.node.region.clone(),
            role: config.node.role.as_str(),
            version: env!("CARGO_PKG_VERSION"),
        };
        let (subscription, beside) = Subscription::new(release, figures_of(shared));
        let follower = control.follower(facts, identity, shared.followed, &purger, beside);
        let follower = shared.follower.get_or_init(|| follower);
        tokio::spawn(follower.clone().run());
        tokio::spawn(subscription.run(shared.clone(), follower.clone()));
    }
    let parts = AdminParts {
        name: config.node.name.clone(),
        region: config.node.region.clone(),
        role: config.node.role.as_str(),
        version: env!("CARGO_PKG_VERSION"),
        address: config.listen.admin,
        life: shared.life.clone(),
        proxy: shared.proxy.clone(),
        purger,
        metrics: shared.metrics.clone(),
        now: || Moment(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())),
    };
    let version = version(&config, release);
    let door = AdminDoor::new(parts, config.tokens.clone(), version);
    let door = shared.admin.get_or_init(|| door).clone();
    let tls = shared.tls.clone().filter(|_| !config.listen.admin.ip().is_loopback());
    let front = Front {
        handler: Arc::new(door),
        limits: shared.limits.clone(),
        gate: Gate::new(CONNECTIONS, CONNECTIONS),
        observer: Arc::new(()),
    };
    tokio::spawn(async move {
        if let Err(error) = front.tcp(listener, tls, None, drain).await {
            tracing::error!(%error, "the admin door failed");
        }
    });
}

/// Tells one config from another; where its sites were published, by which version.
pub(super) fn version(config: &Config, release: Release) -> String {
    // The debug form shows no secret, so the hashes of the tokens go in by themselves.
    let tokens: Vec<String> = config.tokens.iter().map(|token| token.hash.to_string()).collect();
    let hash = blake3::hash(format!("{config:?} {tokens:?}").as_bytes()).to_hex();
    match release {
        Release::Own => hash[..12].to_owned(),
        Release::Published { version, .. } => format!("{version}-{}", &hash[..12]),
    }
}

/// What the control plane is told for people to see.
fn figures_of(shared: &Assembled) -> Figures {
    let (life, proxy) = (shared.life.clone(), shared.proxy.clone());
    let metrics = shared.metrics.clone();
    Box::new(move || figures(&life, &proxy, &metrics))
}
