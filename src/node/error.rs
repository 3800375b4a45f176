//! Why a node does not start.

use std::io;

use super::control::ControlFault;
use super::generations::GenerationsError;
use super::identity::IdentityError;
use super::routing::RoutingFault;
use crate::net::bind::BindError;
use crate::net::{QuicConfigError, TlsFault};
use crate::purge::JournalError;
use crate::store;
use crate::telemetry::access_log;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The access log cannot be opened.
    #[error("logging.access: {0}")]
    AccessLog(#[from] access_log::OpenError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate cannot be used.
    #[error("certificates: {0}")]
    Certificates(#[from] TlsFault),
    /// An origin or a shield cannot be set up.
    #[error(transparent)]
    Routing(#[from] RoutingFault),
    /// The cache folder cannot be used.
    #[error(transparent)]
    Cache(#[from] store::OpenError),
    /// What the sites' keys are made of cannot be kept.
    #[error(transparent)]
    Generations(#[from] GenerationsError),
    /// The journal of the purges cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The control plane cannot be asked.
    #[error(transparent)]
    Control(#[from] ControlFault),
    /// Another process is this node.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// QUIC cannot be served.
    #[error("HTTP/3: {0}")]
    Quic(#[from] QuicConfigError),
    /// A thread cannot be started.
    #[error("thread: {0}")]
    Thread(#[source] io::Error),
    /// The TLS library refused its settings.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}
