//! Headland: an edge-caching CDN node.

pub mod config;
pub mod message;
pub mod semantics;
pub mod telemetry;
