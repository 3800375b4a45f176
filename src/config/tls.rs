//! `[tls]`: the certificates of the public listeners and of the admin door.

use std::path::PathBuf;

use super::reference::Sample::{Required, Shown};
use super::section::section;

section! {
    /// The certificates of `listen.https`, and of the admin door beyond loopback.
    pub struct Tls {
        /// Chosen by SNI; the first one where a client sends none. Read again when a file changes.
        certificates: Vec<Certificate> = vec![],
            Shown(r#"[{ cert = "cert.pem", key = "key.pem" }]"#);
    }
}

section! {
    /// A certificate and its key.
    pub struct Certificate {
        /// PEM file of the certificate and the chain behind it.
        cert: PathBuf = PathBuf::new(), Required(r#""cert.pem""#);
        /// PEM file of the private key.
        key: PathBuf = PathBuf::new(), Required(r#""key.pem""#);
    }
}
