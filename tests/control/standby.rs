//! Several control planes over one log on NATS: one leads, and the next takes over.

use std::time::Instant;

use super::nats::NatsServer;
use super::*;

struct Pair {
    server: NatsServer,
    folders: [TempDir; 2],
}

impl Pair {
    fn new() -> Self {
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        Self { server: NatsServer::start(), folders }
    }

    fn start(&self, which: usize) -> Control {
        let url = self.server.url();
        let purge_log = format!("backend = \"nats\"\nservers = [\"{url}\"]");
        Control::start_with(self.folders[which].path(), &purge_log)
    }
}

impl Control {
    fn get(&self, path: &str) -> Option<(u16, Value)> {
        self.ask("GET", path, &Value::Null)
    }

    fn leads(&self) -> bool {
        self.get("/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// Waits until it leads.
    pub(super) fn led(self) -> Self {
        let begun = Instant::now();
        while !self.leads() {
            assert!(begun.elapsed() < LONGEST, "it does not lead");
            std::thread::yield_now();
        }
        self
    }

    fn node(&self) -> Value {
        self.get("/v1/nodes").unwrap().1["data"][0].clone()
    }
}

#[test]
fn one_leads_and_the_next_takes_over_what_was_granted_and_purged() {
    let pair = Pair::new();
    let one = pair.start(0).led();
    let next = pair.start(1);
    let start = Position::start(one.log());
    assert_eq!(one.beat(start).0, 200);
    assert_eq!(one.purge("a").unwrap().0, 202, "the node has not applied it");

    for (method, path) in [
        ("GET", "/readyz"),
        ("GET", "/v1/nodes"),
        ("GET", "/v1/purges/1"),
        ("GET", "/v1/log"),
        ("POST", "/v1/purges"),
    ] {
        let tag = json!({ "kind": "tag", "value": "x" });
        let (status, told) = next.ask(method, path, &tag).unwrap();
        let detail = told["detail"].as_str().unwrap();
        assert!(status == 503 && detail.contains("stands by"), "{method} {path}: {told}");
    }
    assert_eq!(next.beat(start).0, 503);
    assert_eq!(next.get("/healthz").unwrap().0, 200);
    assert_eq!(next.get("/v1/status").unwrap().1["data"]["state"], "standby");

    drop(one);
    let next = next.led();
    assert_eq!(next.log(), start.log, "the log goes on");
    assert_eq!(next.node()["name"], "fra-1", "the registration is there");
    let (status, receipt) = next.get("/v1/purges/1").unwrap();
    assert_eq!((status, &receipt["data"]["state"]), (202, &json!("pending")), "a node serves on");
    let mut lines = next.follow(start);
    assert_eq!(lines.next().unwrap()["head"], 1);
    let applied = start.then(&entry(&lines.next().unwrap())).unwrap();
    assert_eq!(next.beat(applied).0, 200);
    assert_eq!(next.get("/v1/purges/1").unwrap().0, 200, "and has acknowledged");
    let (_, receipt) = next.purge("b").unwrap();
    assert_eq!(receipt["data"]["sequence"]["number"], 2);
}

/// One that stops lets the next lead at once, and leads again when that one stops.
#[test]
fn the_lead_goes_back_and_forth() {
    let pair = Pair::new();
    let mut leads = pair.start(0).led();
    let start = Position::start(leads.log());
    for round in 0..4 {
        let next = pair.start(1 - round % 2);
        let (_, receipt) = leads.purge(&round.to_string()).unwrap();
        assert_eq!(receipt["data"]["sequence"]["number"], round as u64 + 1);
        let pid = leads.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(leads.child.wait().unwrap().success(), "it drains");
        leads = next.led();
    }
    let mut lines = leads.follow(start);
    assert_eq!(lines.next().unwrap()["head"], 4);
    let mut behind = start;
    while behind.number < 4 {
        behind = behind.then(&entry(&lines.next().unwrap())).unwrap();
    }
}

/// Of a process that was stopped, and has missed that another took over, nothing counts.
#[test]
fn one_that_slept_through_its_term_grants_nothing() {
    let pair = Pair::new();
    let one = pair.start(0).led();
    let start = Position::start(one.log());
    assert_eq!(one.beat(start).0, 200);
    let signal = |name: &str| {
        let pid = one.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let next = pair.start(1).led();
    assert_eq!(next.purge("a").unwrap().0, 202);
    signal("-CONT");
    assert_eq!(one.beat(start).0, 503);
    assert_eq!(one.get("/v1/purges/1").unwrap().0, 503);
    assert_eq!(next.beat(start).0, 200);
}
