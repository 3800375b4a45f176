//! A node in this process, on ports of its own, with a throw-away certificate.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use headland::config::Config;
use headland::node::{Node, StartError};
use tempfile::TempDir;

use super::{HOST, Origin};

/// Starts of a node until its ports are free: one that is free over TCP may be in use over UDP.
pub(crate) const TRIES: usize = 5;

/// What differs from a plain node: lines of TOML for each section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    origins: Vec<SocketAddr>,
    over_tls: bool,
    name: Option<String>,
    shield: bool,
    control: String,
    tiers: String,
    cache: String,
    limits: String,
    logging: String,
    purge: String,
    origin: String,
    bucket: Option<String>,
    site: String,
    is_bare: bool,
}

/// A node that serves [`HOST`] and all hosts below it. Dropping it stops it.
pub(crate) struct TestNode {
    /// `None` once it is stopping.
    node: Option<Node>,
    folder: Arc<TempDir>,
}

impl Setup {
    /// A node in front of `origin`.
    pub(crate) fn new(origin: &Origin) -> Self {
        Self::at(origin.address)
    }

    /// A node in front of an origin of another make.
    pub(crate) fn at(origin: SocketAddr) -> Self {
        Self { origins: vec![origin], ..Self::default() }
    }

    /// Its origin is spoken to over TLS.
    pub(crate) fn over_tls(self) -> Self {
        Self { over_tls: true, ..self }
    }

    /// Its name.
    pub(crate) fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Lines for `[control]`, without which it stands alone.
    pub(crate) fn control(self, lines: &str) -> Self {
        Self { control: format!("[control]\n{lines}"), ..self }
    }

    /// A shield instead of an edge.
    pub(crate) fn shield(self) -> Self {
        Self { shield: true, ..self }
    }

    /// Tables `[shield]` and `[peer]`.
    pub(crate) fn tiers(self, tables: &str) -> Self {
        Self { tiers: tables.to_owned(), ..self }
    }

    /// Lines for `[cache]`, where memory is ample unless they say otherwise.
    pub(crate) fn cache(self, lines: &str) -> Self {
        Self { cache: lines.to_owned(), ..self }
    }

    /// Lines for `[limits]`.
    pub(crate) fn limits(self, lines: &str) -> Self {
        Self { limits: lines.to_owned(), ..self }
    }

    /// Lines for `[logging]`, where the access log is off unless they say otherwise.
    pub(crate) fn logging(self, lines: &str) -> Self {
        Self { logging: lines.to_owned(), ..self }
    }

    /// Lines for `[purge]`.
    pub(crate) fn purge(self, lines: &str) -> Self {
        Self { purge: lines.to_owned(), ..self }
    }

    /// Lines for `[[origin]]`.
    pub(crate) fn origin(self, lines: &str) -> Self {
        Self { origin: lines.to_owned(), ..self }
    }

    /// Lines for `[origin.s3]`, in place of servers.
    pub(crate) fn bucket(self, lines: &str) -> Self {
        Self { bucket: Some(lines.to_owned()), ..self }
    }

    /// Lines for `[[site]]`, and tables below it.
    pub(crate) fn site(self, lines: &str) -> Self {
        Self { site: lines.to_owned(), ..self }
    }

    /// Without origins and sites of its own.
    pub(crate) fn bare(self) -> Self {
        Self { is_bare: true, ..self }
    }

    /// Starts it.
    pub(crate) fn start(&self) -> TestNode {
        let folder = Arc::new(folder_with_certificate());
        abort_where_a_loop_panics();
        for _ in 1..TRIES {
            if let Ok(node) = self.start_in(folder.path()) {
                return TestNode { node: Some(node), folder };
            }
        }
        TestNode { node: Some(self.start_in(folder.path()).unwrap()), folder }
    }

    fn start_in(&self, folder: &Path) -> Result<Node, StartError> {
        let config = Config::parse(&self.config(), "test.toml", folder, &|_| None);
        Node::start(config.unwrap_or_else(|report| panic!("{report}")))
    }

    /// The text of the config.
    pub(crate) fn config(&self) -> String {
        let logging = match self.logging.contains("access") {
            true => self.logging.clone(),
            false => format!("access = \"off\"\n{}", self.logging),
        };
        let scheme = if self.over_tls { "https" } else { "http" };
        let servers = self.origins.iter().fold(String::new(), |mut servers, address| {
            write!(servers, "{{ url = \"{scheme}://{address}\" }},").unwrap();
            servers
        });
        let cache = match self.cache.contains("memory") {
            true => self.cache.clone(),
            false => format!("memory = \"256MiB\"\n{}", self.cache),
        };
        let Self { limits, purge, control, tiers, .. } = self;
        let role = if self.shield { "shield" } else { "edge" };
        let name = self.name.as_deref().unwrap_or("edge");
        let served = if self.is_bare { String::new() } else { self.served(&servers) };
        format!(
            r#"
[node]
name = "{name}"
role = "{role}"
workers = 2
{control}
{tiers}
[listen]
http = ["127.0.0.1:0"]
https = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
[tls]
certificates = [{{ cert = "cert.pem", key = "key.pem" }}]
[cache]
{cache}
[limits]
{limits}
[logging]
{logging}
[purge]
{purge}
{served}"#
        )
    }

    /// Origin and site.
    fn served(&self, servers: &str) -> String {
        let Self { origin, site, .. } = self;
        let (servers, bucket) = match &self.bucket {
            Some(lines) => (String::new(), format!("[origin.s3]\n{lines}")),
            None => (format!("servers = [{servers}]"), String::new()),
        };
        format!(
            r#"[[origin]]
name = "app"
{servers}
{origin}
{bucket}
[[site]]
name = "shop"
hosts = ["{HOST}", "*.{HOST}", "localhost"]
origin = "app"
{site}
"#
        )
    }
}

impl TestNode {
    /// Where it serves HTTP in clear.
    pub(crate) fn http(&self) -> SocketAddr {
        self.node().addresses().http[0]
    }

    /// Where it serves HTTP over TLS, and over QUIC.
    pub(crate) fn https(&self) -> SocketAddr {
        self.node().addresses().https[0]
    }

    /// Its admin door.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.node().addresses().admin.expect("an admin door")
    }

    /// The authority behind its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Begins the shutdown; the handle ends with it.
    pub(crate) fn stop(&mut self) -> tokio::task::JoinHandle<()> {
        let node = self.node.take().expect("a node that runs");
        tokio::task::spawn_blocking(move || node.shutdown())
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("a node that runs")
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            let folder = self.folder.clone();
            // The test's clients go after the node: to wait for it here would be to wait for them.
            std::thread::spawn(move || {
                node.shutdown();
                drop(folder);
            });
        }
    }
}

/// A panic on an event loop is caught there, and would go unseen here.
fn abort_where_a_loop_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            usual(info);
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            if name.starts_with("loop-") || name == "control" {
                std::process::abort();
            }
        }));
    });
}

/// A folder with `ca.pem`, `cert.pem` and `key.pem` for [`HOST`] and the hosts below it.
pub(crate) fn folder_with_certificate() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let names = [HOST.to_owned(), format!("*.{HOST}"), "localhost".into(), "127.0.0.1".into()];
    Authority::new().issue(folder.path(), "", names);
    folder
}

/// A certificate authority of its own.
pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    /// With a fresh key.
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Headland tests");
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// Writes `ca.pem`, and `cert.pem` and `key.pem` behind `prefix`.
    pub(crate) fn issue(&self, folder: &Path, prefix: &str, names: impl Into<Vec<String>>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(names).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(folder.join("ca.pem"), self.certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{prefix}cert.pem")), leaf.pem()).unwrap();
        std::fs::write(folder.join(format!("{prefix}key.pem")), key.serialize_pem()).unwrap();
    }
}
