//! What is on disk, and where: 16 bytes for each key and for each body, whatever the URL's length.
//!
//! ```text
//!  key ──► tag ──► shard ──► Location of the newest record
//!  body ──► BLAKE3 ──► tag ──► Location of the record that has it      (same table)
//! ```
//!
//! Tags are 64 bits of a digest. Two keys that share one displace each other; a record tells its
//! whole key, so the wrong one is never served.
//!
//! Invariants:
//! - a key is found at its newest record or not at all: once something newer was offered, or the
//!   key
//!   was removed, no older record is found, whatever the writer does later;
//! - recovery adds only what nothing newer stands against.

mod table;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use self::table::Table;
use super::location::Location;
use crate::object::{CacheKey, Stored};

/// Locks of the index: enough that two cores seldom meet at one, and that one's growth is short.
const SHARDS: usize = 256;

/// Parts in which the index can be gone through: as even as digests are.
pub(super) const PARTS: usize = SHARDS;

/// Every record that can be found.
#[derive(Debug)]
pub(super) struct Index {
    shards: Box<[RwLock<Shard>]>,
    /// Keys, and the bytes of their records and bodies.
    objects: AtomicU64,
    bytes: AtomicU64,
    tickets: AtomicU64,
    displaced: Mutex<Vec<Displaced>>,
    recovering: AtomicBool,
}

#[derive(Debug, Default)]
struct Shard {
    table: Table,
    /// Keys whose newest record waits to be written.
    waiting: HashMap<u64, Waiting>,
    /// Keys removed while recovery runs.
    removed: HashSet<u64>,
}

/// What waits to be written: the job that will write it holds it, too.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    response: Option<(CacheKey, Arc<Stored>)>,
}

/// A record that is found no more, whose body the writer has yet to release.
#[derive(Clone, Copy, Debug)]
pub(super) struct Displaced {
    pub(super) record: Location,
    /// The key of a record that could not be used, and may be found again after a restart.
    pub(super) disowned: Option<u64>,
}

/// The right to publish a record that waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Index {
    /// An empty index, to which a recovery adds.
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            displaced: Mutex::default(),
            recovering: AtomicBool::new(true),
        }
    }

    /// Where the newest record of `key` stands; it counts as a use.
    pub(super) fn find(&self, key: u64) -> Option<Location> {
        let shard = self.shard(key).read();
        let value = shard.table.get(key)?;
        let location = Location::from_bits(value.load(Ordering::Relaxed));
        let used = location.with_uses(location.uses() + 1);
        if used != location {
            // Lost to another use or a verification at the same moment: it is but a count.
            let _lost = value
                .compare_exchange(
                    location.bits(),
                    used.bits(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_err();
        }
        Some(used)
    }

    /// Where the newest record of `tag` stands; no use.
    pub(super) fn peek(&self, tag: u64) -> Option<Location> {
        let shard = self.shard(tag).read();
        shard.table.get(tag).map(|value| Location::from_bits(value.load(Ordering::Relaxed)))
    }

    /// Notes something of the record at `location`, if `tag` still stands there.
    pub(super) fn update(&self, tag: u64, location: Location, note: impl Fn(Location) -> Location) {
        let shard = self.shard(tag).read();
        let Some(value) = shard.table.get(tag) else { return };
        let note = |bits| {
            let present = Location::from_bits(bits);
            present.is_at(location).then(|| note(present).bits())
        };
        // Refused only where another record stands there by now.
        let _moved = value.fetch_update(Ordering::Relaxed, Ordering::Relaxed, note).is_err();
    }

    /// Announces a newer record for `key`: what is there is not found from now on, and `response`
    /// [waits](Self::waiting). Tells whether an older record lingers on disk, which a crash would
    /// bring back.
    pub(super) fn offer(
        &self,
        key: u64,
        response: Option<(CacheKey, Arc<Stored>)>,
    ) -> (Ticket, bool) {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let mut shard = self.shard(key).write();
        let waited = shard.waiting.insert(key, Waiting { ticket: ticket.0, response }).is_some();
        (ticket, self.supersede(&mut shard, key, waited))
    }

    /// The response for `key` that waits to be written.
    pub(super) fn waiting(&self, tag: u64, key: CacheKey) -> Option<Arc<Stored>> {
        let shard = self.shard(tag).read();
        let (whose, response) = shard.waiting.get(&tag)?.response.as_ref()?;
        (*whose == key).then(|| response.clone())
    }

    /// Makes `key` be found no more. Tells whether a record lingers, as [`offer`](Self::offer)
    /// does.
    pub(super) fn remove(&self, key: u64) -> bool {
        let mut shard = self.shard(key).write();
        let waited = shard.waiting.remove(&key).is_some();
        self.supersede(&mut shard, key, waited)
    }

    /// Takes an offer back, which is not going to be written.
    pub(super) fn withdraw(&self, key: u64, ticket: Ticket) {
        let mut shard = self.shard(key).write();
        if shard.is_newest(key, ticket) {
            shard.waiting.remove(&key);
        }
    }

    /// Whether the record that was offered by `ticket` is still the newest of `key`.
    pub(super) fn is_newest(&self, key: u64, ticket: Ticket) -> bool {
        self.shard(key).read().is_newest(key, ticket)
    }

    /// Lets `key` be found at the record that was offered by `ticket`; false if something newer has
    /// come since.
    pub(super) fn publish(&self, key: u64, ticket: Ticket, location: Location) -> bool {
        let mut shard = self.shard(key).write();
        if !shard.is_newest(key, ticket) {
            return false;
        }
        shard.waiting.remove(&key);
        let replaced = shard.table.insert(key, location.bits());
        debug_assert!(replaced.is_none(), "an offer takes out what is there");
        self.count(location);
        true
    }

    /// Lets the body `content` be found at `location`.
    pub(super) fn set_content(&self, content: u64, location: Location) {
        self.shard(content).write().table.insert(content, location.of_body().bits());
    }

    /// Takes `content` out, if it stands at `location`.
    pub(super) fn remove_content(&self, content: u64, location: Location) -> bool {
        let mut shard = self.shard(content).write();
        let stands = at(&shard.table, content).is_some_and(|present| present.is_at(location));
        if stands {
            shard.table.remove(content);
        }
        stands
    }

    /// Takes `key` out, if it stands at `location`: the record cannot be used. It is removed on
    /// disk as well, lest it be found once it can, whatever became of the key meanwhile.
    pub(super) fn disown(&self, key: u64, location: Location) -> bool {
        self.displace_at(key, location, Some(key))
    }

    /// Takes `key` out, if it stands at `location` and no recovery runs, to which the record might
    /// be all that stands against an older one. Nothing is written of it: a restart may find the
    /// record again.
    pub(super) fn drop_at(&self, key: u64, location: Location) -> bool {
        !self.is_recovering() && self.displace_at(key, location, None)
    }

    fn displace_at(&self, key: u64, location: Location, disowned: Option<u64>) -> bool {
        let mut shard = self.shard(key).write();
        let stands = at(&shard.table, key).is_some_and(|present| present.is_at(location));
        if stands {
            self.displace(&mut shard, key, disowned);
        }
        stands
    }

    /// Takes out the records that were displaced since the last call.
    pub(super) fn take_displaced(&self) -> Vec<Displaced> {
        std::mem::take(&mut self.displaced.lock())
    }

    /// Takes `key` out, if it stands at `location`: the record goes, and the writer knows.
    pub(super) fn forget(&self, key: u64, location: Location) -> bool {
        let mut shard = self.shard(key).write();
        let stands = at(&shard.table, key).is_some_and(|present| present.is_at(location));
        if stands {
            shard.table.remove(key);
            self.uncount(location);
        }
        stands
    }

    /// Moves `key` from one record to its copy; false if it stands elsewhere by now.
    pub(super) fn relocate(&self, key: u64, from: Location, to: Location) -> bool {
        let mut shard = self.shard(key).write();
        let stands = at(&shard.table, key).is_some_and(|present| present.is_at(from));
        if stands {
            shard.table.insert(key, to.bits());
            self.uncount(from);
            self.count(to);
        }
        stands
    }

    /// Adds a record that recovery found; the newest come first. False if something newer is known.
    pub(super) fn recover(&self, key: u64, location: Location) -> bool {
        let mut shard = self.shard(key).write();
        let known = shard.waiting.contains_key(&key)
            || shard.removed.contains(&key)
            || shard.table.get(key).is_some();
        if !known {
            shard.table.insert(key, location.bits());
            self.count(location);
        }
        !known
    }

    /// Notes a removal that recovery found.
    pub(super) fn recover_removal(&self, key: u64) {
        self.shard(key).write().removed.insert(key);
    }

    /// Adds a body that recovery found; the newest come first.
    pub(super) fn recover_content(&self, content: u64, location: Location) {
        let mut shard = self.shard(content).write();
        if shard.table.get(content).is_none() {
            shard.table.insert(content, location.of_body().bits());
        }
    }

    /// Counts a use that a former process noted.
    pub(super) fn use_again(&self, tag: u64) {
        if let Some(location) = self.peek(tag) {
            self.update(tag, location, |present| present.with_uses(present.uses().max(1)));
        }
    }

    /// Ends the recovery: nothing older comes from now on.
    pub(super) fn recovered(&self) {
        self.recovering.store(false, Ordering::Release);
        for shard in &self.shards {
            shard.write().removed = HashSet::new();
        }
    }

    /// Whether recovery is still adding.
    pub(super) fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// Forgets every record in `slot`, and returns how many keys that were.
    pub(super) fn forget_slot(&self, slot: u16) -> u64 {
        let mut forgotten = 0;
        for shard in &self.shards {
            let mut shard = shard.write();
            let in_slot = |(tag, value): (u64, &AtomicU64)| {
                let location = Location::from_bits(value.load(Ordering::Relaxed));
                (location.slot() == slot).then_some((tag, location))
            };
            let gone: Vec<_> = shard.table.iter().filter_map(in_slot).collect();
            for (tag, location) in gone {
                shard.table.remove(tag);
                if !location.is_of_body() {
                    self.uncount(location);
                    forgotten += 1;
                }
            }
        }
        forgotten
    }

    /// Calls `tell` with every tag and its location.
    pub(super) fn each(&self, mut tell: impl FnMut(u64, Location)) {
        for shard in &self.shards {
            for (tag, value) in shard.read().table.iter() {
                tell(tag, Location::from_bits(value.load(Ordering::Relaxed)));
            }
        }
    }

    /// Every key of one of the [`PARTS`], and where it stands.
    pub(super) fn part(&self, part: usize) -> Vec<(u64, Location)> {
        let shard = self.shards[part % SHARDS].read();
        let places = shard.table.iter().map(|(tag, value)| (tag, value.load(Ordering::Relaxed)));
        let places = places.map(|(tag, bits)| (tag, Location::from_bits(bits)));
        places.filter(|(_, location)| !location.is_of_body()).collect()
    }

    /// Keys that can be found.
    pub(super) fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Bytes of the records that keys stand at.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that the index itself takes.
    pub(super) fn memory(&self) -> u64 {
        const PLACE: usize = 2 * size_of::<u64>();
        let tables = self.shards.iter().map(|shard| shard.read().table.capacity() * PLACE);
        (tables.sum::<usize>() + SHARDS * size_of::<RwLock<Shard>>()) as u64
    }

    fn supersede(&self, shard: &mut Shard, key: u64, waited: bool) -> bool {
        let recovering = self.is_recovering();
        if recovering {
            shard.removed.insert(key);
        }
        self.displace(shard, key, None) || waited || recovering
    }

    /// The list is written under the shard's lock: whoever has passed every shard knows that no
    /// record he has taken out is still to come.
    fn displace(&self, shard: &mut Shard, key: u64, disowned: Option<u64>) -> bool {
        let Some(record) = shard.table.remove(key).map(Location::from_bits) else { return false };
        self.uncount(record);
        self.displaced.lock().push(Displaced { record, disowned });
        true
    }

    fn count(&self, location: Location) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(location.length(), Ordering::Relaxed);
    }

    fn uncount(&self, location: Location) {
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(location.length(), Ordering::Relaxed);
    }

    fn shard(&self, tag: u64) -> &RwLock<Shard> {
        // The table lays the range of all tags over its places: their low bits are free for this.
        &self.shards[tag as usize % SHARDS]
    }
}

impl Shard {
    fn is_newest(&self, key: u64, ticket: Ticket) -> bool {
        self.waiting.get(&key).is_some_and(|waiting| waiting.ticket == ticket.0)
    }
}

fn at(table: &Table, tag: u64) -> Option<Location> {
    table.get(tag).map(|value| Location::from_bits(value.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests;
