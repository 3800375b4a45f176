//! The real binary: `headland run` in a process of its own, told by signals.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::watch;

use super::client::Place;
use super::node::{TRIES, folder_with_certificate};
use super::{Setup, eventually, within};

/// A node in a process of its own; dropping it kills it.
pub(crate) struct NodeProcess {
    child: Child,
    folder: Arc<TempDir>,
    log: watch::Receiver<String>,
}

impl NodeProcess {
    /// Starts it and waits until it serves.
    pub(crate) async fn start(setup: &Setup) -> Self {
        let folder = Arc::new(folder_with_certificate());
        std::fs::write(folder.path().join("node.toml"), setup.config()).unwrap();
        for _ in 1..TRIES {
            let process = Self::launch(&folder);
            if process.logs("serving").await {
                return process;
            }
        }
        let process = Self::launch(&folder);
        process.logged("serving").await;
        process
    }

    fn launch(folder: &Arc<TempDir>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
        command.arg("run").arg("--config").arg(folder.path().join("node.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = watch::channel(String::new());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sender.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        Self { child, folder: folder.clone(), log }
    }

    /// Waits until it has logged this, or has ended.
    async fn logs(&self, text: &str) -> bool {
        let mut log = self.log.clone();
        within(text, log.wait_for(|log| log.contains(text))).await.is_ok()
    }

    /// Waits until it has logged this.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let logged = self.logs(text).await;
        let log = self.log.borrow().clone();
        assert!(logged, "ended before {text:?}: {log}");
        log
    }

    /// Where its listeners are: `http`, `https` or `admin`.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let log = self.log.borrow();
        let serving = log.lines().find(|line| line.contains("serving")).unwrap();
        let after = serving.split(&format!(" {listener}: ")).nth(1).unwrap();
        let start = after.find(|letter: char| letter.is_ascii_digit()).unwrap();
        let address = after[start..].split([']', ')', ',']).next().unwrap();
        address.parse().unwrap()
    }

    /// For clients.
    pub(crate) fn place(&self) -> Arc<Place> {
        let ca_file = self.folder.path().join("ca.pem");
        Arc::new(Place::new(self.address("http"), self.address("https"), &ca_file))
    }

    /// Its config file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("node.toml")
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends a signal by its name, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the process", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ended = self.child.kill().is_err();
        let _reaped = self.child.wait();
    }
}
