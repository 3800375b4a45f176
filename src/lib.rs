//! Headland: an edge-caching CDN node.
//!
//! # The house
//!
//! A room uses the rooms of lower floors that its head names, and nothing else; `tests/tidy.rs`
//! keeps it so.
//!
//! | floor | rooms |
//! |---|---|
//! | 6, 7 | [`cli`] the command line; [`node`] assembles, runs, reloads and drains |
//! | 5 | [`listener`] the public door; [`admin`] the private one; [`control`] the control plane |
//! | 4 | [`proxy`] the journey of one request; [`purge`] purges, carried out here |
//! | 3 | [`site`] route, key; [`store`] tiers; [`collapse`] one fetch; [`upstream`] origins; |
//! |   | [`door`] what private doors share |
//! | 2 | [`object`] the stored thing; [`net`] every socket |
//! | 1 | [`message`], [`semantics`], [`config`], [`telemetry`], [`durable`]: the ground floor |
//!
//! # One request
//!
//! ```text
//!  client ── net: bytes become a message::Request ── listener: stamped with its arrival
//!                                                       │
//!                                     proxy: Proxy::serve
//!            site       host and path → route and cache key
//!            store      → stored response, or none; purge rules judged
//!            semantics  verdict: serve, refresh, revalidate, fetch, pass, refuse
//!            collapse   join the flight of this key, or lead it
//!            upstream   ask the origin                    (leader only)
//!            proxy      fill: the body, once, into relay and store
//!            proxy      deliver: conditions, ranges, Age, Cache-Status → message::Response
//! ```
//!
//! Read [`proxy`] first, then `net::h1` for how bytes come and go.
//!
//! # Absent on purpose
//!
//! A configuration language, plug-ins, ESI, a WAF, an image pipeline, a DNS server, a consensus of
//! our own.

pub mod admin;
pub mod cli;
pub mod collapse;
pub mod config;
pub mod control;
pub mod door;
pub mod durable;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod listener;
pub mod message;
pub mod net;
pub mod node;
pub mod object;
pub mod proxy;
pub mod purge;
pub mod semantics;
pub mod site;
pub mod store;
pub mod telemetry;
pub mod upstream;
