//! Stored bytes are lost while a response is under way.

use tokio_rustls::TlsConnector;

use super::*;
use crate::message::losses::alone::{LosingBody, alone};
use crate::message::losses::raise;
use crate::net::client::tls_config;
use crate::net::tls::tests::Authority;
use crate::net::{Certificates, ServerTls};

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Loses bytes within the response to `/lost`, and before that to `/before`.
fn losing() -> Arc<Scripted> {
    Scripted::new(|request| {
        if request.head.target == "/before" {
            raise();
        }
        let body = match &request.head.target[..] {
            b"/lost" => Body::Stream(Box::new(LosingBody::default())),
            _ => Body::Full(Bytes::from_static(b"whole")),
        };
        Answer::Now(reply(&request.head.target, 200, None, body))
    })
}

/// What comes back until the connection ends, however it does.
async fn rest(mut client: impl AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_loss_cuts_the_response() {
    alone(|| {
        run(async {
            let handler = losing();
            let (mut client, served, _drain) = connect(&handler, Limits::default());
            client.write_all(b"GET /lost HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
            let answer = rest(client).await;
            assert!(answer.ends_with("\r\n\r\nkept"), "{answer}");
            assert!(served.await.unwrap(), "a close would be its end");
            assert_eq!(handler.endings(), [("/lost".into(), 4, Outcome::Truncated)]);
        });
    });
}

#[test]
fn a_loss_between_requests_cuts_nothing() {
    alone(|| {
        run(async {
            let handler = losing();
            let (mut client, _served, _drain) = connect(&handler, Limits::default());
            for _ in 0..2 {
                raise();
                client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
                read_until(&mut client, "whole").await;
            }
            client.write_all(b"GET /before HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            assert_eq!(rest(client).await, "");
        });
    });
}

#[test]
fn a_loss_cuts_the_response_over_tls() {
    alone(|| {
        run(async {
            let authority = Authority::new();
            let files = vec![authority.issue("a", &["a.example"])];
            let tls = ServerTls::new(Certificates::load(files).unwrap()).unwrap();
            let connector = tls_config(Some(&authority.path("ca.pem"))).unwrap();
            let (client, server) = tokio::io::duplex(1 << 20);
            let name = "a.example".try_into().unwrap();
            let (client, server) = futures_util::join!(
                TlsConnector::from(connector).connect(name, client),
                tls.accept(server)
            );
            let handler = losing();
            let (_drain, watch) = Drain::new();
            let served = spawn(Box::new(server.unwrap().0), &handler, Limits::default(), watch);
            let mut client = client.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            read_until(&mut client, "whole").await;
            client.write_all(b"GET /lost HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let answer = rest(client).await;
            assert!(answer.ends_with("4\r\nkept\r\n"), "{answer}");
            assert!(served.await.unwrap());
        });
    });
}
