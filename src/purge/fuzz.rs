//! Fuzz targets: the journal, and what the control plane tells.

use super::{follow, journal};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this room.
pub(crate) const TARGETS: [&[Target]; 2] = [journal::fuzz::TARGETS, follow::fuzz::TARGETS];
