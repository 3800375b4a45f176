//! A proxy before an origin that follows a script, with no listener between: tests hand it requests
//! and read its responses.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::super::*;
use crate::config::Config;
use crate::message::{Body, FieldsBuilder, Peer, Piece, Protocol, RequestHead, Response, Scheme};
use crate::object::{LogId, LogNumbers, LogSequence, PurgeCommand, PurgeKind};
use crate::semantics::time::Timestamp;
use crate::site::{Generations, SiteRules};
use crate::store::{RuleBounds, StoreLimits};
use crate::telemetry::access_log::{AccessConfig, Format, Target};
use crate::upstream::Egress;

/// What the origin does with one request.
#[derive(Clone)]
pub(super) enum Step {
    /// Sends this.
    Say(String),
    /// Waits until the test lets it go on.
    Wait,
    /// Closes the connection.
    Close,
}

/// The steps for a request, told its head and its number from 0.
type Script = dyn Fn(&str, usize) -> Vec<Step> + Send + Sync;

/// The origin's end: what it was asked, and the gate at which it waits.
pub(super) struct OriginLog {
    heads: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
    gate: Semaphore,
}

impl OriginLog {
    /// The heads of all requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until it was asked `count` times.
    pub(super) async fn asked(&self, count: usize) {
        self.count.subscribe().wait_for(|asked| *asked >= count).await.unwrap();
    }

    /// Lets `steps` waits go on.
    pub(super) fn go_on(&self, steps: usize) {
        self.gate.add_permits(steps);
    }
}

pub(super) struct World {
    pub(super) proxy: Arc<Proxy>,
    pub(super) origin: Arc<OriginLog>,
}

/// The start of every test's time, in seconds.
const START: u64 = 1_800_000_000;

/// A response without chunks: status line, fields, blank line and body.
pub(super) fn say(status: &str, fields: &[&str], body: &str) -> Step {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = body.len();
    Step::Say(format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}"))
}

pub(super) fn text(text: &str) -> Step {
    Step::Say(text.to_owned())
}

impl World {
    /// A site `h` whose table in the config is `site`, before an origin of `script`.
    pub(super) async fn new(
        site: &str,
        script: impl Fn(&str, usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::catching_up(Duration::from_millis(1), site, script).await
    }

    /// The same, waiting so long to be as far as an edge asks.
    pub(super) async fn catching_up(
        catch_up: Duration,
        site: &str,
        script: impl Fn(&str, usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (count, _) = watch::channel(0);
        let log = OriginLog { heads: Mutex::default(), count, gate: Semaphore::new(0) };
        let (log, script) = (Arc::new(log), Arc::new(script) as Arc<Script>);
        let accepting = log.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, script.clone(), accepting.clone()));
            }
        });
        Self { proxy: Arc::new(proxy(&url, site, catch_up)), origin: log }
    }

    pub(super) fn get(&self, target: &str) -> Ask<'_> {
        self.ask(Method::GET, target)
    }

    pub(super) fn ask(&self, method: Method, target: &str) -> Ask<'_> {
        let target = target.to_owned();
        let (fields, scheme) = (Vec::new(), Scheme::Http);
        Ask { world: self, method, target, fields, at: 0, scheme, from_edge: false }
    }

    /// Purges a URL of the site.
    pub(super) fn purge(&self, kind: PurgeKind, path: &str) {
        let soft = kind == PurgeKind::Soft;
        self.publish(json!({"kind": "url", "value": format!("http://h{path}"), "soft": soft}));
    }

    /// The log that this node applies is `log`, from its own number on.
    pub(super) fn follow(&self, log: u128, number: u64) {
        let rules = self.proxy.store().rules();
        let since = LogSequence { log: LogId(log), number };
        rules.set_numbers(LogNumbers { since, here: rules.head().number });
    }

    /// Purges what a command names.
    pub(super) fn publish(&self, command: Value) {
        let command = PurgeCommand::from_json(&command).unwrap();
        let resolved = self.proxy.routing().sites.resolve(&command).unwrap();
        let rules = self.proxy.store().rules();
        rules.publish(Some(&resolved.rule), command.kind, rules.head().number + 1);
    }
}

/// A request to be made.
pub(super) struct Ask<'w> {
    world: &'w World,
    method: Method,
    target: String,
    fields: Vec<(String, String)>,
    at: u64,
    scheme: Scheme,
    from_edge: bool,
}

/// How a body came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Whole,
    Cut,
}

/// A response, read to its end.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) lines: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) length: Option<u64>,
    pub(super) end: End,
    pub(super) served: &'static str,
}

impl Ask<'_> {
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Made so many seconds after the start.
    pub(super) fn at(mut self, seconds: u64) -> Self {
        self.at = seconds;
        self
    }

    /// Asked by an edge that has proven it, and has the site as it is here, unless it says
    /// otherwise.
    pub(super) fn by_edge(mut self) -> Self {
        self.from_edge = true;
        self
    }

    pub(super) fn https(mut self) -> Self {
        self.scheme = Scheme::Https;
        self
    }

    pub(super) fn answer(self) -> Answer<Exchange> {
        let mut fields = FieldsBuilder::default();
        for (name, value) in &self.fields {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        if self.from_edge && self.fields.iter().all(|(name, _)| name != "headland-site") {
            let settings = self.world.proxy.routing().sites.sites()[0].settings;
            fields.push(b"headland-site", format!("{settings:016x}").as_bytes());
        }
        let (protocol, scheme) = (Protocol::Http1 { minor: 1 }, self.scheme);
        let head = RequestHead {
            method: self.method,
            host: "H:8080".into(),
            target: self.target.into(),
            fields: fields.build(),
            content_length: None,
            peer: Peer { address: (Ipv4Addr::LOCALHOST, 1).into(), protocol, scheme },
        };
        let request = Request { head: Box::new(head), body: Body::Empty };
        let now = Timestamp::from_seconds(START + self.at);
        // An arrival ahead of the clock: until then no time passes but that which a test names.
        let instant = Instant::now() + Duration::from_secs(3600);
        self.world.proxy.serve(request, Arrival { instant, now, from_edge: self.from_edge })
    }

    pub(super) async fn reply(self) -> (Response, &'static str) {
        let reply = match self.answer() {
            Answer::Now(reply) => reply,
            Answer::Later(reply) => reply.await,
        };
        (reply.response, reply.exchange.served.as_str())
    }

    pub(super) async fn got(self) -> Got {
        let (response, served) = self.reply().await;
        read(response, served).await
    }

    /// Asks on a task of its own, which goes as far as it can before this returns.
    pub(super) async fn started(self) -> tokio::task::JoinHandle<Got> {
        let answer = self.answer();
        let task = tokio::spawn(async move {
            let reply = match answer {
                Answer::Now(reply) => reply,
                Answer::Later(reply) => reply.await,
            };
            read(reply.response, reply.exchange.served.as_str()).await
        });
        tokio::task::yield_now().await;
        task
    }
}

impl Got {
    pub(super) fn line(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|(line, _)| line == name).map(|(_, value)| value.as_str())
    }

    /// What this node says in `Cache-Status`, its name left out.
    pub(super) fn cache(&self) -> &str {
        let last = self.lines.iter().rfind(|(line, _)| line == "cache-status").unwrap();
        last.1.strip_prefix("node; ").unwrap()
    }
}

pub(super) async fn read(response: Response, served: &'static str) -> Got {
    let Response { status, content_length, block, extra, mut body } = response;
    let all = [block.as_bytes(), &extra[..]].concat();
    let all = String::from_utf8(all).unwrap();
    let lines = all.lines().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    });
    let (mut data, mut end) = (Vec::new(), End::Whole);
    while let Some(piece) = body.next().await {
        match piece {
            Ok(Piece::Data(piece)) => data.extend_from_slice(&piece),
            Ok(Piece::Trailers(_)) => {}
            Err(_) => end = End::Cut,
        }
    }
    Got {
        status: StatusCode::as_u16(&status),
        lines: lines.collect(),
        body: String::from_utf8(data).unwrap(),
        length: content_length,
        end,
        served,
    }
}

fn proxy(origin: &str, site: &str, catch_up: Duration) -> Proxy {
    let text = format!(
        "[listen]\nhttp = [\"127.0.0.1:0\"]\n\
         [[origin]]\nname = \"o\"\nservers = [{{ url = \"{origin}\" }}]\n\
         [[site]]\nname = \"s\"\nhosts = [\"h\"]\norigin = \"o\"\n{site}\n"
    );
    let config = Config::parse(&text, "test", Path::new("/"), &|_| None).unwrap();
    let metrics = Arc::new(Metrics::new(&Served::NAMES));
    let log = AccessConfig { target: Target::Off, format: Format::Json, queue_bytes_max: 0 };
    let log = AccessLog::open(&log, metrics.access_log_dropped().clone()).unwrap();
    let rules = RuleBounds { rules: 100, wildcards: 9 };
    let limits = StoreLimits { memory: 1 << 20, variants: 8, rules };
    let generations = Generations::default().next(&config.sites);
    let parts = Parts {
        routing: Routing {
            sites: SiteTable::from_config(
                &config.sites,
                SiteRules::read(&config.sites, &config.geo).unwrap(),
                &generations,
                |_| 0,
            ),
            upstreams: Upstreams::from_config(&config.origins, &Egress::default(), &metrics, None)
                .unwrap(),
        },
        store: Arc::new(Store::new(limits)),
        flights: 100,
        hit_for_miss: (100, Duration::from_secs(60)),
        refresh_pause: Duration::from_secs(60),
        log: Arc::new(log),
        metrics,
    };
    let config = ProxyConfig {
        name: "node".to_owned(),
        max_object: 64,
        slice: 16,
        catch_up,
        collapse_wait: Duration::from_secs(60),
        relay_window: 32,
        linger: Duration::from_secs(30),
        tunnels: 8,
        compress_threads: 1,
        compressions: 8,
    };
    Proxy::new(config, parts)
}

/// Answers the requests of one connection by the script.
async fn answer(mut stream: TcpStream, script: Arc<Script>, log: Arc<OriginLog>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let number = {
            let mut heads = log.heads.lock();
            heads.push(head.clone());
            heads.len() - 1
        };
        log.count.send_replace(number + 1);
        for step in script(&head, number) {
            match step {
                Step::Say(text) => {
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Step::Wait => log.gate.acquire().await.unwrap().forget(),
                Step::Close => return,
            }
        }
    }
}
