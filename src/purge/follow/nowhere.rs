//! Purges of the log that name nothing that is served here: told with the acknowledgement, so that
//! whoever asked learns that a purge hits nobody.
//!
//! Bounded: what finds no room is not told, and counts as a purge that names something.

use serde_json::{Value, json};

/// Rows of numbers that wait to be told.
const ROWS_MAX: usize = 128;

/// Numbers of purges, as rows without a gap, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Nowhere(Vec<(u64, u64)>);

impl Nowhere {
    /// The purge `number` names nothing. Numbers that were noted before change nothing.
    pub(super) fn note(&mut self, number: u64) {
        let has_room = self.0.len() < ROWS_MAX;
        match self.0.last_mut() {
            Some((_, last)) if number <= *last => {}
            Some((_, last)) if number == *last + 1 => *last = number,
            _ if has_room => self.0.push((number, number)),
            _ => {}
        }
    }

    /// What was told up to a purge need not be told again.
    pub(super) fn told(&mut self, number: u64) {
        self.0.retain(|(_, last)| *last > number);
        if let Some((first, _)) = self.0.first_mut() {
            *first = (*first).max(number + 1);
        }
    }

    /// Another log has other numbers.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// `[[first, last], …]`
    pub(super) fn to_json(&self) -> Value {
        json!(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_until_they_are_heard() {
        let mut nowhere = Nowhere::default();
        for number in [3, 4, 4, 3, 6, 7, 8] {
            nowhere.note(number);
        }
        assert_eq!(nowhere.to_json(), json!([[3, 4], [6, 8]]));
        nowhere.told(6);
        assert_eq!(nowhere.to_json(), json!([[7, 8]]));
        nowhere.told(8);
        assert_eq!(nowhere.to_json(), json!([]));
    }

    #[test]
    fn what_finds_no_room_is_not_told() {
        let mut nowhere = Nowhere::default();
        (0..1000).for_each(|n| nowhere.note(2 * n));
        assert_eq!(nowhere.0.len(), ROWS_MAX);
    }
}
