//! `[shield]`: the tier between the edges and the origin, as an edge sees it.

use super::address::Endpoint;
use super::reference::Sample::Required;
use super::section::section;

section! {
    /// The shields that an edge asks before the origin; edges only. Without it an edge goes
    /// straight to the origin.
    pub struct Shield {
        /// Each key belongs to one of these, found by rendezvous hashing.
        nodes: Vec<Endpoint> = vec![], Required(r#"["https://shield-1.internal:8443"]"#);
    }
}
