//! One node of the fleet: what is known of it, and whether its name may pass to another process.

use std::time::Duration;

use super::receipt::NodeId;
use super::{Heartbeat, Refusal, Registration};

/// A node as it is registered.
#[derive(Debug)]
pub struct Node {
    pub(super) id: NodeId,
    pub(super) registration: Registration,
    /// When its lease has run out, margin included.
    pub(super) lease_until: Duration,
    /// The purge up to which it reflects the log.
    pub(super) applied: u64,
    /// The purge up to which it serves nothing unjudged, for it was fenced.
    pub(super) fenced_to: u64,
    /// The purge up to which receipts may be complete without it. Its grants carry it: said once,
    /// it may be lost. `None` until the first of them.
    pub(super) since: Option<u64>,
    /// What it last said, and when; `None` if this process has not heard it.
    pub(super) told: Option<(Heartbeat, Duration)>,
}

/// How a node is, as far as can be told from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its lease lives.
    Live,
    /// Its lease lives or may live, but this process has not heard it.
    Held,
    /// It takes all it has stored for possibly purged.
    Fenced,
    /// Its lease has run out, and it serves on: purges wait for it.
    Lost,
}

impl Node {
    /// What was made durable of it.
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The purge up to which it reflects the log.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// What it last said, and when.
    pub fn told(&self) -> Option<(&Heartbeat, Duration)> {
        self.told.as_ref().map(|(beat, at)| (beat, *at))
    }

    /// How it is.
    pub fn standing(&self, now: Duration) -> Standing {
        match (now < self.lease_until, &self.told) {
            (true, Some((beat, _))) if beat.is_fenced => Standing::Fenced,
            (true, Some(_)) => Standing::Live,
            (true, None) => Standing::Held,
            (false, _) if self.registration.serves_on => Standing::Lost,
            (false, _) => Standing::Fenced,
        }
    }

    /// Whether it is fenced for the time that has passed.
    pub(super) fn is_fenced(&self, now: Duration) -> bool {
        !self.registration.serves_on && now >= self.lease_until
    }

    /// Whether the process behind a heartbeat may have its name, or change how it goes on.
    pub(super) fn yields_to(&self, beat: &Heartbeat, now: Duration) -> Result<(), Refusal> {
        let known = &self.registration;
        if known.incarnation == beat.incarnation || beat.succeeds.contains(&known.incarnation) {
            return Ok(());
        }
        if known.serves_on {
            let heard = self.told.as_ref().map(|(_, at)| now.saturating_sub(*at));
            return Err(Refusal::Serves { incarnation: known.incarnation, heard });
        }
        match self.lease_until.saturating_sub(now) {
            Duration::ZERO => Ok(()),
            left => Err(Refusal::Taken(left)),
        }
    }
}

impl Standing {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Held => "held",
            Self::Fenced => "fenced",
            Self::Lost => "lost",
        }
    }
}
