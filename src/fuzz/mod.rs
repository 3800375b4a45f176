//! All fuzz targets: one for each parser of bytes that come from outside.
//!
//! A target stands in the room of its parser, in a file `fuzz.rs`, where it sees what it needs. It
//! takes any bytes and asserts what has to hold of them: that what is read means the same once it
//! is written and read again, that a stream means the same however it is cut, that nothing grows
//! beyond its bound, that a normal form is its own.
//!
//! `make fuzz` runs them, guided by coverage, and writes what finds new paths to `tests/corpus`, a
//! folder for each target; the tests replay what is kept there. This exists under `cfg(test)` and
//! `cfg(fuzzing)` alone.

#[cfg(test)]
mod tests;

use crate::{config, control, door, net, object, purge, semantics, site, store, telemetry};

/// Name and function of a target. The function panics where a promise does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub fn targets() -> impl Iterator<Item = Target> {
    let rooms: [&[&[Target]]; 4] = [
        &net::fuzz::TARGETS,
        &purge::fuzz::TARGETS,
        &control::fuzz::TARGETS,
        &[
            config::fuzz::TARGETS,
            semantics::fuzz::TARGETS,
            telemetry::access_log::fuzz::TARGETS,
            object::fuzz::TARGETS,
            site::fuzz::TARGETS,
            store::fuzz::TARGETS,
            door::fuzz::TARGETS,
        ],
    ];
    rooms.into_iter().flatten().copied().flatten().copied()
}
