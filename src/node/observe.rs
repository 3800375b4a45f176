//! Connections into metrics.

use std::io;
use std::sync::Arc;

use crate::message::Protocol;
use crate::net::{ConnectionObserver, HandshakeError, Refusal};
use crate::telemetry::metrics::{self, Metrics};

/// Counts connections.
#[derive(Debug)]
pub(super) struct Observer {
    metrics: Arc<Metrics>,
}

impl Observer {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl ConnectionObserver for Observer {
    fn opened(&self, protocol: Protocol) {
        self.metrics.connection_opened(metrics::Protocol::ALL[protocol.index()]);
    }

    fn closed(&self, protocol: Protocol) {
        self.metrics.connection_closed(metrics::Protocol::ALL[protocol.index()]);
    }

    fn refused(&self, refusal: Refusal) {
        self.metrics.connection_refused(refusal.as_str());
    }

    fn handshake_failed(&self, error: &HandshakeError) {
        self.metrics.connection_refused(error.as_str());
    }

    fn accept_failed(&self, error: &io::Error) {
        tracing::warn!(%error, "cannot accept a connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_own_label_in_the_metrics() {
        for protocol in [Protocol::Http1 { minor: 0 }, Protocol::Http2, Protocol::Http3] {
            let label = metrics::Protocol::ALL[protocol.index()].label();
            assert_eq!(label, protocol.as_str());
        }
    }
}
