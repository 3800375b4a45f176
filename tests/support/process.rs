//! The real binary: `headland run` in a process of its own, told by signals.

use std::ffi::{OsStr, OsString};
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
    home: Home,
    log: watch::Receiver<String>,
}

/// Where a node's files are and how its process is begun: the same from one run to the next.
#[derive(Clone)]
pub(crate) struct Home {
    folder: Arc<TempDir>,
    /// Runs the program that stands behind it, if there is one.
    through: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Home {
    /// A folder with config and certificate.
    pub(crate) fn new(setup: &Setup) -> Self {
        let folder = Arc::new(folder_with_certificate());
        let home = Self { folder, through: Vec::new(), environment: Vec::new() };
        home.configure(setup);
        home
    }

    /// Writes another config.
    pub(crate) fn configure(&self, setup: &Setup) {
        std::fs::write(self.path().join("node.toml"), setup.config()).unwrap();
    }

    /// Runs the node by a command of this beginning.
    pub(crate) fn through(self, command: &[&OsStr]) -> Self {
        Self { through: command.iter().map(OsString::from).collect(), ..self }
    }

    /// Sets a variable of the node's environment.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the node and waits until it serves.
    pub(crate) async fn start(&self) -> NodeProcess {
        for _ in 1..TRIES {
            let process = NodeProcess::launch(self);
            if process.logs("serving").await {
                return process;
            }
        }
        let process = NodeProcess::launch(self);
        process.logged("serving").await;
        process
    }

    fn command(&self) -> Command {
        let node = [env!("CARGO_BIN_EXE_headland"), "run", "--config"].map(OsString::from);
        let mut words = self.through.iter().chain(&node);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(self.path().join("node.toml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

impl NodeProcess {
    /// Starts it in a folder of its own and waits until it serves.
    pub(crate) async fn start(setup: &Setup) -> Self {
        Home::new(setup).start().await
    }

    /// Starts it; it may end at once, as [`Self::ended`] tells.
    pub(crate) fn launch(home: &Home) -> Self {
        let mut command = home.command();
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
        Self { child, home: home.clone(), log }
    }

    /// Waits until it has logged this, or has ended.
    async fn logs(&self, text: &str) -> bool {
        let mut log = self.log.clone();
        within(text, log.wait_for(|log| log.contains(text))).await.is_ok()
    }

    /// Waits until it has logged this.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let logged = self.logs(text).await;
        let log = self.log();
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
        let ca_file = self.folder().join("ca.pem");
        Arc::new(Place::new(self.address("http"), self.address("https"), &ca_file))
    }

    /// Its config file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder().join("node.toml")
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.home.path()
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Whether it has not ended.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
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
