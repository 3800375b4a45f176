//! A control plane in one process: assembled, served on a thread of its own, drained.
//!
//! ```text
//!  caller ── start ─── thread control: door, receipts, leases, certificate watch
//!                      blocking threads: the log's file, the registrations
//!                      on NATS: the stream's keeper, the contest for the lead
//! ```

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::audit::{Audit, NotRegular};
use super::door::{ControlDoor, DoorParts};
use super::fleet::FleetBounds;
use super::home::{Home, HomeError};
use super::lead::Contest;
use super::publish::Publisher;
use super::{OpenError, Plane, PlaneParts, clock};
use crate::config::control_plane::{self as config, Backend, ControlPlane, Fleet, PurgeLog};
use crate::config::tls::Tls;
use crate::door::{Life, State};
use crate::net::bind::{self, BindError};
use crate::net::{
    CertificateFiles, Certificates, Drain, DrainWatch, Front, Gate, Limits, ServerTls, TlsFault,
};

/// How often the certificate files are looked at.
const CERTIFICATE_PERIOD: Duration = Duration::from_secs(5);

/// Threads for what blocks: the log's file, the registrations, certificates.
const BLOCKING_THREADS: usize = 4;

/// Stands for ever where a time is not limited.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// Bytes of answers that wait in one connection for a slow node.
const CONNECTION_BUFFER: usize = 64 << 10;

/// A control plane that serves.
pub struct Control {
    address: SocketAddr,
    /// What it was started with, and runs by but for tokens and certificates.
    config: ControlPlane,
    door: ControlDoor,
    tls: Option<Arc<ServerTls>>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// Why a control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate cannot be used.
    #[error("certificates: {0}")]
    Certificates(#[from] TlsFault),
    /// The audit's file is none.
    #[error(transparent)]
    Audit(#[from] NotRegular),
    /// The log cannot be opened.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The log or the registrations cannot be read.
    #[error(transparent)]
    Plane(#[from] OpenError),
    /// A thread cannot be started.
    #[error("thread: {0}")]
    Thread(#[from] io::Error),
    /// The TLS library refused its settings.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Control {
    /// Opens the log, binds the address, and serves.
    ///
    /// # Errors
    /// What cannot be had. Nothing is left running then.
    pub fn start(config: ControlPlane) -> Result<Self, StartError> {
        let started = config.clone();
        let ControlPlane {
            listen,
            tls,
            fleet,
            purge_log,
            purge,
            publish,
            audit,
            limits,
            tokens,
            hooks,
            ..
        } = config;
        let tls = match tls.certificates.is_empty() {
            true => None,
            false => Some(ServerTls::new(Certificates::load(certificate_files(&tls))?)?),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        let home = runtime.block_on(Home::open(&purge_log, fleet.lease))?;
        let Home { log, registry, shelf, lead, contest } = home;
        let bounds = bounds(&fleet, &purge_log);
        let publisher = Publisher::new(shelf, publish);
        let clock = clock::monotonic;
        let parts = PlaneParts { log, registry, lead, publisher, bounds, clock };
        let plane = runtime.block_on(Plane::open(parts))?;
        let listener = bind::tcp(listen.api, 1)?.into_iter().next();
        let listener = listener.ok_or_else(|| io::Error::other("no socket was bound"))?;
        let address = listener.local_addr()?;
        let (drain, watch) = Drain::new();
        // The door holds its own for good: the end of the drain is not waited for there.
        let (feeds, feeds_watch) = Drain::new();
        let life = Arc::new(Life::default());
        let parts = DoorParts {
            version: env!("CARGO_PKG_VERSION"),
            address,
            life: life.clone(),
            plane: plane.clone(),
            audit: Arc::new(open_audit(audit, &purge_log)?),
            metrics: Arc::default(),
            drain: feeds_watch,
            requests_per_second: limits.requests_per_second,
            hooks,
            settle: purge.settle,
            clock,
            calendar: clock::unix_ms,
        };
        let door = ControlDoor::new(parts, tokens);
        let (stop, stopped) = watch::channel(false);
        let serving = Serving {
            life: life.clone(),
            plane,
            contest,
            front: front(door.clone(), limits.connections),
            tls: tls.clone(),
            drain,
            feeds,
            drain_timeout: limits.drain_timeout,
        };
        let thread = std::thread::Builder::new().name("control".to_owned());
        let thread = thread.spawn(move || serving.serve(&runtime, listener, watch, stopped))?;
        life.set(State::Serving);
        Ok(Self { address, config: started, door, tls, stop, thread })
    }

    /// Where it can be reached; port 0 of the config is the real port here.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes tokens and certificates of a new config; all else takes effect after a restart. Tells
    /// the sections for which that matters.
    ///
    /// # Errors
    /// A certificate cannot be used; nothing has changed then.
    pub fn reload(&self, config: ControlPlane) -> Result<Vec<&'static str>, TlsFault> {
        let after_restart = fixed_sections(&self.config, &config);
        if let Some(tls) = &self.tls {
            tls.certificates().reload(Some(certificate_files(&config.tls)))?;
        }
        self.door.reload(config.tokens);
        Ok(after_restart)
    }

    /// Stops gracefully: no longer ready, nothing new is accepted, what was begun is finished
    /// within the configured time. Blocks until the thread has ended.
    pub fn shutdown(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the control thread ended by a panic");
        }
    }
}

/// What the thread runs.
struct Serving {
    life: Arc<Life>,
    plane: Arc<Plane>,
    contest: Option<Contest>,
    front: Front<ControlDoor>,
    tls: Option<Arc<ServerTls>>,
    drain: Drain,
    /// Ends the streams of the log.
    feeds: Drain,
    drain_timeout: Duration,
}

impl Serving {
    fn serve(
        self,
        runtime: &Runtime,
        listener: TcpListener,
        watch: DrainWatch,
        mut stopped: watch::Receiver<bool>,
    ) {
        let Self { life, plane, contest, front, tls, drain, feeds, drain_timeout } = self;
        runtime.block_on(async {
            if let Some(tls) = &tls {
                let certificates = tls.certificates().clone();
                tokio::spawn(certificates.watch(CERTIFICATE_PERIOD, watch.clone()));
            }
            let contest = contest.map(|it| tokio::spawn(it.run(plane.clone(), watch.clone())));
            if contest.is_none() {
                let plane = plane.clone();
                tokio::spawn(async move { plane.publish_on().await });
            }
            tokio::spawn(plane.run(watch.clone()));
            tokio::spawn(async move {
                if let Err(error) = front.tcp(listener, tls, None, watch).await {
                    tracing::error!(%error, "the door failed");
                }
            });
            // An error means that it was dropped without a shutdown.
            let _dropped = stopped.wait_for(|stopped| *stopped).await.is_err();
            life.set(State::Draining);
            drain.begin();
            feeds.begin();
            let done = drain.done();
            if tokio::time::timeout(drain_timeout, done).await.is_err() {
                tracing::warn!(?drain_timeout, "connections are cut at the end of the drain");
            }
            if let Some(contest) = contest
                && contest.await.is_err()
            {
                tracing::error!("the contest for the lead ended by a panic");
            }
        });
    }
}

/// The sections that are read at start alone, and differ.
fn fixed_sections(before: &ControlPlane, after: &ControlPlane) -> Vec<&'static str> {
    // A door that was opened without TLS has none to give certificates to, and the other way.
    let has_tls = |config: &ControlPlane| !config.tls.certificates.is_empty();
    let sections = [
        ("listen", before.listen == after.listen),
        ("tls", has_tls(before) == has_tls(after)),
        ("fleet", before.fleet == after.fleet),
        ("purge_log", before.purge_log == after.purge_log),
        ("purge", before.purge == after.purge),
        ("publish", before.publish == after.publish),
        ("audit", before.audit == after.audit),
        ("limits", before.limits == after.limits),
        ("logging", before.logging == after.logging),
        ("hook", before.hooks == after.hooks),
    ];
    sections.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

fn bounds(fleet: &Fleet, log: &PurgeLog) -> FleetBounds {
    let Fleet { lease, forget, nodes } = *fleet;
    FleetBounds { lease, forget, nodes, receipts: log.receipts }
}

fn open_audit(audit: config::Audit, log: &PurgeLog) -> Result<Audit, NotRegular> {
    let beside_log = (log.backend == Backend::Embedded).then(|| log.path.join("audit.log"));
    match audit.file.or(beside_log) {
        Some(file) => Audit::open(file, audit.events),
        None => Ok(Audit::new(audit.events)),
    }
}

fn certificate_files(tls: &Tls) -> Vec<CertificateFiles> {
    let pairs = tls.certificates.iter();
    pairs.map(|pair| CertificateFiles { cert: pair.cert.clone(), key: pair.key.clone() }).collect()
}

fn front(door: ControlDoor, connections: usize) -> Front<ControlDoor> {
    let limits = Limits {
        // A stream of the log stays open, and may be quiet.
        request_timeout: FOREVER,
        connection_buffer: CONNECTION_BUFFER,
        ..Limits::default()
    };
    Front {
        handler: Arc::new(door),
        limits: Arc::new(limits),
        // Nodes may all come through one address.
        gate: Gate::new(connections, connections),
        observer: Arc::new(()),
    }
}
