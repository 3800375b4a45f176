//! Heads on their way out, and what a 304 makes of them.

use http::StatusCode;

use super::*;
use crate::object::Sequence;
use crate::object::tests::target;

const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
const H1: Protocol = Protocol::Http1 { minor: 1 };

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().map(field).collect()
}

fn preparation(rules: &HeaderRules) -> Preparation<'_> {
    let received_at = Timestamp::from_seconds(1_800_000_000);
    Preparation { name: "node", rules, removes_cookies: false, received_at }
}

fn rules(set: &[(&'static str, &'static str)], remove: &[&'static str]) -> HeaderRules {
    let set = map(set).into_iter().filter_map(|(name, value)| Some((name?, value)));
    let remove = remove.iter().map(|name| HeaderName::from_static(name));
    HeaderRules { set: set.collect(), add: vec![], remove: remove.collect() }
}

fn lines(block: &FieldBlock) -> Vec<String> {
    let line = |(name, value): (&str, &[u8])| format!("{name}: {}", value.escape_ascii());
    let mut lines: Vec<_> = block.iter().map(line).collect();
    lines.sort();
    lines
}

fn stored(rules: &HeaderRules, fields: &[(&'static str, &'static str)]) -> ObjectHead {
    let Prepared { block, withheld, .. } = preparation(rules).shared(map(fields), H1);
    let sequence = Sequence::default();
    let fresh = Default::default();
    ObjectHead::new(StatusCode::OK, fresh, sequence, &block, withheld, &target("/"))
}

#[test]
fn what_concerned_one_connection_goes_no_further() {
    let came = map(&[
        ("connection", "close, x-hop, Date"),
        ("content-length", "3"),
        ("date", DATE),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("via", "1.0 far"),
        ("x-end", "1"),
        ("x-hop", "1"),
    ]);
    let rules = HeaderRules::default();
    let date = format!("date: {DATE}");
    let (trailer, via, end) = ("trailer: x", "via: 1.0 far, 1.1 node", "x-end: 1");
    assert_eq!(
        lines(&preparation(&rules).passed(came.clone(), H1, false)),
        [&date, trailer, via, end]
    );
    assert_eq!(lines(&preparation(&rules).shared(came.clone(), H1).block), [&date, via, end]);
    let via = "via: 1.0 far, 2 node";
    assert_eq!(lines(&preparation(&rules).shared(came, Protocol::Http2).block), [&date, via, end]);
}

#[test]
fn what_is_shared_says_neither_age_nor_what_others_did() {
    let came = [
        ("age", "7"),
        ("cache-status", "far; hit"),
        ("cache-status", "near; fwd=miss"),
        ("cache-tag", "a,b"),
        ("date", DATE),
        ("surrogate-control", "max-age=9"),
    ];
    let rules = rules(&[("server", "s")], &["date"]);
    let passed = preparation(&rules).passed(map(&came), H1, false);
    let (age, far, near) = ("age: 7", "cache-status: far; hit", "cache-status: near; fwd=miss");
    assert_eq!(lines(&passed), [age, far, near, "server: s", "via: 1.1 node"]);
    let shared = preparation(&rules).shared(map(&came), H1);
    assert_eq!(lines(&shared.block), ["server: s", "via: 1.1 node"]);
    assert_eq!(shared.cache_status.unwrap(), "far; hit, near; fwd=miss");
    let date = format!("date: {DATE}");
    let withheld = lines(&shared.withheld.unwrap());
    let (control, added) = ("surrogate-control: max-age=9", "headland-added: server");
    assert_eq!(withheld, ["cache-tag: a,b", &date, added, control]);
}

#[test]
fn a_missing_date_is_that_of_receipt() {
    let rules = HeaderRules::default();
    let block = preparation(&rules).passed(map(&[]), H1, false);
    assert_eq!(block.get("date"), Some(DATE.as_bytes()));
}

#[test]
fn a_304_takes_the_place_of_what_it_names() {
    let none = HeaderRules::default();
    let stored = stored(
        &none,
        &[
            ("content-encoding", "br"),
            ("content-type", "text/plain"),
            ("date", "Thu, 14 Jan 2027 08:00:00 GMT"),
            ("via", "1.0 far"),
            ("x-kept", "1"),
            ("x-twice", "old"),
            ("x-twice", "older"),
        ],
    );
    let update = map(&[
        ("age", "3"),
        ("cache-status", "far; hit"),
        ("connection", "x-hop"),
        ("content-encoding", "gzip"),
        ("content-length", "0"),
        ("content-type", "text/html"),
        ("trailer", "x"),
        ("via", "1.1 other"),
        ("x-hop", "1"),
        ("x-twice", "new"),
    ]);
    let merged = preparation(&none).freshened(&stored, update);
    assert_eq!(merged["age"], "3");
    let date = format!("date: {DATE}");
    assert_eq!(
        lines(&preparation(&none).freshened_lines(merged).block),
        [
            "content-encoding: br",
            "content-type: text/html",
            &date,
            "via: 1.0 far, 1.1 node",
            "x-kept: 1",
            "x-twice: new",
        ]
    );
}

#[test]
fn a_stored_tag_stays_as_weak_as_it_is() {
    let rules = HeaderRules::default();
    for (own, told) in [("W/\"a\"", "\"a\""), ("\"a\"", "W/\"a\""), ("\"a\"", "\"a\"")] {
        let stored = stored(&rules, &[("etag", own)]);
        let merged = preparation(&rules).freshened(&stored, map(&[("etag", told)]));
        let tags: Vec<_> = merged.get_all("etag").iter().collect();
        assert_eq!(tags, [own], "{told}");
    }
}

#[test]
fn what_the_site_changed_is_merged_as_upstream_sent_it() {
    let rules = rules(&[("cache-control", "no-store"), ("x-new", "1")], &["vary"]);
    let stored = stored(
        &rules,
        &[
            ("cache-control", "max-age=60"),
            ("headland-cdn-cache-control", "max-age=9"),
            ("vary", "accept"),
        ],
    );
    assert_eq!(stored.block().get("cache-control"), Some(&b"no-store"[..]));
    let preparation = preparation(&rules);
    let vary: Vec<_> = as_received(&stored, "vary").collect();
    assert_eq!(vary, [b"accept"]);
    let merged = preparation.freshened(&stored, map(&[("x-new", "theirs")]));
    assert_eq!(merged["cache-control"], "max-age=60");
    assert_eq!(merged["headland-cdn-cache-control"], "max-age=9");
    assert_eq!(
        (&merged["vary"], &merged["x-new"]),
        (&"accept".parse().unwrap(), &"theirs".parse().unwrap())
    );
    let again = preparation.freshened_lines(merged);
    assert_eq!(again.block.get("cache-control"), Some(&b"no-store"[..]));
    assert_eq!((again.block.get("vary"), again.block.get("x-new")), (None, Some(&b"1"[..])));
    assert!(again.withheld.is_some());
}

#[test]
fn what_upstream_said_is_told_without_the_rules_by_which_it_was_changed() {
    let came =
        [("cache-tag", "a"), ("date", DATE), ("x-gone", "1"), ("x-kept", "1"), ("x-set", "1")];
    let upstream = |set: &[(&'static str, &'static str)], remove: &[&'static str]| {
        let stored = stored(&rules(set, remove), &came);
        let mut lines: Vec<_> = upstream_lines(&stored)
            .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
            .collect();
        lines.sort();
        lines
    };
    let plain = upstream(&[], &[]);
    assert_eq!(plain.len(), came.len() + 1, "and the way: {plain:?}");
    let added = [("x-set", "ours"), ("x-added", "ours"), ("cache-tag", "ours")];
    for (set, remove) in [(&added[..], &["x-gone"][..]), (&added[1..], &["x-set", "date"])] {
        assert_eq!(upstream(set, remove), plain);
    }
}
