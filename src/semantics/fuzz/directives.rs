//! Cache-Control and those that speak its language.

use super::lines;
use crate::semantics::cache_control::{CacheControl, FieldScope};

pub(super) fn cache_control(bytes: &[u8]) {
    let lines = lines(bytes);
    let read = CacheControl::parse(lines.iter().copied());
    check(&read);
    let backwards = CacheControl::parse(lines.iter().rev().copied());
    assert_eq!(backwards, read, "the order of lines says nothing");
    let twice = CacheControl::parse(lines.iter().chain(&lines).copied());
    assert_eq!(twice, read, "nor does what is said again");
    let told = CacheControl::parse([&*tell(&read)]);
    assert_eq!(told, read, "as told on");
    let louder = bytes.to_ascii_uppercase();
    assert_eq!(CacheControl::parse(super::lines(&louder)), read, "in any case");
}

pub(super) fn targeted(bytes: &[u8]) {
    let lines = lines(bytes);
    let Some(read) = CacheControl::parse_targeted(lines.iter().copied()) else { return };
    check(&read);
    // RFC 8941 section 4.2: lines are those of one list.
    let sound = lines.iter().copied().filter(|line| line.iter().any(|&byte| byte != b' '));
    let joined = sound.collect::<Vec<_>>().join(&b", "[..]);
    assert_eq!(CacheControl::parse_targeted([&*joined]), Some(read.clone()), "in one line");
    let told = tell(&read);
    if !told.is_empty() {
        assert_eq!(CacheControl::parse_targeted([&*told]), Some(read), "as told on");
    }
}

pub(super) fn surrogate(bytes: &[u8]) {
    let Some(read) = CacheControl::parse_surrogate(lines(bytes)) else { return };
    check(&read);
    assert!(read.no_store || read.max_age.is_some(), "it says something");
    let known = CacheControl {
        no_store: read.no_store,
        max_age: read.max_age,
        stale_while_revalidate: read.stale_while_revalidate,
        stale_if_error: read.stale_if_error,
        malformed: read.malformed,
        ..CacheControl::default()
    };
    assert_eq!(known, read, "nothing else");
    // Parameters are for devices, so a member that is no directive is left out.
    let sound = CacheControl { malformed: false, ..read };
    assert_eq!(CacheControl::parse_surrogate([&*tell(&sound)]), Some(sound), "as told on");
}

fn check(read: &CacheControl) {
    for scope in [&read.no_cache, &read.private] {
        let FieldScope::Fields(names) = scope else { continue };
        assert!((1..=32).contains(&names.len()));
        assert!(names.is_sorted_by(|one, other| one < other));
        assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
    }
}

/// The directives as a line.
fn tell(read: &CacheControl) -> Vec<u8> {
    let flags = [
        ("no-store", read.no_store),
        ("public", read.public),
        ("must-revalidate", read.must_revalidate),
        ("proxy-revalidate", read.proxy_revalidate),
        ("must-understand", read.must_understand),
        ("no-transform", read.no_transform),
        ("immutable", read.immutable),
        ("only-if-cached", read.only_if_cached),
        ("max-stale", read.max_stale == Some(None)),
        (";", read.malformed),
    ];
    let numbers = [
        ("max-age", read.max_age),
        ("s-maxage", read.s_maxage),
        ("stale-while-revalidate", read.stale_while_revalidate),
        ("stale-if-error", read.stale_if_error),
        ("min-fresh", read.min_fresh),
        ("max-stale", read.max_stale.flatten()),
    ];
    let scopes = [("no-cache", &read.no_cache), ("private", &read.private)];
    let flags = flags.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| (*name).to_owned());
    let numbers =
        numbers.iter().filter_map(|(name, number)| Some(format!("{name}={}", (*number)?)));
    let scopes = scopes.iter().filter_map(|(name, scope)| match scope {
        FieldScope::Absent => None,
        FieldScope::Whole => Some((*name).to_owned()),
        FieldScope::Fields(names) => Some(format!("{name}=\"{}\"", names.join(", "))),
    });
    flags.chain(numbers).chain(scopes).collect::<Vec<_>>().join(", ").into_bytes()
}
