//! `headland demo`: its tour passes, and what it prints to try can be tried.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{eventually, within};

const STEPS: [&str; 17] = [
    "miss",
    "second edge",
    "hit",
    "HTTP/2",
    "HTTP/3",
    "revalidation",
    "not modified",
    "range",
    "collapse",
    "tag purge",
    "new version",
    "soft purge",
    "edge down",
    "edge back",
    "kept",
    "shield down",
    "unknown host",
];

/// Nothing of a demo is left in the folder that was its home for temporary files.
fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test]
async fn the_tour_passes_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_headland"));
    demo.args(["demo", "--once", "--json"]).env("TMPDIR", folder.path());
    let ended = tokio::task::spawn_blocking(move || demo.output());
    let output = within("the end of the tour", ended).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for step in STEPS {
        assert!(told.contains(&format!("ok {step} ")), "{step}\n{told}");
    }
    let both_tiers = "200 shield-1; fwd=miss; fwd-status=200; stored, edge-1; fwd=miss";
    assert!(told.contains(both_tiers), "{told}");
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    for key in ["control", "token_file", "ca_file", "origin"] {
        assert!(first[key].is_string(), "{key}: {first}");
    }
    let nodes = first["nodes"].as_array().unwrap().iter();
    let roles: Vec<_> = nodes.clone().map(|node| node["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["shield", "edge", "edge"]);
    for key in ["name", "http", "https", "admin"] {
        assert!(nodes.clone().all(|node| node[key].is_string()), "{key}: {first}");
    }
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn a_demo_that_cannot_be_set_up_fails_and_names_its_folder() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_headland"));
    demo.args(["demo", "--once"]).env("TMPDIR", "/dev/null");
    let ended = tokio::task::spawn_blocking(move || demo.output());
    let output = within("the end of the demo", ended).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("temporary folder /dev/null/headland-demo-"), "{told}");
}

/// A demo that stays; dropping it kills it.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ended = self.0.kill().is_err();
        let _reaped = self.0.wait();
    }
}

/// Runs a command of the invitation, with what it exports.
async fn run(export: &str, command: &str) -> String {
    let command = command.replace("curl ", "curl -sS --noproxy '*' ");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{export}\n{command}")]).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || shell.output());
    let output = within(&command, ended).await.unwrap().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn what_is_printed_can_be_tried_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_headland"));
    demo.arg("demo").env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = Demo(demo.spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let reading = move || lines.take_while(|line| !line.starts_with("Ctrl-C")).collect::<Vec<_>>();
    let reading = tokio::task::spawn_blocking(reading);
    let invitation = within("the invitation", reading).await.unwrap();
    let files = invitation.iter().find(|line| line.ends_with("/files")).unwrap().trim();
    assert!(Path::new(files).join("film.bin").is_file());

    // Commands are indented by two, behind the table of addresses.
    let tries = invitation.iter().skip_while(|line| !line.starts_with("Try"));
    let commands: Vec<_> = tries.filter_map(|line| line.strip_prefix("  ")).collect();
    let (exports, commands): (Vec<_>, Vec<_>) =
        commands.into_iter().partition(|command| command.starts_with("export "));
    let [export] = exports[..] else { panic!("{exports:?}") };
    let expected = [
        "shield-1; fwd=miss; fwd-status=200; stored\r\ncache-status: edge-1; fwd=miss",
        "shield-1; hit; ttl=",
        "cache-status: edge-1; hit",
        "cache-status: edge-1; fwd=",
        "HTTP/1.1 206 ",
        "",
        "complete  1  pages\n  shield-1  applied  ",
        "\r\n\r\nHello again\n",
        "\"state\":\"complete\"",
        "edge-2    -       edge    live ",
        "complete  3/3    tag   pages",
        "shield    https://127.0.0.1:",
        "headland_hits_total",
    ];
    assert_eq!(commands.len(), expected.len(), "{commands:?}");
    for (command, expected) in commands.into_iter().zip(expected) {
        let told = run(export, command).await;
        assert!(told.contains(expected), "{command}: expected {expected:?}, found\n{told}");
    }

    let interrupted = Command::new("kill").args(["-s", "INT", &demo.0.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let mut ended = None;
    let over = async || {
        ended = demo.0.try_wait().unwrap();
        ended.is_some()
    };
    eventually("the end of the demo", over).await;
    assert!(ended.unwrap().success() && is_empty(folder.path()));
}
