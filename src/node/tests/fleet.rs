//! A fleet on simulated machines, and what befalls it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use super::clients::{Accepted, Client, Purges, SITE, Settling, look, pool};
use super::network::{Death, Network, Place};
use super::node::{Node, serve};
use super::origin::Origin;
use super::plane;
use super::time::{self, Machine, STEP, now};
use super::truth::{Counts, Truth};
use crate::net::client::Pool;

/// Where clients and origin are; it never fails.
const OUTSIDE: Place = 0;
const CONTROL: Place = 1;
/// The first of the shields and, behind them, of the edges.
const NODES: Place = 2;

const ORIGIN_PORT: u16 = 7000;
/// Of the first node.
const NODE_PORT: u16 = 8000;

/// Each with what it does without the control plane; the edges' last word is what they do without
/// shields.
const SHIELDS: [&str; 2] = ["serve", "revalidate"];
const EDGES: [(&str, &str); 3] =
    [("revalidate", "origin"), ("serve", "origin"), ("revalidate", "none")];

const CLIENTS: usize = 5;
/// Who purges.
const PURGERS: usize = 2;

/// Rounds of a simulation.
const ROUNDS: usize = 2;

/// The longest that a mended fleet may take until every purge is complete and every page is seen:
/// a stream that went silent is given up after 20 s, with 5 s until the next attempt.
const SETTLED: Duration = Duration::from_secs(60);

/// A fleet.
pub(super) struct Fleet {
    seed: u64,
    random: Rng,
    truth: Arc<Truth>,
    network: Network,
    folder: tempfile::TempDir,
    nodes: Vec<Node>,
    /// By place; `None` while it is down.
    machines: Vec<Option<Machine>>,
    accepted: Accepted,
}

/// What befalls the fleet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(Place, Death),
    /// The control plane ends, and its log is lost with it.
    LoseLog,
    /// A node ends, and its journal is lost with it.
    LoseJournal(Place),
    Cut((Place, Place)),
    Hold((Place, Place)),
}

impl Fleet {
    /// One that runs from now on.
    pub(super) fn start(seed: u64, truth: Arc<Truth>) -> Self {
        fastrand::seed(seed);
        time::set(Duration::ZERO);
        let random = Rng::with_seed(seed);
        // Where files are synced in no time, if there is such a place.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        std::fs::write(folder.path().join("secret"), "a secret of some length").unwrap();
        let places = NODES + SHIELDS.len() + EDGES.len();
        let mut fleet = Self {
            seed,
            random,
            network: Network::new(seed),
            nodes: nodes(folder.path()),
            folder,
            machines: (0..places).map(|_| None).collect(),
            accepted: Arc::new(Mutex::default()),
            truth,
        };
        (0..places).for_each(|place| fleet.start_machine(place));
        fleet
    }

    /// Runs it to the end, or until it fails.
    pub(super) fn run(&mut self) -> Result<Counts, String> {
        self.pass(Duration::from_millis(300))?;
        for _ in 0..ROUNDS {
            for _ in 0..self.random.usize(1..=5) {
                let time = Duration::from_millis(self.random.u64(1..350));
                self.pass(time)?;
                self.recover();
                self.suffer();
            }
            let time = Duration::from_millis(self.random.u64(1..450));
            self.pass(time)?;
            self.mend();
            self.await_end(self.settling())?;
            let edges = (SHIELDS.len()..self.nodes.len()).map(|node| self.edge(node)).collect();
            self.await_end(look(self.truth.clone(), edges))?;
            self.truth.judge();
        }
        self.truth.failure().map_or_else(|| Ok(self.truth.counts()), Err)
    }

    /// Lets time pass.
    fn pass(&self, time: Duration) -> Result<(), String> {
        let end = now() + time;
        while now() < end {
            self.step()?;
        }
        Ok(())
    }

    fn step(&self) -> Result<(), String> {
        let (begun, until) = (now(), now() + STEP);
        for machine in self.machines.iter().flatten() {
            machine.run_until(until);
            time::set(begun);
        }
        time::set(until);
        self.truth.failure().map_or(Ok(()), Err)
    }

    /// Lets time pass until something that clients do has ended.
    fn await_end(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
        let (told, mut ended) = tokio::sync::oneshot::channel();
        let outside = self.machines[OUTSIDE].as_ref().unwrap();
        outside.spawn(async move {
            task.await;
            told.send(()).unwrap();
        });
        let late = now() + SETTLED;
        while ended.try_recv().is_err() {
            if now() > late {
                return Err("the fleet is mended, and does not settle".to_owned());
            }
            self.step()?;
        }
        Ok(())
    }

    fn start_machine(&mut self, place: Place) {
        let machine = Machine::start([self.seed, place as u64]);
        match place {
            OUTSIDE => self.outside(&machine),
            CONTROL => {
                let (network, folder) = (self.network.clone(), self.folder.path().join("control"));
                machine.spawn(plane::process(network, CONTROL, folder, plane::kept(self.seed)));
            }
            node => machine.spawn(self.nodes[node - NODES].process(&self.network)),
        }
        self.machines[place] = Some(machine);
        self.network.back(place);
    }

    /// Begins what is never killed.
    fn outside(&mut self, machine: &Machine) {
        let origin = Origin::new(self.truth.clone(), self.random.fork());
        machine.spawn(serve(self.network.listen(OUTSIDE, ORIGIN_PORT), origin));
        for _ in 0..CLIENTS {
            let edges = (SHIELDS.len()..self.nodes.len()).map(|node| self.edge(node)).collect();
            let (truth, random) = (self.truth.clone(), self.random.fork());
            machine.spawn(Client { truth, edges, random }.run());
        }
        for _ in 0..PURGERS {
            let (truth, random) = (self.truth.clone(), self.random.fork());
            let (control, accepted) = (self.control(), self.accepted.clone());
            machine.spawn(Purges { truth, control, accepted, random }.run());
        }
    }

    fn settling(&self) -> impl Future<Output = ()> + Send + use<> {
        let (truth, control) = (self.truth.clone(), self.control());
        let kept = plane::kept(self.seed) as u64;
        Settling { truth, control, kept, accepted: self.accepted.clone() }.run()
    }

    fn edge(&self, node: usize) -> Pool {
        pool(&self.network, OUTSIDE, self.nodes[node].port)
    }

    fn control(&self) -> Pool {
        pool(&self.network, OUTSIDE, plane::PORT)
    }

    fn suffer(&mut self) {
        let fault = self.any_fault();
        self.truth.note(format!("{fault:?}"));
        match fault {
            Fault::Kill(place, death) => self.kill(place, death),
            Fault::LoseLog => {
                self.kill(CONTROL, Death::Reset);
                let log = plane::log_file(&self.folder.path().join("control"));
                // It may be lost already.
                let _gone = std::fs::remove_file(log).is_err();
            }
            Fault::LoseJournal(place) => {
                self.kill(place, Death::Reset);
                self.nodes[place - NODES].lose_journal();
            }
            Fault::Cut(line) => self.network.cut(line),
            Fault::Hold(line) => self.network.hold(line),
        }
    }

    /// Some of what is amiss is mended, and meets what is not.
    fn recover(&mut self) {
        for line in lines() {
            if self.random.u8(..4) == 0 {
                let is_lost = self.random.u8(..4) == 0;
                self.network.mend(line, is_lost);
            }
        }
        for place in CONTROL..self.machines.len() {
            if self.machines[place].is_none() && self.random.bool() {
                self.truth.note(format!("{place} is back"));
                self.start_machine(place);
            }
        }
    }

    fn any_fault(&mut self) -> Fault {
        let places = self.machines.len();
        let death = match self.random.u8(..16) {
            0 => Death::Silence,
            1..5 => Death::End,
            _ => Death::Reset,
        };
        let place = self.random.usize(NODES..places);
        let lines = lines();
        let line = lines[self.random.usize(..lines.len())];
        match self.random.u8(..20) {
            0..4 => Fault::Kill(CONTROL, death),
            4..9 => Fault::Kill(place, death),
            9 => Fault::LoseLog,
            10 => Fault::LoseJournal(place),
            11..15 => Fault::Cut(line),
            _ => Fault::Hold(line),
        }
    }

    fn kill(&mut self, place: Place, death: Death) {
        if let Some(machine) = self.machines[place].take() {
            self.network.end(place, death, || drop(machine));
        }
    }

    /// Starts what is down, and makes every line as good as new.
    fn mend(&mut self) {
        for line in lines() {
            self.network.mend(line, self.random.bool());
        }
        for place in CONTROL..self.machines.len() {
            if self.machines[place].is_none() {
                self.start_machine(place);
            }
        }
        self.truth.note("mended");
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for place in 0..self.machines.len() {
            self.kill(place, Death::Reset);
        }
    }
}

/// The lines that may fail: all but those of the clients.
fn lines() -> Vec<(Place, Place)> {
    let shields = NODES..NODES + SHIELDS.len();
    let edges = shields.end..shields.end + EDGES.len();
    let to_shields = edges.clone().flat_map(|edge| shields.clone().map(move |to| (edge, to)));
    let to_control = (shields.start..edges.end).map(|node| (node, CONTROL));
    let to_origin = (shields.start..edges.end).map(|node| (node, OUTSIDE));
    to_shields.chain(to_control).chain(to_origin).collect()
}

fn nodes(folder: &Path) -> Vec<Node> {
    let token = folder.join("token");
    std::fs::write(&token, "of no account on loopback").unwrap();
    std::fs::create_dir(folder.join("control")).unwrap();
    let port = |number: usize| NODE_PORT + number as u16;
    let urls = (0..SHIELDS.len()).map(|number| format!("\"http://127.0.0.1:{}\"", port(number)));
    let urls = urls.collect::<Vec<_>>().join(", ");
    let shields = SHIELDS.iter().enumerate().map(|(number, on_loss)| {
        (format!("shield-{}", number + 1), "shield", *on_loss, String::new())
    });
    let edges = EDGES.iter().enumerate().map(|(number, (on_loss, fallback))| {
        let table = format!(
            "[shield]\nnodes = [{urls}]\nfallback = \"{fallback}\"\nconnect_timeout = \"100ms\"\n\
             response_timeout = \"500ms\"\nidle_timeout = \"500ms\"\nfailures = 2\n\
             pause = \"100ms\"\npause_max = \"400ms\""
        );
        (format!("edge-{}", number + 1), "edge", *on_loss, table)
    });
    let each = shields.chain(edges).enumerate();
    each.map(|(number, (name, role, on_loss, table))| {
        let (site, host) = (SITE.1, SITE.0);
        let text = format!(
            "[node]\nname = \"{name}\"\nregion = \"eu\"\nrole = \"{role}\"\n\
             [listen]\nhttp = [\"127.0.0.1:{port}\"]\n\
             [peer]\nsecret_file = \"secret\"\ncatch_up = \"60ms\"\n{table}\n\
             [purge]\nsweep = 0\n\
             [control]\nurl = \"http://127.0.0.1:{control}\"\ntoken_file = \"token\"\n\
             on_control_loss = \"{on_loss}\"\n\
             [[origin]]\nname = \"o\"\nservers = [{{ url = \"http://127.0.0.1:{ORIGIN_PORT}\" }}]\n\
             connect_timeout = \"100ms\"\nresponse_timeout = \"400ms\"\nidle_timeout = \"400ms\"\n\
             [[site]]\nname = \"{site}\"\nhosts = [\"{host}\"]\norigin = \"o\"\n",
            port = port(number),
            control = plane::PORT,
        );
        Node::new(NODES + number, port(number), folder, &text)
    })
    .collect()
}
