//! The live maps, in a table that a signal handler may read.
//!
//! ```text
//! slots   [generation, base, length, faults] [ … ] [ … ]  …  MAPS_MAX of them
//!          odd: being written   length 0: free
//! ```
//!
//! A slot is written by the one who made its generation odd, and read by anyone: a reader that
//! sees an odd generation, or another one after reading, has read no map. The slot of the map that
//! a thread faults in cannot change meanwhile, for that thread is still reading the map.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// Most maps at a time. The kernel allows a process 65,530 mappings unless told otherwise
/// (`vm.max_map_count`), so more could not be made; a store has a fourth as many segments at most.
/// Slots never used cost no memory, those used 24 bytes.
pub(super) const MAPS_MAX: usize = 65_536;

/// The maps of this process.
pub(super) static MAPS: Registry<MAPS_MAX> = Registry::new();

/// A table of at most `N` live maps.
#[derive(Debug)]
pub(super) struct Registry<const N: usize> {
    slots: [Slot; N],
    /// Slots from here on were never used.
    used: AtomicUsize,
    /// Where to look first for a free slot.
    next: AtomicUsize,
}

#[derive(Debug)]
struct Slot {
    generation: AtomicU32,
    /// Faults in the map so far; above zero it is lost.
    faults: AtomicU32,
    base: AtomicUsize,
    length: AtomicUsize,
}

/// A map in the table, until this is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    slot: &'static Slot,
}

/// The map in which an address lies.
pub(super) struct Found {
    pub(super) base: usize,
    pub(super) length: usize,
    slot: &'static Slot,
}

impl<const N: usize> Registry<N> {
    pub(super) const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; N],
            used: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        }
    }

    /// Enters a map of `length` bytes at address `base`.
    ///
    /// # Errors
    /// The table is full.
    pub(super) fn register(&'static self, base: usize, length: usize) -> io::Result<Registration> {
        let first = self.next.load(Ordering::Relaxed);
        for index in (first..N).chain(0..first) {
            if self.slots[index].claim(base, length) {
                self.next.store((index + 1) % N, Ordering::Relaxed);
                // Before anybody can fault in the map, since the caller has not got it yet.
                self.used.fetch_max(index + 1, Ordering::SeqCst);
                return Ok(Registration { slot: &self.slots[index] });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!("too many segments mapped at a time: the limit is {N}"),
        ))
    }

    /// The map that holds `address`. Async-signal-safe.
    pub(super) fn find(&'static self, address: usize) -> Option<Found> {
        let used = self.used.load(Ordering::SeqCst).min(N);
        self.slots[..used].iter().find_map(|slot| {
            let (base, length) = slot.read()?;
            let inside = address.wrapping_sub(base) < length;
            inside.then_some(Found { base, length, slot })
        })
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            generation: AtomicU32::new(0),
            faults: AtomicU32::new(0),
            base: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
        }
    }

    /// Takes the slot if it is free.
    fn claim(&self, base: usize, length: usize) -> bool {
        let generation = self.generation.load(Ordering::Acquire);
        let is_free = generation.is_multiple_of(2) && self.length.load(Ordering::Relaxed) == 0;
        is_free
            && self
                .generation
                .compare_exchange(
                    generation,
                    generation.wrapping_add(1),
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .inspect(|&generation| {
                    self.faults.store(0, Ordering::Relaxed);
                    self.fill(generation.wrapping_add(1), base, length);
                })
                .is_ok()
    }

    /// Frees the slot, which is the caller's.
    fn release(&self) {
        let odd = self.generation.load(Ordering::Relaxed).wrapping_add(1);
        self.generation.store(odd, Ordering::Relaxed);
        self.fill(odd, 0, 0);
    }

    /// Writes a slot whose generation was made odd, and makes it even.
    fn fill(&self, odd: u32, base: usize, length: usize) {
        fence(Ordering::Release);
        self.base.store(base, Ordering::Relaxed);
        self.length.store(length, Ordering::Relaxed);
        self.generation.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// Base and length, if both belong to one map.
    fn read(&self) -> Option<(usize, usize)> {
        let before = self.generation.load(Ordering::Acquire);
        let read = (self.base.load(Ordering::Relaxed), self.length.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let after = self.generation.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2)).then_some(read)
    }
}

impl Found {
    /// Counts a fault, by which the map is lost; how many came before it.
    pub(super) fn lose(&self) -> u32 {
        self.slot.faults.fetch_add(1, Ordering::SeqCst)
    }
}

impl Registration {
    pub(super) fn is_lost(&self) -> bool {
        // As for a mark: what was read before is not to be read again after this.
        fence(Ordering::Acquire);
        self.slot.faults.load(Ordering::Acquire) > 0
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.slot.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_the_map_that_holds_it_while_it_lives() {
        static TWO: Registry<2> = Registry::new();
        let first = TWO.register(1000, 10).unwrap();
        let second = TWO.register(2000, 10).unwrap();
        let base = |address| TWO.find(address).map(|found| found.base);
        assert_eq!([999, 1000, 1009, 1010].map(base), [None, Some(1000), Some(1000), None]);
        assert_eq!(base(2005), Some(2000));
        let full = TWO.register(3000, 10).unwrap_err();
        assert_eq!(full.to_string(), "too many segments mapped at a time: the limit is 2");
        assert_eq!(TWO.find(1000).unwrap().lose(), 0);
        assert!(first.is_lost() && !second.is_lost());
        drop(first);
        assert_eq!(base(1000), None);
        let third = TWO.register(3000, 10).unwrap();
        assert!(!third.is_lost(), "a slot begins anew");
        assert_eq!(base(3009), Some(3000));
        assert_eq!(base(2005), Some(2000));
    }
}
