//! SIGTERM: readiness off first, what was begun is finished, nothing is cut.

use futures_util::future::join_all;

use crate::support::client::{Client, Opened};
use crate::support::door::Door;
use crate::support::process::NodeProcess;
use crate::support::wire::Wire;
use crate::support::{Ask, Gate, Origin, Protocol, Reply, Setup, eventually, within};

const PROTOCOLS: [Protocol; 3] = [Protocol::H1, Protocol::H2, Protocol::H3];

#[tokio::test]
async fn what_was_begun_is_finished() {
    const EACH: usize = 20;
    let origin = Origin::start().await;
    let (head, rest) = (Gate::new(), Gate::new());
    let large = vec![b'x'; 1 << 20];
    origin.on("/body", Reply::fresh(large.clone()).gate(&rest).piece("end"));
    origin.on("/head", Reply::fresh("late").held(&head));
    let node = NodeProcess::start(&Setup::new(&origin)).await;
    let door = Door::at(node.address("admin"), node.place()).await;
    assert_eq!(door.get("/readyz").await.status, 200);

    let clients: Vec<Client> = join_all(
        PROTOCOLS
            .iter()
            .cycle()
            .take(3 * EACH)
            .map(async |protocol| Client::to(node.place(), *protocol).await.unwrap()),
    )
    .await;
    // Of each client one response is on its way, and one is still waited for.
    let begun = join_all(clients.iter().map(|client| client.open(Ask::get("/body")))).await;
    let mut begun: Vec<Opened> = begun.into_iter().map(Result::unwrap).collect();
    for response in &mut begun {
        response.at_least(1).await.unwrap();
    }
    let waiting = clients.iter().enumerate().map(async |(index, client)| {
        // Each on its own, so that the origin tells when all have come.
        client.ask(Ask::get(&format!("/head?{index}"))).await
    });
    let draining = async {
        origin.until_asked(1 + clients.len()).await;
        node.signal("TERM");
        let unready = async || door.get("/readyz").await.status == 503;
        eventually("readiness off", unready).await;
        assert_eq!(door.get("/healthz").await.status, 200);
        head.open();
        rest.open();
    };
    let both = async { tokio::join!(join_all(waiting), draining) };
    let (waited, ()) = within("all", Box::pin(both)).await;
    for answer in waited {
        assert_eq!(answer.unwrap().text(), "late");
    }
    for response in begun {
        let seen = within("the rest", response.whole()).await.unwrap();
        assert!(seen.body.ends_with(b"xend"));
    }
    drop(clients);
    assert!(node.ended().await.success());
}

#[tokio::test]
async fn a_kept_connection_is_told_of_the_end() {
    let origin = Origin::start().await;
    let gate = Gate::new();
    origin.on("/", Reply::ok("x").held(&gate));
    let node = NodeProcess::start(&Setup::new(&origin)).await;
    let mut at_rest = Wire::to(node.address("http")).await;
    let mut busy = Wire::to(node.address("http")).await;
    busy.say("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await;
    origin.until_asked(1).await;
    node.signal("TERM");
    assert_eq!(at_rest.rest().await, "");
    gate.open();
    let (head, body) = busy.response().await;
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert_eq!((body.as_str(), busy.rest().await.as_str()), ("x", ""));
    assert!(node.ended().await.success());
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_end_of_the_drain() {
    let origin = Origin::start().await;
    let never = Gate::new();
    origin.on("/", Reply::ok("x").held(&never));
    let node = NodeProcess::start(&Setup::new(&origin).limits("drain_timeout = \"50ms\"")).await;
    let client = Client::to(node.place(), Protocol::H1).await.unwrap();
    let asking = client.ask(Ask::get("/"));
    let ending = async {
        origin.until_asked(1).await;
        node.signal("INT");
        node.ended().await
    };
    let (cut, ended) = tokio::join!(asking, ending);
    assert!(cut.is_err() && ended.success());
}
