//! `[node]`: who this node is.

use super::rule::{Form, NAME, Within};
use super::section::{choice, section};

section! {
    /// Who this node is.
    pub struct Node {
        /// Name of this node in `Cache-Status`, `Via`, logs and the fleet; unlike any other node's.
        name: String = "headland".to_owned(), NAME;
        /// Where this node stands, in words of your own.
        region: String = String::new(), REGION;
        /// What this node is for: an edge faces clients, a shield faces edges.
        role: Role = Role::default();
        /// Event loops, each with its own listening sockets; 0: one per core.
        workers: usize = 0, Within(0..=1024);
    }
}

choice! {
    /// What a node is for.
    pub enum Role {
        /// Faces clients.
        Edge = "edge",
        /// Stands between the edges and the origin.
        Shield = "shield",
    }
}

/// A region, or empty for none.
pub(super) const REGION: Form = Form {
    expected: "at most 64 letters, digits, \".\", \"_\" or \"-\"",
    holds: |region| region.is_empty() || (NAME.holds)(region),
    sample: None,
};
