//! What is worth a place on a full disk: a key that was offered before.
//!
//! Most keys of a long tail are asked for once. While there is room everything is stored; once room
//! must be made, a key is stored at its second offer (Maggs and Sitaraman, "Algorithmic Nuggets in
//! Content Delivery", 2015). Two Bloom filters take turns, so that memory is bounded and what was
//! long ago is forgotten.

/// Bits of one filter.
const BITS: usize = 1 << 23;

/// Keys after which a filter is full: one in fifty is then taken for known that is not.
const KEYS_MAX: usize = BITS / 8;

/// Bits set for a key.
const PROBES: u32 = 4;

/// The keys that were offered of late.
#[derive(Debug)]
pub(super) struct Admission {
    current: Box<[u64]>,
    previous: Box<[u64]>,
    keys: usize,
}

impl Admission {
    pub(super) fn new() -> Self {
        let filter = || vec![0; BITS / 64].into_boxed_slice();
        Self { current: filter(), previous: filter(), keys: 0 }
    }

    /// Whether the key `tag` was offered before; from now on it was.
    pub(super) fn offered(&mut self, tag: u64) -> bool {
        if holds(&self.current, tag) {
            return true;
        }
        if self.keys == KEYS_MAX {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.fill(0);
            self.keys = 0;
        }
        self.keys += 1;
        for bit in bits(tag) {
            self.current[bit / 64] |= 1 << (bit % 64);
        }
        holds(&self.previous, tag)
    }
}

fn holds(filter: &[u64], tag: u64) -> bool {
    bits(tag).all(|bit| filter[bit / 64] >> (bit % 64) & 1 == 1)
}

/// Kirsch and Mitzenmacher, "Less Hashing, Same Performance" (2006): two hashes make all.
fn bits(tag: u64) -> impl Iterator<Item = usize> {
    let (one, two) = (tag as usize, (tag >> 32) as usize | 1);
    (0..PROBES as usize).map(move |n| one.wrapping_add(n.wrapping_mul(two)) % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> u64 {
        let hash = blake3::hash(&n.to_le_bytes());
        super::super::format::content_tag(hash.as_bytes())
    }

    #[test]
    fn a_key_is_known_from_its_second_offer_on() {
        let mut admission = Admission::new();
        let known = (0..10_000).filter(|n| admission.offered(tag(*n))).count();
        assert!(known < 10, "{known} of 10000 at their first offer");
        assert!((0..10_000).all(|n| admission.offered(tag(n))));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut admission = Admission::new();
        admission.offered(tag(0));
        for n in 1..=KEYS_MAX as u64 + 1 {
            admission.offered(tag(n));
        }
        assert!(admission.offered(tag(0)), "one filter ago");
        for n in 0..=2 * KEYS_MAX as u64 {
            admission.offered(tag(n + (1 << 40)));
        }
        assert!(!admission.offered(tag(1)), "two filters ago");
    }
}
