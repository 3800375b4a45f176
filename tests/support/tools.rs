//! Clients of other makes: curl, and HTTP/3 clients that are not quinn. And an origin of one.
//!
//! One that is missing fails the test with the command that installs it; no test is skipped.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::within;

/// Installs all of them.
const INSTALL: &str = "tests/setup-tools.sh";

/// What a tool said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Said {
    /// Its standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// An origin of another make, as `tests/support/asgi_origin.py` tells; dropping it ends it.
pub(crate) struct Hypercorn {
    child: Child,
    pub(crate) port: u16,
}

impl Hypercorn {
    /// With the certificate of a folder, or else in cleartext.
    pub(crate) fn start(certificate: Option<&Path>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python_path(root));
        command.arg("-B").arg(root.join("tests/support/asgi_origin.py")).args(certificate);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| missing("python", &error));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        let port = port.unwrap_or_else(|_| panic!("no hypercorn; install it by {INSTALL}"));
        Self { child, port }
    }
}

impl Drop for Hypercorn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs curl.
pub(crate) async fn curl(arguments: &[&str]) -> Said {
    run("curl".as_ref(), &[&["--silent", "--show-error", "--max-time", "60"], arguments].concat())
        .await
}

/// Runs ngtcp2's client, on GnuTLS.
pub(crate) async fn gtlsclient(arguments: &[&str]) -> Said {
    run("gtlsclient".as_ref(), arguments).await
}

/// Runs a script of `tests/support` with the Python that has aioquic and curl_cffi.
pub(crate) async fn python(script: &str, arguments: &[&str]) -> Said {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("tests/support").join(script);
    let script = script.to_str().unwrap();
    run(&python_path(root), &[&["-B", script], arguments].concat()).await
}

/// Starts a script of `tests/support` that is told by its input and tells by its output.
pub(crate) fn start_python(script: &str) -> Child {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python_path(root));
    command.arg("-B").arg(root.join("tests/support").join(script));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("Python cannot be run ({error}); install it by {INSTALL}"))
}

fn python_path(root: &Path) -> PathBuf {
    root.join("target/test-tools/venv/bin/python")
}

fn missing(tool: &str, error: &io::Error) -> ! {
    panic!("{tool} cannot be run ({error}); install it by {INSTALL}")
}

async fn run(tool: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = within("a tool's end", ended)
        .await
        .unwrap()
        .unwrap_or_else(|error| missing(&tool.display().to_string(), &error));
    Said {
        success: output.status.success(),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
