//! What a scrape does: sums the shards into the families that `prometheus` encodes. Uses nothing
//! of ours.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::labels::{Protocol, STATUS_SLOTS, Source, Tier, status_label};
use super::names::{self, Declared};
use super::shard::BOUNDS;
use super::{CONSTANTS, Hot, SITES_MAX};

/// The declarations of the hot metrics, and where their values are.
pub(super) struct HotMetrics {
    hot: Arc<Hot>,
    requests: Desc,
    seconds: Desc,
    hits: Desc,
    misses: Desc,
    bytes: Desc,
    collapsed: Desc,
    connections: Desc,
}

impl Collector for HotMetrics {
    fn desc(&self) -> Vec<&Desc> {
        vec![
            &self.requests,
            &self.seconds,
            &self.hits,
            &self.misses,
            &self.bytes,
            &self.collapsed,
            &self.connections,
        ]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let hot = &self.hot;
        let sites = hot.site_names();
        let tiers = |read: &dyn Fn(usize) -> u64, desc: &Desc| {
            let value = |tier: Tier| counter(desc, &[tier.label()], read(tier as usize));
            family(desc, proto::MetricType::COUNTER, Tier::ALL.map(value).into())
        };
        let collapsed = hot.shards.sum(|shard| shard.collapsed.load(Relaxed));
        vec![
            family(&self.requests, proto::MetricType::COUNTER, self.request_counters(&sites)),
            family(&self.seconds, proto::MetricType::HISTOGRAM, self.histograms()),
            tiers(&|tier| hot.shards.sum(|shard| shard.hits[tier].load(Relaxed)), &self.hits),
            tiers(&|tier| hot.shards.sum(|shard| shard.misses[tier].load(Relaxed)), &self.misses),
            family(&self.bytes, proto::MetricType::COUNTER, self.byte_counters(&sites)),
            family(
                &self.collapsed,
                proto::MetricType::COUNTER,
                vec![counter(&self.collapsed, &[], collapsed)],
            ),
            family(&self.connections, proto::MetricType::GAUGE, self.connection_gauges()),
        ]
    }
}

impl HotMetrics {
    pub(super) fn new(hot: Arc<Hot>) -> Self {
        Self {
            hot,
            requests: desc(names::REQUESTS),
            seconds: desc(names::REQUEST_SECONDS),
            hits: desc(names::HITS),
            misses: desc(names::MISSES),
            bytes: desc(names::BYTES),
            collapsed: desc(names::COLLAPSED),
            connections: desc(names::CONNECTIONS),
        }
    }

    fn request_counters(&self, sites: &[(usize, String)]) -> Vec<proto::Metric> {
        let results = &self.hot.results;
        let mut metrics = Vec::new();
        let mut totals = vec![0; Protocol::ALL.len() * results.len() * STATUS_SLOTS];
        for (site, name) in sites {
            totals.fill(0);
            self.hot.shards.each(|shard| {
                if let Some(block) = shard.site_if_used(*site) {
                    block.add_requests_to(&mut totals);
                }
            });
            for (index, total) in totals.iter().enumerate().filter(|(_, total)| **total > 0) {
                let (row, slot) = (index / STATUS_SLOTS, index % STATUS_SLOTS);
                let protocol = Protocol::ALL[row / results.len()].label();
                let result = results[row % results.len()];
                let values = [name, protocol, status_label(slot), result];
                metrics.push(counter(&self.requests, &values, *total));
            }
        }
        metrics
    }

    fn byte_counters(&self, sites: &[(usize, String)]) -> Vec<proto::Metric> {
        let mut metrics = Vec::new();
        for (site, name) in sites {
            for source in Source::ALL {
                let total = self.hot.bytes_from(*site, source);
                if total > 0 {
                    metrics.push(counter(&self.bytes, &[name, source.label()], total));
                }
            }
        }
        metrics
    }

    fn histograms(&self) -> Vec<proto::Metric> {
        let mut metrics = Vec::new();
        for (index, result) in self.hot.results.iter().enumerate() {
            let mut counts = [0; BOUNDS.len() + 1];
            let mut sum_nanos: u64 = 0;
            self.hot.shards.each(|shard| {
                let seconds = &shard.seconds[index];
                for (count, bucket) in counts.iter_mut().zip(&seconds.buckets) {
                    *count += bucket.load(Relaxed);
                }
                sum_nanos = sum_nanos.wrapping_add(seconds.sum_nanos.load(Relaxed));
            });
            if counts.iter().any(|count| *count > 0) {
                metrics.push(histogram(&self.seconds, result, &counts, sum_nanos));
            }
        }
        metrics
    }

    fn connection_gauges(&self) -> Vec<proto::Metric> {
        let gauge = |(protocol, open): (Protocol, u64)| {
            let mut value = proto::Gauge::default();
            value.set_value(open as f64);
            let mut metric = labelled(&self.connections, &[protocol.label()]);
            metric.set_gauge(value);
            metric
        };
        self.hot.connections().map(gauge).into()
    }
}

impl Hot {
    /// Connections open now, by protocol.
    pub(super) fn connections(&self) -> [(Protocol, u64); Protocol::ALL.len()] {
        Protocol::ALL.map(|protocol| {
            let sum = self.shards.sum(|shard| shard.connections[protocol as usize].load(Relaxed));
            // A scrape between two additions on two threads may read the closing one alone.
            (protocol, u64::try_from(sum.cast_signed()).unwrap_or(0))
        })
    }

    /// Body bytes sent for a site.
    pub(super) fn bytes(&self, site: usize) -> u64 {
        Source::ALL.map(|source| self.bytes_from(site, source)).iter().sum()
    }

    fn bytes_from(&self, site: usize, source: Source) -> u64 {
        self.shards.sum(|shard| {
            let block = shard.site_if_used(site);
            block.map_or(0, |block| block.bytes[source as usize].load(Relaxed))
        })
    }

    /// The sites with their indices, and the index that stands for all beyond the bound.
    fn site_names(&self) -> Vec<(usize, String)> {
        let sites = self.sites.lock();
        let beyond = (SITES_MAX - 1, "other".to_owned());
        sites.iter().cloned().enumerate().chain([beyond]).collect()
    }
}

fn desc(declared: Declared) -> Desc {
    let labels = declared.labels.iter().map(|label| (*label).to_owned()).collect();
    let (name, help) = (declared.name.to_owned(), declared.help.to_owned());
    Desc::new(name, help, labels, Default::default()).expect(CONSTANTS)
}

fn family(
    desc: &Desc,
    kind: proto::MetricType,
    metrics: Vec<proto::Metric>,
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(desc: &Desc, values: &[&str], total: u64) -> proto::Metric {
    let mut value = proto::Counter::default();
    value.set_value(total as f64);
    let mut metric = labelled(desc, values);
    metric.set_counter(value);
    metric
}

fn histogram(desc: &Desc, result: &str, counts: &[u64], sum_nanos: u64) -> proto::Metric {
    let mut cumulative = 0;
    let buckets = BOUNDS.iter().zip(counts).map(|(bound, count)| {
        cumulative += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound.as_secs_f64());
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut value = proto::Histogram::default();
    value.set_bucket(buckets.collect());
    value.set_sample_count(counts.iter().sum());
    value.set_sample_sum(sum_nanos as f64 / 1e9);
    let mut metric = labelled(desc, &[result]);
    metric.set_histogram(value);
    metric
}

fn labelled(desc: &Desc, values: &[&str]) -> proto::Metric {
    debug_assert_eq!(desc.variable_labels.len(), values.len(), "one value a label");
    let pairs = desc.variable_labels.iter().zip(values).map(|(name, value)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name(name.clone());
        pair.set_value((*value).to_owned());
        pair
    });
    proto::Metric::from_label(pairs.collect())
}
