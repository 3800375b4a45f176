//! Headland: an edge-caching CDN node.

pub mod message;
pub mod semantics;
