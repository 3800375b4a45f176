//! The nodes of the demo, each by a config as one would write it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::keys::{CA, PEER_SECRET};
use crate::config::Config;
use crate::config::fault::Report;
use crate::node::{Addresses, Node, StartError};

/// The shield's name.
pub(super) const SHIELD: &str = "shield-1";

/// The edges' names.
pub(super) const EDGES: [&str; 2] = ["edge-1", "edge-2"];

/// All of them, in the order in which they start.
pub(super) const NODES: [&str; 3] = [SHIELD, EDGES[0], EDGES[1]];

/// Starts on free ports until they are: one that is free over TCP may be in use over UDP.
const TRIES: usize = 5;

/// What a node is told of the others.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// Of the demo.
    pub(super) folder: PathBuf,
    pub(super) origin: SocketAddr,
    pub(super) control: SocketAddr,
    /// Where the shield serves HTTPS; the shield itself is told of none.
    pub(super) shield: Option<SocketAddr>,
}

/// A node, whether it runs or not.
pub(super) struct Member {
    pub(super) name: &'static str,
    /// Where it is; it keeps its ports while it is stopped.
    pub(super) addresses: Addresses,
    node: Option<Node>,
}

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemberError {
    /// The config that the demo writes is refused.
    #[error("config:\n{0}")]
    Config(Report),
    /// It does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Ports for HTTP, HTTPS and the admin door; 0 is any that is free.
pub(super) type Ports = [u16; 3];

impl Member {
    /// Starts a node on `ports`, or, where they are in use, on others.
    pub(super) fn start(
        name: &'static str,
        around: &Surroundings,
        ports: Ports,
    ) -> Result<Self, MemberError> {
        let mut started = start(name, around, ports);
        for _ in 1..TRIES {
            if matches!(started, Ok(_) | Err(MemberError::Config(_))) {
                break;
            }
            started = start(name, around, [0; 3]);
        }
        let node = started?;
        Ok(Self { name, addresses: node.addresses().clone(), node: Some(node) })
    }

    /// Starts it again where it was.
    pub(super) fn restart(&mut self, around: &Surroundings) -> Result<(), MemberError> {
        let ports = [self.http().port(), self.https().port(), self.admin().port()];
        self.node = Some(start(self.name, around, ports)?);
        Ok(())
    }

    /// The running node, to be stopped.
    pub(super) fn take(&mut self) -> Option<Node> {
        self.node.take()
    }

    /// What it is for.
    pub(super) fn role(&self) -> &'static str {
        role(self.name)
    }

    /// Where it serves HTTP.
    pub(super) fn http(&self) -> SocketAddr {
        self.addresses.http[0]
    }

    /// Where it serves HTTPS, and HTTP/3.
    pub(super) fn https(&self) -> SocketAddr {
        self.addresses.https[0]
    }

    /// Its admin door.
    pub(super) fn admin(&self) -> SocketAddr {
        self.addresses.admin.unwrap_or(self.http())
    }
}

fn start(name: &str, around: &Surroundings, ports: Ports) -> Result<Node, MemberError> {
    let text = config(name, around, ports);
    let config = Config::parse(&text, "demo.toml", &around.folder, &|_| None);
    Ok(Node::start(config.map_err(MemberError::Config)?)?)
}

fn role(name: &str) -> &'static str {
    if name == SHIELD { "shield" } else { "edge" }
}

fn config(name: &str, around: &Surroundings, [http, https, admin]: Ports) -> String {
    let Surroundings { origin, control, shield, .. } = around;
    let role = role(name);
    let mut text = format!(
        r#"
        [node]
        name = "{name}"
        role = "{role}"
        workers = 1
        [listen]
        http = ["127.0.0.1:{http}"]
        https = ["127.0.0.1:{https}"]
        admin = "127.0.0.1:{admin}"
        [tls]
        certificates = [{{ cert = "cert.pem", key = "key.pem" }}]
        [limits]
        drain_timeout = "2s"
        [logging]
        access = "off"
        [control]
        url = "http://{control}"
        token_file = "{name}.token"
        on_control_loss = "revalidate"
        [peer]
        secret_file = "{PEER_SECRET}"
        ca_file = "{CA}"
        [[origin]]
        name = "files"
        servers = [{{ url = "http://{origin}" }}]
        [[site]]
        name = "demo"
        hosts = ["localhost", "127.0.0.1", "[::1]"]
        origin = "files"
        [cache]
        memory = "96MiB"
        "#
    );
    if let Some(shield) = shield {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"
        disk = {{ path = "{name}", size = "64MiB" }}
        [shield]
        nodes = ["https://{shield}"]
        "#
        );
    }
    text
}
