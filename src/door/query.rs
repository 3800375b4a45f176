//! The parameters that endpoints take.

use std::time::Duration;

use http::StatusCode;

use super::answer::Problem;
use crate::config::units::{parse_duration, show_duration};

/// How long a purge is waited for where the caller wants to wait, and does not say how long.
const WAIT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(60);

const PAGE: usize = 50;
const PAGE_MAX: usize = 1000;

/// How a list is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items, at most.
    pub limit: usize,
    /// Only what stands before this.
    pub before: u64,
}

/// `limit` and `cursor`.
///
/// # Errors
/// The first parameter that is not as expected.
pub fn page(query: &str) -> Result<Page, Problem> {
    let mut page = Page { limit: PAGE, before: u64::MAX };
    for (name, value) in pairs(query) {
        match name {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                let expected = format!("a number from 1 to {PAGE_MAX}");
                page.limit = limit.ok_or_else(|| invalid("limit", &expected, value))?;
            }
            "cursor" => {
                let cursor = value.parse().ok();
                let expected = "the meta.next of the page before";
                page.before = cursor.ok_or_else(|| invalid("cursor", expected, value))?;
            }
            _ => return Err(unknown(name, "limit or cursor")),
        }
    }
    Ok(page)
}

/// How a purge is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// How long to wait for it.
    pub patience: Duration,
    /// Whether it is only to be told what it would hit.
    pub is_dry_run: bool,
}

/// `wait`, `timeout` and `dry_run`; a purge is waited for `unasked` where nothing is said.
///
/// # Errors
/// The first parameter that is not as expected.
pub fn asking(query: &str, unasked: Duration) -> Result<Asking, Problem> {
    let (mut wait, mut timeout, mut is_dry_run) = (false, WAIT, false);
    for (name, value) in pairs(query) {
        match name {
            "wait" => wait = flag("wait", value)?,
            "timeout" => {
                let duration = parse_duration(value).filter(|duration| *duration <= WAIT_MAX);
                let expected = format!("a duration such as 5s, up to {}", show_duration(WAIT_MAX));
                timeout = duration.ok_or_else(|| invalid("timeout", &expected, value))?;
            }
            "dry_run" => is_dry_run = flag("dry_run", value)?,
            _ => return Err(unknown(name, "wait, timeout or dry_run")),
        }
    }
    Ok(Asking { patience: if wait { timeout } else { unasked }, is_dry_run })
}

/// Refuses every parameter.
///
/// # Errors
/// If there is one.
pub fn none(query: &str) -> Result<(), Problem> {
    pairs(query).next().map_or(Ok(()), |(name, _)| Err(unknown(name, "none")))
}

/// Names and values, in their order.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// `true` or `false`.
///
/// # Errors
/// It is neither.
pub fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(name, "true or false", value)),
    }
}

/// A parameter that is not as expected.
pub fn invalid(name: &str, expected: &str, found: &str) -> Problem {
    let detail = format!("{name}: expected {expected}, found {found:?}");
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// A parameter that there is not.
pub fn unknown(name: &str, expected: &str) -> Problem {
    let detail = format!("{name}: unknown parameter; expected {expected}");
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let read = |query| page(query).map(|page| (page.limit, page.before));
        assert_eq!(read(""), Ok((50, u64::MAX)));
        assert_eq!(read("limit=7&cursor=12"), Ok((7, 12)));
        for (query, detail) in [
            ("limit=0", "limit: expected a number from 1 to 1000, found \"0\""),
            ("limit=1001", "limit: expected a number from 1 to 1000, found \"1001\""),
            ("cursor=x", "cursor: expected the meta.next of the page before, found \"x\""),
            ("page=2", "page: unknown parameter; expected limit or cursor"),
        ] {
            assert_eq!(page(query).unwrap_err().detail, detail);
        }
        assert_eq!(none("a=b").unwrap_err().detail, "a: unknown parameter; expected none");
    }

    #[test]
    fn waits() {
        let asking = |query| asking(query, Duration::from_secs(1));
        let seconds = |query| asking(query).map(|asking| asking.patience.as_secs());
        assert_eq!(seconds(""), Ok(1));
        assert_eq!(seconds("wait=true"), Ok(5));
        assert_eq!(seconds("wait=true&timeout=20s"), Ok(20));
        assert_eq!(seconds("wait=false&timeout=20s&dry_run=false"), Ok(1));
        let is_dry_run = |query| asking(query).map(|asking| asking.is_dry_run);
        assert_eq!((is_dry_run("dry_run=true"), is_dry_run("")), (Ok(true), Ok(false)));
        for (query, detail) in [
            ("wait", "wait: expected true or false, found \"\""),
            ("wait=1", "wait: expected true or false, found \"1\""),
            ("timeout=5", "timeout: expected a duration such as 5s, up to 60s, found \"5\""),
            ("timeout=2m", "timeout: expected a duration such as 5s, up to 60s, found \"2m\""),
            ("soft=true", "soft: unknown parameter; expected wait, timeout or dry_run"),
            ("dry_run=1", "dry_run: expected true or false, found \"1\""),
        ] {
            assert_eq!(asking(query).unwrap_err().detail, detail);
        }
    }
}
