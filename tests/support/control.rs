//! A control plane in a process of its own, on a port that it keeps over restarts.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::client::Place;
use super::door::Door;
use super::{Origin, Setup, within};

/// How long a node may trust what it has stored after it was heard.
const LEASE: &str = "300ms";

/// A control plane and its folder; dropping it kills it.
pub(crate) struct ControlProcess {
    folder: Arc<TempDir>,
    child: Child,
    address: SocketAddr,
}

impl ControlProcess {
    /// Starts it with an empty log.
    pub(crate) async fn start() -> Self {
        let folder = Arc::new(super::node::folder_with_certificate());
        std::fs::write(folder.path().join("node.token"), "unused on loopback").unwrap();
        Self::on(folder, ([127, 0, 0, 1], 0).into(), "log").await
    }

    /// Takes a backup beside it, and tells where that is.
    pub(crate) async fn backup(&self) -> PathBuf {
        let to = self.folder.path().join("it.backup");
        command(&self.folder, &["backup", "--to", to.to_str().unwrap()]).await;
        to
    }

    /// Kills it, and starts it where it was with a backup in another folder.
    pub(crate) async fn restored(mut self, from: &Path) -> Self {
        self.kill();
        configure(&self.folder, self.address, "restored");
        command(&self.folder, &["restore", "--from", from.to_str().unwrap()]).await;
        Self::on(self.folder.clone(), self.address, "restored").await
    }

    /// Kills it and starts it again, where it was.
    pub(crate) async fn restart(mut self) -> Self {
        self.kill();
        Self::on(self.folder.clone(), self.address, "log").await
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn on(folder: Arc<TempDir>, address: SocketAddr, log: &str) -> Self {
        configure(&folder, address, log);
        let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
        command.args(["control", "--config"]).arg(folder.path().join("control.toml"));
        let starting = tokio::task::spawn_blocking(move || {
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            let address = lines.find_map(|line| {
                let line = line.unwrap();
                line.split_once("serving")?.1.rsplit_once('=')?.1.parse().ok()
            });
            // Whoever writes more must find a reader.
            std::thread::spawn(move || lines.for_each(drop));
            (child, address.unwrap())
        });
        let (child, address) = within("a control plane", starting).await.unwrap();
        Self { folder, child, address }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lines for `[control]` of a node.
    pub(crate) fn lines(&self, on_loss: &str) -> String {
        self.lines_by(self.address, on_loss)
    }

    /// The same for a node that reaches it at another address.
    pub(crate) fn lines_by(&self, address: SocketAddr, on_loss: &str) -> String {
        let token = self.folder.path().join("node.token");
        let token = token.display();
        format!(
            "url = \"http://{address}\"\ntoken_file = \"{token}\"\non_control_loss = \"{on_loss}\""
        )
    }

    /// A node of this name that follows it.
    pub(crate) fn node(&self, name: &str, on_loss: &str, origin: &Origin) -> Setup {
        Setup::new(origin).name(name).control(&self.lines(on_loss))
    }

    /// Its door.
    pub(crate) async fn door(&self) -> Door {
        Door::at(self.address, self.place()).await
    }

    /// Writes a file into its folder.
    pub(crate) fn keep(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// For clients of its door.
    pub(crate) fn place(&self) -> Arc<Place> {
        let ca_file = self.folder.path().join("ca.pem");
        Arc::new(Place::new(self.address, self.address, &ca_file))
    }
}

/// Writes a config with the log in a folder beside it.
fn configure(folder: &TempDir, address: SocketAddr, log: &str) {
    let config = format!(
        "[listen]\napi = \"{address}\"\n[fleet]\nlease = \"{LEASE}\"\n\
         [purge_log]\npath = \"{log}\"\n[limits]\nrequests_per_second = 100000\n"
    );
    std::fs::write(folder.path().join("control.toml"), config).unwrap();
}

/// Carries a command of `headland control` out.
async fn command(folder: &TempDir, words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
    command.arg("control").args(words).arg("--config").arg(folder.path().join("control.toml"));
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = within("a command", ended).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for ControlProcess {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ended = self.child.kill().is_err();
        let _reaped = self.child.wait();
    }
}
