//! `[peer]`: how edges and shields know each other.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::reference::Sample::{Commented, Required};
use super::rule::Within;
use super::secret::Secret;
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

/// Bytes that a secret has at least.
const SECRET_MIN: usize = 16;

/// Why a file holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("expected {}, found {}: {cause}", SecretFault::EXPECTED, file.display())]
pub struct SecretFault {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

impl SecretFault {
    /// What such a file has to hold.
    pub(super) const EXPECTED: &'static str = "a text of at least 16 bytes";
}

impl Peer {
    /// Reads the secret.
    ///
    /// # Errors
    /// The file system's, or what is there is no text, or too short.
    pub fn secret(&self) -> Result<Secret, SecretFault> {
        let fault = |cause| SecretFault { file: self.secret_file.clone(), cause };
        let text =
            fs::read_to_string(&self.secret_file).map_err(|error| fault(error.to_string()))?;
        match text.trim() {
            secret if secret.len() < SECRET_MIN => Err(fault(format!("{} bytes", secret.len()))),
            secret => Ok(Secret::new(secret)),
        }
    }
}
