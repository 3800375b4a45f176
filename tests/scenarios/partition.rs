//! A fleet whose parts lose each other and are killed while it is purged: once a receipt is
//! complete nothing begins from what it covers, and no purge that was accepted is lost.
//!
//! ```text
//!   clients ─► edge-1 (revalidate) ──line──┐
//!   clients ─► edge-2 (serve) ─────line────┴─► shield-1 ─► origin
//!                 └── each by a line of its own ──┴─► control
//!
//!   round   gets and purges go on ─► one or two faults, at random ─► all is mended
//!           ─► every purge that was accepted completes ─► every page of every edge is judged
//! ```
//!
//! A fault cuts or holds a line, or kills control plane, shield or edge by SIGKILL and starts it
//! again. `HEADLAND_PARTITION_ROUNDS` says how many rounds, `HEADLAND_SEED` repeats the choice of
//! faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::client::{Place, Seen};
use crate::support::control::ControlProcess;
use crate::support::door::Door;
use crate::support::line::Line;
use crate::support::process::{Home, NodeProcess};
use crate::support::{Ask, Client, HOST, Origin, Protocol, Reply, eventually, within};

const PAGES: usize = 12;
const DISK: &str = "memory = \"1MiB\"\ndisk = { path = \"cache\", size = \"64MiB\" }";
const EDGES: [(&str, &str); 2] = [("edge-1", "revalidate"), ("edge-2", "serve")];
const SECRET: &str = "a secret of some length";
/// Answers between one thing that happens and the next, at most.
const ANSWERS_MAX: u64 = 60;
/// A client waits no longer: the answer may be on a line that is held.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the origin has, and what was promised of it.
struct World {
    /// Of each page the version that the origin has.
    versions: [AtomicU64; PAGES],
    /// Of each page the oldest version that a response may begin from.
    floors: [AtomicU64; PAGES],
    /// Purges that were accepted and are not complete: number, page and version.
    accepted: Mutex<Vec<(u64, usize, u64)>>,
    /// Answers so far.
    answers: watch::Sender<u64>,
    /// Purges whose receipts are complete, and answers of an edge's own store.
    completed: AtomicU64,
    hits: AtomicU64,
}

/// A node, its lines, and where clients find it.
struct Member {
    home: Home,
    /// `None` while it is down.
    process: Option<NodeProcess>,
    place: watch::Sender<Option<Arc<Place>>>,
    to_control: Line,
}

struct Fleet {
    control: Option<ControlProcess>,
    /// Where the control plane's door is: it stays over restarts.
    door: (std::net::SocketAddr, Arc<Place>),
    shield: Member,
    edges: Vec<Member>,
    /// From each edge to the shield.
    to_shield: Vec<Line>,
}

#[tokio::test]
async fn what_is_purged_stays_purged_whoever_is_cut_off_or_killed() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let rounds = number("HEADLAND_PARTITION_ROUNDS").unwrap_or(60);
    let seed = number("HEADLAND_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HEADLAND_PARTITION_ROUNDS={rounds} HEADLAND_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let world = Arc::new(World::new());
    let origin = Origin::start().await;
    let pages = world.clone();
    origin.otherwise(move |target| pages.reply(target));
    let mut fleet = Fleet::start(&origin).await;
    let mut tasks = tokio::task::JoinSet::new();
    for edge in &fleet.edges {
        tasks.spawn(world.clone().ask(edge.place.subscribe(), random.fork()));
    }
    tasks.spawn(world.clone().purge(fleet.door.clone(), random.fork()));
    for round in 0..rounds {
        let faults: Vec<Fault> =
            (0..random.usize(1..=2)).map(|_| Fault::any(&mut random)).collect();
        for fault in &faults {
            world.more(random.u64(1..ANSWERS_MAX)).await;
            fleet.suffer(*fault).await;
        }
        world.more(random.u64(1..ANSWERS_MAX)).await;
        fleet.mend().await;
        if let Some(ended) = tasks.try_join_next() {
            ended.unwrap();
        }
        world.settle(&fleet.door, round, &faults).await;
        world.judge(&fleet.edges).await;
    }
    tasks.abort_all();
    while let Some(ended) = tasks.join_next().await {
        assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
    }
    let counts = [&world.completed, &world.hits].map(|count| count.load(SeqCst));
    println!("{} purges complete, {} hits of edges", counts[0], counts[1]);
    assert!(counts.iter().all(|&count| count >= rounds), "{counts:?}");
}

/// What befalls the fleet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillControl,
    KillShield,
    KillEdge(usize),
    /// A line: those of the edges to the shield, then those to the control plane of edges and
    /// shield.
    Cut(usize),
    Hold(usize),
}

impl Fault {
    fn any(random: &mut Rng) -> Self {
        let line = random.usize(..2 * EDGES.len() + 1);
        match random.u8(..10) {
            0..2 => Self::KillControl,
            2..4 => Self::KillShield,
            4..6 => Self::KillEdge(random.usize(..EDGES.len())),
            6..8 => Self::Cut(line),
            _ => Self::Hold(line),
        }
    }
}

impl World {
    fn new() -> Self {
        Self {
            versions: std::array::from_fn(|_| AtomicU64::new(1)),
            floors: std::array::from_fn(|_| AtomicU64::new(0)),
            accepted: Mutex::default(),
            answers: watch::Sender::new(0),
            completed: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    fn reply(&self, target: &str) -> Reply {
        let page: usize = target.trim_start_matches('/').parse().unwrap();
        let version = self.versions[page].load(SeqCst);
        let reply = Reply::fresh(format!("{version}")).field("surrogate-key", &format!("p{page}"));
        reply.field("etag", &format!("\"{version}\""))
    }

    /// Asks an edge for ever, wherever it is.
    async fn ask(self: Arc<Self>, mut place: watch::Receiver<Option<Arc<Place>>>, mut random: Rng) {
        loop {
            let found = place.wait_for(Option::is_some).await.unwrap().clone();
            let Ok(client) = Client::to(found.unwrap(), Protocol::H1).await else {
                tokio::task::yield_now().await;
                continue;
            };
            while self.ask_once(&client, random.usize(..PAGES)).await {}
        }
    }

    /// Whether there was an answer.
    async fn ask_once(&self, client: &Client, page: usize) -> bool {
        let floor = self.floors[page].load(SeqCst);
        let asked = timeout(PATIENCE, client.ask(Ask::get(&format!("/{page}")))).await;
        let Ok(Ok(seen)) = asked else { return false };
        self.check(page, floor, &seen);
        self.answers.send_modify(|count| *count += 1);
        true
    }

    fn check(&self, page: usize, floor: u64, seen: &Seen) {
        if seen.status >= 500 {
            return;
        }
        let version: u64 = seen.text().parse().unwrap();
        let why = seen.cache_status();
        assert!(version >= floor, "page {page}: version {version}, purged up to {floor}: {why}");
        assert!(version <= self.versions[page].load(SeqCst));
        self.hits.fetch_add(u64::from(why.contains("edge-") && why.contains("; hit")), SeqCst);
    }

    /// Changes pages and purges them for ever.
    async fn purge(self: Arc<Self>, door: (std::net::SocketAddr, Arc<Place>), mut random: Rng) {
        loop {
            let Ok(client) = Client::to(door.1.clone(), Protocol::H1).await else {
                tokio::task::yield_now().await;
                continue;
            };
            while self.purge_once(&client, &mut random).await {
                let pause = random.u64(1..8);
                self.more(pause).await;
            }
        }
    }

    /// Whether there was an answer.
    async fn purge_once(&self, client: &Client, random: &mut Rng) -> bool {
        let page = random.usize(..PAGES);
        let version = self.versions[page].fetch_add(1, SeqCst) + 1;
        let command = match random.bool() {
            true => json!({ "kind": "tag", "value": format!("p{page}") }),
            false => json!({ "kind": "url", "value": format!("http://{HOST}/{page}") }),
        };
        let target = "/v1/purges?wait=true&timeout=100ms";
        let ask = Ask::new("POST", target).host("localhost").content(command.to_string());
        let asked = timeout(PATIENCE, client.ask(ask.field("content-type", "application/json")));
        let Ok(Ok(seen)) = asked.await else { return false };
        assert!(matches!(seen.status, 200 | 202), "{} {}", seen.status, seen.text());
        let receipt: Value = serde_json::from_slice(&seen.body).unwrap();
        let number = receipt["data"]["sequence"]["number"].as_u64().unwrap();
        match seen.status {
            200 => self.complete(page, version),
            _ => self.accepted.lock().push((number, page, version)),
        }
        true
    }

    fn complete(&self, page: usize, version: u64) {
        self.floors[page].fetch_max(version, SeqCst);
        self.completed.fetch_add(1, SeqCst);
    }

    /// Waits for so many more answers.
    async fn more(&self, count: u64) {
        let mut answers = self.answers.subscribe();
        let enough = *answers.borrow() + count;
        within("more answers", answers.wait_for(|answers| *answers >= enough)).await.unwrap();
    }

    /// Waits until every purge that was accepted is complete.
    async fn settle(
        &self,
        door: &(std::net::SocketAddr, Arc<Place>),
        round: u64,
        faults: &[Fault],
    ) {
        let door = Door::at(door.0, door.1.clone()).await;
        let accepted = std::mem::take(&mut *self.accepted.lock());
        for (number, page, version) in accepted {
            let what = format!("purge {number}, round {round}, {faults:?}");
            let is_complete = async || {
                let seen = door.get(&format!("/v1/purges/{number}")).await;
                let receipt: Value = serde_json::from_slice(&seen.body).unwrap();
                assert!(receipt["data"].is_object(), "{what} is lost: {receipt}");
                receipt["data"]["state"] == "complete"
            };
            eventually(&what, is_complete).await;
            self.complete(page, version);
        }
    }

    /// Asks every edge for every page.
    async fn judge(&self, edges: &[Member]) {
        for edge in edges {
            let client = within("an edge", edge.client()).await;
            for page in 0..PAGES {
                let floor = self.floors[page].load(SeqCst);
                self.check(page, floor, &client.get(&format!("/{page}")).await);
            }
        }
    }
}

impl Member {
    async fn start(home: Home, to_control: Line) -> Self {
        let process = home.start().await;
        let place = watch::Sender::new(Some(process.place()));
        Self { home, process: Some(process), place, to_control }
    }

    async fn client(&self) -> Client {
        let place = self.place.borrow().clone().unwrap();
        Client::to(place, Protocol::H1).await.unwrap()
    }

    async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.place.send_replace(None);
            process.signal("KILL");
            process.ended().await;
        }
    }

    async fn start_again(&mut self) {
        if self.process.is_none() {
            let process = self.home.start().await;
            self.place.send_replace(Some(process.place()));
            self.process = Some(process);
        }
    }

    fn https(&self) -> std::net::SocketAddr {
        self.process.as_ref().unwrap().address("https")
    }
}

impl Fleet {
    async fn start(origin: &Origin) -> Self {
        let control = ControlProcess::start().await;
        let secret = format!("secret_file = \"{}\"", control.keep("peer.secret", SECRET).display());
        let node = async |name: &str, on_loss: &str| {
            let line = Line::start().await;
            line.lead_to(control.address());
            let lines = control.lines_by(line.address, on_loss);
            (line, control.node(name, on_loss, origin).control(&lines).cache(DISK))
        };
        let (line, setup) = node("shield-1", "serve").await;
        let home = Home::new(&setup.shield().tiers(&format!("[peer]\n{secret}")));
        let ca = home.path().join("ca.pem");
        let shield = Member::start(home, line).await;
        let (mut edges, mut to_shield) = (Vec::new(), Vec::new());
        for (name, on_loss) in EDGES {
            let to = Line::start().await;
            to.lead_to(shield.https());
            let tables = format!(
                "[shield]\nnodes = [\"https://{}\"]\nresponse_timeout = \"500ms\"\n\
                 [peer]\n{secret}\nca_file = \"{}\"",
                to.address,
                ca.display()
            );
            let (line, setup) = node(name, on_loss).await;
            edges.push(Member::start(Home::new(&setup.tiers(&tables)), line).await);
            to_shield.push(to);
        }
        let door = (control.address(), control.place());
        Self { control: Some(control), door, shield, edges, to_shield }
    }

    async fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::KillControl => {
                let control = self.control.take().unwrap().restart().await;
                self.control = Some(control);
            }
            Fault::KillShield => self.shield.kill().await,
            Fault::KillEdge(edge) => {
                self.edges[edge].kill().await;
                // Somebody has to answer.
                self.edges[edge].start_again().await;
            }
            Fault::Cut(line) => self.line(line).cut(),
            Fault::Hold(line) => self.line(line).hold(),
        }
    }

    fn line(&self, number: usize) -> &Line {
        let to_control = self.edges.iter().chain([&self.shield]).map(|member| &member.to_control);
        self.to_shield.iter().chain(to_control).nth(number).unwrap()
    }

    /// Starts what is down, and leads every line to where it belongs.
    async fn mend(&mut self) {
        self.shield.start_again().await;
        for line in &self.to_shield {
            line.lead_to(self.shield.https());
        }
        for member in self.edges.iter().chain([&self.shield]) {
            member.to_control.lead_to(self.door.0);
        }
    }
}
