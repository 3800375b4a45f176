//! What the node promises, over real sockets: one module a promise, most cases once for each
//! protocol.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod backup;
mod collapse;
mod compress;
mod conditional;
mod conformance;
mod crash;
mod crowd;
mod demo;
mod directives;
mod disk;
mod disk_damage;
mod disk_faults;
mod drain;
mod edge_rules;
mod explain;
mod fleet;
mod freshness;
mod hit_miss;
mod interim;
mod keys;
mod limits;
mod linger;
mod methods;
mod names;
mod origin_protocol;
mod other_clients;
mod partition;
mod poisoning;
mod proxy;
mod publish;
mod purge;
mod range;
mod reload;
mod s3;
mod shield;
mod slices;
mod stale;
mod streaming;
mod upgrade;
mod validation;
mod vary;
