//! Config to parts, in the order of the floors.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::control::ControlPlane;
use super::generations::KeptGenerations;
use super::identity::{Identity, IdentityError};
use super::observe::Observer;
use super::published::Configs;
use super::routing::{proof_of_edges, set_up, sites};
use super::storage::{self, Opened};
use super::{Addresses, StartError};
use crate::admin::{AdminDoor, Life};
use crate::config::Config;
use crate::config::logging::{AccessLog as Target, LogFormat, Logging};
use crate::listener::PublicDoor;
use crate::message::push_field;
use crate::net::{
    CertificateFiles, Certificates, ConnectionObserver, DrainWatch, Front, Gate, Limits, Quic,
    ServerTls, bind,
};
use crate::proxy::{Parts, Proxy, ProxyConfig, Routing, Served};
use crate::purge::{Followed, Follower, SharedJournal};
use crate::telemetry::access_log::{self, AccessConfig, AccessLog};
use crate::telemetry::metrics::Metrics;
use crate::upstream::Egress;

/// How often the certificate files are looked at.
const CERTIFICATE_PERIOD: Duration = Duration::from_secs(5);

/// How long a refresh that brought nothing holds the next one of its key back.
const REFRESH_PAUSE: Duration = Duration::from_secs(2);

/// Bytes that one line of the access log is reckoned at, to turn lines into a bound on memory.
const LOG_LINE: usize = 512;

/// Everything that a node's threads share.
pub(super) struct Assembled {
    pub(super) configs: Mutex<Configs>,
    pub(super) life: Arc<Life>,
    /// Set when the admin door opens.
    pub(super) admin: OnceLock<AdminDoor>,
    /// The control thread's runtime.
    pub(super) runtime: OnceLock<Handle>,
    pub(super) limits: Arc<Limits>,
    pub(super) loops: usize,
    pub(super) front: Front<PublicDoor>,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) quic: Option<Quic>,
    pub(super) proxy: Arc<Proxy>,
    /// Of the keys of the sites.
    pub(super) generations: Arc<Mutex<KeptGenerations>>,
    /// Taken by the purger.
    pub(super) journal: Mutex<Option<SharedJournal>>,
    /// How far it has come in the log that the node follows.
    pub(super) followed: Option<Followed>,
    /// Where that log is, and who this node is to whoever keeps it.
    pub(super) control: Option<(ControlPlane, Arc<Identity>)>,
    /// Set when the log is followed.
    pub(super) follower: OnceLock<Arc<Follower>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Arc<AccessLog>,
    pub(super) drain_timeout: Duration,
}

/// The sockets of a node, before its threads take them.
pub(super) struct Sockets {
    pub(super) addresses: Addresses,
    pub(super) admin: Option<TcpListener>,
    /// Per event loop.
    pub(super) loops: Vec<LoopSockets>,
}

/// The sockets of one event loop.
#[derive(Default)]
pub(super) struct LoopSockets {
    pub(super) http: Vec<TcpListener>,
    /// Each with its `Alt-Svc` line.
    pub(super) https: Vec<(TcpListener, Option<Bytes>)>,
    pub(super) http3: Vec<UdpSocket>,
}

/// Opens and builds everything; no thread runs yet. `own` is the node's own file.
pub(super) fn assemble(own: Config) -> Result<(Assembled, Sockets), StartError> {
    let directory = storage::hold(&own)?;
    let mut configs = Configs::open(own);
    let loops = loops(configs.own());
    let metrics = Arc::new(Metrics::new(&Served::NAMES));
    // Before keys are drawn for the sites: those that are not served have none.
    let (config, (upstreams, rules)) =
        configs.settle(|config| set_up(config, &Egress::of(loops), &metrics, None))?;
    let log = Arc::new(open_log(&config.logging, &metrics)?);
    let limits = Arc::new(limits(&config));
    let tls = match config.tls.certificates.is_empty() {
        true => None,
        false => Some(ServerTls::new(Certificates::load(certificate_files(&config))?)?),
    };
    let http3 = config.listen.http3 && !config.listen.https.is_empty();
    let quic = match tls.as_ref().filter(|_| http3) {
        Some(tls) => Some(Quic::new(tls.quic(), &limits)?),
        None => None,
    };
    let control = config.control.as_ref().map(|control| ControlPlane::new(control, Egress::of(1)));
    let control = control.transpose()?;
    let Opened { store, journal, followed, generations } =
        storage::open(&config, directory, &metrics)?;
    let sites = sites(&config, rules, generations.lock().used(), &metrics);
    let routing = Routing { sites, upstreams };
    let identity = identity(&config)?.map(Arc::new);
    // Before the first request: whoever follows says when it comes down.
    store.rules().fence(control.as_ref().is_some_and(|control| control.starts_fenced(followed)));
    let proxy = Arc::new(Proxy::new(
        proxy_config(&config, store.whole_max()),
        Parts {
            routing,
            store: Arc::new(store),
            flights: config.cache.flights,
            hit_for_miss: (config.cache.flights as u64, config.cache.hit_for_miss),
            refresh_pause: REFRESH_PAUSE,
            metrics: metrics.clone(),
            log: log.clone(),
        },
    ));
    let gate = Gate::new(config.limits.connections, config.limits.connections_per_address);
    let observer: Arc<dyn ConnectionObserver> = Arc::new(Observer::new(metrics.clone()));
    let handler = Arc::new(PublicDoor::new(proxy.clone(), proof_of_edges(&config)?));
    let front = Front { handler, limits: limits.clone(), gate, observer };
    let sockets = sockets(&config, loops, quic.is_some())?;
    // Last of what may fail: a start that fails is not one that anybody hears of.
    identity.iter().for_each(|identity| identity.begin());
    let assembled = Assembled {
        drain_timeout: config.limits.drain_timeout,
        configs: Mutex::new(configs),
        life: Arc::default(),
        admin: OnceLock::new(),
        runtime: OnceLock::new(),
        limits,
        loops,
        front,
        tls,
        quic,
        proxy,
        generations,
        journal: Mutex::new(journal),
        followed,
        control: control.zip(identity),
        follower: OnceLock::new(),
        metrics,
        log,
    };
    Ok((assembled, sockets))
}

impl Assembled {
    /// Reloads certificates when their files change.
    pub(super) fn watch_certificates(&self, drain: DrainWatch) {
        if let Some(tls) = &self.tls {
            tokio::spawn(tls.certificates().clone().watch(CERTIFICATE_PERIOD, drain));
        }
    }
}

/// Who this node is to the control plane, if it has one.
fn identity(config: &Config) -> Result<Option<Identity>, IdentityError> {
    let open = |control| Identity::open(control, config.cache.disk.as_ref(), &config.node.name);
    config.control.as_ref().map(open).transpose()
}

fn loops(config: &Config) -> usize {
    match config.node.workers {
        0 => available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

pub(super) fn certificate_files(config: &Config) -> Vec<CertificateFiles> {
    let pairs = config.tls.certificates.iter();
    pairs.map(|pair| CertificateFiles { cert: pair.cert.clone(), key: pair.key.clone() }).collect()
}

fn proxy_config(config: &Config, whole_max: u64) -> ProxyConfig {
    ProxyConfig {
        name: config.node.name.clone(),
        max_object: config.cache.max_object.0.min(whole_max),
        // Memory is to hold several.
        slice: config.cache.slice.0.min(config.cache.memory.0 / 4),
        catch_up: config.peer.as_ref().map_or(Duration::ZERO, |peer| peer.catch_up),
        collapse_wait: config.cache.collapse_wait,
        relay_window: config.limits.relay_window.0,
        linger: config.purge.linger,
        tunnels: config.limits.tunnels,
        compress_threads: match config.cache.compress_threads {
            0 => available_parallelism().map_or(1, NonZero::get).div_ceil(2),
            threads => threads,
        },
        compressions: config.cache.compressions,
    }
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        requests_per_connection: limits.requests_per_connection as u64,
        streams: u32::try_from(limits.streams).unwrap_or(u32::MAX),
        resets_per_connection: u32::try_from(limits.resets_per_connection).unwrap_or(u32::MAX),
        headers: limits.headers,
        header_bytes: limits.header_bytes.as_usize(),
        url: limits.url.as_usize(),
        request_body: limits.request_body.0,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        tunnel_idle_timeout: limits.tunnel_idle_timeout,
        request_timeout: limits.request_timeout,
        handshake_timeout: limits.handshake_timeout,
        min_rate: limits.min_rate.0.0,
        min_rate_grace: limits.min_rate_grace,
        half_close: limits.half_close,
        connection_buffer: limits.connection_buffer.as_usize(),
    }
}

fn open_log(logging: &Logging, metrics: &Metrics) -> Result<AccessLog, StartError> {
    let target = match &logging.access {
        Target::Stdout => access_log::Target::Stdout,
        Target::Stderr => access_log::Target::Stderr,
        Target::Off => access_log::Target::Off,
        Target::File(path) => access_log::Target::File(path.clone()),
    };
    let format = match logging.format {
        LogFormat::Json => access_log::Format::Json,
        LogFormat::Common => access_log::Format::Common,
    };
    let config = AccessConfig { target, format, queue_bytes_max: logging.queue * LOG_LINE };
    Ok(AccessLog::open(&config, metrics.access_log_dropped().clone())?)
}

fn sockets(config: &Config, loops: usize, http3: bool) -> Result<Sockets, StartError> {
    let mut each: Vec<LoopSockets> = (0..loops).map(|_| LoopSockets::default()).collect();
    let mut addresses = Addresses::default();
    for &address in &config.listen.http {
        let listeners = bind::tcp(address, loops)?;
        addresses.http.extend(bound(&listeners));
        each.iter_mut().zip(listeners).for_each(|(at, listener)| at.http.push(listener));
    }
    for &address in &config.listen.https {
        let listeners = bind::tcp(address, loops)?;
        let Some(real) = bound(&listeners) else { continue };
        addresses.https.push(real);
        if http3 {
            let sockets = bind::udp(real, loops)?;
            each.iter_mut().zip(sockets).for_each(|(at, socket)| at.http3.push(socket));
        }
        let alt_svc = http3.then(|| alt_svc(real.port()));
        let pairs = each.iter_mut().zip(listeners);
        pairs.for_each(|(at, listener)| at.https.push((listener, alt_svc.clone())));
    }
    let admin = bind::tcp(config.listen.admin, 1)?;
    addresses.admin = bound(&admin);
    Ok(Sockets { addresses, admin: admin.into_iter().next(), loops: each })
}

fn bound(listeners: &[TcpListener]) -> Option<SocketAddr> {
    listeners.first()?.local_addr().ok()
}

/// RFC 7838 section 3, for a day.
fn alt_svc(port: u16) -> Bytes {
    let mut line = Vec::new();
    push_field(&mut line, "alt-svc", format!("h3=\":{port}\"; ma=86400").as_bytes());
    line.into()
}
