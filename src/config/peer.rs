//! `[peer]`: how edges and shields know each other.

use std::path::PathBuf;

use super::reference::Sample::{Commented, Required};
use super::section::section;

section! {
    /// How edges and shields know each other.
    pub struct Peer {
        /// File of the secret that all nodes share.
        secret_file: PathBuf = PathBuf::new(), Required(r#""peer.secret""#);
        /// PEM file of the authority behind the shields' certificates; without it the system's.
        ca_file: Option<PathBuf> = None, Commented(r#""peer-ca.pem""#);
    }
}
