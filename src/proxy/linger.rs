//! How long a body may run on that began before a hard purge of what it is made of.
//!
//! ```text
//!   has to wait           purge applied
//!        ▼                      ▼
//!  ──────┼───────────┼───────────────┼────────────────────────┼──►
//!    looked at    looked at        seen                      cut
//!        ◄── period ─►               ◄──────── linger ────────►
//! ```
//!
//! No purge tells a response on its way that it covers it: whoever sends one that has to wait asks,
//! each period. So one that leaves at once costs nothing, no table holds those that do not, and a
//! body is cut when it has run on for the linger, or up to a period longer, and never before.
//!
//! Soft purges cut nothing, nor does what makes a stored response only possibly purged. What is
//! passed on to one client alone is covered by no purge. What the transport has taken is on its way
//! whatever comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Exchange, Proxy};
use crate::object::{ObjectHead, PurgeState, Stored};

/// Parts of the linger that are a period.
const PERIODS: u32 = 8;

/// The shortest period: how often a slow body costs a look however short the linger is.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest period: how late a body may be cut however long the linger is.
const LONGEST: Duration = Duration::from_secs(5);

/// What a response is made of, as far as a purge that comes later bears on it.
#[derive(Debug, Default)]
pub(super) enum Basis {
    /// Nothing that others may get as well.
    #[default]
    Own,
    /// A stored response. Of one in slices it is the head alone: no purge covers a slice and not
    /// the head, for a head is freshened only where no hard purge covers what was stored before.
    Stored(Arc<Stored>),
    /// A response on its way, whose readers share it.
    Arriving(Arc<ObjectHead>),
    /// What a hard purge covers. The body may run on until then.
    Purged(Instant),
    /// The same, when that was over.
    Cut,
}

impl Basis {
    /// Until when the body may run on before it is looked at again, `period` later at the latest;
    /// `None` if it is to be cut. `judge` says how purges cover a response.
    fn may_run_until(
        &mut self,
        judge: impl FnOnce(&ObjectHead) -> PurgeState,
        linger: Duration,
        now: Instant,
    ) -> Option<Instant> {
        if self.head().map(judge) == Some(PurgeState::Hard) {
            *self = Self::Purged(now + linger);
        }
        let next = now + period(linger);
        match *self {
            Self::Own | Self::Stored(_) | Self::Arriving(_) => Some(next),
            Self::Purged(until) if now < until => Some(next.min(until)),
            Self::Purged(_) | Self::Cut => {
                *self = Self::Cut;
                None
            }
        }
    }

    /// The head that a purge is held against.
    fn head(&self) -> Option<&ObjectHead> {
        match self {
            Self::Stored(stored) => Some(&stored.head),
            Self::Arriving(head) => Some(head),
            Self::Own | Self::Purged(_) | Self::Cut => None,
        }
    }
}

/// How often a body that waits is looked at.
fn period(linger: Duration) -> Duration {
    (linger / PERIODS).clamp(SHORTEST, LONGEST)
}

impl Proxy {
    /// Until when a response that has to wait may run on before this is asked again; `None` if it
    /// is to be cut, since a hard purge has covered it for too long.
    pub fn may_run_until(&self, exchange: &mut Exchange, now: Instant) -> Option<Instant> {
        let rules = self.store.rules();
        exchange.basis.may_run_until(|head| rules.judge(head), self.config.linger, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(8);
    const SECOND: Duration = Duration::from_secs(1);

    fn arriving() -> Basis {
        let target = crate::object::tests::target("/");
        let (status, block) = (http::StatusCode::OK, crate::message::FieldBlock::default());
        let (fresh, sequence) = Default::default();
        let head = ObjectHead::new(status, fresh, sequence, &block, None, &target);
        Basis::Arriving(Arc::new(head))
    }

    /// Looks at `basis` second by second, and gives when it was to be looked at again.
    fn looks(basis: &mut Basis, linger: Duration, states: &[PurgeState]) -> Vec<Option<Duration>> {
        let start = Instant::now();
        let look = |(second, state): (u32, &PurgeState)| {
            let now = start + second * SECOND;
            let until = basis.may_run_until(|_| *state, linger, now)?;
            Some(until.duration_since(start))
        };
        (0..).zip(states).map(look).collect()
    }

    #[test]
    fn a_hard_purge_alone_cuts_and_no_sooner_than_the_linger_is_over() {
        use PurgeState::{Clean, Hard, Possibly, Soft};
        let each_second = |from: u64, to: u64| (from..=to).map(Duration::from_secs).map(Some);
        for state in [Clean, Soft, Possibly] {
            let seen = looks(&mut arriving(), LINGER, &[state; 20]);
            assert!(seen.into_iter().eq(each_second(1, 20)), "{state:?}");
        }
        let seen = looks(&mut Basis::Own, LINGER, &[Hard; 20]);
        assert!(seen.into_iter().eq(each_second(1, 20)));
        // Seen at the second second, so cut at the tenth; what it is judged then counts no more.
        let states = [[Clean, Clean, Hard].as_slice(), &[Clean; 9]].concat();
        let seen = looks(&mut arriving(), LINGER, &states);
        assert!(seen.into_iter().eq(each_second(1, 10).chain([None, None])));
    }

    #[test]
    fn without_linger_the_first_look_cuts() {
        let mut basis = arriving();
        assert_eq!(looks(&mut basis, Duration::ZERO, &[PurgeState::Hard]), [None]);
        assert!(matches!(basis, Basis::Cut));
    }

    #[test]
    fn the_last_look_is_when_the_linger_is_over() {
        let linger = Duration::from_millis(8400);
        let seen = looks(&mut arriving(), linger, &[PurgeState::Hard; 9]);
        assert_eq!(seen[8], Some(linger));
    }

    #[test]
    fn looks_are_neither_many_nor_late() {
        for (linger, looked_at_each) in [(0, 100), (800, 100), (30_000, 3750), (86_400_000, 5000)] {
            let period = period(Duration::from_millis(linger));
            assert_eq!(period, Duration::from_millis(looked_at_each), "{linger}");
        }
    }
}
