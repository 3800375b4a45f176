//! A fleet of light nodes in one process before one control plane, over real sockets: how soon a
//! purge is acknowledged by all, how many a second it takes, what a node costs it, and how it
//! stands a fleet that comes back all at once.
//!
//! ```text
//!  fleet_load HEADLAND [--nodes 1000] [--purges 100] [--rate 200] [--seconds 5] [--delay-ms 0]
//!
//!  each node   tail: GET /v1/log ─► entries, their chain checked ─► position
//!              heart: POST /v1/nodes/NAME at each new position, one under way at a time
//! ```
//!
//! The nodes speak the protocol of real ones by the same client and types, and store nothing. They
//! share the machine with the control plane, whose CPU time is told apart. `--delay-ms` is how long
//! a line and a heartbeat are on their way in each direction. Prints one line of JSON.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use headland::message::{Body, Piece};
use headland::net::client::{OutgoingRequest, Pool, PoolConfig, Server};
use headland::object::{Entry, Position};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, sleep_until};

const LEASE: Duration = Duration::from_secs(10);

/// Pieces of the log on their way to one node.
const ON_THE_WAY_MAX: usize = 4096;

/// What is asked for on the command line.
struct Options {
    headland: String,
    nodes: usize,
    purges: usize,
    rate: u64,
    seconds: u64,
    delay: Duration,
}

/// The control plane under load; dropping it kills it.
struct Control {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

/// What the nodes share.
struct Fleet {
    port: u16,
    delay: Duration,
    /// Rises when all connections are to be dropped and made anew.
    storms: watch::Sender<u64>,
    /// Nodes whose lease was granted since then.
    granted: Semaphore,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(&options))
}

async fn run(options: &Options) -> Result<(), Failure> {
    let control = Control::start(&options.headland, options.nodes)?;
    let empty = control.resident()?;
    let fleet = Arc::new(Fleet {
        port: control.port,
        delay: options.delay,
        storms: watch::Sender::new(0),
        granted: Semaphore::new(0),
    });
    let began = Instant::now();
    let nodes: Vec<JoinHandle<()>> =
        (0..options.nodes).map(|number| tokio::spawn(fleet.clone().node(number))).collect();
    fleet.all_granted(options.nodes).await?;
    let first = began.elapsed();
    let purger = Purger::new(control.port);
    purger.purge(true).await?;
    let resident = control.resident()?;

    let cpu = control.cpu()?;
    let mut took = Vec::with_capacity(options.purges);
    for _ in 0..options.purges {
        let asked = Instant::now();
        purger.purge(true).await?;
        took.push(asked.elapsed());
    }
    took.sort_unstable();
    let cpu_of_one = (control.cpu()? - cpu) / options.purges as f64;

    let (rate, settled, cpu_share) = sustained(options, &control, &purger).await?;

    let began = Instant::now();
    fleet.storms.send_modify(|storms| *storms += 1);
    fleet.all_granted(options.nodes).await?;
    purger.purge(true).await?;
    let storm = began.elapsed();

    nodes.iter().for_each(JoinHandle::abort);
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!(
        "{}",
        json!({
            "nodes": options.nodes, "delay_ms": ms(options.delay), "purges": took.len(),
            "p50_ms": ms(took[took.len() / 2]), "p99_ms": ms(took[took.len() * 99 / 100]),
            "max_ms": ms(took[took.len() - 1]), "control_cpu_ms_a_purge": cpu_of_one * 1e3,
            "rate": rate, "settled_ms": ms(settled), "control_cpu_share": cpu_share,
            "kib_a_node": (resident - empty) as f64 / 1024.0 / options.nodes as f64,
            "registered_ms": ms(first), "storm_ms": ms(storm),
        })
    );
    Ok(())
}

/// Purges at a rate, waiting for none of them; how many a second were taken, how long after the
/// last of them all nodes had acknowledged all, and the control plane's share of a core meanwhile.
async fn sustained(
    options: &Options,
    control: &Control,
    purger: &Purger,
) -> Result<(f64, Duration, f64), Failure> {
    let (began, cpu) = (Instant::now(), control.cpu()?);
    let count = options.rate * options.seconds;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(options.rate)?);
    let mut asked = JoinSet::new();
    for _ in 0..count {
        ticks.tick().await;
        let purger = purger.clone();
        asked.spawn(async move { purger.purge(false).await });
    }
    while let Some(purged) = asked.join_next().await {
        purged??;
    }
    let taken = began.elapsed();
    purger.purge(true).await?;
    let all = began.elapsed();
    let cpu = control.cpu()? - cpu;
    Ok((count as f64 / taken.as_secs_f64(), all - taken, cpu / all.as_secs_f64()))
}

impl Fleet {
    async fn all_granted(&self, nodes: usize) -> Result<(), Failure> {
        let all = u32::try_from(nodes)?;
        tokio::select! {
            granted = self.granted.acquire_many(all) => {
                granted?.forget();
                Ok(())
            }
            () = sleep(Duration::from_secs(60)) => Err("some leases are not granted".into()),
        }
    }

    async fn node(self: Arc<Self>, number: usize) {
        let incarnation = fastrand::u64(..);
        let (position, _) = watch::channel(None);
        let mut storms = self.storms.subscribe();
        loop {
            let pool = pool(self.port);
            let lives = async {
                tokio::join!(
                    self.tail(&pool, &position),
                    self.beat(&pool, number, incarnation, position.subscribe())
                )
            };
            tokio::select! {
                _ended = lives => sleep(Duration::from_millis(fastrand::u64(10..100))).await,
                _storm = storms.changed() => {}
            }
        }
    }

    async fn tail(&self, pool: &Pool, at: &watch::Sender<Option<Position>>) {
        loop {
            if let Err(error) = self.tail_once(pool, at).await {
                eprintln!("the log: {error}");
                sleep(Duration::from_millis(fastrand::u64(10..100))).await;
            }
        }
    }

    async fn tail_once(
        &self,
        pool: &Pool,
        at: &watch::Sender<Option<Position>>,
    ) -> Result<(), Failure> {
        let known = *at.borrow();
        let target = match known {
            None => "/v1/log".to_owned(),
            Some(Position { log, number, hash }) => {
                format!("/v1/log?log={log}&after={number}&hash={hash}")
            }
        };
        let mut body = pool.send(request(Method::GET, target, None)).await?.body;
        let (way, mut arriving) = mpsc::channel(ON_THE_WAY_MAX);
        let sent = async {
            while let Some(piece) = body.next().await {
                if let Piece::Data(data) = piece? {
                    way.send((Instant::now() + self.delay, data)).await?;
                }
            }
            Err::<(), Failure>("it ended".into())
        };
        let applied = async {
            let mut buffer = Vec::new();
            while let Some((arrival, data)) = arriving.recv().await {
                if !self.delay.is_zero() {
                    sleep_until(arrival.into()).await;
                }
                buffer.extend_from_slice(&data);
                let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else { continue };
                let mut next = *at.borrow();
                for line in buffer[..end].split(|byte| *byte == b'\n') {
                    next = step(next, line)?;
                }
                buffer.drain(..=end);
                at.send_if_modified(|at| std::mem::replace(at, next) != next);
            }
            Ok(())
        };
        tokio::try_join!(sent, applied).map(drop)
    }

    async fn beat(
        &self,
        pool: &Pool,
        number: usize,
        incarnation: u64,
        mut position: watch::Receiver<Option<Position>>,
    ) {
        let mut is_new = true;
        loop {
            let told = *position.borrow_and_update();
            let answer = self.beat_once(pool, number, incarnation, told).await;
            match answer {
                Ok(()) if is_new => {
                    is_new = false;
                    self.granted.add_permits(1);
                }
                Ok(()) => {}
                Err(error) => {
                    eprintln!("a heartbeat: {error}");
                    sleep(Duration::from_millis(fastrand::u64(10..100))).await;
                    continue;
                }
            }
            tokio::select! {
                _moved = position.changed() => {}
                () = sleep(LEASE / 3) => {}
            }
        }
    }

    async fn beat_once(
        &self,
        pool: &Pool,
        number: usize,
        incarnation: u64,
        position: Option<Position>,
    ) -> Result<(), Failure> {
        let position = position.map(|Position { log, number, hash }| {
            json!({"log": log.to_string(), "number": number, "hash": hash.to_string()})
        });
        let beat = json!({
            "incarnation": format!("{incarnation:016x}"), "role": "edge", "region": "",
            "version": "0", "on_control_loss": "revalidate", "fenced": false,
            "position": position,
        });
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        let beat = request(Method::POST, format!("/v1/nodes/node-{number}"), Some(&beat));
        let answer = answer(pool, beat).await?;
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        match answer["data"]["granted"].as_bool() {
            Some(true) => Ok(()),
            _ => Err(answer.to_string().into()),
        }
    }
}

/// The position behind a line of the log.
fn step(at: Option<Position>, line: &[u8]) -> Result<Option<Position>, Failure> {
    if line.is_empty() {
        return Ok(at);
    }
    if let Ok(entry) = Entry::from_json(line) {
        let next = at.and_then(|at| at.then(&entry));
        return next.map(Some).ok_or_else(|| "an entry that is not the next".into());
    }
    let line: Value = serde_json::from_slice(line)?;
    match line["resume"].as_str() {
        Some("entries" | "snapshot") => Ok(at),
        _ if line.get("command").is_some() => Ok(at),
        _ => {
            let text = |key: &str| line[key].as_str().unwrap_or_default();
            let number = line["head"].as_u64().ok_or("a line without head")?;
            let (log, hash) = (text("log").parse()?, text("head_hash").parse()?);
            Ok(Some(Position { log, number, hash }))
        }
    }
}

/// Asks for purges.
#[derive(Clone)]
struct Purger(Pool);

impl Purger {
    fn new(port: u16) -> Self {
        Self(pool(port))
    }

    /// Purges a tag; waits until every node has acknowledged it, if that is asked for.
    async fn purge(&self, wait: bool) -> Result<(), Failure> {
        let command = json!({"kind": "tag", "value": format!("t{}", fastrand::u32(..))});
        let target = if wait { "/v1/purges?wait=true&timeout=60s" } else { "/v1/purges" };
        let purge = request(Method::POST, target.to_owned(), Some(&command));
        let receipt = answer(&self.0, purge).await?;
        let state = receipt["data"]["state"].as_str();
        match state {
            Some("complete") => Ok(()),
            Some("pending") if !wait => Ok(()),
            _ => Err(receipt.to_string().into()),
        }
    }
}

fn pool(port: u16) -> Pool {
    let config = PoolConfig {
        read_timeout: Duration::from_secs(60),
        response_timeout: Duration::from_secs(70),
        connect_timeout: Duration::from_secs(30),
        ..PoolConfig::default()
    };
    Pool::new(Server::http("127.0.0.1", port), config)
}

fn request(method: Method, target: String, json: Option<&Value>) -> OutgoingRequest {
    let mut headers = HeaderMap::new();
    let body = json.map_or(Body::Empty, |json| {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Body::Full(json.to_string().into())
    });
    let content_length = body.known_length();
    let target = target.into();
    OutgoingRequest { method, target, headers, body, content_length, on_interim: None }
}

async fn answer(pool: &Pool, request: OutgoingRequest) -> Result<Value, Failure> {
    let mut response = pool.send(request).await?;
    let mut whole = Vec::new();
    while let Some(piece) = response.body.next().await {
        if let Piece::Data(data) = piece? {
            whole.extend_from_slice(&data);
        }
    }
    Ok(serde_json::from_slice(&whole)?)
}

impl Control {
    fn start(headland: &str, nodes: usize) -> Result<Self, Failure> {
        use std::io::BufRead as _;
        let folder = tempfile::tempdir()?;
        let config = format!(
            "[listen]\napi = \"127.0.0.1:0\"\n[fleet]\nlease = \"{}s\"\n[purge_log]\n\
             path = \"log\"\n[limits]\nrequests_per_second = 100000\nconnections = {}\n",
            LEASE.as_secs(),
            4 * nodes + 64,
        );
        std::fs::write(folder.path().join("control.toml"), config)?;
        let mut command = Command::new(headland);
        command.args(["control", "--config"]).arg(folder.path().join("control.toml"));
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut lines = std::io::BufReader::new(stderr).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| line.split_once("serving")?.1.rsplit_once(':')?.1.trim().parse().ok());
        std::thread::spawn(move || lines.for_each(drop));
        let port = port.ok_or("the control plane does not start")?;
        Ok(Self { child, port, _folder: folder })
    }

    /// Bytes that it holds in memory.
    fn resident(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 =
            line.and_then(|line| line.split_whitespace().next()).ok_or("RSS")?.parse()?;
        Ok(kib * 1024)
    }

    /// Seconds of CPU time that it has used.
    fn cpu(&self) -> Result<f64, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit_once(')').ok_or("stat")?.1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / 100.0)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ended = self.child.kill().is_err();
        let _reaped = self.child.wait();
    }
}

impl Options {
    fn read() -> Result<Self, Failure> {
        let mut arguments = std::env::args().skip(1);
        let headland = arguments.next().ok_or("usage: fleet_load HEADLAND [--nodes N] ...")?;
        let delay = Duration::ZERO;
        let mut options = Self { headland, nodes: 1000, purges: 100, rate: 200, seconds: 5, delay };
        while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
            match &*key {
                "--nodes" => options.nodes = value.parse()?,
                "--purges" => options.purges = value.parse()?,
                "--rate" => options.rate = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--delay-ms" => options.delay = Duration::from_millis(value.parse()?),
                _ => return Err(format!("unknown option {key}").into()),
            }
        }
        Ok(options)
    }
}
