//! `headland demo`: its tour passes, and what it prints to try can be tried.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{eventually, within};

#[tokio::test]
async fn the_tour_passes() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_headland"));
    let ended = tokio::task::spawn_blocking(move || demo.args(["demo", "--once"]).output());
    let output = within("the end of the tour", ended).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for step in ["miss", "hit", "HTTP/2", "HTTP/3", "revalidation", "collapse", "range", "purge"] {
        assert!(told.contains(&format!("ok {step} ")), "{step}\n{told}");
    }
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

/// Runs what a line of the invitation says before its explanation.
async fn run(line: &str) -> String {
    let command = line.split("   ").next().unwrap().replace("curl ", "curl -sS --noproxy '*' ");
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || shell.output());
    let output = within(&command, ended).await.unwrap().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn what_is_printed_can_be_tried_until_ctrl_c() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_headland"));
    demo.arg("demo").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = Demo(demo.spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let reading = move || lines.take_while(|line| !line.starts_with("Ctrl-C")).collect::<Vec<_>>();
    let reading = tokio::task::spawn_blocking(reading);
    let invitation = within("the invitation", reading).await.unwrap().join("\n");
    let files = invitation.lines().find(|line| line.ends_with("/files")).unwrap().to_owned();
    assert!(Path::new(&files).join("big.bin").is_file());

    // A command in two lines is one.
    let invitation = invitation.replace("\\\n       ", "");
    let commands: Vec<_> =
        invitation.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect();
    let [page, secure, news, part, purge, status, metrics] = commands[..] else {
        panic!("{commands:?}")
    };
    assert!(run(page).await.contains("cache-status: edge-1; fwd=miss"));
    assert!(run(page).await.contains("cache-status: edge-1; hit"));
    assert!(run(secure).await.contains("cache-status: edge-1; hit"));
    run(news).await;
    assert!(run(news).await.contains("fwd-status=304"));
    assert!(run(part).await.starts_with("HTTP/1.1 206 "));
    assert!(run(purge).await.contains("\"state\":\"complete\""));
    assert!(run(page).await.contains("cache-status: edge-1; fwd=miss"), "after {purge}");
    assert!(run(status).await.contains("\"state\":\"serving\""));
    assert!(run(metrics).await.contains("headland_hits_total"));

    let interrupted = Command::new("kill").args(["-s", "INT", &demo.0.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let mut ended = None;
    let over = async || {
        ended = demo.0.try_wait().unwrap();
        ended.is_some()
    };
    eventually("the end of the demo", over).await;
    assert!(ended.unwrap().success() && !Path::new(&files).exists());
}
