//! What the control plane counts.

use std::time::Duration;

#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{Histogram, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{counters, gauge, gauges, histogram, names, register, render};

/// Upper bounds of the buckets of the time to append, in seconds.
const APPEND_BOUNDS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 10.0];

/// All metrics of one control plane.
#[derive(Debug)]
pub struct ControlMetrics {
    registry: Registry,
    nodes: IntGaugeVec,
    feeds: IntGauge,
    heartbeats: IntCounterVec,
    purges: IntCounterVec,
    purge_head: IntGauge,
    receipts_pending: IntGauge,
    append: Histogram,
}

impl Default for ControlMetrics {
    /// Declares all metrics.
    fn default() -> Self {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        register(&registry, Box::new(ProcessCollector::for_self()));
        Self {
            nodes: gauges(&registry, names::CONTROL_NODES),
            feeds: gauge(&registry, names::CONTROL_FEEDS),
            heartbeats: counters(&registry, names::CONTROL_HEARTBEATS),
            purges: counters(&registry, names::CONTROL_PURGES),
            purge_head: gauge(&registry, names::CONTROL_PURGE_HEAD),
            receipts_pending: gauge(&registry, names::CONTROL_RECEIPTS_PENDING),
            append: histogram(&registry, names::CONTROL_APPEND_SECONDS, &APPEND_BOUNDS),
            registry,
        }
    }
}

impl ControlMetrics {
    /// Nodes that stand so; `standing` is one of a few fixed words.
    pub fn nodes(&self, standing: &'static str) -> IntGauge {
        self.nodes.with_label_values(&[standing])
    }

    /// Streams of the log that are open.
    pub fn feeds(&self) -> &IntGauge {
        &self.feeds
    }

    /// Counts a heartbeat.
    pub fn heartbeat(&self, is_granted: bool) {
        let outcome = if is_granted { "granted" } else { "refused" };
        self.heartbeats.with_label_values(&[outcome]).inc();
    }

    /// Counts purges that were appended, and how long that took.
    pub fn appended(&self, purges: u64, took: Duration) {
        self.purges.with_label_values(&["appended"]).inc_by(purges);
        self.append.observe(took.as_secs_f64());
    }

    /// Counts purges that were not appended.
    pub fn refused(&self, purges: u64) {
        self.purges.with_label_values(&["refused"]).inc_by(purges);
    }

    /// Number of the last purge of the log.
    pub fn purge_head(&self) -> &IntGauge {
        &self.purge_head
    }

    /// Receipts that wait for some node.
    pub fn receipts_pending(&self) -> &IntGauge {
        &self.receipts_pending
    }

    /// All metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        render(&self.registry)
    }
}
