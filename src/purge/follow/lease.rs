//! Whether stored responses may be trusted: what the node knows of its lease. Pure.
//!
//! ```text
//!            start, journaled "serve"
//!                 │                        grant, head applied
//!   start ──► Fenced ◄───── refused ────── ─────────────────────► Trusted
//!                 ▲                                                  │
//!                 └── lease over, unless the node serves without ────┘
//! ```
//!
//! A lease is counted from the moment in which the heartbeat was sent, the control plane counts it
//! from its answer: the node's is over first.

use std::time::Duration;

use crate::config::control::OnControlLoss;

/// A moment on a clock that counts suspension, since the machine started.
pub(super) type Uptime = Duration;

/// What a node has been granted.
#[derive(Debug)]
pub(super) struct Lease {
    on_loss: OnControlLoss,
    /// The end of the last grant; `None` before the first and after a refusal.
    until: Option<Uptime>,
    /// The head that the last grant carried: to be applied before anything is trusted.
    head: u64,
    /// Whether a grant was journaled that lets the node go on alone.
    serves: bool,
}

impl Lease {
    /// At the start of a process whose journal says whether it was granted to go on alone.
    pub(super) fn new(on_loss: OnControlLoss, served: bool) -> Self {
        let serves = served && on_loss == OnControlLoss::Serve;
        Self { on_loss, until: None, head: 0, serves }
    }

    /// Takes a grant in, asked for at `sent`.
    pub(super) fn granted(&mut self, sent: Uptime, lease: Duration, head: u64) {
        self.until = Some(sent + lease);
        self.head = head;
    }

    /// The control plane has refused the node.
    pub(super) fn refused(&mut self) {
        (self.until, self.serves) = (None, false);
    }

    /// The node stands at `position` of a log at `now`, and has journaled that.
    pub(super) fn stands_at(&mut self, now: Uptime, position: u64) {
        let lives = self.until.is_some_and(|until| now < until);
        let is_caught_up = lives && position >= self.head;
        self.serves |= is_caught_up && self.on_loss == OnControlLoss::Serve;
    }

    /// Whether the node goes on alone: to be journaled before it does, and before the control plane
    /// is told otherwise.
    pub(super) fn serves(&self) -> bool {
        self.serves
    }

    /// Whether what is stored is not to be trusted at `now`, by a node that stands at `position`.
    pub(super) fn is_fenced(&self, now: Uptime, position: u64) -> bool {
        match self.until {
            _ if self.serves => false,
            Some(until) => now >= until || position < self.head,
            None => true,
        }
    }

    /// When the lease ends, if that fences the node.
    pub(super) fn ends(&self) -> Option<Uptime> {
        self.until.filter(|_| !self.serves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Uptime {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_counted_from_the_request() {
        let mut lease = Lease::new(OnControlLoss::Revalidate, false);
        assert!(lease.is_fenced(at(0), 9));
        lease.granted(at(5), LEASE, 7);
        lease.stands_at(at(6), 7);
        assert!(!lease.serves() && !lease.is_fenced(at(14), 7) && lease.is_fenced(at(15), 7));
        assert!(lease.is_fenced(at(6), 6), "the grant's head is not applied");
        lease.granted(at(9), LEASE, 7);
        assert_eq!(lease.ends(), Some(at(19)));
        lease.refused();
        assert!(lease.is_fenced(at(10), 7));
    }

    #[test]
    fn who_serves_alone_does_so_from_the_first_grant_that_is_applied() {
        let mut lease = Lease::new(OnControlLoss::Serve, false);
        assert!(lease.is_fenced(at(0), 7));
        lease.granted(at(0), LEASE, 7);
        lease.stands_at(at(1), 6);
        lease.stands_at(at(10), 7);
        assert!(!lease.serves() && lease.is_fenced(at(1), 6));
        lease.stands_at(at(9), 7);
        assert!(lease.serves() && !lease.is_fenced(at(99), 7));
        assert_eq!(lease.ends(), None);
        lease.refused();
        assert!(lease.is_fenced(at(1), 8));
    }

    #[test]
    fn a_start_is_fenced_unless_the_journal_and_the_config_say_otherwise() {
        let fenced = |on_loss, served| Lease::new(on_loss, served).is_fenced(at(0), 0);
        assert!(fenced(OnControlLoss::Serve, false));
        assert!(fenced(OnControlLoss::Revalidate, true));
        assert!(!fenced(OnControlLoss::Serve, true));
    }
}
