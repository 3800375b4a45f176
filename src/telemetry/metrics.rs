//! What is counted, and how the rest of the house counts it. The names are in `names.rs`.
//!
//! Hot metrics, those a cache hit touches, live in per-thread shards (`shard.rs`) and are summed
//! by a scrape (`collect.rs`); each event loop calls [`Metrics::attach`] once. All others are
//! plain `prometheus` metrics. Label values come from fixed enums, from the config (sites,
//! origins, upstreams) or from `&'static str`, so nothing a client sends can grow a table.
//! Uses nothing of ours.

mod collect;
mod control;
mod labels;
mod names;
mod shard;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::Collector;
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub use self::control::ControlMetrics;
pub use self::labels::{Protocol, Source, Tier};

use self::collect::HotMetrics;
use self::labels::{outcome_label, status_slot};
use self::names::Declared;
use self::shard::Shards;

/// At most this many sites are told apart; the last index counts all further ones together.
pub const SITES_MAX: usize = 4096;

/// At most this many results can be told apart.
pub const RESULTS_MAX: usize = 64;

/// The site index of a request that no site was found for.
pub const NO_SITE: usize = 0;

/// Upper bounds of the buckets of the time to apply a purge, in seconds.
const PURGE_APPLY_BOUNDS: [f64; 11] =
    [0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// All metrics of one node.
pub struct Metrics {
    registry: Registry,
    hot: Arc<Hot>,
    compressions: IntCounterVec,
    slices: IntCounterVec,
    origin_requests: IntCounterVec,
    shield_requests: IntCounterVec,
    rule_refusals: IntCounterVec,
    store_objects: IntGaugeVec,
    store_bytes: IntGaugeVec,
    evictions: IntCounterVec,
    store_refused: IntCounterVec,
    store_waiting: IntGaugeVec,
    store_index: IntGaugeVec,
    store_short: IntGaugeVec,
    store_aside: IntGaugeVec,
    purge_position: IntGauge,
    purge_lag: IntGauge,
    purge_apply: Histogram,
    purged_objects: IntCounterVec,
    purged_bodies_cut: IntCounter,
    upstream_healthy: IntGaugeVec,
    disk_errors: IntCounter,
    access_log_dropped: IntCounter,
    connections_refused: IntCounterVec,
    tunnels: IntGauge,
    client_resets: IntCounter,
}

/// What is known when the last byte of a response has left, or the client has.
#[derive(Clone, Copy, Debug)]
pub struct RequestSample {
    /// Index from [`Metrics::register_site`], or [`NO_SITE`].
    pub site: usize,
    /// Spoken with the client.
    pub protocol: Protocol,
    /// Status code sent.
    pub status: u16,
    /// Index into the list given to [`Metrics::new`].
    pub result: usize,
    /// Where the body came from.
    pub source: Source,
    /// Body bytes sent.
    pub bytes: u64,
    /// From the first byte of the request's head to the last of the response.
    pub duration: Duration,
}

/// Sums at one moment, for the status page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests answered.
    pub requests: u64,
    /// Body bytes sent.
    pub bytes: u64,
    /// Requests that joined the flight of another.
    pub collapsed: u64,
    /// Client connections open now.
    pub connections: u64,
    hits: [u64; Tier::ALL.len()],
    misses: [u64; Tier::ALL.len()],
}

impl Snapshot {
    /// Look-ups that found a stored response in `tier`.
    pub fn hits(&self, tier: Tier) -> u64 {
        self.hits[tier as usize]
    }

    /// Look-ups that reached `tier` and found none.
    pub fn misses(&self, tier: Tier) -> u64 {
        self.misses[tier as usize]
    }
}

/// What a hit touches: the shards, and the names of their indices.
struct Hot {
    shards: Shards,
    results: Vec<&'static str>,
    /// Position is index. Starts with [`NO_SITE`].
    sites: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Declares all metrics. `results` are the values of the label `result`, at most
    /// [`RESULTS_MAX`]; a position in it is what [`RequestSample::result`] holds.
    pub fn new(results: &[&'static str]) -> Self {
        assert!(!results.is_empty() && results.len() <= RESULTS_MAX, "bounded list of results");
        let hot = Arc::new(Hot {
            shards: Shards::new(SITES_MAX, results.len()),
            results: results.to_vec(),
            sites: Mutex::new(vec!["-".to_owned()]),
        });
        let registry = Registry::new();
        register(&registry, Box::new(HotMetrics::new(Arc::clone(&hot))));
        #[cfg(target_os = "linux")]
        register(&registry, Box::new(ProcessCollector::for_self()));
        Self {
            compressions: counters(&registry, names::COMPRESSIONS),
            slices: counters(&registry, names::SLICES),
            origin_requests: counters(&registry, names::ORIGIN_REQUESTS),
            shield_requests: counters(&registry, names::SHIELD_REQUESTS),
            rule_refusals: counters(&registry, names::RULE_REFUSALS),
            store_objects: gauges(&registry, names::STORE_OBJECTS),
            store_bytes: gauges(&registry, names::STORE_BYTES),
            evictions: counters(&registry, names::EVICTIONS),
            store_refused: counters(&registry, names::STORE_REFUSED),
            store_waiting: gauges(&registry, names::STORE_WAITING),
            store_index: gauges(&registry, names::STORE_INDEX),
            store_short: gauges(&registry, names::STORE_SHORT),
            store_aside: gauges(&registry, names::STORE_ASIDE),
            purge_position: gauge(&registry, names::PURGE_POSITION),
            purge_lag: gauge(&registry, names::PURGE_LAG),
            purge_apply: histogram(&registry, names::PURGE_APPLY_SECONDS, &PURGE_APPLY_BOUNDS),
            purged_objects: counters(&registry, names::PURGED_OBJECTS),
            purged_bodies_cut: counter(&registry, names::PURGED_BODIES_CUT),
            upstream_healthy: gauges(&registry, names::UPSTREAM_HEALTHY),
            disk_errors: counter(&registry, names::DISK_ERRORS),
            access_log_dropped: counter(&registry, names::ACCESS_LOG_DROPPED),
            connections_refused: counters(&registry, names::CONNECTIONS_REFUSED),
            tunnels: gauge(&registry, names::TUNNELS),
            client_resets: counter(&registry, names::CLIENT_RESETS),
            registry,
            hot,
        }
    }

    /// Gives the calling event loop counters of its own until its thread ends. Threads that do
    /// not attach share one spare shard. Attaching again changes nothing.
    pub fn attach(&self) {
        self.hot.shards.attach();
    }

    /// The index of a site, the same at each call with the same name. Indices are never freed:
    /// a site that a reload removes keeps its counts.
    pub fn register_site(&self, name: &str) -> usize {
        let mut sites = self.hot.sites.lock();
        if let Some(index) = sites.iter().position(|known| known == name) {
            return index;
        }
        if sites.len() < SITES_MAX - 1 {
            sites.push(name.to_owned());
            return sites.len() - 1;
        }
        SITES_MAX - 1
    }

    /// Counts a finished request.
    pub fn request(&self, sample: &RequestSample) {
        let site = sample.site.min(SITES_MAX - 1);
        debug_assert!(sample.result < self.hot.results.len(), "an index into the results");
        let result = sample.result.min(self.hot.results.len() - 1);
        let slot = status_slot(sample.status);
        self.hot.shards.here(|shard| {
            let block = shard.site(site);
            block.requests(sample.protocol, result, slot).fetch_add(1, Relaxed);
            block.bytes[sample.source as usize].fetch_add(sample.bytes, Relaxed);
            shard.seconds[result].observe(sample.duration);
        });
    }

    /// Counts a look-up that found a stored response in `tier`.
    pub fn hit(&self, tier: Tier) {
        self.hot.shards.here(|shard| {
            shard.hits[tier as usize].fetch_add(1, Relaxed);
        });
    }

    /// Counts a look-up that reached `tier` and found none there.
    pub fn miss(&self, tier: Tier) {
        self.hot.shards.here(|shard| {
            shard.misses[tier as usize].fetch_add(1, Relaxed);
        });
    }

    /// Counts a request that joined the flight of another.
    pub fn collapsed(&self) {
        self.hot.shards.here(|shard| {
            shard.collapsed.fetch_add(1, Relaxed);
        });
    }

    /// Counts a body that was to be compressed; `result` says what became of it.
    pub fn compression(&self, coding: &'static str, result: &'static str) {
        self.compressions.with_label_values(&[coding, result]).inc();
    }

    /// Counts a client connection that begins to speak `protocol`.
    pub fn connection_opened(&self, protocol: Protocol) {
        self.hot.shards.here(|shard| {
            shard.connections[protocol as usize].fetch_add(1, Relaxed);
        });
    }

    /// Takes back what [`connection_opened`](Self::connection_opened) counted, on any thread.
    pub fn connection_closed(&self, protocol: Protocol) {
        self.hot.shards.here(|shard| {
            shard.connections[protocol as usize].fetch_sub(1, Relaxed);
        });
    }

    /// Counts a client connection closed at once; `reason` names the limit.
    pub fn connection_refused(&self, reason: &'static str) {
        self.connections_refused.with_label_values(&[reason]).inc();
    }

    /// Connections that have left HTTP and are open now, to be kept by whoever opens one.
    pub fn tunnels(&self) -> &IntGauge {
        &self.tunnels
    }

    /// Counts a response that its client broke off.
    pub fn client_reset(&self) {
        self.client_resets.inc();
    }

    /// Counts an exchange with the configured `origin`; `None` if it ended without a status.
    pub fn origin_request(&self, origin: &str, status: Option<u16>) {
        self.origin_requests.with_label_values(&[origin, outcome_label(status)]).inc();
    }

    /// Counts an exchange with the configured `shield`; `None` if it ended without a status.
    pub fn shield_request(&self, shield: &str, status: Option<u16>) {
        self.shield_requests.with_label_values(&[shield, outcome_label(status)]).inc();
    }

    /// Counts a request that an edge rule of a site refused.
    pub fn refused(&self, site: &str, reason: &'static str) {
        self.rule_refusals.with_label_values(&[site, reason]).inc();
    }

    /// Counts a slice that was opened for a response.
    pub fn slice(&self, source: Source) {
        self.slices.with_label_values(&[source.label()]).inc();
    }

    /// States whether requests are sent to the configured `upstream`.
    pub fn set_upstream_healthy(&self, upstream: &str, healthy: bool) {
        self.upstream_healthy.with_label_values(&[upstream]).set(i64::from(healthy));
    }

    /// Forgets an upstream that a reload has removed.
    pub fn remove_upstream(&self, upstream: &str) {
        // An upstream that was never reported has nothing to forget.
        let _ = self.upstream_healthy.remove_label_values(&[upstream]);
    }

    /// Stored responses of `tier`, to be set or kept by it.
    pub fn store_objects(&self, tier: Tier) -> IntGauge {
        self.store_objects.with_label_values(&[tier.label()])
    }

    /// Bytes in use by `tier`, to be set or kept by it.
    pub fn store_bytes(&self, tier: Tier) -> IntGauge {
        self.store_bytes.with_label_values(&[tier.label()])
    }

    /// Stored responses that `tier` removed to make room.
    pub fn evictions(&self, tier: Tier) -> IntCounter {
        self.evictions.with_label_values(&[tier.label()])
    }

    /// Responses that `tier` did not store.
    pub fn store_refused(&self, tier: Tier) -> IntCounter {
        self.store_refused.with_label_values(&[tier.label()])
    }

    /// Bytes of responses that wait to be written to `tier`.
    pub fn store_waiting(&self, tier: Tier) -> IntGauge {
        self.store_waiting.with_label_values(&[tier.label()])
    }

    /// Bytes of memory that the index of `tier` takes.
    pub fn store_index(&self, tier: Tier) -> IntGauge {
        self.store_index.with_label_values(&[tier.label()])
    }

    /// States whether `tier` has no room for its capacity.
    pub fn set_store_short(&self, tier: Tier, short: bool) {
        self.store_short.with_label_values(&[tier.label()]).set(i64::from(short));
    }

    /// States whether nothing is written to `tier`, since it fails.
    pub fn set_store_aside(&self, tier: Tier, aside: bool) {
        self.store_aside.with_label_values(&[tier.label()]).set(i64::from(aside));
    }

    /// Number of the last purge applied and journaled.
    pub fn purge_position(&self) -> &IntGauge {
        &self.purge_position
    }

    /// Purges known to the log and not yet applied here.
    pub fn purge_lag(&self) -> &IntGauge {
        &self.purge_lag
    }

    /// Counts a purge applied, and how long that took from its arrival here.
    pub fn purge_applied(&self, duration: Duration) {
        self.purge_apply.observe(duration.as_secs_f64());
    }

    /// Stored responses that `tier` freed because a purge covers them.
    pub fn purged_objects(&self, tier: Tier) -> IntCounter {
        self.purged_objects.with_label_values(&[tier.label()])
    }

    /// Counts a response on its way that was cut because a purge covers it.
    pub fn purged_body_cut(&self) {
        self.purged_bodies_cut.inc();
    }

    /// Failed reads and writes of the disk tier.
    pub fn disk_errors(&self) -> &IntCounter {
        &self.disk_errors
    }

    /// Lines of the access log that were lost.
    pub fn access_log_dropped(&self) -> &IntCounter {
        &self.access_log_dropped
    }

    /// The sums that the status page shows.
    pub fn snapshot(&self) -> Snapshot {
        let mut sums = Snapshot::default();
        for tier in Tier::ALL {
            let tier = tier as usize;
            sums.hits[tier] = self.hot.shards.sum(|shard| shard.hits[tier].load(Relaxed));
            sums.misses[tier] = self.hot.shards.sum(|shard| shard.misses[tier].load(Relaxed));
        }
        sums.collapsed = self.hot.shards.sum(|shard| shard.collapsed.load(Relaxed));
        sums.connections = self.hot.connections().iter().map(|(_, open)| open).sum();
        sums.requests = self.hot.shards.sum(|shard| {
            let buckets = shard.seconds.iter().flat_map(|seconds| &seconds.buckets);
            buckets.map(|bucket| bucket.load(Relaxed)).sum()
        });
        let sites = self.hot.sites.lock().len();
        sums.bytes = (0..sites).chain([SITES_MAX - 1]).map(|site| self.hot.bytes(site)).sum();
        sums
    }

    /// All metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        render(&self.registry)
    }
}

fn render(registry: &Registry) -> String {
    let encoded = TextEncoder::new().encode_to_string(&registry.gather());
    encoded.unwrap_or_else(|error| format!("# {error}\n"))
}

/// Names, labels and buckets are constants, so a fault in one is our own mistake and shows at the
/// first start.
const CONSTANTS: &str = "metrics are declared correctly and once";

fn counter(registry: &Registry, declared: Declared) -> IntCounter {
    let metric = IntCounter::new(declared.name, declared.help).expect(CONSTANTS);
    register(registry, Box::new(metric.clone()));
    metric
}

fn counters(registry: &Registry, declared: Declared) -> IntCounterVec {
    let options = Opts::new(declared.name, declared.help);
    let metric = IntCounterVec::new(options, declared.labels).expect(CONSTANTS);
    register(registry, Box::new(metric.clone()));
    metric
}

fn gauge(registry: &Registry, declared: Declared) -> IntGauge {
    let metric = IntGauge::new(declared.name, declared.help).expect(CONSTANTS);
    register(registry, Box::new(metric.clone()));
    metric
}

fn gauges(registry: &Registry, declared: Declared) -> IntGaugeVec {
    let options = Opts::new(declared.name, declared.help);
    let metric = IntGaugeVec::new(options, declared.labels).expect(CONSTANTS);
    register(registry, Box::new(metric.clone()));
    metric
}

fn histogram(registry: &Registry, declared: Declared, bounds: &[f64]) -> Histogram {
    let options = HistogramOpts::new(declared.name, declared.help).buckets(bounds.to_vec());
    let metric = Histogram::with_opts(options).expect(CONSTANTS);
    register(registry, Box::new(metric.clone()));
    metric
}

fn register(registry: &Registry, metric: Box<dyn Collector>) {
    registry.register(metric).expect(CONSTANTS);
}
