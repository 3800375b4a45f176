//! The control plane: the ordered log of purges, the fleet that follows it, and the door to both.
//!
//! May use `door`, `object`, `net`, `config`, `telemetry` and `durable`.
//!
//! ```text
//!  people, scripts ── POST /v1/purges ──► log ──► GET /v1/log ───► nodes
//!                                          │                         │
//!                     receipts ◄── fleet ◄─┴── POST /v1/nodes/{name} ┘
//! ```
//!
//! Sites and origins are published beside the log (`publish`): a heartbeat's answer says which
//! version of them the node is to have.
//!
//! A purge is appended to the log, which makes it durable; every node follows the log by a stream
//! that stays open, and tells by its heartbeat how far it has applied and journaled it. A receipt
//! is complete when every node that was registered at the append has, or is fenced.
//!
//! All of that lives in a folder of the one control process, or on NATS, where several
//! share them: one leads, the others stand by and refuse with 503.

pub mod audit;
pub mod backup;
mod clock;
pub mod door;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod home;
mod hook;
mod lead;
pub mod log;
pub mod nats;
mod plane;
pub mod publish;
mod registrar;
mod registry;
mod run;
mod serve;
mod survey;

pub use lead::Lead;
pub use plane::{Grant, OpenError, Plane, PlaneParts};
pub use registrar::NotGranted;
pub use registry::{FolderRegistry, Known, NatsRegistry, Registry, RegistryError};
pub use run::run;
pub use serve::{Control, StartError};
