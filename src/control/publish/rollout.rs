//! Which nodes are the first to have a new version, and how far each of them is. Pure.
//!
//! A node's place among a hundred is decided by its name alone: a share that grows only adds nodes,
//! and the same nodes are the first of every rollout.

use crate::config::published::Release;
use crate::control::fleet::ConfigReport;

/// A part of the fleet, in percent: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// Every node.
    pub const ALL: Self = Self(100);

    /// So many percent; `None` where that is no share.
    pub fn percent(percent: u64) -> Option<Self> {
        u8::try_from(percent).ok().filter(|percent| (1..=100).contains(percent)).map(Self)
    }

    /// In percent.
    pub fn as_percent(self) -> u8 {
        self.0
    }

    /// Whether the node of that name belongs to it.
    pub fn covers(self, name: &str) -> bool {
        place(name) < u64::from(self.0)
    }
}

/// The place of a name among a hundred, from 0.
fn place(name: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"headland share 1\n").update(name.as_bytes());
    hasher.finalize().as_bytes().first_chunk().map_or(0, |half| u64::from_le_bytes(*half)) % 100
}

/// How a node stands to the version that it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// It serves by it.
    Applied,
    /// It has not said anything of it.
    Pending,
    /// It cannot, and serves by what it had: why.
    Failed(&'a str),
}

impl<'a> Progress<'a> {
    /// Of a node that is to have `wanted`, if anything was ever published, and last said `report`.
    pub fn of(wanted: Option<Release>, report: Option<&'a ConfigReport>) -> Self {
        let Some(wanted) = wanted else { return Self::Applied };
        let Some(report) = report else { return Self::Pending };
        match &report.failed {
            _ if report.serves_by == wanted => Self::Applied,
            Some((failed, fault)) if *failed == wanted => Self::Failed(fault),
            _ => Self::Pending,
        }
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Failed(_) => "failed",
        }
    }
}

/// How many nodes are how far with one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Serve by it.
    pub applied: usize,
    /// Have said nothing of it.
    pub pending: usize,
    /// Cannot.
    pub failed: usize,
}

impl Tally {
    /// Counts a node.
    pub fn count(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Applied => self.applied += 1,
            Progress::Pending => self.pending += 1,
            Progress::Failed(_) => self.failed += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::published::digest;

    #[test]
    fn a_place_is_the_names_for_ever() {
        let places = [("fra-1", 17), ("fra-2", 79), ("nyc-1", 2), ("shield-1", 66), ("one", 0)];
        for (name, expected) in places {
            assert_eq!(place(name), expected, "{name}");
        }
    }

    #[test]
    fn a_share_that_grows_only_adds_nodes() {
        let names: Vec<_> = (0..2000).map(|number| format!("edge-{number}")).collect();
        let mut before: Vec<&String> = Vec::new();
        for percent in 1..=100 {
            let share = Share::percent(percent).unwrap();
            let covered: Vec<_> = names.iter().filter(|name| share.covers(name)).collect();
            assert!(before.iter().all(|name| covered.contains(name)), "{percent}");
            let expected = 20 * percent as usize;
            assert!(covered.len().abs_diff(expected) < 100, "{percent}: {}", covered.len());
            before = covered;
        }
        assert_eq!(before.len(), names.len());
        assert_eq!([0, 101, 256, 1000].map(Share::percent), [None; 4]);
    }

    #[test]
    fn how_a_node_stands() {
        let release = |version| Release::Published { version, hash: digest(&version.to_string()) };
        let report = |serves_by, failed: Option<Release>| ConfigReport {
            serves_by,
            failed: failed.map(|failed| (failed, "why".into())),
        };
        let cases = [
            (None, None, "applied"),
            (None, Some(report(Release::Own, None)), "applied"),
            (Some(Release::Own), Some(report(Release::Own, None)), "applied"),
            (Some(release(7)), None, "pending"),
            (Some(release(7)), Some(report(release(6), None)), "pending"),
            (Some(release(7)), Some(report(release(7), None)), "applied"),
            (Some(release(7)), Some(report(release(6), Some(release(7)))), "failed"),
            (Some(release(8)), Some(report(release(6), Some(release(7)))), "pending"),
            // It has gone back meanwhile.
            (Some(release(6)), Some(report(release(6), Some(release(7)))), "applied"),
        ];
        for (wanted, report, expected) in cases {
            let found = Progress::of(wanted, report.as_ref());
            assert_eq!(found.as_str(), expected, "{wanted:?} {report:?}");
        }
    }
}
