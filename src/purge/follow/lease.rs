//! Whether stored responses may be trusted: what the node knows of its lease. Pure.
//!
//! ```text
//!            start, journaled "serve"
//!                 │                        grant, its `since` applied
//!   start ──► Fenced ◄───── refused, left ─ ─────────────────────► Trusted
//!                 ▲                                                   │
//!                 ├── lease over, unless the node serves without ─────┤
//!                 └── grant whose `since` is not applied ─────────────┘
//! ```
//!
//! A lease is counted from the moment in which the heartbeat was sent, the control plane counts it
//! from its answer: the node's is over first. `since` is the purge up to which receipts may be
//! complete without this node: what comes later waits for it.

use std::time::Duration;

use crate::config::control::OnControlLoss;

/// A moment on a clock that counts suspension, since the machine started.
pub(super) type Uptime = Duration;

/// More than any number: of another history nothing is applied.
const NEVER: u64 = u64::MAX;

/// What a node has been granted.
#[derive(Debug)]
pub(super) struct Lease {
    on_loss: OnControlLoss,
    /// The end of the last grant; `None` before the first and after a refusal.
    until: Option<Uptime>,
    /// What the last grant carried: to be applied before anything is trusted.
    since: u64,
    /// Whether a grant was journaled that lets the node go on alone.
    serves: bool,
    /// Whether the last heartbeat brought a grant.
    is_heard: bool,
    /// Whether the node takes no more grants.
    has_left: bool,
}

/// Whether the history behind a grant is the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    /// It is.
    Same,
    /// The node is ahead of it, as far as it is known to who grants.
    Behind,
    /// It is another.
    Other,
}

impl Lease {
    /// At the start of a process whose journal says whether it was granted to go on alone.
    pub(super) fn new(on_loss: OnControlLoss, served: bool) -> Self {
        let serves = served && on_loss == OnControlLoss::Serve;
        Self { on_loss, until: None, since: 0, serves, is_heard: false, has_left: false }
    }

    /// Takes a grant in, asked for at `sent`, by a node that stands at `position`. One that missed
    /// what was not to wait for it goes on alone no more until it has applied that.
    pub(super) fn granted(
        &mut self,
        sent: Uptime,
        lease: Duration,
        (history, since): (History, u64),
        position: u64,
    ) {
        if self.has_left {
            return;
        }
        (self.until, self.is_heard) = (Some(sent + lease), true);
        self.since = if history == History::Same { since } else { NEVER };
        self.serves &= match history {
            History::Same => position >= since,
            History::Behind => true,
            History::Other => false,
        };
    }

    /// The control plane has refused the node.
    pub(super) fn refused(&mut self) {
        (self.until, self.serves) = (None, false);
    }

    /// A heartbeat brought no answer.
    pub(super) fn unheard(&mut self) {
        self.is_heard = false;
    }

    /// Whether whoever grants would hear at `now` that the node leaves, as far as is known.
    pub(super) fn is_heard(&self, now: Uptime) -> bool {
        self.is_heard && self.lives(now)
    }

    /// The node leaves: nothing stored is trusted any more.
    pub(super) fn leave(&mut self) {
        self.refused();
        self.has_left = true;
    }

    /// Whether it has left.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    fn lives(&self, now: Uptime) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The node stands at `position` of a log at `now`, and has journaled that.
    pub(super) fn stands_at(&mut self, now: Uptime, position: u64) {
        let is_caught_up = self.lives(now) && position >= self.since;
        self.serves |= is_caught_up && self.on_loss == OnControlLoss::Serve;
    }

    /// Whether the node goes on alone: to be journaled before it does, and before the control plane
    /// is told otherwise.
    pub(super) fn serves(&self) -> bool {
        self.serves
    }

    /// Whether what is stored is not to be trusted at `now`, by a node that stands at `position`.
    pub(super) fn is_fenced(&self, now: Uptime, position: u64) -> bool {
        !self.serves && (!self.lives(now) || position < self.since)
    }

    /// When the lease ends, if that fences the node.
    pub(super) fn ends(&self) -> Option<Uptime> {
        self.until.filter(|_| !self.serves)
    }
}

#[cfg(test)]
mod tests {
    use super::History::{Behind, Other, Same};
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Uptime {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_counted_from_the_request() {
        let mut lease = Lease::new(OnControlLoss::Revalidate, false);
        assert!(lease.is_fenced(at(0), 9));
        lease.granted(at(5), LEASE, (Same, 7), 6);
        lease.stands_at(at(6), 7);
        assert!(!lease.serves() && !lease.is_fenced(at(14), 7) && lease.is_fenced(at(15), 7));
        assert!(lease.is_fenced(at(6), 6), "what the grant says is not applied");
        lease.granted(at(9), LEASE, (Same, 7), 7);
        assert_eq!(lease.ends(), Some(at(19)));
        lease.refused();
        assert!(lease.is_fenced(at(10), 7));
    }

    #[test]
    fn who_serves_alone_does_so_from_the_first_grant_that_is_applied() {
        let mut lease = Lease::new(OnControlLoss::Serve, false);
        assert!(lease.is_fenced(at(0), 7));
        lease.granted(at(0), LEASE, (Same, 7), 6);
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
    fn who_serves_alone_goes_on_unless_it_missed_what_did_not_wait_for_it() {
        for (history, since, serves) in
            [(Same, 7, true), (Same, 8, false), (Behind, 9, true), (Other, 0, false)]
        {
            let mut lease = Lease::new(OnControlLoss::Serve, true);
            lease.granted(at(0), LEASE, (history, since), 7);
            assert_eq!(lease.serves(), serves, "{history:?} {since}");
            lease.stands_at(at(1), 7);
            assert_eq!(lease.serves(), serves, "{history:?} {since}: no sooner");
            lease.stands_at(at(1), 8);
            assert_eq!(lease.serves(), history != Other);
        }
        let mut lease = Lease::new(OnControlLoss::Revalidate, false);
        lease.granted(at(0), LEASE, (Behind, 0), 7);
        assert!(lease.is_fenced(at(1), 7));
    }

    #[test]
    fn who_has_left_takes_no_grant() {
        let mut lease = Lease::new(OnControlLoss::Serve, true);
        assert!(!lease.is_heard(at(0)));
        lease.granted(at(0), LEASE, (Same, 0), 7);
        assert!(lease.is_heard(at(1)) && !lease.is_heard(at(10)));
        lease.unheard();
        assert!(!lease.is_heard(at(1)));
        lease.leave();
        lease.granted(at(0), LEASE, (Same, 0), 7);
        lease.stands_at(at(1), 7);
        assert!(lease.has_left() && !lease.serves() && lease.is_fenced(at(1), 7));
    }

    #[test]
    fn a_start_is_fenced_unless_the_journal_and_the_config_say_otherwise() {
        let fenced = |on_loss, served| Lease::new(on_loss, served).is_fenced(at(0), 0);
        assert!(fenced(OnControlLoss::Serve, false));
        assert!(fenced(OnControlLoss::Revalidate, true));
        assert!(!fenced(OnControlLoss::Serve, true));
    }
}
