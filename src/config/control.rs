//! `[control]`: the control plane that this node follows.

use std::path::PathBuf;
use std::{fs, io};

use super::address::Endpoint;
use super::reference::Sample::{Commented, Required};
use super::secret::Secret;
use super::section::{choice, section};

section! {
    /// The control plane that this node follows. Without it a node stands alone. Once sites and
    /// origins are published there, they take the place of all `[[site]]` and `[[origin]]` of this
    /// file, which may have none; they are kept beside the file of the identity.
    pub struct Control {
        /// Where the control plane is.
        url: Endpoint = Endpoint::default(), Required(r#""https://control.internal:9190""#);
        /// File of the token with which this node signs in.
        token_file: PathBuf = PathBuf::new(), Required(r#""node.token""#);
        /// PEM file of the authority behind the control plane's certificate; without it the
        /// system's.
        ca_file: Option<PathBuf> = None, Commented(r#""control-ca.pem""#);
        /// File by which a restarted node shows that it goes on where the process before it ended;
        /// a lock stands beside it. Without it a file in the cache folder; a node that has neither
        /// and serves on is refused after a crash until an operator has struck it off.
        identity_file: Option<PathBuf> = None, Commented(r#""node.identity""#);
        /// What to do with stored responses while the control plane cannot be reached.
        on_control_loss: OnControlLoss = OnControlLoss::default();
    }
}

choice! {
    /// What a node does with stored responses while the control plane cannot be reached.
    pub enum OnControlLoss {
        /// Serves them; purges wait.
        Serve = "serve",
        /// Asks the origin whether they still hold.
        Revalidate = "revalidate",
    }
}

impl Control {
    /// Reads the token.
    ///
    /// # Errors
    /// The file system's.
    pub fn token(&self) -> io::Result<Secret> {
        Ok(Secret::new(fs::read_to_string(&self.token_file)?.trim()))
    }
}
