//! Repeats purges, for origins that are not consistent at once: what a node fetched right after a
//! purge may have come from a part of the origin that did not know of the change yet.
//!
//! A repeat is an entry of the log like any, by whom asked for the first. It survives nothing: one
//! that waits when the process ends, or when another takes the lead, is not made up for.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Door;
use crate::control::log::{Asked, weight};

/// What purges may weigh that wait for their repeat, each by its [`weight`].
const REPEATS_MAX: usize = 65_536;

/// Room for purges that wait for their repeat.
pub(super) struct Repeats(Arc<Semaphore>);

impl Repeats {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(REPEATS_MAX)))
    }
}

impl Door {
    /// Has purges that were just appended come again after `purge.settle`, once, if there is room
    /// for them to wait.
    pub(super) fn repeat_later(&self, asked: Asked) {
        let settle = self.parts.settle;
        if settle.is_zero() {
            return;
        }
        let count = asked.commands.len();
        let weight = asked.commands.iter().map(weight).sum::<usize>();
        let wanted = u32::try_from(weight).unwrap_or(u32::MAX);
        let Ok(room) = self.repeats.0.clone().try_acquire_many_owned(wanted) else {
            return tracing::warn!(count, "too many purges wait for their repeat; these have none");
        };
        let (plane, calendar) = (Arc::downgrade(&self.parts.plane), self.parts.calendar);
        tokio::spawn(async move {
            sleep(settle).await;
            let Some(plane) = plane.upgrade() else { return };
            let by = asked.by.clone();
            if !plane.leads() {
                return tracing::warn!(count, by, "another leads: purges were not repeated");
            }
            match plane.purge(Asked { at: calendar(), ..asked }).await {
                Ok(entry) => tracing::info!(first = entry.first, count, by, "purged again"),
                Err(error) => tracing::error!(%error, count, by, "purges were not repeated"),
            }
            drop(room);
        });
    }
}
