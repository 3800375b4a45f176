//! Tables of ranges, and what holds for all of them.

use proptest::prelude::*;

use super::*;
use crate::semantics::multipart::Multipart;

/// First byte and first past it. `None`: ignored. `Some([])`: unsatisfiable.
type Parts<'a> = Option<&'a [(u64, u64)]>;

fn resolved(value: &str, len: u64) -> Option<Vec<(u64, u64)>> {
    Some(match RangeSet::parse(value.as_bytes())?.resolve(len) {
        Resolved::Unsatisfiable => Vec::new(),
        Resolved::Ranges(ranges) => ranges.iter().map(|range| (range.start, range.end)).collect(),
    })
}

#[test]
fn where_the_first_range_begins() {
    let cases = [
        ("bytes=7-", Some(7)),
        ("bytes=9-10, 1-2", Some(9)),
        ("bytes=-5", None),
        ("bytes=-5, 1-2", None),
        ("bytes=99999999999999999999-", Some(u64::MAX)),
    ];
    for (value, first) in cases {
        let set = RangeSet::parse(value.as_bytes()).unwrap();
        assert_eq!(set.first_byte(), first, "{value}");
    }
}

#[test]
fn one_range() {
    let cases: [(&str, Parts<'_>); 32] = [
        ("bytes=0-0", Some(&[(0, 1)])),
        ("bytes=0-499", Some(&[(0, 500)])),
        ("bytes=0-999", Some(&[(0, 1000)])),
        ("bytes=0-1000", Some(&[(0, 1000)])),
        ("bytes=500-", Some(&[(500, 1000)])),
        ("bytes=999-", Some(&[(999, 1000)])),
        ("bytes=1000-", Some(&[])),
        ("bytes=1000-2000", Some(&[])),
        ("bytes=-1", Some(&[(999, 1000)])),
        ("bytes=-1000", Some(&[(0, 1000)])),
        ("bytes=-1001", Some(&[(0, 1000)])),
        ("bytes=-0", Some(&[])),
        ("BYTES=0-1", Some(&[(0, 2)])),
        (" bytes=0-1 ", Some(&[(0, 2)])),
        ("bytes= 0-1 ,", Some(&[(0, 2)])),
        ("bytes=0-99999999999999999999999", Some(&[(0, 1000)])),
        ("bytes=99999999999999999999999-", Some(&[])),
        ("bytes=-99999999999999999999999", Some(&[(0, 1000)])),
        ("bytes=0-18446744073709551615", Some(&[(0, 1000)])),
        ("bytes=5-4", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes=,", None),
        ("bytes=-", None),
        ("bytes=--1", None),
        ("bytes=1", None),
        ("bytes=a-b", None),
        ("bytes=0-1-2", None),
        ("bytes=0 - 1", None),
        ("bytes =0-1", None),
        ("items=0-1", None),
        ("", None),
    ];
    for (value, wanted) in cases {
        assert_eq!(resolved(value, 1000).as_deref(), wanted, "{value}");
    }
    assert_eq!(resolved("bytes=0-", 0).as_deref(), Some(&[][..]));
    assert_eq!(resolved("bytes=-5", 0).as_deref(), Some(&[][..]));
}

#[test]
fn several_ranges() {
    let cases: [(&str, Parts<'_>); 11] = [
        ("bytes=0-0,5-9", Some(&[(0, 1), (5, 10)])),
        ("bytes=5-9, 0-0", Some(&[(5, 10), (0, 1)])),
        ("bytes=0-4,5-9", Some(&[(0, 10)])),
        ("bytes=0-4,4-9", Some(&[(0, 10)])),
        ("bytes=0-,0-,0-", Some(&[(0, 1000)])),
        ("bytes=50-59,0-4,5-9,-1", Some(&[(50, 60), (0, 10), (999, 1000)])),
        ("bytes=0-1,4-5,8-9,2-7", Some(&[(0, 10)])),
        ("bytes=20-29,0-9,10-19", Some(&[(0, 30)])),
        ("bytes=2000-,0-1", Some(&[(0, 2)])),
        ("bytes=2000-,3000-", Some(&[])),
        ("bytes=0-1,x", None),
    ];
    for (value, wanted) in cases {
        assert_eq!(resolved(value, 1000).as_deref(), wanted, "{value}");
    }
    let list = |count: usize| vec!["0-"; count].join(",");
    assert!(resolved(&format!("bytes={}", list(RANGES_MAX)), 9).is_some());
    assert!(resolved(&format!("bytes={}", list(RANGES_MAX + 1)), 9).is_none());
}

#[test]
fn content_range_read() {
    let part = |start, end, total| Some((Some((start, end)), total));
    let cases = [
        ("bytes 0-9/100", part(0, 10, Some(100))),
        ("bytes 0-9/*", part(0, 10, None)),
        ("Bytes 0-99/100", part(0, 100, Some(100))),
        ("bytes */100", Some((None, Some(100)))),
        ("bytes */*", None),
        ("bytes 0-100/100", None),
        ("bytes 9-0/100", None),
        ("bytes 0-9", None),
        ("bytes 0-/100", None),
        ("bytes -9/100", None),
        ("bytes=0-9/100", None),
        ("items 0-9/100", None),
        ("bytes 0-9/99999999999999999999999", None),
        ("bytes 0-99999999999999999999999/*", None),
        ("0-9/100", None),
        ("", None),
    ];
    for (value, wanted) in cases {
        let found = ContentRange::parse(value.as_bytes());
        let found =
            found.map(|found| (found.range.map(|range| (range.start, range.end)), found.total));
        assert_eq!(found, wanted, "{value}");
    }
}

#[test]
fn content_range_written() {
    let mut out = Vec::new();
    write_content_range(ByteRange { start: 0, end: 500 }, 1234, &mut out);
    assert_eq!(out, b"bytes 0-499/1234");
    out.clear();
    write_unsatisfied_range(1234, &mut out);
    assert_eq!(out, b"bytes */1234");
}

fn any_set() -> impl Strategy<Value = String> {
    let spec = prop_oneof![
        (0u64..40, 0u64..40).prop_map(|(first, more)| format!("{first}-{}", first + more)),
        (0u64..60).prop_map(|first| format!("{first}-")),
        (0u64..60).prop_map(|length| format!("-{length}")),
    ];
    prop::collection::vec(spec, 1..=RANGES_MAX)
        .prop_map(|specs| format!("bytes={}", specs.join(",")))
}

proptest! {
    #[test]
    fn resolved_ranges_lie_inside_and_apart(value in any_set(), len in 0u64..50) {
        let ranges = resolved(&value, len).unwrap();
        for (at, (start, end)) in ranges.iter().enumerate() {
            prop_assert!(start < end && *end <= len);
            for (other_start, other_end) in &ranges[at + 1..] {
                prop_assert!(end < other_start || other_end < start);
            }
        }
    }

    #[test]
    fn no_byte_is_lost_or_added(value in any_set(), len in 0u64..50) {
        let ranges = resolved(&value, len).unwrap();
        let specs = value.strip_prefix("bytes=").unwrap();
        let single: Vec<(u64, u64)> = specs
            .split(',')
            .flat_map(|spec| resolved(&format!("bytes={spec}"), len).unwrap())
            .collect();
        let holds = |ranges: &[(u64, u64)], byte| {
            ranges.iter().any(|(start, end)| (*start..*end).contains(&byte))
        };
        for byte in 0..len {
            prop_assert_eq!(holds(&ranges, byte), holds(&single, byte));
        }
    }

    #[test]
    fn multipart_length_is_what_is_written(
        value in any_set(),
        len in 1u64..50,
        boundary in "[a-z0-9]{1,40}",
        content_type in prop::option::of("[a-z]{1,9}/[a-z]{1,9}"),
    ) {
        let set = RangeSet::parse(value.as_bytes()).unwrap();
        if let Resolved::Ranges(ranges) = set.resolve(len) {
            let content_type = content_type.as_ref().map(|name| name.as_bytes());
            let parts = Multipart { boundary: &boundary, content_type, total: len };
            let mut out = Vec::new();
            for (index, range) in ranges.iter().enumerate() {
                parts.write_part_head(index, *range, &mut out);
                out.resize(out.len() + range.len() as usize, b'x');
            }
            parts.write_end(&mut out);
            prop_assert_eq!(parts.content_length(&ranges), out.len() as u64);
        }
    }

    #[test]
    fn content_range_round_trips(start in 0u64..1000, len in 1u64..1000, more in 0u64..1000) {
        let range = ByteRange { start, end: start + len };
        let total = range.end + more;
        let mut out = Vec::new();
        write_content_range(range, total, &mut out);
        let read = ContentRange::parse(&out).unwrap();
        prop_assert_eq!(read, ContentRange { range: Some(range), total: Some(total) });
    }

    #[test]
    fn a_range_that_is_written_is_read(start in 0u64..1000, len in 1u64..1000) {
        let range = ByteRange { start, end: start + len };
        let mut out = Vec::new();
        write_range(range, &mut out);
        let read = RangeSet::parse(&out).unwrap();
        prop_assert_eq!(read.resolve(u64::MAX), Resolved::Ranges(smallvec::smallvec![range]));
        prop_assert_eq!(read.first_byte(), Some(start));
    }

    #[test]
    fn any_bytes_are_survived(
        value in prop::collection::vec(any::<u8>(), 0..40),
        len in any::<u64>(),
    ) {
        let prefixed = [b"bytes=".as_slice(), &value].concat();
        if let Some(set) = RangeSet::parse(&prefixed) {
            let _ = set.resolve(len);
        }
        let _ = ContentRange::parse(&value);
    }
}
