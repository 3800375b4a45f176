//! What the origin has, what was promised of it, and what was seen: the judge of a simulation.
//!
//! A page has versions. A purge covers some pages, all of which have a newer version before it is
//! asked for; when its receipt is complete, no response may begin from an older one. When that was,
//! and when a response began, both are taken on the machine where it happened, so that neither
//! line nor client blurs it. Answers come later than they were given: all is judged at the end of a
//! round.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::time::now;
use super::witness::Seen;

/// Pages of the site.
pub(super) const PAGES: usize = 8;

/// Bytes of a line of a page: its number and its version.
pub(super) const LINE: usize = 16;

/// What a simulation knows.
#[derive(Default)]
pub(super) struct Truth(Mutex<Known>);

#[derive(Default)]
struct Known {
    versions: [u64; PAGES],
    promised: Vec<Promised>,
    answered: Vec<Answered>,
    trace: Vec<String>,
    failure: Option<String>,
    counts: Counts,
}

/// What came about, so that a simulation in which nothing does is found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Purges whose receipts are complete.
    pub(super) purges: u64,
    /// Answers, and those of an edge's own store among them.
    pub(super) answers: u64,
    pub(super) hits: u64,
    /// Requests to the origin, and those that it answered with 304.
    pub(super) fetches: u64,
    pub(super) validated: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.purges += other.purges;
        self.answers += other.answers;
        self.hits += other.hits;
        self.fetches += other.fetches;
        self.validated += other.validated;
    }
}

/// From a time on no response begins from an older version.
struct Promised {
    page: usize,
    version: u64,
    since: Duration,
    purge: String,
}

/// A response began.
struct Answered {
    page: usize,
    version: u64,
    seen: Seen,
    how: String,
}

impl Answered {
    /// Whether it may not begin from anything older than what was promised by then. While the edge
    /// trusts what it has stored, that goes for all that it does not fetch from the origin for this
    /// request; else for what it is asked for from then on.
    fn is_bound_by(&self, since: Duration) -> bool {
        let is_own = !["shield-", "collapsed", "; hit"].iter().any(|it| self.how.contains(it));
        let until = if self.seen.is_fenced || is_own { self.seen.asked } else { self.seen.begun };
        since < until
    }
}

/// Pages, each with a version.
pub(super) type Versions = Vec<(usize, u64)>;

impl Truth {
    /// The version that the origin has of a page.
    pub(super) fn version(&self, page: usize) -> u64 {
        self.0.lock().versions[page]
    }

    /// Changes pages, and says what they are then.
    pub(super) fn change(&self, pages: impl Iterator<Item = usize>) -> Versions {
        let versions = &mut self.0.lock().versions;
        let change = |page: usize| {
            versions[page] += 1;
            (page, versions[page])
        };
        pages.map(change).collect()
    }

    /// A receipt is complete since a time.
    pub(super) fn promise(&self, purge: &str, covered: &Versions, since: Duration) {
        let known = &mut *self.0.lock();
        known.counts.purges += 1;
        let purge = |&(page, version): &(usize, u64)| {
            let purge = purge.to_owned();
            Promised { page, version, since, purge }
        };
        known.promised.extend(covered.iter().map(purge));
    }

    /// A client got part of a page, which began at a time.
    pub(super) fn answer(&self, page: usize, part: &[u8], start: usize, told: &Told) {
        let Told { seen, how, etag } = told;
        let fault = match version_of(part) {
            None => Some("no line of a page".to_owned()),
            Some(version) => {
                let known = &mut *self.0.lock();
                known.counts.answers += 1;
                known.counts.hits += u64::from(how.contains("edge-") && how.contains("; hit"));
                let how = how.clone();
                known.answered.push(Answered { page, version, seen: *seen, how });
                let whole = body(page, version);
                let is_same = whole.get(start..start + part.len()) == Some(part);
                if !is_same {
                    Some("mixed or torn".to_owned())
                } else if *etag != self::etag(version) {
                    Some(format!("under the head of {etag}"))
                } else if version > known.versions[page] {
                    Some("ahead of the origin".to_owned())
                } else {
                    None
                }
            }
        };
        if let Some(fault) = fault {
            let (end, text) = (start + part.len(), part.escape_ascii());
            self.fail(format!("page {page}, bytes {start} to {end}: {fault}: {how}: {text}"));
        }
    }

    /// Holds every answer so far against every promise.
    pub(super) fn judge(&self) {
        let known = self.0.lock();
        let broken = known.answered.iter().find_map(|answer| {
            let is_broken = |promise: &&Promised| {
                promise.page == answer.page
                    && answer.is_bound_by(promise.since)
                    && promise.version > answer.version
            };
            let promise = known.promised.iter().find(is_broken)?;
            Some(format!(
                "page {}: version {}, {:?}, but {} covered all before {} at {:?}: {}",
                answer.page,
                answer.version,
                answer.seen,
                promise.purge,
                promise.version,
                promise.since,
                answer.how,
            ))
        });
        drop(known);
        broken.into_iter().for_each(|broken| self.fail(broken));
    }

    /// A request to the origin.
    pub(super) fn fetched(&self, is_validated: bool) {
        let counts = &mut self.0.lock().counts;
        counts.fetches += 1;
        counts.validated += u64::from(is_validated);
    }

    /// Adds a line to the trace.
    pub(super) fn note(&self, line: impl std::fmt::Display) {
        self.0.lock().trace.push(format!("{:>9.3} {line}", now().as_secs_f64() * 1e3));
    }

    /// The simulation has failed.
    pub(super) fn fail(&self, why: String) {
        self.note(format!("FAILED: {why}"));
        self.0.lock().failure.get_or_insert(why);
    }

    /// Why, if so.
    pub(super) fn failure(&self) -> Option<String> {
        self.0.lock().failure.clone()
    }

    /// The last lines of the trace.
    pub(super) fn tail(&self, lines: usize) -> String {
        let known = self.0.lock();
        known.trace[known.trace.len().saturating_sub(lines)..].join("\n")
    }

    /// Tells one trace from another: what happens at the same time has no order.
    pub(super) fn hash(&self) -> blake3::Hash {
        let mut trace = self.0.lock().trace.clone();
        trace.sort();
        blake3::hash(trace.join("\n").as_bytes())
    }

    /// What came about.
    pub(super) fn counts(&self) -> Counts {
        self.0.lock().counts
    }
}

/// What a response says of itself.
pub(super) struct Told {
    /// By the edge.
    pub(super) seen: Seen,
    pub(super) how: String,
    pub(super) etag: String,
}

/// The strong validator of a version.
pub(super) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// A page as it is in one version: a few lines, or so many that it is stored in slices. Versions
/// differ in length.
pub(super) fn body(page: usize, version: u64) -> Vec<u8> {
    let more = version as usize % 3;
    let lines = match page % 3 {
        0 => 2 + more,
        1 => 40 + more,
        _ => 150 + 7 * more,
    };
    let mut body = String::with_capacity(lines * LINE);
    for _ in 0..lines {
        // Writing to a string does not fail.
        let _written = writeln!(body, "p{page:02} v{version:010}").is_ok();
    }
    body.into_bytes()
}

/// Bytes of lines of a page.
pub(super) fn lines(lines: Range<usize>) -> Range<usize> {
    lines.start * LINE..lines.end * LINE
}

/// The version that the first line tells.
fn version_of(part: &[u8]) -> Option<u64> {
    std::str::from_utf8(part.get(..LINE)?).ok()?.trim_end().split_once(" v")?.1.parse().ok()
}

/// A truth that all share.
pub(super) fn truth() -> Arc<Truth> {
    Arc::default()
}
