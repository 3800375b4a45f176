//! Every endpoint, asked without a socket, over a log in a folder and a clock of the test's.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::control_plane::Publish;
use crate::config::secret::{Secret, TokenHash};
use crate::config::token::TokenRole;
use crate::config::units::ByteSize;
use crate::control::fleet::FleetBounds;
use crate::control::log::LogBounds;
use crate::control::log::embedded::EmbeddedLog;
use crate::control::publish::Publisher;
use crate::control::publish::folder::FolderShelf;
use crate::control::{FolderRegistry, Lead, Plane, PlaneParts, Registry};
use crate::door::State;
use crate::message::{Fields, Piece, Protocol, RequestHead, Scheme};
use crate::net::Drain;

mod feeds;
mod fleet;
mod hooks;
mod publishing;
mod purging;
mod surveys;

const ADDRESS: &str = "127.0.0.1:9190";

const BOUNDS: FleetBounds = FleetBounds {
    lease: Duration::from_secs(10),
    forget: Duration::from_secs(3600),
    nodes: 100,
    receipts: 100,
};

const PUBLISH: Publish = Publish { versions: 4, size: ByteSize::kib(2) };

/// Tests run one to a thread, and each has its own time, in milliseconds.
fn now() -> Duration {
    Duration::from_millis(NOW.with(|now| now.load(SeqCst)))
}

thread_local! {
    static NOW: AtomicU64 = const { AtomicU64::new(1_000_000) };
}

fn pass(ms: u64) {
    NOW.with(|now| now.fetch_add(ms, SeqCst));
}

fn token((name, role, sites): &(&str, TokenRole, &[&str])) -> Token {
    Token {
        name: (*name).to_owned(),
        role: *role,
        sites: sites.iter().map(|&site| site.to_owned()).collect(),
        expires: name.starts_with("until_2000").then_some(Moment(2000)),
        hash: TokenHash::of(&Secret::new(format!("hl_{name}"))),
    }
}

/// A control plane without sockets.
struct Stage {
    door: ControlDoor,
    plane: Arc<Plane>,
    log: Arc<EmbeddedLog>,
    audit: Arc<Audit>,
    drain: Drain,
    folder: Arc<TempDir>,
}

impl Stage {
    async fn new(tokens: &[(&str, TokenRole, &[&str])]) -> Self {
        Self::over(Arc::new(tempfile::tempdir().unwrap()), tokens).await
    }

    async fn open() -> Self {
        Self::new(&[]).await
    }

    /// The same folder, taken up by another process.
    async fn restarted(self) -> Self {
        let Self { door, plane, log, drain, folder, .. } = self;
        drain.begin();
        drop((door, plane, log, drain));
        Self::over(folder, &[]).await
    }

    /// One that repeats every purge after so long.
    async fn settling(settle: Duration) -> Self {
        Self::with(Arc::new(tempfile::tempdir().unwrap()), &[], settle).await
    }

    async fn over(folder: Arc<TempDir>, tokens: &[(&str, TokenRole, &[&str])]) -> Self {
        Self::with(folder, tokens, Duration::ZERO).await
    }

    async fn with(
        folder: Arc<TempDir>,
        tokens: &[(&str, TokenRole, &[&str])],
        settle: Duration,
    ) -> Self {
        let kept = LogBounds { entries: 8, rules: 64, waiting: 2000 };
        // The task that appended last may still be about to let go of the folder.
        let log = loop {
            match EmbeddedLog::open(folder.path(), kept) {
                Ok(log) => break Arc::new(log),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let registry = Arc::new(FolderRegistry::new(folder.path().to_owned()));
        registry.begin().await.unwrap();
        let lead = Lead::always();
        let shelf = Arc::new(FolderShelf::new(folder.path().to_owned()));
        let publisher = Publisher::new(shelf, PUBLISH);
        let parts =
            PlaneParts { log: log.clone(), registry, lead, publisher, bounds: BOUNDS, clock: now };
        let plane = Plane::open(parts).await.unwrap();
        let (drain, watch) = Drain::new();
        let audit = Arc::new(Audit::new(100));
        let life = Arc::new(Life::default());
        life.set(State::Serving);
        let parts = DoorParts {
            version: "1.2.3",
            address: ADDRESS.parse().unwrap(),
            life,
            plane: plane.clone(),
            audit: audit.clone(),
            metrics: Arc::default(),
            drain: watch,
            requests_per_second: 50,
            hooks: vec![Hook {
                name: "assets".to_owned(),
                bucket: "assets".to_owned(),
                urls: vec!["https://static.example.com/".to_owned()],
                ..Hook::default()
            }],
            settle,
            clock: now,
            calendar: || now().as_millis() as u64,
        };
        let door = ControlDoor::new(parts, tokens.iter().map(token).collect());
        Self { door, plane, log, audit, drain, folder }
    }

    async fn ask(&self, method: &str, target: &str, by: &str, body: Value) -> Told {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let authorization = format!("Bearer hl_{by}");
        let fields = [("authorization", &*authorization), ("content-type", "application/json")];
        Told::of(self.response(method, target, &fields, body).await)
    }

    async fn response(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: String,
    ) -> Response {
        let mut head = Vec::new();
        for (name, value) in fields {
            push_field(&mut head, name, value.as_bytes());
        }
        let buffer = bytes::Bytes::from(head);
        let lines = crate::message::field_lines(&buffer);
        let fields = Fields::from_slices(&buffer, lines.map(|(name, it)| (name.as_bytes(), it)));
        let head = RequestHead {
            method: method.parse().unwrap(),
            host: ADDRESS.into(),
            target: target.to_owned().into(),
            fields,
            content_length: Some(body.len() as u64),
            peer: Peer {
                address: "127.0.0.1:1".parse().unwrap(),
                protocol: Protocol::Http1 { minor: 1 },
                scheme: Scheme::Http,
            },
        };
        let body = if body.is_empty() { Body::Empty } else { Body::Full(body.into()) };
        match self.door.serve(Request { head: Box::new(head), body }) {
            Answer::Now(reply) => reply.response,
            Answer::Later(reply) => reply.await.response,
        }
    }

    async fn get(&self, target: &str) -> Told {
        self.ask("GET", target, "", Value::Null).await
    }

    async fn purge(&self, query: &str, body: Value) -> Told {
        self.ask("POST", &format!("/v1/purges{query}"), "", body).await
    }

    /// A heartbeat of a node that has applied so much.
    async fn beat(&self, name: &str, incarnation: u64, applied: u64) -> Told {
        self.beat_with(name, incarnation, applied, json!({})).await
    }

    async fn beat_with(&self, name: &str, incarnation: u64, applied: u64, more: Value) -> Told {
        let mut beat = json!({
            "incarnation": format!("{incarnation:016x}"),
            "role": "edge",
            "region": "eu",
            "version": "0.1.0",
            "on_control_loss": "serve",
            "fenced": false,
            "position": { "log": self.plane.head().log.to_string(), "number": applied },
        });
        for (field, value) in more.as_object().unwrap() {
            beat[field] = value.clone();
        }
        self.ask("POST", &format!("/v1/nodes/{name}"), "", beat).await
    }
}

struct Told {
    status: u16,
    head: String,
    text: String,
}

impl Told {
    fn of(response: Response) -> Self {
        let mut head = String::new();
        for (name, value) in response.fields() {
            head.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value)));
        }
        let Body::Full(bytes) = response.body else { panic!("a body in one piece was expected") };
        let text = String::from_utf8(bytes.into()).unwrap();
        Self { status: response.status.as_u16(), head, text }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    fn detail(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json\n"), "{}", self.head);
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

fn tag(value: &str) -> Value {
    json!({ "kind": "tag", "value": value })
}
