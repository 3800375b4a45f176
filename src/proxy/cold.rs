//! What a look-up found on disk, and not at hand: brought in before the journey goes on.

use super::Proxy;
use super::context::Journey;
use crate::object::Stored;
use crate::semantics::verdict::{Verdict, verdict};
use crate::store::Lookup;
use crate::telemetry::metrics::{Source, Tier};

/// Look-ups that may end at something cold: the index of what else the site keys by, that of the
/// variants, the variant, and one that came in between.
const STEPS_MAX: usize = 4;

impl Journey {
    /// The look-up and verdict once what is cold is at hand: what cannot be read is missing.
    pub(super) async fn at_hand(&self, looked_up: (Lookup, Verdict)) -> (Lookup, Verdict) {
        let (mut lookup, mut verdict) = looked_up;
        for _ in 0..STEPS_MAX {
            let Lookup::Cold(key) = lookup else { return (lookup, verdict) };
            (lookup, verdict) = match self.proxy.store.bring_in(key).await {
                Some(stored) => {
                    let verdict = self.verdict_on(Some(&stored));
                    (Lookup::Found(key, stored), verdict)
                }
                None => self.look_again(),
            };
        }
        match lookup {
            Lookup::Cold(_) => (Lookup::Missing(self.primary.own), self.verdict_on(None)),
            lookup => (lookup, verdict),
        }
    }

    /// What `stored` is good for now.
    pub(super) fn verdict_on(&self, stored: Option<&Stored>) -> Verdict {
        let facts = stored.map(|stored| self.facts_now(stored));
        verdict(&self.facts, facts.as_ref(), self.inbound.arrival.later())
    }
}

impl Proxy {
    /// Counts a response that a tier had.
    pub(super) fn count_hit(&self, stored: &Stored) {
        match source_of(stored) {
            Source::Disk => {
                self.metrics.miss(Tier::Memory);
                self.metrics.hit(Tier::Disk);
            }
            _ => self.metrics.hit(Tier::Memory),
        }
    }

    /// Counts a response that no tier had, or none that is good enough.
    pub(super) fn count_miss(&self) {
        self.metrics.miss(Tier::Memory);
        if self.store.has_disk() {
            self.metrics.miss(Tier::Disk);
        }
    }
}

/// The tier that had a stored response.
pub(super) fn source_of(stored: &Stored) -> Source {
    if stored.is_on_disk() { Source::Disk } else { Source::Memory }
}
