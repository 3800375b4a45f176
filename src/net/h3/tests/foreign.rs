//! Clients of other houses: ngtcp2 (gtlsclient), aioquic and libcurl, as `tests/setup-tools.sh`
//! installs them.

use std::process::{Command, Stdio};

use super::support::{Node, serve_test};
use crate::net::Limits;

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/venv/bin/python");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http3_clients.py");

/// Runs a client and gives what it printed.
async fn run(program: &'static str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.unwrap_or_else(|error| {
        panic!("{program}: {error}; tests/setup-tools.sh installs it");
    });
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{program}: {text}");
    text
}

#[test]
fn gtlsclient_takes_a_hundred_streams() {
    serve_test(Limits::default(), async |node: Node| {
        let port = node.address.port().to_string();
        let arguments = ["-n", "100", "--no-quic-dump", "--exit-on-all-streams-close"];
        let target = ["127.0.0.1", &port, "https://localhost/bytes/5000"];
        let log = run("gtlsclient", &[&arguments[..], &target].concat()).await;
        assert!(log.contains("[:status: 200]"), "{log}");
        for _ in 0..100 {
            assert_eq!(node.ended().await.body_bytes, 5000);
        }
    });
}

#[test]
fn aioquic_and_curl_agree() {
    serve_test(Limits::default(), async |node: Node| {
        let port = node.address.port().to_string();
        for client in ["aioquic", "curl"] {
            let log = run(PYTHON, &[SCRIPT, client, &port]).await;
            assert!(log.ends_with("passed\n"), "{client}: {log}");
        }
    });
}
