//! Origin, node and client in a row.

use std::sync::Arc;

use super::client::{Ask, Client, Place, Protocol, Seen};
use super::{Origin, Setup, TestNode, within};

/// What most cases need.
pub(crate) struct Scene {
    pub(crate) protocol: Protocol,
    pub(crate) origin: Origin,
    pub(crate) node: TestNode,
    pub(crate) client: Client,
}

impl Scene {
    /// A plain node.
    pub(crate) async fn new(protocol: Protocol) -> Self {
        Self::with(protocol, |setup| setup).await
    }

    /// A node of one's own.
    pub(crate) async fn with(protocol: Protocol, set: impl FnOnce(Setup) -> Setup) -> Self {
        let origin = Origin::start().await;
        let node = set(Setup::new(&origin)).start();
        let client = Client::of(&node, protocol).await;
        Self { protocol, origin, node, client }
    }

    /// Asks by GET.
    pub(crate) async fn get(&self, target: &str) -> Seen {
        self.client.get(target).await
    }

    /// Asks.
    pub(crate) async fn ask(&self, ask: Ask) -> Seen {
        within("a response", self.client.ask(ask)).await.unwrap()
    }

    /// Asks by GET with one field.
    pub(crate) async fn get_with(&self, target: &str, name: &str, value: &str) -> Seen {
        self.ask(Ask::get(target).field(name, value)).await
    }

    /// Where the node is.
    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::new(Place::of(&self.node))
    }

    /// So many clients more.
    pub(crate) async fn crowd(&self, count: usize) -> Vec<Client> {
        Client::crowd(&self.node, self.protocol, count).await
    }
}
