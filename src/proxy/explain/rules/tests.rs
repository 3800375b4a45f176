//! What a stored head and a policy say, against the rules that are told of it.

use super::*;
use crate::message::{FieldBlock, push_field};
use crate::object::tests::target;
use crate::semantics::time::Timestamp;

const BORN: Timestamp = Timestamp::from_seconds(784_111_777);

/// A head with these lines, stored by `policy`.
fn head(status: u16, fields: Lines<'_>, policy: &FreshnessPolicy) -> ObjectHead {
    let mut lines = Vec::new();
    for (name, value) in fields {
        push_field(&mut lines, name, value.as_bytes());
    }
    let pairs = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let (freshness, _) = grounded(&ResponseFacts::read(status, pairs), policy, BORN, BORN);
    let block = FieldBlock::from_lines(lines.into());
    let status = http::StatusCode::from_u16(status).unwrap();
    ObjectHead::new(status, freshness, Default::default(), &block, None, &target("/"))
}

/// Each rule as one line.
fn told(head: &ObjectHead, policy: &FreshnessPolicy) -> Vec<String> {
    let said = |key: &str| {
        RuleSource::Config(Said { key: key.to_owned(), at: Some(("edge.toml".to_owned(), 7)) })
    };
    let rules = of_stored(head, head.freshness(), policy, &said);
    let line = |Rule { source, says, effect }| match source {
        RuleSource::Response(name) => format!("{name} | {says} | {effect}"),
        RuleSource::Config(said) => format!("{} | {says} | {effect}", said.key),
        RuleSource::Node => format!("node | {says} | {effect}"),
        other => panic!("{other:?}"),
    };
    rules.into_iter().map(line).collect()
}

/// Fields by lower-case name.
type Lines<'a> = &'a [(&'a str, &'a str)];

const IF_ERROR: &str =
    "freshness.stale_if_error | 1h | once stale, served for 1h while upstream fails";

const RULED_OUT: &str = "freshness.stale_if_error | 1h | ruled out by s-maxage";

fn policy() -> FreshnessPolicy {
    FreshnessPolicy {
        default: 600,
        negative: vec![(StatusMatch::Exact(404), 10), (StatusMatch::Class(5), 1)],
        stale_while_revalidate: 0,
        stale_if_error: 3600,
        ..FreshnessPolicy::default()
    }
}

#[test]
fn what_settles_a_stored_response_is_told_with_its_source() {
    let policy = policy();
    let cases: [(u16, Lines<'_>, &[&str]); 10] = [
        (
            200,
            &[("cache-control", "max-age=60")],
            &["cache-control | max-age=60 | fresh for 60s", IF_ERROR],
        ),
        (
            200,
            &[("cache-control", "max-age=60, s-maxage=0")],
            &[
                "cache-control | s-maxage=0 | never fresh",
                "cache-control | s-maxage | never served stale, which it implies",
                RULED_OUT,
            ],
        ),
        (
            200,
            &[("cache-control", "no-store"), ("cdn-cache-control", "max-age=5, must-revalidate")],
            &[
                "cdn-cache-control | max-age=5 | fresh for 5s",
                "cdn-cache-control | must-revalidate | never served stale",
                IF_ERROR,
            ],
        ),
        (
            200,
            &[("cache-control", "s-maxage=5, stale-while-revalidate=30")],
            &[
                "cache-control | s-maxage=5 | fresh for 5s",
                "cache-control | stale-while-revalidate=30 | \
                 once stale, served for 30s while it is refreshed",
                RULED_OUT,
            ],
        ),
        (
            200,
            &[("etag", "\"a\""), ("cache-control", "max-age=9, no-cache")],
            &[
                "cache-control | max-age=9 | fresh for 9s",
                "cache-control | no-cache | validated at each use",
                IF_ERROR,
            ],
        ),
        (200, &[("expires", "0")], &["expires | 0 | no date: it has passed", IF_ERROR]),
        (
            200,
            &[
                ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ],
            &["expires | Sun, 06 Nov 1994 08:50:37 GMT | fresh for 60s", IF_ERROR],
        ),
        (200, &[("pragma", "no-cache")], &["pragma | no-cache | never fresh", IF_ERROR]),
        (200, &[], &["freshness.default | 10m | fresh for 10m", IF_ERROR]),
        (
            200,
            &[("vary", "accept-encoding"), ("cache-control", "max-age=1")],
            &[
                "vary | accept-encoding | a variant for each selection of these fields",
                "cache-control | max-age=1 | fresh for 1s",
                IF_ERROR,
            ],
        ),
    ];
    for (status, fields, expected) in cases {
        assert_eq!(told(&head(status, fields, &policy), &policy), expected, "{status} {fields:?}");
    }
}

#[test]
fn a_status_and_a_class_of_them_are_told() {
    let policy = policy();
    for (status, told_of) in
        [(404, "\"404\" = \"10s\" | fresh for 10s"), (503, "\"5xx\" = \"1s\" | fresh for 1s")]
    {
        let of_site = format!("freshness.negative | {told_of}");
        assert_eq!(told(&head(status, &[], &policy), &policy), [&of_site, IF_ERROR]);
    }
}

#[test]
fn a_guess_and_nobodys_word_are_told() {
    let policy = FreshnessPolicy::default();
    let guess = [("last-modified", "Sun, 06 Nov 1994 08:32:57 GMT")];
    assert_eq!(
        told(&head(200, &guess, &policy), &policy),
        ["last-modified | Sun, 06 Nov 1994 08:32:57 GMT | \
          fresh for 100s: a tenth of the time since, for nobody says"]
    );
    assert_eq!(
        told(&head(200, &[("etag", "\"a\"")], &policy), &policy),
        ["freshness.default | 0s | never fresh: nobody gives a lifetime"]
    );
}

#[test]
fn what_was_settled_otherwise_when_it_came_is_told() {
    let before = FreshnessPolicy { default: 600, ..FreshnessPolicy::default() };
    let now = FreshnessPolicy { default: 60, ..FreshnessPolicy::default() };
    let told = told(&head(200, &[], &before), &now);
    let holds = "settled when it came, by other settings or since expired: this holds";
    assert_eq!(
        told,
        [
            "freshness.default | 60s | fresh for 60s".to_owned(),
            format!("node | fresh for 10m | {holds}")
        ]
    );
}
