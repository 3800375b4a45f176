//! Headland: an edge-caching CDN node.

pub mod admin;
pub mod collapse;
pub mod config;
pub mod listener;
pub mod message;
pub mod net;
pub mod object;
pub mod proxy;
pub mod purge;
pub mod semantics;
pub mod site;
pub mod store;
pub mod telemetry;
pub mod upstream;
