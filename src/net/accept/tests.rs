//! The accept loop with an engine that says what it was given.

use std::io::ErrorKind;
use std::sync::Mutex;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::*;
use crate::message::{Peer, Scheme};
use crate::net::client::tls_config;
use crate::net::preface::Version;
use crate::net::tls::tests::Authority;
use crate::net::{Certificates, Drain, bind};

/// Says the version and what came first, and asks for a reset if that ends with `!`.
struct Parrot;

impl Engine for Parrot {
    async fn serve<IO>(
        &self,
        version: Version,
        mut io: IO,
        first: BytesMut,
        peer: Peer,
        _: DrainWatch,
    ) -> Option<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let secure = if peer.scheme == Scheme::Https { "s" } else { "" };
        let said = format!("{version:?}{secure} {}", String::from_utf8_lossy(&first));
        io.write_all(said.as_bytes()).await.unwrap();
        io.flush().await.unwrap();
        if !first.ends_with(b"!") {
            return None;
        }
        // Only once the client has said that it read the answer, which a reset would discard.
        io.read_u8().await.unwrap();
        Some(io)
    }
}

#[derive(Default)]
struct Journal(Mutex<Vec<String>>);

impl ConnectionObserver for Journal {
    fn opened(&self, protocol: Protocol) {
        self.0.lock().unwrap().push(format!("opened {}", protocol.as_str()));
    }

    fn closed(&self, protocol: Protocol) {
        self.0.lock().unwrap().push(format!("closed {}", protocol.as_str()));
    }

    fn refused(&self, refusal: Refusal) {
        self.0.lock().unwrap().push(format!("refused {}", refusal.as_str()));
    }

    fn handshake_failed(&self, error: &HandshakeError) {
        self.0.lock().unwrap().push(format!("handshake {}", error.as_str()));
    }

    fn accept_failed(&self, error: &io::Error) {
        panic!("{error}");
    }
}

struct Running {
    address: SocketAddr,
    journal: Arc<Journal>,
    drain: Drain,
    accept: JoinHandle<io::Result<()>>,
}

fn start(max: usize, limits: Limits) -> Running {
    start_with(max, limits, None)
}

fn start_with(max: usize, limits: Limits, tls: Option<Arc<ServerTls>>) -> Running {
    let listener = bind::tcp(([127, 0, 0, 1], 0).into(), 1).unwrap().pop().unwrap();
    let address = listener.local_addr().unwrap();
    let journal = Arc::new(Journal::default());
    let door = Arc::new(Door {
        engine: Parrot,
        limits: Arc::new(limits),
        tls,
        gate: Gate::new(max, 0),
        observer: journal.clone(),
    });
    let (drain, watch) = Drain::new();
    let accept = tokio::spawn(accept(listener, door, watch));
    Running { address, journal, drain, accept }
}

async fn say(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Connects before the accept loop can run.
fn connect_now(address: SocketAddr) -> TcpStream {
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn both_protocols_reach_the_engine_with_their_first_bytes() {
    let running = start(0, Limits::default());
    let stream = say(running.address, "GET / HTTP/1.1\r\n").await;
    assert_eq!(answer(stream).await, "Http1 GET / HTTP/1.1\r\n");
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let stream = say(running.address, preface).await;
    assert_eq!(answer(stream).await, format!("Http2 {preface}"));
    running.drain.begin();
    running.accept.await.unwrap().unwrap();
    running.drain.done().await;
    let journal = running.journal.0.lock().unwrap();
    assert_eq!(*journal, ["opened h1", "closed h1", "opened h2", "closed h2"]);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_reset() {
    let running = start(1, Limits::default());
    let mut held = say(running.address, "P").await;
    let mut second = connect_now(running.address);
    let error = second.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    held.write_all(b"OST").await.unwrap();
    assert_eq!(answer(held).await, "Http1 POST");
    assert_eq!(running.journal.0.lock().unwrap()[0], "refused connections");
}

#[tokio::test]
async fn a_cut_response_ends_in_a_reset() {
    let running = start(0, Limits::default());
    let mut stream = say(running.address, "cut!").await;
    let mut said = [0; 10];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"Http1 cut!");
    stream.write_all(b".").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_drain_serves_what_waits_and_closes_what_is_silent() {
    let running = start(0, Limits::default());
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    // Lets the accept loop take the silent one; the next is left to the queue of the kernel.
    tokio::task::yield_now().await;
    let mut waiting = connect_now(running.address);
    waiting.write_all(b"GET").await.unwrap();
    running.drain.begin();
    running.accept.await.unwrap().unwrap();
    assert_eq!(answer(waiting).await, "Http1 GET");
    assert_eq!(silent.read_u8().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    running.drain.done().await;
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_silent_client_is_closed() {
    let limits = Limits { header_timeout: Duration::from_millis(5), ..Limits::default() };
    let running = start(0, limits);
    let stream = say(running.address, "PRI").await;
    assert_eq!(answer(stream).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_handshake_that_stands_still() {
    let authority = Authority::new();
    let certificates = Certificates::load(vec![authority.issue("a", &["a.example"])]).unwrap();
    let tls = ServerTls::new(certificates).unwrap();
    let running = start_with(0, Limits::default(), Some(tls));
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    running.drain.begin();
    running.accept.await.unwrap().unwrap();
    running.drain.done().await;
    assert_eq!(silent.read_u8().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(running.journal.0.lock().unwrap().is_empty(), "it was waited for to its time-out");
}

#[tokio::test]
async fn a_secure_door_speaks_what_was_agreed_and_counts_who_failed() {
    let authority = Authority::new();
    let certificates = Certificates::load(vec![authority.issue("a", &["a.example"])]).unwrap();
    let tls = ServerTls::new(certificates).unwrap();
    let limits = Limits { handshake_timeout: Duration::from_millis(200), ..Limits::default() };
    let running = start_with(0, limits, Some(tls));
    let connector = TlsConnector::from(tls_config(Some(&authority.path("ca.pem"))).unwrap());
    let connect = async |name: &'static str| {
        let stream = TcpStream::connect(running.address).await.unwrap();
        connector.connect(name.try_into().unwrap(), stream).await
    };
    let mut said = Vec::new();
    let mut stream = connect("a.example").await.unwrap();
    // The engine of this test closes without a word of TLS, which a client may take amiss.
    let _ = stream.read_to_end(&mut said).await;
    assert_eq!(said, b"Http1s ");
    assert!(connect("b.example").await.is_err());
    let silent = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(answer(silent).await, "");
    let journal = running.journal.0.lock().unwrap();
    let expected = ["opened h1", "closed h1", "handshake unknown_name", "handshake timeout"];
    assert_eq!(*journal, expected);
}
