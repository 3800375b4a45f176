//! Dates, ranges, preconditions, Vary, and the fields of connections and traces.

use smallvec::SmallVec;

use super::lines;
use crate::semantics::cacheability::Method;
use crate::semantics::conditional::{
    Conditions, EntityTag, Outcome, Validators, entity_tags, evaluate, if_range_matches,
};
use crate::semantics::multipart::Multipart;
use crate::semantics::range::{
    ByteRange, ContentRange, RANGES_MAX, RangeSet, Resolved, write_content_range,
    write_unsatisfied_range,
};
use crate::semantics::time::{Timestamp, parse_http_date, write_http_date};
use crate::semantics::trace::TraceParent;
use crate::semantics::upgrade::{Asked, Protocol, is_offered, offer};
use crate::semantics::vary::{VARY_NAMES_MAX, VarySpec, write_selection};
use crate::semantics::{headers, syntax};

pub(super) fn date(bytes: &[u8]) {
    let Some(time) = parse_http_date(bytes) else { return };
    // 9999-12-31, and a leap second.
    assert!(time.seconds() <= 253_402_300_800 && time.millis() % 1000 == 0);
    let mut told = Vec::new();
    write_http_date(time, &mut told);
    assert_eq!(told.len(), 29);
    let last = Timestamp::from_seconds(253_402_300_799);
    assert_eq!(parse_http_date(&told), Some(time.min(last)), "as told on");
}

/// Eight bytes are the length of the body.
pub(super) fn range(bytes: &[u8]) {
    let Some((length, value)) = bytes.split_first_chunk() else { return };
    let length = u64::from_le_bytes(*length);
    let Some(set) = RangeSet::parse(value) else { return };
    let Resolved::Ranges(ranges) = set.resolve(length) else { return };
    assert!((1..=RANGES_MAX).contains(&ranges.len()));
    for (at, range) in ranges.iter().enumerate() {
        assert!(range.start < range.end && range.end <= length);
        let apart = |other: &ByteRange| other.end < range.start || range.end < other.start;
        assert!(ranges[..at].iter().all(apart), "no byte twice, and neighbours are one");
    }
    let told: Vec<_> =
        ranges.iter().map(|range| format!("{}-{}", range.start, range.end - 1)).collect();
    let again = RangeSet::parse(format!("bytes={}", told.join(",")).as_bytes());
    let again = again.expect("ranges as told on");
    assert_eq!(again.first_byte(), Some(ranges[0].start));
    assert_eq!(again.resolve(length), Resolved::Ranges(ranges.clone()), "as told on");

    let parts = Multipart { boundary: "b", content_type: Some(b"a/b"), total: length };
    let mut framing = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        parts.write_part_head(index, *range, &mut framing);
    }
    parts.write_end(&mut framing);
    let content: u64 = ranges.iter().map(|range| range.len()).sum();
    assert!(content <= length);
    if let Some(whole) = content.checked_add(framing.len() as u64) {
        assert_eq!(parts.content_length(&ranges), whole);
    }
}

pub(super) fn content_range(bytes: &[u8]) {
    let Some(read) = ContentRange::parse(bytes) else { return };
    assert!(read.range.is_some() || read.total.is_some());
    let mut told = Vec::new();
    match (read.range, read.total) {
        (Some(range), Some(total)) => {
            assert!(range.start < range.end && range.end <= total);
            write_content_range(range, total, &mut told);
        }
        (Some(range), None) => {
            assert!(range.start < range.end);
            told = format!("bytes {}-{}/*", range.start, range.end - 1).into_bytes();
        }
        (None, total) => write_unsatisfied_range(total.unwrap_or(0), &mut told),
    }
    assert_eq!(ContentRange::parse(&told), Some(read), "as told on");
}

/// Four lines: the list of tags, a date, the response's own tag, and when it was modified.
pub(super) fn conditional(bytes: &[u8]) {
    let lines = lines(bytes);
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    let validators = Validators {
        etag: Some(line(2)),
        last_modified: parse_http_date(line(3)),
        date: Some(Timestamp::from_seconds(1_000_000_000)),
    };
    let tags: Vec<EntityTag<'_>> = entity_tags(line(0)).collect();
    let spell = |tag: &EntityTag<'_>| {
        [if tag.weak { &b"W/\""[..] } else { b"\"" }, tag.opaque, b"\""].concat()
    };
    let told: Vec<_> = tags.iter().map(spell).collect();
    for (tag, told) in tags.iter().zip(&told) {
        assert_eq!(EntityTag::parse(told), Some(*tag));
    }
    let joined = told.join(&b", "[..]);
    assert!(entity_tags(&joined).eq(tags.iter().copied()), "as told on");

    let own = EntityTag::parse(line(2));
    let asked = |name| Conditions::read([(name, line(0))].into_iter());
    let star = syntax::trim(line(0)) == b"*";
    let weak = star || tags.iter().any(|tag| own.is_some_and(|own| own.weak_eq(*tag)));
    let strong = star || tags.iter().any(|tag| own.is_some_and(|own| own.strong_eq(*tag)));
    assert!(weak || !strong, "what is the same is the same weakly too");
    let outcome = evaluate(Method::Get, &asked("if-none-match"), &validators);
    assert_eq!(outcome == Outcome::NotModified, weak);
    let outcome = evaluate(Method::Get, &asked("if-match"), &validators);
    assert_eq!(outcome == Outcome::Proceed, strong);
    for name in ["if-modified-since", "if-unmodified-since"] {
        let conditions = Conditions::read([(name, line(1))].into_iter());
        let ignored = parse_http_date(line(1)).is_none();
        let outcome = evaluate(Method::Get, &conditions, &validators);
        assert!(!ignored || outcome == Outcome::Proceed);
    }
    if if_range_matches(line(1), &validators) {
        assert!(EntityTag::parse(line(1)).is_none_or(|tag| !tag.weak));
    }
}

/// The first line names the fields, the others are what a client sends of each.
pub(super) fn vary(bytes: &[u8]) {
    let lines = lines(bytes);
    let spec = VarySpec::parse([lines[0]]);
    assert!(spec.names().len() <= VARY_NAMES_MAX);
    assert!(spec.names().is_sorted_by(|one, other| one < other));
    assert!(!spec.is_star() || spec.names().is_empty());
    let told = spec.names().join(" ,").into_bytes();
    assert!(spec.is_star() || VarySpec::parse([&*told]) == spec, "as told on");

    let sent = &lines[1..];
    let select = |lines: &[&[u8]]| {
        let mut out: SmallVec<[u8; 256]> = SmallVec::new();
        let spec = VarySpec::parse([&b"accept-encoding, x-other"[..]]);
        let is_list = |name: &str| name == "accept-encoding";
        let get = |name: &str| is_list(name).then(|| lines.iter().copied());
        write_selection(&spec, get, &mut out);
        out
    };
    let selection = select(sent);
    let louder: Vec<_> = sent.iter().map(|line| line.to_ascii_uppercase()).collect();
    let louder: Vec<_> = louder.iter().map(|line| &line[..]).collect();
    assert_eq!(select(&louder), selection, "in any case");
    let members: Vec<_> = sent.iter().flat_map(|line| syntax::members(line)).collect();
    assert_eq!(select(&members), selection, "each in a line of its own");
    let wide: Vec<_> = members.iter().map(|member| [b" \t", *member, b" "].concat()).collect();
    let wide: Vec<_> = wide.iter().map(|member| &member[..]).collect();
    assert_eq!(select(&wide), selection, "with space around");
}

/// Lines of Connection, Via and CDN-Loop, and of Upgrade.
pub(super) fn connection(bytes: &[u8]) {
    let lines = lines(bytes);
    for name in headers::connection_names(lines.iter().copied()) {
        assert!(syntax::is_token(name) && !name.eq_ignore_ascii_case(b"cache-control"));
    }
    let seen = headers::cdn_loop_seen(lines.iter().copied(), "headland");
    let mut told = Vec::new();
    headers::write_cdn_loop(lines.iter().copied(), "headland", &mut told);
    let after = headers::cdn_loop_seen([&*told], "headland");
    // A quote that one line leaves open may be closed by the next.
    let quoted = bytes.contains(&b'"');
    assert!(if quoted { after >= 1 } else { after == seen + 1 }, "{seen} {after}");
    let mut via = Vec::new();
    headers::write_via(lines.iter().copied(), "2", "n", &mut via);
    assert!(via.ends_with(b"2 n"));
    let allowed = ["websocket", "irc/6.9"].map(Protocol::new);
    let offered = |upgrade: &[&[u8]]| {
        let (upgrade, connection) = (upgrade.iter().copied(), [&b"upgrade"[..]].into_iter());
        let (is_get, has_content, is_http_1_1) = (true, false, true);
        offer(Asked { is_get, has_content, is_http_1_1, upgrade, connection }, &allowed)
    };
    let Some(offer) = offered(&lines) else { return };
    assert!(is_offered(&offer, &offer), "what is offered may be taken");
    assert_eq!(offered(&[&offer]).as_ref(), Some(&offer), "as told on");
}

pub(super) fn traceparent(bytes: &[u8]) {
    let Some(read) = TraceParent::parse(bytes) else { return };
    assert!(read.trace_id != 0 && read.span_id != 0);
    let told = read.format();
    assert_eq!(TraceParent::parse(&told), Some(read), "as told on");
    assert_eq!(told[3..52], bytes[3..52]);
}
