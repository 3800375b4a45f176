//! The same for each home; and that of two processes only one writes.

use std::time::Duration;

use super::*;
use crate::control::nats::NatsParts;
use crate::control::nats::server::NatsServer;

fn node(name: &str) -> Registration {
    Registration { name: name.into(), incarnation: 7, serves_on: true, lease: Duration::ZERO }
}

async fn nats(server: &NatsServer) -> NatsRegistry {
    let parts = NatsParts::of(vec![server.url()]);
    NatsRegistry::new(&Nats::connect(parts).await.unwrap()).await.unwrap()
}

/// What is written by one is there for the next.
async fn keeps(one: &dyn Registry, next: &dyn Registry) {
    assert_eq!(one.take_up().await.unwrap(), None);
    for nodes in [vec![node("a"), node("b.\"c")], vec![node("a")], vec![]] {
        one.write(nodes).await.unwrap();
    }
    one.write(vec![node("x"), node("y")]).await.unwrap();
    next.begin().await.unwrap();
    assert_eq!(next.take_up().await.unwrap(), Some(vec![node("x"), node("y")]));
    next.write(vec![node("z")]).await.unwrap();
}

#[tokio::test]
async fn registrations_are_kept_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || FolderRegistry::new(folder.path().to_owned());
    keeps(&open(), &open()).await;
}

#[tokio::test]
async fn registrations_are_kept_on_nats_by_one_at_a_time() {
    let server = NatsServer::start();
    let (one, next) = (nats(&server).await, nats(&server).await);
    keeps(&one, &next).await;
    one.take_up().await.unwrap();
    next.take_up().await.unwrap();
    // What stands there is as it was, and yet no longer its own.
    assert!(one.write(vec![node("late")]).await.is_err());
    next.write(vec![node("z")]).await.unwrap();
    let refused = one.write(vec![node("late")]).await.unwrap_err().to_string();
    assert!(refused.contains("the registrations cannot be written"), "{refused}");
    assert_eq!(one.take_up().await.unwrap(), Some(vec![node("z")]), "it may lead again");
    one.write(vec![node("z"), node("late")]).await.unwrap();
}

#[tokio::test]
async fn registrations_that_no_message_takes_are_refused() {
    let server = NatsServer::start();
    let one = nats(&server).await;
    one.take_up().await.unwrap();
    let many = (0..20_000).map(|n| node(&format!("node-{n}"))).collect();
    let refused = one.write(many).await.unwrap_err().to_string();
    assert!(refused.contains("expected a higher max_payload"), "{refused}");
    one.write(vec![node("a")]).await.unwrap();
}
