//! How many keys need each body.
//!
//! Most bodies are needed by one key, and take no room here: a body that stands in the index and
//! not in this table is needed by one. One that was given up while references to it are still found
//! is in the table, lest they be forgotten when it is stored again.

use std::collections::HashMap;

/// Counts that are not told by the index alone, by content.
#[derive(Debug, Default)]
pub(super) struct References {
    counts: HashMap<u64, u32>,
}

impl References {
    /// What a recovery counted; `is_stored` tells of a body whether it is in the index.
    pub(super) fn from_counts(
        mut counts: HashMap<u64, u32>,
        is_stored: impl Fn(u64) -> bool,
    ) -> Self {
        counts.retain(|content, count| *count > 1 || !is_stored(*content));
        counts.shrink_to_fit();
        Self { counts }
    }

    /// One more key needs a body that is stored already.
    pub(super) fn add(&mut self, content: u64) {
        *self.counts.entry(content).or_insert(1) += 1;
    }

    /// A body is stored for a key, and perhaps for references that outlived it.
    pub(super) fn stored(&mut self, content: u64) {
        if let Some(count) = self.counts.get_mut(&content) {
            *count += 1;
        }
    }

    /// A body that is needed is no longer stored.
    pub(super) fn orphaned(&mut self, content: u64) {
        self.counts.entry(content).or_insert(1);
    }

    /// One key less does. True if it was the last.
    #[must_use]
    pub(super) fn release(&mut self, content: u64) -> bool {
        let Some(count) = self.counts.get_mut(&content) else { return true };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            self.counts.remove(&content);
        }
        is_last
    }

    /// How many keys need a body that is not told by the index.
    #[cfg(test)]
    pub(super) fn count(&self, content: u64) -> Option<u32> {
        self.counts.get(&content).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_frees() {
        let mut references = References::default();
        references.add(7);
        references.add(7);
        assert!(!references.release(7));
        assert!(!references.release(7));
        assert!(references.release(7));
        assert!(references.counts.is_empty());
    }

    #[test]
    fn references_that_outlive_their_body_are_not_forgotten() {
        let mut references = References::default();
        references.orphaned(7);
        references.stored(7);
        assert!(!references.release(7), "the reference, or the one that stored it again");
        assert!(references.release(7));
        references.stored(8);
        assert!(references.release(8));
        assert!(references.counts.is_empty());
    }
}
