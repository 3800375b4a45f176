//! The control plane: the ordered log of purges, the fleet that follows it, and the door to both.
//!
//! May use `object`, `net`, `config` and `telemetry`.

pub mod fleet;
pub mod log;
