//! `[[token]]`: who may use the admin door.

use super::moment::Moment;
use super::reference::Sample::{Commented, Required};
use super::rule::named;
use super::secret::TokenHash;
use super::section::{choice, section};

section! {
    /// Who may use the admin door. On loopback without any token it is open.
    pub struct Token {
        /// Name of the holder, for logs.
        name: String = String::new(), named("\"deploy\"");
        /// What the holder may do.
        role: TokenRole = TokenRole::default(), Required("\"purge\"");
        /// Sites to which the token is limited; empty: all.
        sites: Vec<String> = vec![];
        /// When it ends: from then on it is refused, and streams that were opened with it end.
        expires: Option<Moment> = None, Commented("2027-01-01T00:00:00Z");
        /// Hash of the token, as `headland token new` prints it.
        hash: TokenHash = TokenHash::default(),
            Required("\"blake3:0000000000000000000000000000000000000000000000000000000000000000\"");
    }
}

choice! {
    /// What the holder of a token may do.
    pub enum TokenRole {
        /// Reads.
        View = "view",
        /// Also purges.
        Purge = "purge",
        /// Follows the purge log and sends heartbeats.
        Node = "node",
        /// Everything.
        Admin = "admin",
    }
}
