//! What is spoken to origins: agreed on over TLS, or set. The origin is of another make.

use crate::interim::reach_each_client;
use crate::support::client::{Client, Protocol};
use crate::support::process::{Home, NodeProcess};
use crate::support::tools::Hypercorn;
use crate::support::{Ask, Setup};

/// A node that speaks `protocol` to hypercorn, over TLS or not.
async fn before(protocol: &str, over_tls: bool) -> (NodeProcess, Hypercorn) {
    let lines = format!("protocol = \"{protocol}\"\nhost = \"shop.example\"");
    let setup = |port| {
        let setup = Setup::at(([127, 0, 0, 1], port).into()).origin(&lines);
        if over_tls { setup.over_tls() } else { setup }
    };
    let home = Home::new(&setup(1));
    let origin = Hypercorn::start(over_tls.then_some(home.path()));
    home.configure(&setup(origin.port));
    let roots = home.path().join("ca.pem");
    let home = home.variable("SSL_CERT_FILE", roots).variable("SSL_CERT_DIR", "");
    (home.start().await, origin)
}

#[tokio::test]
async fn an_origin_is_asked_in_the_protocol_that_is_agreed_on_or_set() {
    for (protocol, over_tls, spoken) in [
        ("auto", true, "2"),
        ("http1", true, "1.1"),
        ("http2", true, "2"),
        ("auto", false, "1.1"),
        ("http2", false, "2"),
    ] {
        let (node, _origin) = before(protocol, over_tls).await;
        let client = Client::to(node.place(), Protocol::H1).await.unwrap();
        let page = client.get("/page?a=%20b").await;
        let scheme = if over_tls { "https" } else { "http" };
        let told = format!("{spoken} {scheme} shop.example /page?a=%20b 0");
        assert_eq!((page.status, page.text()), (200, &*told), "{protocol} {over_tls}");
        assert_eq!(page.field("via"), format!("{spoken} edge"));
        assert!(client.get("/page?a=%20b").await.is_hit());
        let large = client.get("/large").await;
        assert_eq!(large.body.len(), 2_000_000);
        let sent = client.ask(Ask::new("POST", "/form").content(vec![b'c'; 300_000])).await;
        assert!(sent.unwrap().text().ends_with("/form 300000"));
    }
}

#[tokio::test]
async fn hints_of_an_origin_over_http2_reach_clients_of_each_protocol() {
    for over_tls in [true, false] {
        let (node, _origin) = before("http2", over_tls).await;
        let targets = ["/hints?1", "/hints?2", "/hints?3"];
        let ca_file = node.folder().join("ca.pem");
        reach_each_client(node.address("https").port(), &ca_file, targets).await;
    }
}
