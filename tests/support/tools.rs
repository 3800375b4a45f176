//! Clients of other makes: curl, and HTTP/3 clients that are not quinn.
//!
//! One that is missing fails the test with the command that installs it; no test is skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

fn python_path(root: &Path) -> PathBuf {
    root.join("target/test-tools/venv/bin/python")
}

async fn run(tool: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = within("a tool's end", ended).await.unwrap().unwrap_or_else(|error| {
        panic!("{} cannot be run ({error}); install it by {INSTALL}", tool.display())
    });
    Said {
        success: output.status.success(),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
