//! What is told of an exchange once it is over: one line in the log, one sample in the metrics.

use std::sync::Arc;

use http::StatusCode;

use super::Proxy;
use super::context::{Exchange, Inbound, Served};
use super::linger::Basis;
use crate::message::{Ended, Outcome, Seen};
use crate::semantics::trace::TraceParent;
use crate::site::SiteLabel;
use crate::telemetry::access_log::Entry;
use crate::telemetry::metrics::{self, RequestSample, Source};

/// The status in the log where the client left before there was one (nginx's).
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Proxy {
    /// The exchange is over.
    pub fn ended(&self, exchange: &Exchange, ended: Ended) {
        let status = exchange.status.as_u16();
        let cut = match ended.outcome {
            Outcome::Complete => None,
            Outcome::ClientGone => Some("client-gone"),
            Outcome::Truncated if matches!(exchange.basis, Basis::Cut) => {
                self.metrics.purged_body_cut();
                Some("purged")
            }
            Outcome::Truncated => Some("truncated"),
        };
        self.account(exchange, status, ended.body_bytes, cut.unwrap_or(exchange.reason));
    }

    fn account(&self, exchange: &Exchange, status: u16, bytes: u64, reason: &'static str) {
        let Exchange { inbound, site, served, source, origin_status, .. } = exchange;
        let duration = inbound.arrival.past();
        self.metrics.request(&RequestSample {
            site: site.metric,
            protocol: metrics::Protocol::ALL[inbound.head.peer.protocol.index()],
            status,
            result: served.index(),
            source: *source,
            bytes,
            duration,
        });
        let trace = inbound.trace_id();
        let optional = |seen: Seen, name: &str| match inbound.head.fields.seen().any(seen) {
            true => inbound.head.fields.get(name),
            false => None,
        };
        self.log.log(&Entry {
            unix_millis: inbound.arrival.now.millis(),
            client: inbound.head.peer.address.ip(),
            method: inbound.head.method.as_str().as_bytes(),
            scheme: inbound.head.peer.scheme.as_str(),
            host: &inbound.head.host,
            target: &inbound.head.target,
            protocol: inbound.head.peer.protocol.version(),
            status,
            bytes,
            duration,
            ttfb: None,
            result: served.as_str(),
            reason,
            site: site.name,
            origin_status: *origin_status,
            range: optional(Seen::RANGE, "range"),
            referer: optional(Seen::REFERER, "referer"),
            user_agent: optional(Seen::USER_AGENT, "user-agent"),
            trace_id: trace.as_deref(),
        });
    }
}

impl Inbound {
    /// The trace that the client's `traceparent` names, in hexadecimal.
    fn trace_id(&self) -> Option<String> {
        if !self.head.fields.seen().any(Seen::TRACEPARENT) {
            return None;
        }
        let parent = TraceParent::parse(self.head.fields.get("traceparent")?)?;
        Some(format!("{:032x}", parent.trace_id))
    }
}

/// Tells of a request whose client left before there was a response.
pub(super) struct Departure {
    proxy: Arc<Proxy>,
    exchange: Option<Exchange>,
}

impl Departure {
    /// Watches over a request that has to wait.
    pub(super) fn of(proxy: Arc<Proxy>, exchange: Exchange) -> Self {
        Self { proxy, exchange: Some(exchange) }
    }

    /// There is a response: its own end will be told.
    pub(super) fn stay(mut self) {
        self.exchange = None;
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.proxy.account(&exchange, CLIENT_CLOSED_REQUEST, 0, "client-gone");
        }
    }
}

impl Exchange {
    /// An exchange whose client may leave before there is a response.
    pub(super) fn waiting(inbound: &Inbound, site: SiteLabel) -> Self {
        let inbound = inbound.shared();
        let mut exchange = inbound.exchange(site, Served::Gone, "client-gone");
        exchange.sent(StatusCode::OK, Source::Synthetic);
        exchange
    }
}
