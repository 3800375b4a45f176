//! Metrics, access log and tracing. Floor 1: uses nothing of ours.
//!
//! Three ways for a node to be seen, by what they cost: a metric is an addition in memory of the
//! thread's own; a line of the access log is formatted into a buffer of the thread's own and
//! written by another thread; an event of `tracing` is for what is rare, and goes to stderr.

pub mod access_log;
pub mod metrics;
mod trace;

pub use self::trace::{TraceError, TraceFormat, TraceLevel, start_tracing};
