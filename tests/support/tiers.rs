//! Edges behind shields before an origin, purged by a control plane.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Client, Protocol};
use super::control::ControlProcess;
use super::door::Door;
use super::{Origin, Setup, TestNode, eventually};

/// What nodes prove to each other.
const SECRET: &str = "a secret of some length";

/// Two tiers of nodes.
pub(crate) struct Tiers {
    pub(crate) origin: Origin,
    pub(crate) control: ControlProcess,
    pub(crate) shields: Vec<TestNode>,
    pub(crate) edges: Vec<TestNode>,
    folder: TempDir,
}

impl Tiers {
    /// So many `shields` and `edges`, all trusted.
    pub(crate) async fn start(shields: usize, edges: usize) -> Self {
        Self::with(shields, edges, "").await
    }

    /// The same, with more lines for the edges' `[shield]`.
    pub(crate) async fn with(shields: usize, edges: usize, lines: &str) -> Self {
        let (origin, control) = (Origin::start().await, ControlProcess::start().await);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("peer.secret"), SECRET).unwrap();
        let mut tiers = Self { origin, control, shields: vec![], edges: vec![], folder };
        for number in 1..=shields {
            tiers.add_shield(tiers.node(&format!("shield-{number}"))).await;
        }
        for number in 1..=edges {
            tiers.add_edge(&format!("edge-{number}"), lines).await;
        }
        tiers
    }

    /// Starts a shield, which edges that are added later know of.
    pub(crate) async fn add_shield(&mut self, setup: Setup) {
        let shield = setup.shield().tiers(&self.secret()).start();
        is_trusted(&shield).await;
        self.shields.push(shield);
        let authorities = self.shields.iter().map(|shield| fs::read(shield.ca_file()).unwrap());
        let authorities: Vec<u8> = authorities.flatten().collect();
        fs::write(self.folder.path().join("ca.pem"), authorities).unwrap();
    }

    /// Starts an edge behind the shields, with more `lines` for `[shield]`.
    pub(crate) async fn add_edge(&mut self, name: &str, lines: &str) {
        let tables = format!("{}\n{}", self.shield_table(lines), self.peer());
        let edge = self.node(name).tiers(&tables).start();
        is_trusted(&edge).await;
        self.edges.push(edge);
    }

    /// A node of the fleet.
    pub(crate) fn node(&self, name: &str) -> Setup {
        self.control.node(name, "serve", &self.origin)
    }

    /// `[shield]` with all shields.
    pub(crate) fn shield_table(&self, lines: &str) -> String {
        let urls = self.shields.iter().fold(String::new(), |mut urls, shield| {
            write!(urls, "\"https://{}\",", shield.https()).unwrap();
            urls
        });
        format!("[shield]\nnodes = [{urls}]\n{lines}")
    }

    /// `[peer]` of an edge.
    pub(crate) fn peer(&self) -> String {
        format!("{}\nca_file = \"{}\"", self.secret(), self.folder.path().join("ca.pem").display())
    }

    fn secret(&self) -> String {
        let file = self.folder.path().join("peer.secret");
        format!("[peer]\nsecret_file = \"{}\"", file.display())
    }

    /// A client of each edge.
    pub(crate) async fn clients(&self) -> Vec<Client> {
        let mut clients = Vec::new();
        for edge in &self.edges {
            clients.push(Client::of(edge, Protocol::H2).await);
        }
        clients
    }

    /// Purges by the control plane, and waits for the receipt.
    pub(crate) async fn purge(&self, command: Value) -> Value {
        self.control.door().await.purge(command).await
    }
}

/// Waits until a node trusts what it stores.
pub(crate) async fn is_trusted(node: &TestNode) {
    let door = Door::of(node).await;
    let trusted = async || door.data("/v1/status").await["fenced"] == false;
    eventually("a lease", trusted).await;
}
