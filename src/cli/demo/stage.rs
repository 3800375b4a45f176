//! Setting the stage: folder, certificate, origin, node.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::files;
use super::origin::Origin;
use crate::config::Config;
use crate::config::fault::Report;
use crate::net::{Drain, Front, Gate, Limits, bind};
use crate::node::{Node, StartError};

/// The name of the node.
pub(super) const EDGE: &str = "edge-1";

/// Everything that the demo runs.
pub(super) struct Stage {
    folder: PathBuf,
    origin: SocketAddr,
    asked: Arc<AtomicUsize>,
    node: Node,
    _origin_drain: Drain,
}

/// Why the demo cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    /// No address to listen on.
    #[error(transparent)]
    Bind(#[from] bind::BindError),
    /// No certificate.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The config that the demo writes is refused.
    #[error("config:\n{0}")]
    Config(Report),
    /// The folder cannot be made, or a file in it.
    #[error("temporary folder {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The event loop or a signal cannot be had.
    #[error(transparent)]
    Runtime(#[from] io::Error),
    /// The node does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Stage {
    /// Makes the folder, starts the origin on the calling runtime, and a node on threads of its
    /// own. With `usual_ports` the node takes 8080 and 8443 where they are free.
    pub(super) async fn set(usual_ports: bool) -> Result<Self, StageError> {
        let folder = std::env::temp_dir().join(format!("headland-demo-{}", std::process::id()));
        let failed = |source| StageError::Folder { folder: folder.clone(), source };
        files::make(&folder.join("files")).map_err(failed)?;
        write_certificate(&folder, &make_certificate()?).map_err(failed)?;
        let asked = Arc::new(AtomicUsize::new(0));
        let (origin, origin_drain) = start_origin(&folder, &asked)?;
        let node = match usual_ports {
            true => start_node(&folder, origin, [8080, 8443, 9180])
                .or_else(|_| start_node(&folder, origin, [0; 3])),
            false => start_node(&folder, origin, [0; 3]),
        }?;
        Ok(Self { folder, origin, asked, node, _origin_drain: origin_drain })
    }

    /// The file of the throw-away certificate authority.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Requests that the origin has seen.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Where the node serves HTTP.
    pub(super) fn http(&self) -> SocketAddr {
        self.node.addresses().http[0]
    }

    /// Where the node serves HTTPS, and HTTP/3.
    pub(super) fn https(&self) -> SocketAddr {
        self.node.addresses().https[0]
    }

    /// The node's admin door.
    pub(super) fn admin(&self) -> SocketAddr {
        self.node.addresses().admin.unwrap_or(self.http())
    }

    /// One line for machines.
    pub(super) fn describe(&self) -> String {
        json!({
            "control": null,
            "token_file": null,
            "ca_file": self.ca_file(),
            "origin": format!("http://{}", self.origin),
            "nodes": [{
                "name": EDGE,
                "role": "edge",
                "http": format!("http://{}", self.http()),
                "https": format!("https://localhost:{}", self.https().port()),
                "admin": format!("http://{}", self.admin()),
            }],
        })
        .to_string()
    }

    /// What a person could try.
    pub(super) fn invitation(&self) -> String {
        let (http, https, admin) = (self.http(), self.https(), self.admin());
        let (ca, files) = (self.ca_file(), self.folder.join("files"));
        let (ca, files, origin) = (ca.display(), files.display(), self.origin);
        format!(
            "\
Headland serves http://{http} and https://{https} (HTTP/1.1, 2 and 3)
from an origin at http://{origin}, whose files lie in
{files}

Try, in another terminal:
  curl -i http://{http}/                                a miss, then hits: see Cache-Status
  curl -i --cacert {ca} https://{https}/
  curl -i http://{http}/news.html                       revalidated each time
  curl -i -r 0-3 http://{http}/big.bin                  a part of a large file
  curl -i -XPOST http://{admin}/v1/purges -H 'content-type: application/json' \\
       -d '{{\"kind\":\"url\",\"value\":\"http://{http}/\"}}'
  curl http://{admin}/v1/status
  curl http://{admin}/metrics

Ctrl-C ends it.
"
        )
    }

    /// Stops the node and takes the folder away.
    pub(super) fn strike(self) {
        self.node.shutdown();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("headland demo: {} is left: {error}", self.folder.display());
        }
    }
}

/// The files of a certificate for localhost by a throw-away authority.
type CertificateFiles = [(&'static str, String); 3];

fn make_certificate() -> Result<CertificateFiles, rcgen::Error> {
    let authority_key = rcgen::KeyPair::generate()?;
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Headland demo");
    let ca = authority.self_signed(&authority_key)?;
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let leaf = rcgen::CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    Ok([("ca.pem", ca.pem()), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())])
}

fn write_certificate(folder: &Path, files: &CertificateFiles) -> io::Result<()> {
    files.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

fn start_origin(
    folder: &Path,
    asked: &Arc<AtomicUsize>,
) -> Result<(SocketAddr, Drain), StageError> {
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

fn start_node(
    folder: &Path,
    origin: SocketAddr,
    [http, https, admin]: [u16; 3],
) -> Result<Node, StageError> {
    let config = format!(
        r#"
        [node]
        name = "{EDGE}"
        [listen]
        http = ["127.0.0.1:{http}"]
        https = ["127.0.0.1:{https}"]
        admin = "127.0.0.1:{admin}"
        [tls]
        certificates = [{{ cert = "cert.pem", key = "key.pem" }}]
        [cache]
        memory = "128MiB"
        [logging]
        access = "off"
        [[origin]]
        name = "files"
        servers = [{{ url = "http://{origin}" }}]
        [[site]]
        name = "demo"
        hosts = ["localhost", "127.0.0.1", "[::1]"]
        origin = "files"
        "#
    );
    let config = Config::parse(&config, "demo.toml", folder, &|_| None);
    Ok(Node::start(config.map_err(StageError::Config)?)?)
}
