//! What `/v1/status` shows of upstream.

/// A server of an origin, or a shield.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// The origin's name; `shield` for a shield.
    pub name: String,
    /// The server's URL.
    pub server: String,
    /// Whether requests go to it: the last attempts reached it, and active checks, where there are
    /// any, find it well.
    pub healthy: bool,
}
