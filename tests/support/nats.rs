//! Real NATS servers, one or a cluster of three, each in a process of its own; dropping one kills
//! it.
//!
//! One that is missing fails the test with the command that installs it; no test is skipped.

#![allow(dead_code, reason = "not every test that mounts this needs all of it")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A server, from one run to the next.
pub(crate) struct NatsServer {
    folder: TempDir,
    child: Option<Child>,
    /// Where it was at first, and is ever since.
    address: Option<String>,
    settings: Settings,
}

/// What differs from one test to another.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) syncs: bool,
    /// Whether the system account shows what it does.
    pub(crate) shows: bool,
    /// `cluster { … }`, if it is in one.
    pub(crate) cluster: String,
    /// Who may do what, where that is not for everyone to do everything.
    pub(crate) accounts: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "n1".to_owned(),
            syncs: true,
            shows: true,
            cluster: String::new(),
            accounts: None,
        }
    }
}

impl NatsServer {
    /// Starts one that stands alone.
    pub(crate) fn start() -> Self {
        Self::with(Settings::default())
    }

    /// Starts one, and waits until it takes clients.
    pub(crate) fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { folder, child: None, address: None, settings };
        assert!(server.run_again(), "the NATS server ended at once");
        server
    }

    /// Starts three that find each other.
    pub(crate) fn cluster() -> Vec<Self> {
        let free: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = free.iter().map(|free| free.local_addr().unwrap().port());
        let ports: Vec<_> = ports.collect();
        drop(free);
        let routes: Vec<_> =
            ports.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        let routes = routes.join(", ");
        let start = |(index, port): (usize, &u16)| {
            let cluster = format!(
                "cluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}\n"
            );
            let name = format!("n{index}");
            Self::with(Settings { name, cluster, ..Settings::default() })
        };
        ports.iter().enumerate().map(start).collect()
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address.as_ref().unwrap())
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only if it has ended.
            let _ended = child.kill().is_err();
            let _reaped = child.wait();
        }
    }

    /// Starts it where it was, with what it had stored; false if it ended at once.
    pub(crate) fn run_again(&mut self) -> bool {
        self.kill();
        let config = self.folder.path().join("server.conf");
        std::fs::write(&config, self.config()).unwrap();
        let mut command = Command::new(binary());
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            let binary = binary();
            panic!("{} cannot be run ({error}): tests/setup-tools.sh", binary.display())
        });
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = loop {
            let Some(Ok(line)) = lines.next() else { break false };
            if let Some((_, address)) = line.split_once("client connections on ") {
                self.address = Some(address.to_owned());
            }
            if line.contains("Server is ready") {
                break true;
            }
        };
        // Whoever writes more must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
        ready
    }

    fn config(&self) -> String {
        let Settings { name, syncs, shows, cluster, accounts } = &self.settings;
        let listen = self.address.as_deref().unwrap_or("127.0.0.1:-1");
        let store = self.folder.path().join("js");
        let sync = if *syncs { "sync_interval: always" } else { "sync_interval: \"2m\"" };
        let subject = "$SYS.REQ.SERVER.PING.JSZ";
        let (exports, imports) = match shows {
            true => (
                format!("exports: [{{service: \"{subject}\", response: stream}}]"),
                format!("imports: [{{service: {{account: SYS, subject: \"{subject}\"}}}}]"),
            ),
            false => Default::default(),
        };
        let open = format!(
            "accounts {{\n\
             \x20 SYS {{ users: [{{user: sys, password: sys}}], {exports} }}\n\
             \x20 APP {{ jetstream: enabled, users: [{{user: app, password: app}}], {imports} }}\n\
             }}\nsystem_account: SYS\nno_auth_user: app\n"
        );
        format!(
            "server_name: {name}\nlisten: \"{listen}\"\n{cluster}\
             jetstream {{ store_dir: \"{}\", {sync} }}\n{}",
            store.display(),
            accounts.as_ref().unwrap_or(&open),
        )
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/venv/bin/nats-server")
}
