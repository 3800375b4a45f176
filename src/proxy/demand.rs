//! What an edge asks of a node beside the resource, and what the node may claim: see `tier`.

use std::sync::Arc;

use http::HeaderName;

use crate::message::Fields;
use crate::object::{LogNumbers, LogSequence, ObjectHead, PurgeState};
use crate::site::Site;
use crate::store::Rules;

/// The lowest position that an answer has to reflect.
pub(super) const FLOOR: HeaderName = HeaderName::from_static("headland-floor");

/// By which settings of its site an edge has made the key, and reads purges.
pub(super) const SITE: HeaderName = HeaderName::from_static("headland-site");

/// The position that an answer reflects.
pub(super) const STAMP: HeaderName = HeaderName::from_static("headland-sequence");

/// Why a shield had to make a response of its own: its upstream failed.
pub(super) const FAILURE: HeaderName = HeaderName::from_static("headland-failure");

/// What an edge asks for, beside the resource.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    /// The lowest position that the answer has to reflect.
    pub(super) floor: Option<LogSequence>,
    /// How this node's numbers lay when the request came.
    pub(super) numbers: Option<Arc<LogNumbers>>,
    /// This node's position by then: before anything was looked up.
    pub(super) position: u64,
    /// The settings of the site, as the edge has them.
    settings: Option<u64>,
}

/// Purges that an edge may know of and this node not: more is no floor that an edge can have.
const AHEAD_MAX: u64 = 1 << 32;

/// How a floor lies to the position of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floor {
    /// At or below it.
    Met,
    /// Above it: the number that it will have here.
    Ahead(u64),
    /// In a log that is not followed here.
    Foreign,
}

impl Demand {
    /// What a request with these fields asks for, now.
    pub(super) fn read(fields: &Fields, rules: &Rules) -> Self {
        let floor = fields.get(FLOOR.as_str()).map(|floor| {
            let floor = std::str::from_utf8(floor).ok().and_then(|floor| floor.parse().ok());
            // What cannot be read is of no log that anybody knows.
            floor.unwrap_or(LogSequence { log: Default::default(), number: u64::MAX })
        });
        let settings = fields.get(SITE.as_str()).and_then(|it| std::str::from_utf8(it).ok());
        let settings = settings.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Self::of(floor, settings, rules)
    }

    fn of(floor: Option<LogSequence>, settings: Option<u64>, rules: &Rules) -> Self {
        // In this order: numbers that change in between are found changed later.
        let numbers = rules.numbers();
        Self { floor, numbers, position: rules.head().number, settings }
    }

    /// The same, as this node stands by now.
    pub(super) fn again(&self, rules: &Rules) -> Self {
        Self::of(self.floor, self.settings, rules)
    }

    /// Whether the edge has made the key as it is made here, and a purge covers the same for both.
    pub(super) fn is_of(&self, site: &Site) -> bool {
        self.settings == Some(site.settings)
    }

    pub(super) fn floor(&self) -> Floor {
        let Some(floor) = self.floor else { return Floor::Met };
        match self.numbers.as_ref().and_then(|numbers| numbers.to_here(floor)) {
            Some(here) if here <= self.position => Floor::Met,
            Some(here) if here - self.position <= AHEAD_MAX => Floor::Ahead(here),
            Some(_) | None => Floor::Foreign,
        }
    }

    /// Whether this node is as far as it was asked to be.
    pub(super) fn is_met(&self) -> bool {
        self.floor() == Floor::Met
    }

    /// What a response that reflects the node's number `here` may be said to reflect.
    fn stamp(&self, here: u64, rules: &Rules) -> Option<LogSequence> {
        let numbers = self.numbers.as_ref()?;
        let now = rules.numbers()?;
        Arc::ptr_eq(numbers, &now).then(|| numbers.stamp(here))
    }

    /// The same for a copy that was looked up since.
    pub(super) fn stamp_of(&self, head: &ObjectHead, rules: &Rules) -> Option<LogSequence> {
        let own = head.sequence.number;
        match rules.judge(head) {
            PurgeState::Clean => self.stamp(own.max(self.position), rules),
            PurgeState::Soft | PurgeState::Possibly | PurgeState::Hard => self.stamp(own, rules),
        }
    }

    /// The same for what was fetched since.
    pub(super) fn stamp_fetched(&self, rules: &Rules) -> Option<LogSequence> {
        match self.floor() {
            Floor::Foreign => self.floor,
            Floor::Met => self.stamp(self.position, rules),
            Floor::Ahead(here) => self.stamp(here, rules),
        }
    }
}
