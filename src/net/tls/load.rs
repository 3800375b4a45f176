//! A certificate and its key, read from files and checked against one another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};
use webpki::EndEntityCert;

/// Where one certificate and its key stand, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, then those that lead to its root.
    pub cert: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// No pair of files was given at all.
    #[error("no certificate: name at least one pair of cert and key")]
    None,
    /// It cannot be read.
    #[error("{}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system, or the PEM reader, said.
        cause: pem::Error,
    },
    /// It holds no certificate.
    #[error("{}: holds no certificate; expected \"-----BEGIN CERTIFICATE-----\"", .0.display())]
    NoCertificate(PathBuf),
    /// It holds no key.
    #[error(
        "{}: holds no private key; expected PKCS#8, PKCS#1 or SEC1 in PEM, without a password",
        .0.display()
    )]
    NoKey(PathBuf),
    /// Its certificate is none of X.509.
    #[error("{}: holds no X.509 certificate: {cause}", file.display())]
    BadCertificate {
        /// The file.
        file: PathBuf,
        /// What the reader said.
        cause: String,
    },
    /// Its key is of a kind that cannot be used.
    #[error("{}: holds no key that can be used: {cause}", file.display())]
    BadKey {
        /// The file.
        file: PathBuf,
        /// What the TLS library said.
        cause: rustls::Error,
    },
    /// The key belongs to another certificate.
    #[error("{}: is not the key of the first certificate in {}", key.display(), cert.display())]
    KeyMismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// A certificate that can be served.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    /// Its DNS names in lower case; `*.` stands for one label.
    pub(super) names: Vec<String>,
    /// What an operator should know, though the certificate can be served.
    pub(super) warnings: Vec<&'static str>,
}

/// Reads one pair of files; `now` judges whether the certificate is valid.
pub(super) fn load(files: &CertificateFiles, now: UnixTime) -> Result<Loaded, TlsFault> {
    let CertificateFiles { cert, key } = files;
    let chain = read_chain(cert)?;
    let Some(leaf) = chain.first() else { return Err(TlsFault::NoCertificate(cert.clone())) };
    let names =
        names(leaf).map_err(|cause| TlsFault::BadCertificate { file: cert.clone(), cause })?;
    let mut warnings: Vec<_> = validity(leaf, now).into_iter().collect();
    if names.is_empty() {
        warnings.push("names no host (subjectAltName), so no SNI chooses it");
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|cause| match cause {
        pem::Error::NoItemsFound => TlsFault::NoKey(key.clone()),
        cause => TlsFault::Unreadable { file: key.clone(), cause },
    })?;
    let signer = aws_lc_rs::sign::any_supported_type(&secret)
        .map_err(|cause| TlsFault::BadKey { file: key.clone(), cause })?;
    let certified = CertifiedKey::new(chain, signer);
    if certified.keys_match().is_err() {
        return Err(TlsFault::KeyMismatch { cert: cert.clone(), key: key.clone() });
    }
    Ok(Loaded { key: Arc::new(certified), names, warnings })
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|cause| TlsFault::Unreadable { file: file.to_owned(), cause })
}

fn names(leaf: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| error.to_string())?;
    Ok(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// Whether the certificate is out of its time. Clients will refuse it then, but a node that does
/// not start at all serves nobody.
fn validity(leaf: &CertificateDer<'_>, now: UnixTime) -> Option<&'static str> {
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms.all;
    let parsed = rustls::server::ParsedCertificate::try_from(leaf).ok()?;
    // Times are judged before the path, which ends nowhere without roots.
    let verdict = rustls::client::verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        &[],
        now,
        algorithms,
    );
    match verdict {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Some("has expired"),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Some("is not valid yet"),
        _ => None,
    }
}
