//! Setting the stage: keys, origin, control plane, nodes; and what is told of it.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::fleet::{EDGES, Member, MemberError, NODES, Ports, SHIELD, Surroundings};
use super::folder::{Folder, FolderError};
use super::keys::{self, CA, KeyError, TOKEN};
use super::origin::{Asked, Origin};
use super::{ask, files};
use crate::config::control_plane::ControlPlane;
use crate::config::fault::Report;
use crate::control::{self, Control};
use crate::net::{Drain, Front, Gate, Limits, bind};

/// Where the control plane is, and the ports of both edges, unless they are in use.
const USUAL: (u16, [Ports; 2]) = (9190, [[8080, 8443, 9180], [8081, 8444, 9181]]);

/// Everything that the demo runs.
pub(super) struct Stage {
    folder: PathBuf,
    origin: SocketAddr,
    asked: Arc<Asked>,
    control: Control,
    /// The shield, and the edges behind it.
    members: Vec<Member>,
    _origin_drain: Drain,
}

/// Why the demo cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    /// No address to listen on.
    #[error(transparent)]
    Bind(#[from] bind::BindError),
    /// The config that the demo writes for the control plane is refused.
    #[error("control plane: config:\n{0}")]
    Config(Report),
    /// The control plane does not start.
    #[error("control plane: {0}")]
    Control(#[from] control::StartError),
    /// No folder, or no file in it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A node does not start.
    #[error("{0}: {1}")]
    Member(&'static str, MemberError),
    /// The event loop or a signal cannot be had.
    #[error(transparent)]
    Runtime(#[from] io::Error),
    /// The control plane gives a node no lease.
    #[error("{0} gets no lease from the control plane")]
    Untrusted(&'static str),
}

impl Stage {
    /// Starts the origin on the runtime that was entered, and all else on threads of its own. With
    /// `usual_ports` those are taken where they are free.
    pub(super) fn set(folder: &Folder, usual_ports: bool) -> Result<Self, StageError> {
        let path = folder.path();
        files::make(&path.join("files")).map_err(folder.fault())?;
        let tokens = keys::make(path, &NODES)?;
        let asked = Arc::new(Asked::default());
        let (origin, origin_drain) = start_origin(path, &asked)?;
        let (port, ports) = if usual_ports { USUAL } else { (0, [[0; 3]; 2]) };
        let control =
            start_control(path, &tokens, port).or_else(|_| start_control(path, &tokens, 0))?;
        let mut stage = Self {
            folder: path.to_owned(),
            origin,
            asked,
            control,
            members: Vec::new(),
            _origin_drain: origin_drain,
        };
        for (name, ports) in [(SHIELD, [0; 3]), (EDGES[0], ports[0]), (EDGES[1], ports[1])] {
            match Member::start(name, &stage.around(name), ports) {
                Ok(member) => stage.members.push(member),
                Err(error) => {
                    stage.strike();
                    return Err(StageError::Member(name, error));
                }
            }
        }
        Ok(stage)
    }

    fn around(&self, name: &str) -> Surroundings {
        let shield = self.members.first().filter(|_| name != SHIELD).map(Member::https);
        let (folder, origin, control) = (self.folder.clone(), self.origin, self.control());
        Surroundings { folder, origin, control, shield }
    }

    /// Waits until every node trusts what it stores.
    pub(super) async fn settled(&self) -> Result<(), StageError> {
        for member in &self.members {
            if !ask::is_trusted(member.admin()).await {
                return Err(StageError::Untrusted(member.name));
            }
        }
        Ok(())
    }

    /// Stops a node.
    pub(super) async fn stop(&mut self, name: &str) {
        let member = self.members.iter_mut().find(|member| member.name == name);
        if let Some(node) = member.and_then(Member::take) {
            // It fails only by a panic, which was told.
            let _ = spawn_blocking(|| node.shutdown()).await;
        }
    }

    /// Starts a node again that was stopped.
    pub(super) fn start(&mut self, name: &str) -> Result<(), MemberError> {
        let around = self.around(name);
        match self.members.iter_mut().find(|member| member.name == name) {
            Some(member) => member.restart(&around),
            None => Ok(()),
        }
    }

    /// A node.
    pub(super) fn member(&self, name: &str) -> &Member {
        self.members.iter().find(|member| member.name == name).unwrap_or(&self.members[0])
    }

    /// Where the control plane is.
    pub(super) fn control(&self) -> SocketAddr {
        self.control.address()
    }

    /// The file of the token for everything.
    pub(super) fn token_file(&self) -> PathBuf {
        self.folder.join(TOKEN)
    }

    /// The file of the throw-away certificate authority.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.join(CA)
    }

    /// The folder of the origin's files.
    pub(super) fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// Where the origin is.
    pub(super) fn origin(&self) -> SocketAddr {
        self.origin
    }

    /// What the origin was asked for.
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// One line for machines.
    pub(super) fn describe(&self) -> String {
        let node = |member: &Member| {
            json!({
                "name": member.name,
                "role": member.role(),
                "http": format!("http://{}", member.http()),
                "https": format!("https://localhost:{}", member.https().port()),
                "admin": format!("http://{}", member.admin()),
            })
        };
        json!({
            "control": format!("http://{}", self.control()),
            "token_file": self.token_file(),
            "ca_file": self.ca_file(),
            "origin": format!("http://{}", self.origin),
            "nodes": self.members.iter().map(node).collect::<Value>(),
        })
        .to_string()
    }

    /// Stops everything, those who ask before those who are asked.
    pub(super) fn strike(self) {
        let nodes = self.members.into_iter().rev().filter_map(|mut member| member.take());
        // All at once, so that it takes as long as the slowest.
        let stopping: Vec<_> =
            nodes.map(|node| std::thread::spawn(move || node.shutdown())).collect();
        for stopped in stopping {
            if stopped.join().is_err() {
                eprintln!("headland demo: a node ended by a panic");
            }
        }
        self.control.shutdown();
    }
}

fn start_origin(folder: &Path, asked: &Arc<Asked>) -> Result<(SocketAddr, Drain), StageError> {
    let mut listeners = bind::tcp((Ipv4Addr::LOCALHOST, 0).into(), 1)?;
    let listener = listeners.remove(0);
    let address = listener.local_addr()?;
    let (drain, watch) = Drain::new();
    let front = Front {
        handler: Arc::new(Origin::new(folder.join("files"), asked.clone())),
        limits: Arc::new(Limits::default()),
        gate: Gate::new(0, 0),
        observer: Arc::new(()),
    };
    tokio::spawn(async move { front.tcp(listener, None, None, watch).await });
    Ok((address, drain))
}

fn start_control(folder: &Path, tokens: &str, port: u16) -> Result<Control, StageError> {
    let mut text = format!(
        r#"
        [listen]
        api = "127.0.0.1:{port}"
        [fleet]
        lease = "5s"
        [purge_log]
        path = "control"
        [limits]
        drain_timeout = "2s"
        "#
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{tokens}");
    let config = ControlPlane::parse(&text, "demo-control.toml", folder, &|_| None);
    Ok(Control::start(config.map_err(StageError::Config)?)?)
}
