//! What the fields of a response say of storing and using it.

use super::{lines, named};
use crate::semantics::cacheability::{RequestFacts, Storage, storage};
use crate::semantics::freshness::{FreshnessPolicy, ResponseFacts, freshness};
use crate::semantics::time::Timestamp;

/// The first line is the status, each other a field.
pub(super) fn fields(bytes: &[u8]) {
    let lines = lines(bytes);
    let status = str::from_utf8(lines[0]).ok().and_then(|line| line.parse().ok()).unwrap_or(200);
    let named = named(&lines[1..]);
    let names: Vec<_> =
        named.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    let fields: Vec<_> =
        names.iter().zip(&named).map(|(name, (_, value))| (name.as_str(), *value)).collect();
    let read = |more: &[(&'static str, &'static [u8])]| {
        ResponseFacts::read(status, fields.iter().chain(more).copied())
    };
    let facts = read(&[]);
    let twice = ResponseFacts::read(status, fields.iter().chain(&fields).copied());
    assert_eq!(twice, facts, "what is said again says nothing");

    let (request, policy) = (RequestFacts::default(), FreshnessPolicy::default());
    let now = Timestamp::from_seconds(1_000_000_000);
    let judged = freshness(&facts, &policy, now, now);
    assert!(judged.age(now) >= facts.age.unwrap_or(0), "no younger than told");
    let stores = |facts: &ResponseFacts| {
        matches!(storage(&request, facts, &policy, now, now), Storage::Store(_))
    };
    if stores(&facts) {
        let directives = facts.directives();
        assert!(!directives.no_store || directives.must_understand);
        assert!(!directives.private.is_present());
        assert!(!facts.set_cookie && !facts.vary.is_star() && !facts.is_part);
    }
    assert!(!stores(&read(&[("set-cookie", b"a=b")])) && !stores(&read(&[("vary", b"*")])));
    let private = read(&[("cache-control", b"private")]);
    assert!(private.targeted.is_some() || !stores(&private));
}
