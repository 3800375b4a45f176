//! What walks over the tier need: where every key stands, and the heads there, one by one.

use super::Disk;
use super::format::tag_of;
use super::index::PARTS;
use super::location::Location;
use super::queue::Job;
use crate::object::{CacheKey, ObjectHead};

/// Where a key stood when a walk came by.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Place {
    tag: u64,
    location: Location,
}

impl Place {
    /// Sorts places by where they stand, so that they are read from the first to the last.
    pub(in crate::store) fn sort(places: &mut [Self]) {
        places.sort_unstable_by_key(|place| (place.location.slot(), place.location.offset()));
    }
}

impl Disk {
    /// Every key, in parts that are made one after the other, each in an order of the keys.
    pub(in crate::store) fn parts(&self) -> impl Iterator<Item = Vec<Place>> {
        (0..PARTS).map(|part| {
            let keys = self.shared.index.part(part).into_iter();
            keys.map(|(tag, location)| Place { tag, location }).collect()
        })
    }

    /// The response that stands at a place, but for the body: its key, its head, and the body's
    /// bytes. Blocks.
    pub(in crate::store) fn response_at(
        &self,
        place: Place,
    ) -> Option<(CacheKey, ObjectHead, u64)> {
        let found = self.shared.response_at(place.location);
        // Another segment may have taken the place meanwhile.
        found.filter(|(key, ..)| tag_of(*key) == place.tag)
    }

    /// Lets the response at a place be found no more, if it is still there. For what a rule of the
    /// journal covers: no removal is written, for should a restart find it again, so will the rule.
    pub(in crate::store) fn drop_at(&self, place: Place) -> bool {
        self.shared.index.drop_at(place.tag, place.location)
    }

    /// Has the writer give up the bodies that nothing is left of.
    pub(in crate::store) fn release(&self) {
        self.queue.send(Job::Release);
    }

    /// Keys that can be found.
    pub(in crate::store) fn objects(&self) -> u64 {
        self.shared.index.objects()
    }

    /// Whether there may be more than the walks find.
    pub(in crate::store) fn is_recovering(&self) -> bool {
        self.shared.index.is_recovering()
    }
}
