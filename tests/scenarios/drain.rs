//! SIGTERM: readiness off first, what was begun is finished, nothing is cut.

use std::error::Error;
use std::io;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::support::client::{Client, Opened, Place};
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
async fn a_load_that_runs_on_loses_no_request() {
    const EACH: usize = 8;
    let origin = Origin::start().await;
    origin.on("/hit", Reply::fresh("hello"));
    origin.on("/pass", Reply::ok("hello").field("cache-control", "no-store"));
    let node = NodeProcess::start(&Setup::new(&origin)).await;
    let (answered, mut passed) = watch::channel(0_usize);
    let answered = Arc::new(answered);
    let protocols = PROTOCOLS.iter().cycle().take(EACH * PROTOCOLS.len());
    let clients: Vec<_> = protocols
        .map(|protocol| tokio::spawn(ask_on(node.place(), *protocol, answered.clone())))
        .collect();
    drop(answered);
    let many = 50 * clients.len();
    within("a load", passed.wait_for(|count| *count > many)).await.unwrap();
    node.signal("TERM");
    for client in clients {
        within("the end of the load", client).await.unwrap();
    }
    assert!(node.ended().await.success());
    // What the node began, it finished; and it began nothing that clients took for not begun.
    let begun = origin.asked().iter().filter(|asked| asked.head.target == "/pass").count();
    assert_eq!(begun, *passed.borrow());
}

/// Asks without a pause until the node takes no more, and counts the answers that came from the
/// origin. What was not begun is asked again on another connection, as every client does.
async fn ask_on(place: Arc<Place>, protocol: Protocol, passed: Arc<watch::Sender<usize>>) {
    let mut client = Client::to(place.clone(), protocol).await.unwrap();
    let mut targets = ["/hit", "/pass"].into_iter().cycle();
    let mut target = "/hit";
    loop {
        match client.ask(Ask::get(target)).await {
            Ok(seen) => {
                assert_eq!((seen.status, seen.text()), (200, "hello"), "{protocol:?}");
                passed.send_modify(|count| *count += usize::from(target == "/pass"));
                if seen.field("connection") == "close" {
                    return;
                }
                target = targets.next().unwrap();
            }
            Err(error) if is_refused(&*error) => return,
            Err(error) if was_not_begun(&*error) => {
                // Where HTTP/3 is no more, a client goes back to TCP.
                let over_tcp = if protocol == Protocol::H3 { Protocol::H2 } else { protocol };
                client = match Client::to(place.clone(), over_tcp).await {
                    Ok(client) => client,
                    Err(error) if is_refused(&*error) => return,
                    Err(error) => panic!("{protocol:?}, again: {error:?}"),
                };
            }
            Err(error) => panic!("{protocol:?}: {error:?}"),
        }
    }
}

/// Whether nobody listens any more.
fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Whether the request was never sent, for its connection was at its end, or the node said that it
/// has not begun it (RFC 9113 section 8.7, RFC 9114 section 5.2). The `h3` crate does not tell of
/// the GOAWAY where the connection ended, without an error, before it has read both.
fn was_not_begun(error: &(dyn Error + 'static)) -> bool {
    use h3::error::{Code, StreamError};
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        let answer = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        return error.is_canceled()
            || answer.is_some_and(|answer| match answer.reason() {
                Some(h2::Reason::NO_ERROR) => answer.is_go_away() && answer.is_remote(),
                Some(h2::Reason::REFUSED_STREAM) => answer.is_reset() && answer.is_remote(),
                _ => false,
            });
    }
    match error.downcast_ref::<StreamError>() {
        Some(StreamError::RemoteClosing { .. }) => true,
        Some(StreamError::RemoteTerminate { code, .. }) => *code == Code::H3_REQUEST_REJECTED,
        Some(error) => error.is_h3_no_error(),
        None => false,
    }
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
