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
        self.metrics.connection_opened(label(protocol));
    }

    fn closed(&self, protocol: Protocol) {
        self.metrics.connection_closed(label(protocol));
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

fn label(protocol: Protocol) -> metrics::Protocol {
    match protocol {
        Protocol::Http1 { .. } => metrics::Protocol::H1,
        Protocol::Http2 => metrics::Protocol::H2,
        Protocol::Http3 => metrics::Protocol::H3,
    }
}
