//! The shields of an edge against scripted ones, over sockets.
//!
//! The edge stands in "eu". Of two shields the first does, too, so that it is asked first.

mod failing;
mod hedging;
mod sending;

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::yield_now;

use super::*;
use crate::config::address::Endpoint;
use crate::config::secret::Secret;
use crate::upstream::Upstreams;

/// The field in which a scripted shield says its name.
const NAME: &str = "shield";

/// What a scripted shield does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    /// Answers 200 with its name.
    Well,
    /// Answers 500.
    Ill,
    /// Answers 421.
    Misdirected,
    /// Answers 200 once the mood changes.
    Slow,
    /// Reads the content and resets the stream.
    Resets,
    /// Answers 200 with a field of so many bytes.
    Large(usize),
}

/// A request as a scripted shield got it.
struct Seen {
    head: http::request::Parts,
    content: String,
}

/// A scripted shield.
#[derive(Clone)]
struct Scripted {
    name: &'static str,
    mood: watch::Sender<Mood>,
    seen: watch::Sender<Vec<Arc<Seen>>>,
}

impl Scripted {
    fn new(name: &'static str, mood: Mood) -> Self {
        Self { name, mood: watch::Sender::new(mood), seen: watch::Sender::default() }
    }

    /// A shield in clear, and its URL.
    async fn start(name: &'static str, mood: Mood) -> (Self, String) {
        let shield = Self::new(name, mood);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = shield.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        (shield, url)
    }

    async fn serve(self, io: impl AsyncRead + AsyncWrite + Unpin) {
        let Ok(mut connection) = h2::server::handshake(io).await else { return };
        while let Some(Ok((request, response))) = connection.accept().await {
            tokio::spawn(self.clone().answer(request, response));
        }
    }

    async fn answer(self, request: Request<RecvStream>, mut response: SendResponse<Bytes>) {
        let (head, mut body) = request.into_parts();
        let mut content = Vec::new();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            content.extend(data);
        }
        let content = String::from_utf8(content).unwrap();
        self.seen.send_modify(|seen| seen.push(Arc::new(Seen { head, content })));
        let mut moods = self.mood.subscribe();
        let status = match *moods.wait_for(|mood| *mood != Mood::Slow).await.unwrap() {
            Mood::Resets => return response.send_reset(h2::Reason::INTERNAL_ERROR),
            Mood::Ill => StatusCode::INTERNAL_SERVER_ERROR,
            Mood::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Mood::Well | Mood::Slow | Mood::Large(_) => StatusCode::OK,
        };
        let mut head = Response::builder().status(status).header(NAME, self.name);
        if let Mood::Large(bytes) = *moods.borrow() {
            head = head.header("large", "a".repeat(bytes));
        }
        // Whoever asked may have gone.
        let _ = response.send_response(head.body(()).unwrap(), true);
    }

    fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many requests it got.
    fn asked(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits for its first request.
    async fn is_asked(&self) {
        self.seen.subscribe().wait_for(|seen| !seen.is_empty()).await.unwrap();
    }

    fn last(&self) -> Arc<Seen> {
        self.seen.borrow().last().unwrap().clone()
    }
}

/// An address where nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Lets time pass, and whatever that sets off begin.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    for _ in 0..100 {
        yield_now().await;
    }
}

fn proof() -> PeerProof {
    PeerProof::new(&Secret::new("the secret of a fleet"))
}

/// The first of `urls` is near, the others are far.
fn settings(urls: &[&str]) -> ShieldSettings {
    let node = |(place, url): (usize, &&str)| Node {
        url: Endpoint::parse(url).unwrap(),
        region: if place == 0 { "eu" } else { "us" }.to_owned(),
        weight: 1,
    };
    let nodes = urls.iter().enumerate().map(node).collect();
    ShieldSettings {
        shield: ShieldConfig { nodes, ..ShieldConfig::default() },
        ca_file: None,
        proof: proof(),
        region: "eu".to_owned(),
    }
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&["hit"]))
}

fn shields(settings: ShieldSettings) -> Shields {
    Shields::new(settings, &Egress::default(), metrics()).unwrap()
}

fn get() -> OutgoingRequest {
    OutgoingRequest {
        method: Method::GET,
        target: Bytes::from_static(b"/a?b"),
        headers: HeaderMap::new(),
        body: Body::Empty,
        content_length: None,
        on_interim: None,
    }
}

/// Asks, takes only 200, and gives the name of the shield that answered.
async fn ask(shields: &Shields, request: OutgoingRequest) -> Result<String, ShieldsFailed> {
    let accept = |response: &IncomingResponse| match response.status {
        StatusCode::OK => Acceptance::Taken,
        StatusCode::NOT_FOUND => Acceptance::Declined,
        StatusCode::MISDIRECTED_REQUEST => Acceptance::Misdirected,
        _ => Acceptance::Refused,
    };
    let response = shields.fetch(b"www.example.com/a?b", request, &accept).await?;
    Ok(response.headers[NAME].to_str().unwrap().to_owned())
}

/// Asks with a GET that some shield answers.
async fn name(shields: &Shields) -> String {
    ask(shields, get()).await.unwrap()
}

fn health(shields: &Shields) -> Vec<bool> {
    shields.status().map(|server| server.healthy).collect()
}

/// The value of a metric, `0` where there is none.
fn metric(shields: &Shields, start: &str) -> String {
    let text = shields.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(' '));
    line.unwrap_or("0").to_owned()
}
