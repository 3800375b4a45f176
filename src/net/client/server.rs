//! One server as a pool sees it: where to connect, what to call it, how to trust it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::http1;

/// One server of an origin, shield or control plane.
#[derive(Clone, Debug)]
pub struct Server {
    /// A name, or an IP address without brackets.
    pub(super) host: Box<str>,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
    /// `Host` of a request that names none.
    pub(super) authority: HeaderValue,
}

/// How the server proves who it is.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    /// Sent as SNI and looked for in the certificate.
    pub(super) name: ServerName<'static>,
    pub(super) config: Arc<ClientConfig>,
}

impl Server {
    /// A server in cleartext. `host` is a name or an IP address without brackets.
    pub fn http(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, tls: None, authority: authority(host, port, 80) }
    }

    /// A server over TLS that proves to be `name`, where that differs from `host`.
    pub fn https(
        host: &str,
        port: u16,
        name: Option<&str>,
        config: Arc<ClientConfig>,
    ) -> Result<Self, InvalidDnsNameError> {
        let name = ServerName::try_from(name.unwrap_or(host))?.to_owned();
        let tls = Some(Tls { name, config });
        Ok(Self { host: host.into(), port, tls, authority: authority(host, port, 443) })
    }

    /// The same server, offered these protocols by ALPN.
    pub(super) fn with_alpn(&self, protocols: &[&[u8]]) -> Self {
        let mut server = self.clone();
        if let Some(tls) = &mut server.tls {
            Arc::make_mut(&mut tls.config).alpn_protocols =
                protocols.iter().map(|protocol| protocol.to_vec()).collect();
        }
        server
    }
}

/// `host:port`, without the scheme's own port (RFC 9110 section 7.2).
fn authority(host: &str, port: u16, scheme_port: u16) -> HeaderValue {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let text = if port == scheme_port { host } else { format!("{host}:{port}") };
    // A name that is no field value does not resolve either.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Why a set of trusted roots could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read, or holds no certificate in PEM.
    #[error("{}: {cause}; expected certificates in PEM", file.display())]
    File {
        /// The file named in the config.
        file: PathBuf,
        /// What was wrong with it.
        cause: String,
    },
    /// Neither the system nor the file has any root.
    #[error("no trusted root certificate: the system has none, and no CA file is set")]
    None,
    /// The TLS library refused the set.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Trust in the system's roots, and in those of `ca_file`.
///
/// Reads files: call it at start and reload only, and share the result among servers.
pub fn tls_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, RootsError> {
    let mut roots = system_roots();
    if let Some(file) = ca_file {
        add_roots(&mut roots, file)?;
    }
    trusting(roots)
}

/// Trust in the roots of `ca_file` alone; without one, in the system's. For servers that are sent
/// secrets.
///
/// Reads files: call it at start and reload only, and share the result among servers.
pub fn private_tls_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, RootsError> {
    let Some(file) = ca_file else { return trusting(system_roots()) };
    let mut roots = RootCertStore::empty();
    add_roots(&mut roots, file)?;
    trusting(roots)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Single broken system certificates are usual and harm no other.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn add_roots(roots: &mut RootCertStore, file: &Path) -> Result<(), RootsError> {
    let fault = |cause: String| RootsError::File { file: file.to_owned(), cause };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(error.to_string()))?;
    if certificates.is_empty() {
        return Err(fault("no certificate found".to_owned()));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    Ok(())
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, RootsError> {
    if roots.is_empty() {
        return Err(RootsError::None);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![http1::ALPN.to_vec()];
    Ok(Arc::new(config))
}
