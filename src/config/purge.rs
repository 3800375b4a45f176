//! `[purge]`: what a purge does beyond the promise.

use std::time::Duration;

use super::rule::Within;
use super::section::section;

section! {
    /// What a purge does beyond the promise.
    pub struct Purge {
        /// How long a body that began before a hard purge of it may run on before it is aborted;
        /// 0s: not at all. The abort comes up to an eighth of that later, or up to 100ms where that
        /// is more, and never more than 5s.
        linger: Duration = Duration::from_secs(30),
            Within(Duration::ZERO..=Duration::from_hours(24));
        /// Repeats each purge after this long, for origins that are not consistent at once; 0s:
        /// does not. What waits for it when the node stops is not repeated. Without `[control]`
        /// alone: a control plane repeats what it is asked for, by the key of this name in its own
        /// config.
        settle: Duration = Duration::ZERO, Within(Duration::ZERO..=Duration::from_hours(1));
        /// Stored objects that a dry run looks at, at most: where there are more, it estimates.
        scan: usize = 100_000, Within(1000..=100_000_000);
        /// Objects a second that are looked at on disk after a hard purge, and twenty times as many
        /// in memory, to free what it covers; 0: that goes when room is needed.
        sweep: usize = 5000, Within(0..=1_000_000);
        /// Purges that are kept apart. Beyond them the oldest are merged, into one of their whole
        /// site.
        rules: usize = 65_536, Within(1024..=16_777_216);
        /// Purges of URLs with stars that are kept apart, a site.
        wildcards: usize = 1024, Within(1..=65_536);
    }
}
