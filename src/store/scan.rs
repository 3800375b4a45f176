//! Walks over all that is stored: to tell what a purge would hit, and to free what one has hit.
//!
//! ```text
//!  survey   an even sample ──► head ──► does each of these rules cover it? ──► tally, scaled
//!  free     everything ──────► head ──► is it hard purged? ──► out of the tier
//! ```
//!
//! Keys are digests, and both tiers are walked in an order of theirs: the first so many that a walk
//! meets are as even a sample as any.
//!
//! Invariants:
//! - a walk takes out what it has judged and nothing that came in its place, and holds no lock
//!   while it judges;
//! - a response that both tiers hold is told once.
//!
//! All of it blocks: none is for event loops.

use std::iter::Sum;
use std::ops::AddAssign;
use std::ops::ControlFlow::{self, Break, Continue};

use super::Store;
use super::disk::{Disk, Place};
use super::memory::Resident;
use crate::object::{CacheKey, ObjectHead, PurgeRule, PurgeState, Subject};

/// Responses, and how large they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Responses; one in slices is one.
    pub objects: u64,
    /// Bytes of their heads and bodies, those of slices among them.
    pub bytes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        let mut sum = Self::default();
        tallies.for_each(|tally| sum += tally);
        sum
    }
}

/// What rules would hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// By each of the rules.
    pub hits: Vec<Tally>,
    /// Whether not all was looked at.
    pub is_estimate: bool,
}

/// Told how many entries were looked at since the last call, and what of them was freed; breaks off
/// the walk.
pub type Pace<'a> = &'a mut dyn FnMut(u64, Tally) -> ControlFlow<()>;

/// Entries between two calls of a [`Pace`].
const BATCH: usize = 256;

impl Store {
    /// What purges by `rules` would hit, beyond what is hard purged already. Looks at no more than
    /// `looks_max` entries, and at no more once `goes_on` says no, asked now and then.
    pub fn survey(
        &self,
        rules: &[PurgeRule],
        looks_max: u64,
        goes_on: &dyn Fn() -> bool,
    ) -> Survey {
        let in_memory = self.memory.figures().objects;
        let on_disk = self.disk.as_ref().map_or(0, Disk::objects);
        let all = (in_memory + on_disk).max(1);
        let share = |part: u64| match looks_max < all {
            true => proportion(part, looks_max, all).max(1),
            false => looks_max,
        };
        let count = |looks_max| Count::new(rules, looks_max, goes_on);
        let mut memory = count(share(in_memory));
        let is_whole = self.survey_memory(&mut memory).is_continue();
        let mut parts = vec![memory.scaled(is_whole, in_memory)];
        if let Some(disk) = &self.disk {
            let mut count = count(share(on_disk));
            let is_whole = self.survey_disk(disk, &mut count).is_continue();
            parts.push(count.scaled(is_whole, on_disk));
        }
        let is_estimate = self.is_recovering() || parts.iter().any(|part| part.is_estimate);
        let hit_by = |rule: usize| parts.iter().map(|part| part.hits[rule]).sum();
        Survey { hits: (0..rules.len()).map(hit_by).collect(), is_estimate }
    }

    fn survey_memory(&self, count: &mut Count<'_>) -> ControlFlow<()> {
        self.memory.walk(|_, resident| {
            if count.looks.is_multiple_of(BATCH as u64) || count.left() == 0 {
                count.go_on()?;
            }
            count.looks += 1;
            if let Resident::Stored(stored) = resident {
                self.tell(count, &stored.head, stored.len());
            }
            Continue(())
        })
    }

    fn survey_disk(&self, disk: &Disk, count: &mut Count<'_>) -> ControlFlow<()> {
        for mut part in disk.parts() {
            for batch in part.chunks_mut(BATCH) {
                count.go_on()?;
                // Cut before they are sorted: those that stand first are the oldest.
                let looks = batch.len().min(usize::try_from(count.left()).unwrap_or(usize::MAX));
                let is_cut = looks < batch.len();
                let batch = &mut batch[..looks];
                Place::sort(batch);
                for place in batch {
                    count.looks += 1;
                    if let Some((key, head, body)) = disk.response_at(*place)
                        && !self.memory.holds(key)
                    {
                        self.tell(count, &head, body);
                    }
                }
                if is_cut {
                    return Break(());
                }
            }
        }
        Continue(())
    }

    fn tell(&self, count: &mut Count<'_>, head: &ObjectHead, body: u64) {
        if let Some(target) = head.target()
            && self.rules.judge(head) != PurgeState::Hard
        {
            count.tell(&Subject::new(target, head.tags()), tally(head, body));
        }
    }

    /// Frees what is hard purged in memory.
    pub fn free_memory(&self, pace: Pace<'_>) -> ControlFlow<()> {
        let mut batch = Vec::with_capacity(BATCH);
        self.memory.walk(|key, resident| {
            batch.push((key, resident));
            if batch.len() < BATCH {
                return Continue(());
            }
            pace(BATCH as u64, self.free_batch(batch.drain(..)))
        })?;
        pace(batch.len() as u64, self.free_batch(batch.drain(..)))
    }

    fn free_batch(&self, batch: impl Iterator<Item = (CacheKey, Resident)>) -> Tally {
        let mut freed = Tally::default();
        for (key, resident) in batch {
            let Resident::Stored(stored) = &resident else { continue };
            if self.rules.judge(&stored.head) == PurgeState::Hard {
                self.memory.remove_if(key, |present| present.is(&resident));
                freed += tally(&stored.head, stored.len());
            }
        }
        if freed != Tally::default() {
            self.memory.tidy_up();
        }
        freed
    }

    /// The same on disk. What it frees is found no more; its room is free once its segment goes.
    pub fn free_disk(&self, pace: Pace<'_>) -> ControlFlow<()> {
        let Some(disk) = &self.disk else { return Continue(()) };
        for mut part in disk.parts() {
            Place::sort(&mut part);
            for batch in part.chunks(BATCH) {
                let freed: Tally =
                    batch.iter().filter_map(|place| self.free_place(disk, *place)).sum();
                if freed != Tally::default() {
                    disk.release();
                }
                pace(batch.len() as u64, freed)?;
            }
        }
        Continue(())
    }

    fn free_place(&self, disk: &Disk, place: Place) -> Option<Tally> {
        let (_, head, body) = disk.response_at(place)?;
        let goes = self.rules.judge(&head) == PurgeState::Hard && disk.drop_at(place);
        goes.then(|| tally(&head, body))
    }

    /// Whether the disk tier is still finding what it holds: until then it frees nothing.
    pub fn is_recovering(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::is_recovering)
    }
}

/// What rules hit of the entries that were looked at.
struct Count<'a> {
    rules: &'a [PurgeRule],
    hits: Vec<Tally>,
    looks: u64,
    looks_max: u64,
    goes_on: &'a dyn Fn() -> bool,
}

impl<'a> Count<'a> {
    fn new(rules: &'a [PurgeRule], looks_max: u64, goes_on: &'a dyn Fn() -> bool) -> Self {
        Self { rules, hits: vec![Tally::default(); rules.len()], looks: 0, looks_max, goes_on }
    }

    /// Entries that may still be looked at.
    fn left(&self) -> u64 {
        self.looks_max - self.looks
    }

    /// Whether there is another batch: the first there always is.
    fn go_on(&self) -> ControlFlow<()> {
        match self.left() > 0 && (self.looks == 0 || (self.goes_on)()) {
            true => Continue(()),
            false => Break(()),
        }
    }

    fn tell(&mut self, subject: &Subject<'_>, size: Tally) {
        for (hit, rule) in self.hits.iter_mut().zip(self.rules) {
            if subject.is_covered_by(rule) {
                *hit += size;
            }
        }
    }

    /// Of `all` entries, as far as those that were looked at tell.
    fn scaled(mut self, is_whole: bool, all: u64) -> Survey {
        if !is_whole {
            for hit in &mut self.hits {
                let scale = |part| proportion(part, all.max(self.looks), self.looks.max(1));
                *hit = Tally { objects: scale(hit.objects), bytes: scale(hit.bytes) };
            }
        }
        Survey { hits: self.hits, is_estimate: !is_whole }
    }
}

/// A slice is no object by itself.
fn tally(head: &ObjectHead, body: u64) -> Tally {
    Tally { objects: u64::from(!head.is_slice()), bytes: head.size() + body }
}

/// `part * numerator / denominator`.
fn proportion(part: u64, numerator: u64, denominator: u64) -> u64 {
    let product = u128::from(part) * u128::from(numerator);
    u64::try_from(product / u128::from(denominator)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
