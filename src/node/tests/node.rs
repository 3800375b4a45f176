//! A node of the fleet: all that a process assembles, but for sockets, threads and a disk.
//!
//! What it stored in memory is handed to the process that succeeds it, as a disk tier would; the
//! journal and the identity file are files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::network::{Listener, Network, Place};
use super::time::{calendar, now};
use super::witness::Witness;
use crate::admin::resolve_by;
use crate::config::Config;
use crate::config::control::Control;
use crate::listener::PublicDoor;
use crate::net::{Drain, Front, Gate, Handler, Limits};
use crate::node::control::ControlPlane;
use crate::node::identity::Identity;
use crate::node::routing::{proof_of_edges, routing};
use crate::proxy::{Parts, Proxy, ProxyConfig, Served};
use crate::purge::{Beside, EventLoops, Journal, NodeFacts, Purger, PurgerParts};
use crate::site::Generations;
use crate::store::{RuleBounds, Store, StoreLimits};
use crate::telemetry::access_log::{AccessConfig, AccessLog, Format, Target};
use crate::telemetry::metrics::Metrics;
use crate::upstream::Egress;

/// Names what outlives a process.
const JOURNAL: &str = "purges.journal";

/// Bounds so low that rules are merged now and then.
const RULES: RuleBounds = RuleBounds { rules: 24, wildcards: 2 };

const LIMITS: StoreLimits = StoreLimits { memory: 64 << 20, variants: 4, rules: RULES };

/// What the last process stored, and the identity of the journal that it was stored under.
type Left = Arc<Mutex<Option<(u128, Arc<Store>)>>>;

/// A node, whether it runs or not.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) port: u16,
    config: Config,
    folder: PathBuf,
    generations: Generations,
    left: Left,
}

impl Node {
    /// A node of a config whose files lie in `folder`.
    pub(super) fn new(place: Place, port: u16, folder: &Path, config: &str) -> Self {
        let config = Config::parse(config, "simulated", folder, &|_| None);
        let config = config.unwrap_or_else(|report| panic!("{report}"));
        let folder = folder.join(&config.node.name);
        std::fs::create_dir(&folder).unwrap();
        let generations = Generations::default().next(&config.sites);
        Self { place, port, config, folder, generations, left: Arc::default() }
    }

    /// What its machine runs, until it is ended.
    pub(super) fn process(&self, network: &Network) -> impl Future<Output = ()> + use<> {
        let process = Process {
            listener: network.listen(self.place, self.port),
            egress: Egress { loops: 1, dialer: network.dialer(self.place) },
            config: self.config.clone(),
            folder: self.folder.clone(),
            generations: self.generations.clone(),
            left: self.left.clone(),
        };
        process.run()
    }

    /// Loses its journal, and so all that it stored.
    pub(super) fn lose_journal(&self) {
        // It may be lost already.
        let _gone = std::fs::remove_file(self.folder.join(JOURNAL)).is_err();
    }
}

struct Process {
    listener: Listener,
    egress: Egress,
    config: Config,
    folder: PathBuf,
    generations: Generations,
    left: Left,
}

impl Process {
    async fn run(self) {
        let Self { listener, egress, config, folder, generations, left } = self;
        let (journal, restored) = Journal::open(&folder.join(JOURNAL), RULES.rules).unwrap();
        let control = Control {
            identity_file: Some(folder.join("identity")),
            ..config.control.clone().unwrap()
        };
        let mut plane = ControlPlane::new(&control, egress.clone()).unwrap();
        plane.uptime = now;
        let identity = Arc::new(Identity::open(&control, None, &config.node.name).unwrap());
        let store = Arc::new(Store::new(LIMITS));
        store.rules().restore(restored.head, restored.rules);
        if let Some((journal, before)) = left.lock().replace((restored.identity, store.clone()))
            && journal == restored.identity
        {
            store.succeed(&before);
        }
        store.rules().fence(plane.starts_fenced(restored.followed));
        let (metrics, rules) = (Arc::new(Metrics::new(&Served::NAMES)), store.clone());
        let proxy = proxy(&config, &generations, &egress, &store, &metrics);
        identity.begin();
        let purger = Purger::new(PurgerParts {
            store,
            journal: Some(Arc::new(Mutex::new(journal))),
            resolve: resolve_by(&proxy),
            barrier: Box::new(EventLoops::new(vec![Handle::current()])),
            metrics,
            clock: Instant::now,
            recent_max: 16,
            pending_max: 1000,
            follows: Some(restored.followed),
            config: config.purge.clone(),
        });
        let facts = NodeFacts {
            name: config.node.name.clone(),
            region: config.node.region.clone(),
            role: config.node.role.as_str(),
            version: "simulated",
        };
        let (_says, says) = watch::channel(Value::Null);
        let beside = Beside { says, hears: Box::new(|_| {}), figures: Box::new(|| Value::Null) };
        let follower = plane.follower(facts, &identity, restored.followed, &purger, beside);
        tokio::spawn(follower.run());
        let door = PublicDoor::new(proxy, proof_of_edges(&config).unwrap()).by(calendar);
        let is_fenced = move || rules.rules().is_fenced();
        serve(listener, Witness { handler: door, is_fenced }).await;
    }
}

fn proxy(
    config: &Config,
    generations: &Generations,
    egress: &Egress,
    store: &Arc<Store>,
    metrics: &Arc<Metrics>,
) -> Arc<Proxy> {
    let log = AccessConfig { target: Target::Off, format: Format::Json, queue_bytes_max: 0 };
    let log = AccessLog::open(&log, metrics.access_log_dropped().clone()).unwrap();
    let parts = Parts {
        routing: routing(config, generations, egress, metrics, None).unwrap(),
        store: store.clone(),
        flights: 100,
        // By the machine's own clock: for ever, or not at all.
        hit_for_miss: (100, Duration::ZERO),
        refresh_pause: Duration::ZERO,
        metrics: metrics.clone(),
        log: Arc::new(log),
    };
    let config = ProxyConfig {
        name: config.node.name.clone(),
        max_object: 2000,
        slice: 1024,
        catch_up: config.peer.as_ref().map_or(Duration::ZERO, |peer| peer.catch_up),
        collapse_wait: Duration::from_millis(600),
        relay_window: 512,
        linger: Duration::from_secs(30),
        tunnels: 8,
        compress_threads: 1,
        compressions: 8,
    };
    Arc::new(Proxy::new(config, parts))
}

/// Serves the connections of a listener for ever.
pub(super) async fn serve<H: Handler>(listener: Listener, handler: H) {
    let front = Arc::new(Front {
        handler: Arc::new(handler),
        limits: Arc::new(Limits::default()),
        gate: Gate::new(0, 0),
        observer: Arc::new(()),
    });
    // Never begins.
    let (_drain, watch) = Drain::new();
    loop {
        let (stream, client) = listener.accept().await;
        let (front, watch) = (front.clone(), watch.clone());
        tokio::spawn(async move { front.cleartext(stream, client, watch).await });
    }
}
