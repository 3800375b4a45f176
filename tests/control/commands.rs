//! What people and scripts type, before a control plane with tokens and a node that acknowledges
//! when the test says so.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use headland::config::secret::{Secret, TokenHash};
use headland::object::Position;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ADMIN, Control, entry};

/// A token that may purge.
pub(crate) const DEPLOY: &str = "hl_deploy";

/// A control plane with one node, `fra-1`, that serves on.
pub(crate) struct Stage {
    pub(crate) control: Control,
    pub(crate) folder: TempDir,
    pub(crate) start: Position,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let tokens = [("ops", "admin", ADMIN), ("deploy", "purge", DEPLOY)].map(|it| {
            let (name, role, token) = it;
            std::fs::write(folder.path().join(name), format!("{token}\n")).unwrap();
            let hash = TokenHash::of(&Secret::new(token));
            format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"{hash}\"\n")
        });
        let tables = format!("path = \"log\"\n{}", tokens.concat());
        let control = Control::start_with(folder.path(), &tables);
        let start = Position::start(control.log());
        assert_eq!(control.beat(start).0, 200);
        Self { control, folder, start }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.control.address)
    }

    /// A command that is told of the control plane and a token by its environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
        command.args(arguments).env("HEADLAND_CONTROL", self.url());
        command.env("HEADLAND_TOKEN_FILE", self.file("deploy")).stdin(Stdio::null());
        command
    }

    /// The file with the token of `name`.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        told(self.command(arguments).output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value, String) {
        let (code, stdout, stderr) = self.run(&[arguments, &["--json"]].concat());
        let json = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        (code, json, stderr)
    }

    /// The node acknowledges every purge up to this one.
    pub(crate) fn acknowledge(&self, number: u64) {
        let mut lines = self.control.follow(self.start);
        lines.next().unwrap();
        let mut position = self.start;
        while position.number < number {
            position = position.then(&entry(&lines.next().unwrap())).unwrap();
        }
        assert_eq!(self.control.beat(position).0, 200);
    }

    /// The node acknowledges the first entry, of which it serves nothing that these purges name.
    pub(crate) fn acknowledge_without(&self, unmatched: &Value) {
        let mut lines = self.control.follow(self.start);
        lines.next().unwrap();
        let Position { log, number, .. } = self.start.then(&entry(&lines.next().unwrap())).unwrap();
        let beat = json!({
            "incarnation": "0000000000000001", "role": "edge", "on_control_loss": "serve",
            "fenced": false, "position": { "log": log.to_string(), "number": number },
            "unmatched": unmatched,
        });
        assert_eq!(self.control.ask("POST", "/v1/nodes/fra-1", &beat).unwrap().0, 200);
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_purge_is_watched_until_its_receipt() {
    let stage = Stage::start();
    let mut command = stage.command(&["purge", "tag", "p42", "home", "--wait", "--timeout", "60s"]);
    let mut purge = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = BufReader::new(purge.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(progress.next().unwrap(), "  fra-1  pending");
    stage.acknowledge(2);
    let applied = progress.next().unwrap();
    assert!(applied.starts_with("  fra-1  applied  "), "{applied}");
    assert_eq!(progress.next(), None);
    let (code, receipts, _) = told(purge.wait_with_output().unwrap());
    assert_eq!(receipts, format!("complete  1  p42\n{applied}\ncomplete  2  home\n{applied}\n"));
    assert_eq!(code, 0);
}

#[test]
fn a_purge_that_stays_pending_fails_and_names_whom_it_waits_for() {
    let stage = Stage::start();
    let arguments = ["purge", "tag", "p42", "--wait", "--timeout", "20ms"];
    let (code, receipt, stderr) = stage.run(&arguments);
    assert_eq!((code, &*receipt), (1, "pending   1  p42\n  fra-1  pending\n"));
    let told = |number: u64| {
        format!(
            "headland purge: accepted, and pending at fra-1, which will apply it when they can; \
             `headland purges {number}` tells how far they are\n"
        )
    };
    assert_eq!(stderr, format!("  fra-1  pending\n{}", told(1)));
    let (code, json, stderr) = stage.json(&arguments);
    assert_eq!((code, stderr), (1, told(2)));
    assert_eq!(json["data"][0]["nodes"][0]["state"], "pending");
    // Without --wait nobody is asked how far they are.
    let (code, _, stderr) = stage.run(&arguments[..3]);
    assert_eq!((code, stderr), (1, told(3)));
    assert_eq!(stage.run(&["purges", "3"]).0, 0);
}

#[test]
fn the_fleet_and_its_purges_are_listed() {
    let stage = Stage::start();
    stage.run(&["purge", "tag", "p42"]);
    stage.run(&["purge", "url", "https://shop.example/a", "--soft", "--site", "shop"]);
    stage.acknowledge(1);
    let (code, nodes, _) = stage.run(&["nodes"]);
    assert_eq!(code, 0);
    let row: Vec<_> = nodes.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], &row[2..6]), ("fra-1", &["edge", "live", "1", "1"][..]), "{nodes}");
    assert_eq!(stage.json(&["nodes"]).1["data"][0]["lag"], 1);

    let (code, purges, _) = stage.run(&["purges"]);
    assert_eq!(code, 0);
    let rows: Vec<_> = purges.lines().skip(1).collect();
    let soft = "2       pending   0/1    soft url  https://shop.example/a  shop  deploy  ";
    assert!(rows[0].starts_with(soft), "{purges}");
    assert!(rows[1].starts_with("1       complete  1/1    tag       p42 "), "{purges}");
    assert_eq!(stage.run(&["purges", "--before", "2"]).1.lines().count(), 2);
    assert_eq!(stage.json(&["purges", "--limit", "1"]).1["meta"]["next"], "2");
    let (code, one, _) = stage.run(&["purges", "2"]);
    assert!(code == 0 && one.ends_with("\nnode   state    ms\nfra-1  pending  -\n"), "{one}");
    let (code, _, stderr) = stage.run(&["purges", "3"]);
    assert!(code == 1 && stderr.contains("No recent purge has the number 3."), "{stderr}");

    let (code, status, _) = stage.run(&["status"]);
    assert_eq!(code, 0);
    for row in ["control  control  -", "1     0     0       0     ", "fra-1  -       edge  live "] {
        assert!(status.lines().any(|line| line.starts_with(row)), "{row}: {status}");
    }
    assert_eq!(stage.json(&["status"]).1["data"]["receipts_pending"], 1);
}

#[test]
fn a_long_list_of_nodes_comes_page_by_page() {
    const NODES: usize = 1003;
    let stage = Stage::start();
    std::thread::scope(|scope| {
        for first in 0..16 {
            let (control, start) = (&stage.control, stage.start);
            scope.spawn(move || {
                for n in (first..NODES - 1).step_by(16) {
                    assert_eq!(control.beat_of(&format!("node-{n:04}"), start).0, 200);
                }
            });
        }
    });
    let nodes = stage.json(&["nodes"]).1;
    let names: Vec<_> = nodes["data"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!((names.len(), names[0].as_str()), (NODES, Some("fra-1")));
    assert_eq!(names[NODES - 1], "node-1001");
}

#[test]
fn a_node_is_struck_off_by_an_admin_alone() {
    let stage = Stage::start();
    stage.run(&["purge", "tag", "p42"]);
    let (code, _, stderr) = stage.run(&["nodes", "forget", "fra-1"]);
    assert!(
        code == 1 && stderr.contains("expected a token of role admin, found purge"),
        "{stderr}"
    );
    let ops = stage.file("ops");
    let forget = ["nodes", "forget", "fra-1", "--token-file", ops.to_str().unwrap()];
    assert_eq!(stage.run(&forget).1, "fra-1 is struck off\n");
    let (code, _, stderr) = stage.run(&forget);
    assert!(code == 1 && stderr.contains("No node of the name \"fra-1\""), "{stderr}");
    let (code, one, _) = stage.run(&["purges", "1"]);
    assert!(code == 0 && one.ends_with("\nfra-1  removed  -   by ops\n"), "{one}");
}

#[test]
fn tokens_that_are_wrong_are_told_and_what_makes_no_sense_is_bad_usage() {
    let stage = Stage::start();
    let wrong = stage.file("wrong");
    std::fs::write(&wrong, "hl_wrong").unwrap();
    let wrong = ["--token-file", wrong.to_str().unwrap()];
    for command in [&["nodes"][..], &["purges"], &["status"], &["purge", "tag", "p42", "--wait"]] {
        let (code, _, stderr) = stage.run(&[command, &wrong].concat());
        let told = "refused: authorization: the token is not known here; is it the right file?\n";
        assert!(code == 1 && stderr.ends_with(told), "{command:?}: {stderr}");
        let none = stage.command(command).env_remove("HEADLAND_TOKEN_FILE").output().unwrap();
        let (code, _, stderr) = self::told(none);
        assert!(code == 1 && stderr.contains("; name a token with --token-file"), "{stderr}");
    }
    assert_eq!(stage.run(&["nodes", "--token-file", "/nonexistent/token"]).0, 2);
    let (code, _, stderr) = stage.run(&["purge", "url", "shop"]);
    assert!(code == 2 && stderr.contains("expected "), "{stderr}");
}

#[test]
fn a_dry_run_tells_what_every_node_would_free() {
    let stage = Stage::start();
    let mut lines = stage.control.follow(stage.start);
    assert_eq!(lines.next().unwrap()["resume"], "entries");
    let (code, stdout, _) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let asked = lines.find(|line| line["survey"].is_string()).unwrap();
            let path = format!("/v1/nodes/fra-1/surveys/{}", asked["survey"].as_str().unwrap());
            let told = json!({ "hits": [{ "objects": 3, "bytes": 900 }], "estimate": true });
            assert_eq!(stage.control.ask("POST", &path, &told).unwrap().0, 200);
        });
        stage.run(&["purge", "tag", "p42", "--dry-run"])
    });
    let expected = "about 3 objects, 900 bytes  p42\n  fra-1  about 3 objects, 900 bytes\n";
    assert_eq!((code, stdout.as_str()), (0, expected));
    assert_eq!(stage.control.purge("p42").unwrap().1["data"]["sequence"]["number"], 1);
}

#[test]
fn one_value_that_is_none_keeps_all_from_being_purged() {
    let stage = Stage::start();
    let good: Vec<_> = (0..1000).map(|n| format!("https://shop.example/{n}")).collect();
    let arguments = ["purge", "url"].into_iter().chain(good.iter().map(String::as_str));
    let (code, stdout, stderr) = stage.run(&arguments.chain(["notaurl"]).collect::<Vec<_>>());
    assert_eq!((code, &*stdout), (2, ""));
    assert!(stderr.starts_with("headland purge: \"notaurl\": value: expected "), "{stderr}");
    let (code, _, stderr) = stage.run(&["purge", "prefix", "https://shop.example/img/*"]);
    assert!(code == 2 && stderr.contains("without a star"), "{stderr}");
    let starred = json!({ "kind": "prefix", "value": "https://shop.example/*" });
    for body in [starred.clone(), json!([starred])] {
        let (status, problem) = stage.control.ask("POST", "/v1/purges", &body).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 400 && detail.contains("without a star"), "{problem}");
    }
    assert_eq!(stage.json(&["purges"]).1["data"], json!([]));
}

#[test]
fn a_purge_of_what_no_node_serves_is_told_of() {
    let stage = Stage::start();
    let purge = ["purge", "site", "shop", "shpo", "--timeout", "60s", "--wait"];
    let told = std::thread::scope(|scope| {
        let asked = scope.spawn(|| stage.run(&purge));
        stage.acknowledge_without(&json!([[2, 2]]));
        asked.join().unwrap()
    });
    let (code, stdout, stderr) = told;
    assert!(stdout.contains("complete  1  shop\n") && stdout.contains("complete  2  shpo\n"));
    let expected =
        "headland purge: \"shpo\": no node serves that; is the site or the host right?\n";
    assert!(code == 1 && stderr.ends_with(expected), "{stderr}");
    let matched =
        |number: u64| stage.json(&["purges", &number.to_string()]).1["data"]["matched"].clone();
    assert_eq!((matched(1), matched(2)), (json!(1), json!(0)));
}
