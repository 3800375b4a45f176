//! The admin door of a node, asked over HTTP/1.1.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{Ask, Client, Place, Protocol, Seen};
use super::{TestNode, within};

/// The door.
pub(crate) struct Door(Client);

impl Door {
    /// Of a node in this process.
    pub(crate) async fn of(node: &TestNode) -> Self {
        Self::at(node.admin(), Arc::new(Place::of(node))).await
    }

    /// At an address; of `place` only the trust is used.
    pub(crate) async fn at(address: SocketAddr, place: Arc<Place>) -> Self {
        let tls = place.tls.clone();
        let place = Place { http: address, https: address, tls, is_secure: false };
        Self(Client::to(Arc::new(place), Protocol::H1).await.unwrap())
    }

    /// Asks for a path.
    pub(crate) async fn get(&self, path: &str) -> Seen {
        let ask = Ask::get(path).host("localhost");
        within(path, self.0.ask(ask)).await.unwrap()
    }

    /// Purges, waits, and gives the receipt, which must be complete.
    pub(crate) async fn purge(&self, command: Value) -> Value {
        let asked = self.0.ask(purging("?wait=true", &command));
        let seen = within("a receipt", asked).await.unwrap();
        assert_eq!(seen.status, 200, "{}", seen.text());
        let receipt: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(receipt["data"]["state"], "complete", "{receipt}");
        receipt
    }

    /// Purges, and gives the receipt as it is at once.
    pub(crate) async fn begins_to_purge(&self, command: Value) -> Value {
        let seen = within("a receipt", self.0.ask(purging("", &command))).await.unwrap();
        serde_json::from_slice(&seen.body).unwrap()
    }

    /// What a purge would hit.
    pub(crate) async fn dry_run(&self, command: Value) -> Value {
        let asked = self.0.ask(purging("?dry_run=true", &command));
        let seen = within("a dry run", asked).await.unwrap();
        assert_eq!(seen.status, 200, "{}", seen.text());
        serde_json::from_slice(&seen.body).unwrap()
    }

    /// Purges on a node that may end meanwhile; whether the receipt is complete.
    pub(crate) async fn tries_to_purge(&self, command: Value) -> bool {
        let seen = within("a receipt", self.0.ask(purging("?wait=true", &command))).await;
        seen.is_ok_and(|seen| {
            let receipt: Option<Value> = serde_json::from_slice(&seen.body).ok();
            seen.status == 200 && receipt.is_some_and(|told| told["data"]["state"] == "complete")
        })
    }

    /// Purges a URL.
    pub(crate) async fn purge_url(&self, url: &str) -> Value {
        self.purge(json!({ "kind": "url", "value": url })).await
    }

    /// The sum of the samples whose line begins so: a metric's name, and labels if need be.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let metrics = self.get("/metrics").await;
        let values = metrics.text().lines().filter(|sample| sample.starts_with(line));
        values.map(|sample| sample.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Sends JSON to a path, which must be taken; what is told.
    pub(crate) async fn post(&self, path: &str, json: Value) -> Value {
        let ask = Ask::new("POST", path).host("localhost");
        let ask = ask.field("content-type", "application/json").content(json.to_string());
        let seen = within(path, self.0.ask(ask)).await.unwrap();
        assert_eq!(seen.status, 200, "{}", seen.text());
        let told: Value = serde_json::from_slice(&seen.body).unwrap();
        told["data"].clone()
    }

    /// Deletes what is at a path.
    pub(crate) async fn delete(&self, path: &str) {
        let ask = Ask::new("DELETE", path).host("localhost");
        let seen = within(path, self.0.ask(ask)).await.unwrap();
        assert_eq!(seen.status, 200, "{}", seen.text());
    }

    /// What an endpoint tells.
    pub(crate) async fn data(&self, path: &str) -> Value {
        let told: Value = serde_json::from_slice(&self.get(path).await.body).unwrap();
        told["data"].clone()
    }
}

/// The request for a purge, with a `query` or none.
fn purging(query: &str, command: &Value) -> Ask {
    let ask = Ask::new("POST", &format!("/v1/purges{query}")).host("localhost");
    ask.field("content-type", "application/json").content(command.to_string())
}
