//! Whose turn it is to send: the urgency of RFC 9218 section 4.1, and round robin within one.

use std::collections::VecDeque;

/// The streams that have something to send; each stands here at most once.
#[derive(Debug, Default)]
pub(super) struct Schedule([VecDeque<u32>; 8]);

impl Schedule {
    /// The stream whose turn it is.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.0.iter_mut().find_map(VecDeque::pop_front)
    }

    /// The stream waits for its next turn.
    pub(super) fn push_back(&mut self, urgency: u8, stream: u32) {
        self.0[usize::from(urgency & 7)].push_back(stream);
    }

    /// The stream could not use its turn, for a reason that is not its own.
    pub(super) fn push_front(&mut self, urgency: u8, stream: u32) {
        self.0[usize::from(urgency & 7)].push_front(stream);
    }

    /// The stream is gone.
    pub(super) fn remove(&mut self, urgency: u8, stream: u32) {
        self.0[usize::from(urgency & 7)].retain(|&other| other != stream);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_urgent_go_first_and_equals_take_turns() {
        let mut schedule = Schedule::default();
        schedule.push_back(3, 1);
        schedule.push_back(3, 3);
        schedule.push_back(0, 5);
        assert_eq!(schedule.pop(), Some(5));
        assert_eq!(schedule.pop(), Some(1));
        schedule.push_back(3, 1);
        assert_eq!(schedule.pop(), Some(3));
        schedule.push_front(3, 3);
        schedule.remove(3, 1);
        assert_eq!((schedule.pop(), schedule.pop()), (Some(3), None));
        assert!(schedule.is_empty());
    }
}
