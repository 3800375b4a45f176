//! The control plane as nodes and scripts meet it: the real binary, over real sockets, killed.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

#[path = "support/nats.rs"]
mod nats;
#[path = "control/standby.rs"]
mod standby;

use headland::object::{Entry, LogId, Position};
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "control/backup.rs"]
mod backup;
#[path = "control/commands.rs"]
mod commands;
#[path = "control/deploy.rs"]
mod deploy;
#[path = "control/described.rs"]
mod described;
#[path = "control/publishing.rs"]
mod publishing;
#[path = "control/reload.rs"]
mod reload;
#[path = "control/sign_in.rs"]
mod sign_in;

/// Longer than anything here takes.
const LONGEST: Duration = Duration::from_secs(60);

/// A token for everything, where tokens are asked for.
const ADMIN: &str = "hl_admin";

/// A control plane in a process of its own; dropping it kills it.
struct Control {
    child: Child,
    address: SocketAddr,
    /// A field that every request has.
    authorization: String,
    /// What it writes of itself once it serves.
    told: Mutex<mpsc::Receiver<String>>,
}

impl Control {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, "path = \"log\"")
    }

    /// One whose log lives as `purge_log` says.
    fn start_with(folder: &Path, purge_log: &str) -> Self {
        let config = folder.join("control.toml");
        let text = format!(
            "[listen]\napi = \"127.0.0.1:0\"\n[fleet]\nlease = \"300ms\"\n\
             [purge_log]\n{purge_log}\n[limits]\nrequests_per_second = 100000\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_headland"))
            .args(["control", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = stderr.find_map(|line| {
            let line = line.unwrap();
            let address = line.split_once("serving")?.1.rsplit_once('=')?.1.to_owned();
            address.parse().ok()
        });
        // Whoever writes more must find a reader.
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.map_while(Result::ok) {
                // Whoever is not interested is gone.
                let _gone = tell.send(line).is_err();
            }
        });
        let authorization = format!("authorization: Bearer {ADMIN}");
        Self { child, address: serving.unwrap(), authorization, told: Mutex::new(told) }
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        let (host, length, authorization) = (self.address, body.len(), &self.authorization);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{authorization}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\
             prefer: surveys\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        Some(stream)
    }

    /// The status and the JSON of an answer; `None` if none came whole.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = String::new();
        self.send(method, path, &body)?.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.get(9..12)?.parse().ok()?, serde_json::from_str(body).ok()?))
    }

    fn purge(&self, tag: &str) -> Option<(u16, Value)> {
        self.ask("POST", "/v1/purges", &json!({ "kind": "tag", "value": tag }))
    }

    fn beat(&self, applied: Position) -> (u16, Value) {
        self.beat_of("fra-1", applied)
    }

    fn beat_of(&self, name: &str, applied: Position) -> (u16, Value) {
        let position = json!({ "log": applied.log.to_string(), "number": applied.number });
        let beat = json!({
            "incarnation": "0000000000000001", "role": "edge", "on_control_loss": "serve",
            "fenced": false, "position": position,
        });
        self.ask("POST", &format!("/v1/nodes/{name}"), &beat).unwrap()
    }

    fn log(&self) -> LogId {
        let status = self.ask("GET", "/v1/status", &Value::Null).unwrap().1;
        status["data"]["purge"]["log"].as_str().unwrap().parse().unwrap()
    }

    /// Every line of the log behind a position, without the frames around them.
    fn follow(&self, from: Position) -> impl Iterator<Item = Value> + use<> {
        let Position { log, number, hash } = from;
        let path = format!("/v1/log?log={log}&after={number}&hash={hash}");
        let lines = BufReader::new(self.send("GET", &path, "").unwrap()).lines();
        let values =
            lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
        // The size of a chunk may look like a number.
        values.filter(Value::is_object)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // It may have ended before.
        let _ended = self.child.kill().is_err();
        self.child.wait().unwrap();
    }
}

/// An entry of a line.
fn entry(line: &Value) -> Entry {
    Entry::from_json(line.to_string().as_bytes()).unwrap()
}

#[test]
fn a_node_follows_acknowledges_and_is_told_of_the_end() {
    let folder = TempDir::new().unwrap();
    let mut control = Control::start(folder.path());
    let start = Position::start(control.log());
    assert_eq!(control.beat(start).0, 200);
    let mut lines = control.follow(start);
    assert_eq!(lines.next().unwrap()["resume"], "entries");

    let (status, pending) = control.purge("p42").unwrap();
    assert_eq!((status, &pending["data"]["state"]), (202, &json!("pending")));
    let applied = start.then(&entry(&lines.next().unwrap())).unwrap();
    assert_eq!(control.beat(applied).0, 200);
    let (status, receipt) = control.ask("GET", "/v1/purges/1", &Value::Null).unwrap();
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(receipt["data"]["nodes"][0]["state"], "applied");

    let pid = control.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(lines.next(), None);
    assert!(control.child.wait().unwrap().success(), "it drains");
    let control = Control::start(folder.path());
    let audit = control.ask("GET", "/v1/audit", &Value::Null).unwrap().1;
    assert_eq!(
        audit["data"][0]["detail"], "tag \"p42\": purge 1",
        "of the process before: {audit}"
    );
}

/// What was acknowledged before a kill is there after it, and the log goes on as one.
#[test]
fn what_is_acknowledged_survives_any_kill() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    let mut position = None;
    for round in 0..8 {
        let mut control = Control::start(folder.path());
        let start = *position.get_or_insert_with(|| Position::start(control.log()));
        let (told, acknowledgements) = mpsc::channel();
        std::thread::scope(|scope| {
            for client in 0..3 {
                let (told, control) = (told.clone(), &control);
                scope.spawn(move || {
                    for n in 0.. {
                        let tag = format!("{round}-{client}-{n}");
                        let Some((_, receipt)) = control.purge(&tag) else { return };
                        let number = receipt["data"]["sequence"]["number"].as_u64().unwrap();
                        told.send((number, tag)).unwrap();
                    }
                });
            }
            let mut behind = start;
            let mut lines = control.follow(start);
            lines.next().unwrap();
            // Somewhere between the answers of many.
            while behind.number < 40 * (round + 1) + 7 * round {
                behind = behind.then(&entry(&lines.next().unwrap())).unwrap();
            }
            let pid = control.child.id().to_string();
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        });
        drop(told);
        acknowledged.extend(acknowledgements);
        control.child.wait().unwrap();
    }
    let control = Control::start(folder.path());
    let mut behind = position.unwrap();
    let mut lines = control.follow(behind);
    let head = lines.next().unwrap()["head"].as_u64().unwrap();
    let mut found = Vec::new();
    while behind.number < head {
        let entry = entry(&lines.next().unwrap());
        behind = behind.then(&entry).unwrap();
        found.extend((entry.first..).zip(entry.commands.iter().map(|it| it.value.clone())));
    }
    assert!(acknowledged.len() >= 8 * 20, "{}", acknowledged.len());
    for purge in acknowledged {
        assert!(found.contains(&purge), "{purge:?}");
    }
}

#[test]
fn a_folder_is_of_one_control_plane_and_a_bad_config_of_none() {
    let folder = TempDir::new().unwrap();
    let _control = Control::start(folder.path());
    let config = folder.path().join("control.toml");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
        let output = command.args(["control", "--config"]).arg(&config).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run();
    assert_eq!(code, Some(1));
    assert!(told.ends_with("cannot be opened: another control plane uses its folder\n"), "{told}");
    std::fs::write(&config, "[listen]\napi = \"0.0.0.0:0\"\n").unwrap();
    let (code, told) = run();
    assert_eq!(code, Some(2));
    assert!(told.contains("control.toml:2:1: listen.api: expected a loopback address"), "{told}");
    assert!(told.ends_with("2 faults\n"), "{told}");
}
