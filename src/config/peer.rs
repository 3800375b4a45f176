//! `[peer]`: how edges and shields know each other.

use std::path::PathBuf;
use std::time::Duration;

use super::reference::Sample::{Commented, Required};
use super::rule::Within;
use super::secret::{Secret, SecretFault, read_secret};
use super::section::section;

section! {
    /// How edges and shields know each other.
    pub struct Peer {
        /// File of the secret that all nodes share: a text of at least 16 bytes, the space around
        /// it not counted.
        secret_file: PathBuf = PathBuf::new(), Required(r#""peer.secret""#);
        /// PEM file of the authority behind the shields' certificates, which is trusted in place of
        /// the system's.
        ca_file: Option<PathBuf> = None, Commented(r#""peer-ca.pem""#);
        /// Longest wait of a shield for purges that an edge knows of and it does not; then it
        /// trusts nothing that it has stored.
        catch_up: Duration = Duration::from_millis(500),
            Within(Duration::ZERO..=Duration::from_mins(1));
    }
}

impl Peer {
    /// Reads the secret.
    ///
    /// # Errors
    /// The file system's, or what is there is no text, or too short.
    pub fn secret(&self) -> Result<Secret, SecretFault> {
        read_secret(&self.secret_file)
    }
}
