//! How far a node is in its life.

use std::sync::atomic::{AtomicU8, Ordering};

/// How far a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Not all listeners are open.
    Starting,
    /// Ready to take traffic.
    Serving,
    /// Finishing what was begun.
    Draining,
}

impl State {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// The state of a node, shared by its threads; starting at first.
#[derive(Debug, Default)]
pub struct Life(AtomicU8);

impl Life {
    /// The state now.
    pub fn state(&self) -> State {
        match self.0.load(Ordering::Acquire) {
            0 => State::Starting,
            1 => State::Serving,
            _ => State::Draining,
        }
    }

    /// Goes on to `state`.
    pub fn set(&self, state: State) {
        self.0.store(state as u8, Ordering::Release);
    }
}
