//! A hash table from tags to 64 bits: open addressing, robin hood, two columns.
//!
//! ```text
//!  tags     │ 0 │ 17 │ 12 │ 40 │ 0 │ …      0: free
//!  values   │   │    │    │    │   │ …
//! ```
//!
//! A tag's home is its place if the range of all tags is laid over the table, so that any capacity
//! will do, and the table grows by an eighth: sixteen bytes an entry, at a load of 75 to 85 %.
//! Robin hood: an entry that is nearer to its home makes way for one that is farther, so that no
//! search is long; a removal moves those behind it back.

use std::sync::atomic::AtomicU64;

/// Entries for a hundred places at most.
const LOAD_MAX: usize = 85;

/// Places of the smallest table.
const CAPACITY_MIN: usize = 8;

/// The table. Tags are digests, and never 0.
#[derive(Debug, Default)]
pub(super) struct Table {
    tags: Box<[u64]>,
    values: Box<[AtomicU64]>,
    length: usize,
}

impl Table {
    /// Places, taken or free.
    pub(super) fn capacity(&self) -> usize {
        self.tags.len()
    }

    /// The value of `tag`.
    pub(super) fn get(&self, tag: u64) -> Option<&AtomicU64> {
        self.find(tag).map(|place| &self.values[place])
    }

    /// Sets the value of `tag`, and returns the one it had.
    pub(super) fn insert(&mut self, tag: u64, value: u64) -> Option<u64> {
        if let Some(place) = self.find(tag) {
            return Some(std::mem::replace(self.values[place].get_mut(), value));
        }
        if (self.length + 1) * 100 > self.capacity() * LOAD_MAX {
            self.grow();
        }
        self.place(tag, value);
        self.length += 1;
        None
    }

    /// Takes `tag` out, and returns its value.
    pub(super) fn remove(&mut self, tag: u64) -> Option<u64> {
        let mut place = self.find(tag)?;
        let value = *self.values[place].get_mut();
        let mut next = self.after(place);
        while self.tags[next] != 0 && self.home(self.tags[next]) != next {
            self.tags[place] = self.tags[next];
            *self.values[place].get_mut() = *self.values[next].get_mut();
            (place, next) = (next, self.after(next));
        }
        self.tags[place] = 0;
        self.length -= 1;
        Some(value)
    }

    /// Every tag and its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &AtomicU64)> {
        self.tags.iter().copied().zip(&self.values).filter(|(tag, _)| *tag != 0)
    }

    fn find(&self, tag: u64) -> Option<usize> {
        if self.length == 0 {
            return None;
        }
        let mut place = self.home(tag);
        let mut distance = 0;
        loop {
            let found = self.tags[place];
            if found == tag {
                return Some(place);
            }
            if found == 0 || self.distance(found, place) < distance {
                return None;
            }
            place = self.after(place);
            distance += 1;
        }
    }

    /// Puts in a tag that is not there; there is room.
    fn place(&mut self, mut tag: u64, mut value: u64) {
        let mut place = self.home(tag);
        let mut distance = 0;
        while self.tags[place] != 0 {
            let found = self.distance(self.tags[place], place);
            if found < distance {
                std::mem::swap(&mut self.tags[place], &mut tag);
                value = std::mem::replace(self.values[place].get_mut(), value);
                distance = found;
            }
            place = self.after(place);
            distance += 1;
        }
        self.tags[place] = tag;
        *self.values[place].get_mut() = value;
    }

    fn grow(&mut self) {
        let capacity = CAPACITY_MIN.max(self.capacity() + self.capacity() / 8 + 1);
        let tags = std::mem::replace(&mut self.tags, vec![0; capacity].into());
        let fresh = (0..capacity).map(|_| AtomicU64::new(0)).collect();
        let values = std::mem::replace(&mut self.values, fresh);
        for (tag, value) in tags.iter().zip(values).filter(|(tag, _)| **tag != 0) {
            self.place(*tag, value.into_inner());
        }
    }

    fn home(&self, tag: u64) -> usize {
        ((u128::from(tag) * self.capacity() as u128) >> 64) as usize
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.capacity() { 0 } else { place + 1 }
    }

    /// How far `place` is from the home of `tag`.
    fn distance(&self, tag: u64, place: usize) -> usize {
        let home = self.home(tag);
        if place >= home { place - home } else { place + self.capacity() - home }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;

    use super::*;

    /// Tags that often share a home: few, and at both ends of the range.
    fn tags() -> impl Strategy<Value = u64> {
        prop_oneof![1u64..60, (u64::MAX - 60)..u64::MAX, any::<u64>().prop_map(|tag| tag.max(1))]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((tags(), any::<Option<u64>>()), 0..400)) {
            let mut table = Table::default();
            let mut map = HashMap::new();
            for (tag, value) in steps {
                match value {
                    Some(value) => {
                        prop_assert_eq!(table.insert(tag, value), map.insert(tag, value));
                    }
                    None => prop_assert_eq!(table.remove(tag), map.remove(&tag)),
                }
                prop_assert_eq!(table.length, map.len());
            }
            for (tag, value) in &map {
                prop_assert_eq!(table.get(*tag).map(|at| at.load(Relaxed)), Some(*value));
            }
            let all: HashMap<_, _> =
                table.iter().map(|(tag, value)| (tag, value.load(Relaxed))).collect();
            prop_assert_eq!(all, map);
        }
    }

    #[test]
    fn it_is_dense() {
        let mut table = Table::default();
        for n in 1..100_000u64 {
            table.insert(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), n);
            assert!(n < 1000 || table.capacity() * 74 < table.length * 100, "{n}");
        }
    }
}
