//! What requests ask of caches, which codings they take, and which are odd.

use std::time::Duration;

use super::{lines, named};
use crate::semantics::cacheability::is_odd;
use crate::semantics::coding::{Coding, CompressPolicy, Levels};
use crate::semantics::directives::RequestDirectives;
use crate::semantics::freshness::Freshness;
use crate::semantics::syntax::members;
use crate::semantics::time::Timestamp;

/// The last line is Pragma's, the others are those of Cache-Control.
pub(super) fn directives(bytes: &[u8]) {
    let lines = lines(bytes);
    let Some((pragma, control)) = lines.split_last() else { return };
    let read =
        |lines: &[&[u8]]| RequestDirectives::read(lines.iter().copied(), [*pragma].into_iter());
    let asked = read(control);
    let backwards: Vec<_> = control.iter().rev().copied().collect();
    assert_eq!(read(&backwards), asked, "the order of lines says nothing");
    let louder: Vec<_> = control.iter().map(|line| line.to_ascii_uppercase()).collect();
    let louder: Vec<_> = louder.iter().map(|line| &line[..]).collect();
    assert_eq!(read(&louder), asked, "in any case");
    let insisting = [control, &[b"no-cache"]].concat();
    let insisting = read(&insisting).expect("it insists");
    let asked = asked.unwrap_or_default();

    let born = Timestamp::from_seconds(1_000_000_000);
    let stored = Freshness { born, lifetime: 60, ..Freshness::default() };
    let mut takes = (true, true);
    for age in [0, 1, 9, 30, 59, 60, 61, 90, 3600] {
        let now = born.plus(Duration::from_secs(age));
        let does = (asked.takes_fresh(&stored, now), asked.takes_stale(&stored, now));
        assert!(takes.0 || !does.0, "what is older is no better");
        assert!(takes.1 || !does.1);
        assert!(!insisting.takes_fresh(&stored, now) && !insisting.takes_stale(&stored, now));
        takes = does;
    }
}

/// Lines of Accept-Encoding.
pub(super) fn accept_encoding(bytes: &[u8]) {
    let lines = lines(bytes);
    let policy = |codings: &[Coding]| CompressPolicy {
        codings: codings.to_vec(),
        types: Vec::new(),
        lengths: (0, u64::MAX),
        levels: Levels { zstd: 1, brotli: 1, gzip: 1 },
    };
    let all = policy(&[Coding::Zstd, Coding::Brotli, Coding::Gzip]);
    let taken = all.taken(lines.iter().copied());
    let chosen = taken.best();
    let listed: Vec<_> = lines.iter().flat_map(|line| members(line)).collect();
    assert_eq!(all.taken(listed.iter().copied()), taken, "each in a line of its own");
    let louder: Vec<_> = lines.iter().map(|line| line.to_ascii_uppercase()).collect();
    assert_eq!(all.taken(louder.iter().map(|line| &line[..])), taken, "in any case");
    if chosen == Coding::Identity {
        return;
    }
    let name = chosen.as_str().as_bytes();
    let is_meant = |member: &[u8]| {
        let member = member.to_ascii_lowercase();
        member.starts_with(b"*") || memchr::memmem::find(&member, name).is_some()
    };
    assert!(listed.iter().any(|member| is_meant(member)), "nobody is given what he did not name");
    assert_eq!(
        policy(&[chosen]).taken(lines.iter().copied()).best(),
        chosen,
        "whatever else there is"
    );
    let refusal = [name, b";q=0"].concat();
    let refused = [&refusal[..]].into_iter().chain(lines.iter().copied());
    assert_ne!(all.taken(refused).best(), chosen, "nor what he refuses");
}

/// Lines of a request, each with its name.
pub(super) fn odd(bytes: &[u8]) {
    let lines = lines(bytes);
    let fields = named(&lines);
    let all = is_odd(fields.iter().copied());
    assert_eq!(is_odd(fields.iter().rev().copied()), all, "in any order");
    for (name, value) in &fields {
        let louder = name.to_ascii_uppercase();
        let one = is_odd([(*name, *value)].into_iter());
        assert_eq!(is_odd([(&louder[..], *value)].into_iter()), one, "in any case");
        assert!(all || !one, "beside others");
    }
}
