//! Connection ids that name their event loop.
//!
//! ```text
//!   byte 0                           bytes 1 to 7
//!   event loop + loops x random      random
//! ```
//!
//! Whoever holds a datagram finds the loop as `id[0] % loops`. The id's place in the datagram:
//! from byte 1 of a short header, from byte 6 of a long one (RFC 8999 section 5). Ids that clients
//! choose for their first datagrams name a loop by chance, and always the same one.

use std::time::Duration;

use quinn_proto::{ConnectionId, ConnectionIdGenerator};
use rustls::crypto::{SecureRandom, aws_lc_rs};

const LENGTH: usize = 8;

/// Makes the ids of one event loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoopIds {
    random: &'static dyn SecureRandom,
    event_loop: u8,
    loops: u8,
}

impl LoopIds {
    /// Ids of loop number `event_loop` out of `loops`; beyond 255 loops share numbers.
    pub(super) fn new(event_loop: usize, loops: usize) -> Self {
        let loops = u8::try_from(loops).unwrap_or(u8::MAX).max(1);
        let random = aws_lc_rs::default_provider().secure_random;
        Self { random, event_loop: (event_loop % usize::from(loops)) as u8, loops }
    }

    fn first_byte(self, random: u8) -> u8 {
        let last = (u8::MAX - self.event_loop) / self.loops;
        let step = if last == u8::MAX { random } else { random % (last + 1) };
        self.event_loop + self.loops * step
    }
}

impl ConnectionIdGenerator for LoopIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; LENGTH];
        // RFC 9000 section 5.1: an id must not let an observer link it to another one, so all but
        // the loop's number comes from the system's generator.
        if self.random.fill(&mut id).is_err() {
            fastrand::fill(&mut id);
        }
        id[0] = self.first_byte(id[0]);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_names_the_loop() {
        for loops in [1, 2, 3, 7, 128, 200, 255, 1000] {
            for event_loop in [0, 1, loops / 2, loops - 1] {
                let mut ids = LoopIds::new(event_loop, loops);
                let known = loops.min(255);
                for random in 0..=255 {
                    assert_eq!(usize::from(ids.first_byte(random)) % known, event_loop % known);
                }
                let id = ids.generate_cid();
                assert_eq!(usize::from(id[0]) % known, event_loop % known);
                assert_eq!(id.len(), ids.cid_len());
            }
        }
    }
}
