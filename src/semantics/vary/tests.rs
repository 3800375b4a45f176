//! Tables of what selects a variant.

use proptest::prelude::*;

use super::*;

fn spec(lines: &[&str]) -> VarySpec {
    VarySpec::parse(lines.iter().map(|line| line.as_bytes()))
}

/// The lines of a field, if it is there.
type Lines<'a> = Option<&'a [&'a str]>;

/// What is written for one field with these lines, or without the field.
fn selection(name: &str, lines: Lines<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let get = |asked: &str| {
        assert_eq!(asked, name);
        lines.map(|lines| lines.iter().map(|line| line.as_bytes()))
    };
    write_selection(&spec(&[name]), get, &mut out);
    out
}

#[test]
fn names_are_sorted_and_bounded() {
    let cases: [(&[&str], &[&str]); 5] = [
        (&[], &[]),
        (&[""], &[]),
        (&["Accept"], &["accept"]),
        (&["b, A", "a ,B,,c"], &["a", "b", "c"]),
        (&["Accept-Encoding,Accept-Language"], &["accept-encoding", "accept-language"]),
    ];
    for (lines, wanted) in cases {
        let spec = spec(lines);
        assert_eq!(spec.names(), wanted, "{lines:?}");
        assert!(!spec.is_star());
        assert_eq!(spec.is_empty(), wanted.is_empty());
    }
}

#[test]
fn stars_and_what_counts_as_one() {
    let name = |number: usize| format!("f{number}");
    let most: Vec<String> = (0..VARY_NAMES_MAX).map(name).collect();
    let more: Vec<String> = (0..=VARY_NAMES_MAX).map(name).collect();
    assert!(!spec(&[&most.join(",")]).is_star());
    assert!(!spec(&[&most.join(","), "F0"]).is_star());
    for line in [&more.join(","), "*", "accept, *", "*, accept", " , *", "no name", "\"x\""] {
        let spec = spec(&[line, "accept"]);
        assert!(spec.is_star() && !spec.is_empty(), "{line}");
        assert!(spec.names().is_empty(), "{line}");
    }
}

#[test]
fn equal_preferences_for_codings_share() {
    let same: [(&[&str], &[&str]); 12] = [
        (&["gzip, br"], &["br,gzip"]),
        (&["gzip, br"], &["GZIP ,\tBr"]),
        (&["gzip, br"], &["gzip", "br"]),
        (&["gzip, br"], &["gzip;q=1, br;q=1.0"]),
        (&["gzip, br"], &["gzip; q=1.000, br ;Q=1."]),
        (&["gzip;q=0.5, br"], &["br, gzip;q=0.500"]),
        (&["gzip"], &["gzip, br;q=0"]),
        (&["gzip"], &["gzip, br;q=0.000"]),
        (&["gzip"], &["x-gzip"]),
        (&["gzip"], &["gzip, gzip;q=0.5"]),
        (&["*;q=0.5, br"], &["br, *;q=0.5"]),
        (&[""], &[" ,"]),
    ];
    for (one, other) in same {
        let [one, other] = [one, other].map(|lines| selection("accept-encoding", Some(lines)));
        assert_eq!(one, other);
    }
}

#[test]
fn different_preferences_for_codings_do_not() {
    let differ: [(&[&str], &[&str]); 9] = [
        (&["gzip"], &["br"]),
        (&["gzip"], &["gzip, *;q=0"]),
        (&["gzip"], &["gzip, br"]),
        (&["gzip, br;q=0.5"], &["gzip;q=0.5, br"]),
        (&["gzip"], &["gzip, identity;q=0"]),
        (&["*"], &["*, br;q=0"]),
        (&["gzip;q=2"], &["gzip"]),
        (&["gzip;x=1"], &["gzip"]),
        (&["gzip;q=0.5"], &["gzip;q=0.6"]),
    ];
    for (one, other) in differ {
        let [one, other] = [one, other].map(|lines| selection("accept-encoding", Some(lines)));
        assert_ne!(one, other);
    }
}

#[test]
fn equal_preferences_for_languages_share_a_variant() {
    let same: [(&[&str], &[&str]); 4] = [
        (&["de, en"], &["en, de"]),
        (&["de, en;q=0.5"], &["en;q=0.5, DE"]),
        (&["de, en"], &["de", "EN;q=1"]),
        (&["de-AT , en"], &["de-at,en"]),
    ];
    for (one, other) in same {
        let [one, other] = [one, other].map(|lines| selection("accept-language", Some(lines)));
        assert_eq!(one, other);
    }
    let differ: [(&[&str], &[&str]); 3] = [
        (&["de, en;q=0.5"], &["de;q=0.5, en"]),
        (&["en"], &["en, en-GB;q=0"]),
        (&["en, de;q=0"], &["en, fr;q=0"]),
    ];
    for (one, other) in differ {
        let [one, other] = [one, other].map(|lines| selection("accept-language", Some(lines)));
        assert_ne!(one, other);
    }
}

#[test]
fn other_fields_are_joined_and_trimmed() {
    let same: [(&[&str], &[&str]); 4] =
        [(&["a"], &[" a\t"]), (&["a", "b"], &["a, b"]), (&["a,b"], &["a ,\tb"]), (&[""], &["  "])];
    for (one, other) in same {
        let [one, other] = [one, other].map(|lines| selection("x", Some(lines)));
        assert_eq!(one, other);
    }
    let differ: [(Lines<'_>, Lines<'_>); 6] = [
        (None, Some(&[""])),
        (Some(&["a"]), Some(&["A"])),
        (Some(&["a b"]), Some(&["a  b"])),
        (Some(&["a", "b"]), Some(&["b", "a"])),
        (Some(&["a,,b"]), Some(&["a,b"])),
        (Some(&["\"a,b\""]), Some(&["\"a, b\""])),
    ];
    for (one, other) in differ {
        let [one, other] = [one, other].map(|lines| selection("x", lines));
        assert_ne!(one, other);
    }
    assert_ne!(selection("accept-encoding", None), selection("accept-encoding", Some(&[""])));
}

#[test]
fn no_value_can_pose_as_two() {
    let write = |values: [&str; 2]| {
        let mut out = Vec::new();
        let get = |name: &str| {
            let value = if name == "a" { values[0] } else { values[1] };
            Some([value.as_bytes()])
        };
        write_selection(&spec(&["a, b"]), get, &mut out);
        out
    };
    assert_ne!(write(["1b\x001", ""]), write(["1", "b\x001"]));
    assert_ne!(write(["xy", "z"]), write(["x", "yz"]));
}

proptest! {
    #[test]
    fn the_order_of_codings_is_of_no_account(
        members in prop::collection::btree_map("[a-z]{1,4}", 0u16..=1000, 0..6),
        seed in any::<u64>(),
    ) {
        let mut list: Vec<String> = members
            .iter()
            .map(|(name, weight)| format!("{name};q={}.{:03}", weight / 1000, weight % 1000))
            .collect();
        let one = selection("accept-encoding", Some(&[&list.join(", ")]));
        list.sort_by_key(|member| seed.wrapping_mul(member.len() as u64 + 1) ^ seed);
        list.reverse();
        let other = selection("accept-encoding", Some(&[&list.join(" ,")]));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn any_bytes_are_survived(value in prop::collection::vec(any::<u8>(), 0..60)) {
        let spec = VarySpec::parse([value.as_slice(), b"accept-encoding, accept-language, x"]);
        let mut out = Vec::new();
        write_selection(&spec, |_| Some([value.as_slice()]), &mut out);
        prop_assert!(spec.names().len() <= VARY_NAMES_MAX);
    }
}
