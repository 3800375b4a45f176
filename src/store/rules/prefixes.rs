//! Prefixes of URLs, found for a URL without a look at those that do not begin like it.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::object::Purged;

/// A rule for each prefix.
#[derive(Debug, Default)]
pub(super) struct Prefixes(BTreeMap<Box<str>, Purged>);

impl Prefixes {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a rule in, beside what there is.
    pub(super) fn raise(&mut self, prefix: &str, purged: Purged) {
        match self.0.get_mut(prefix) {
            Some(known) => *known = known.or(purged),
            None => drop(self.0.insert(prefix.into(), purged)),
        }
    }

    /// The rules of every prefix of `text` together.
    pub(super) fn covering(&self, text: &str) -> Purged {
        let mut purged = Purged::default();
        let mut rest = text;
        let mut bound = Bound::Included(rest);
        // The last key up to `rest` is its longest prefix, or shares with it all that a shorter
        // one could have: each step looks up a shorter text.
        while let Some((key, rule)) = self.0.range::<str, _>((Bound::Unbounded, bound)).next_back()
        {
            let shared = shared_len(key, rest);
            if shared == key.len() {
                purged = purged.or(*rule);
                rest = &rest[..shared];
                bound = Bound::Excluded(rest);
            } else {
                rest = &rest[..shared];
                bound = Bound::Included(rest);
            }
        }
        purged
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Purged)> {
        self.0.iter().map(|(prefix, purged)| (&**prefix, purged))
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Purged) -> bool) {
        self.0.retain(|_, purged| keep(purged));
    }
}

/// Bytes that two texts begin alike, cut back to whole characters.
fn shared_len(one: &str, other: &str) -> usize {
    let alike = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    other.floor_char_boundary(alike)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_prefix_is_found_and_no_other(
            keys in proptest::collection::btree_map("[aé/]{0,5}", 1u64..99, 0..12),
            text in "[aé/]{0,7}",
        ) {
            let mut prefixes = Prefixes::default();
            for (key, number) in &keys {
                prefixes.raise(key, Purged { hard: *number, ..Purged::default() });
            }
            let covering = keys.iter().filter(|(key, _)| text.starts_with(key.as_str()));
            let expected = covering.map(|(_, number)| *number).max().unwrap_or(0);
            prop_assert_eq!(prefixes.covering(&text).hard, expected);
        }
    }
}
