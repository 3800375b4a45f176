//! Tables of directives as they come, and the properties of reading.

use proptest::prelude::*;

use super::*;

fn parse(lines: &[&str]) -> CacheControl {
    CacheControl::parse(lines.iter().map(|line| line.as_bytes()))
}

fn fields(names: &[&str]) -> FieldScope {
    FieldScope::Fields(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn lifetimes_as_found_in_the_wild() {
    let cases: [(&[&str], Option<u32>); 29] = [
        (&[""], None),
        (&["max-age=3600"], Some(3600)),
        (&["max-age=\"3600\""], Some(3600)),
        (&["MaX-aGe=3600"], Some(3600)),
        (&["max-age=003600"], Some(3600)),
        (&["foobar, max-age=3600"], Some(3600)),
        (&["foo=\"a, b\", max-age=3600,"], Some(3600)),
        (&[" ,, max-age=3600\t"], Some(3600)),
        (&["max-age=2147483648"], Some(2_147_483_648)),
        (&["max-age=99999999999"], Some(u32::MAX)),
        (&["max-age"], Some(0)),
        (&["max-age="], Some(0)),
        (&["max-age=\"\""], Some(0)),
        (&["max-age='3600'"], Some(0)),
        (&["max-age=a100"], Some(0)),
        (&["max-age=100a"], Some(0)),
        (&["max-age=-100"], Some(0)),
        (&["max-age=+100"], Some(0)),
        (&["max-age=100.5"], Some(0)),
        (&["max-age =100"], Some(0)),
        (&["max-age= 100"], Some(0)),
        (&["max-age=1 00"], Some(0)),
        (&["max-age=1800, max-age=1"], Some(1)),
        (&["max-age=1", "max-age=1800"], Some(1)),
        (&["max-age=60, max-age=x"], Some(0)),
        (&["extension=\"max-age=100\", max-age=1"], Some(1)),
        (&["max-age=1, extension=\"max-age=100\""], Some(1)),
        (&["x-max-age=5, max-ages=5"], None),
        (&["max-age=\"100, no-transform"], Some(0)),
    ];
    for (lines, wanted) in cases {
        assert_eq!(parse(lines).max_age, wanted, "{lines:?}");
    }
}

#[test]
fn each_directive_has_its_place() {
    let all = parse(&[
        "no-store, no-cache, private, public, must-revalidate, proxy-revalidate",
        "must-understand, no-transform, immutable, only-if-cached, max-age=1, s-maxage=2",
        "stale-while-revalidate=3, stale-if-error=4, min-fresh=5, max-stale=6",
    ]);
    let wanted = CacheControl {
        no_store: true,
        no_cache: FieldScope::Whole,
        private: FieldScope::Whole,
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        no_transform: true,
        immutable: true,
        only_if_cached: true,
        max_age: Some(1),
        s_maxage: Some(2),
        stale_while_revalidate: Some(3),
        stale_if_error: Some(4),
        min_fresh: Some(5),
        max_stale: Some(Some(6)),
        malformed: false,
    };
    assert_eq!(all, wanted);
    assert!(parse(&["unknown, other=1"]).is_empty());
}

#[test]
fn no_fault_hides_a_restriction() {
    for text in [
        "no-store",
        "No-StOrE",
        "no-store=1",
        "no-store =x",
        "no-store, max-age=10000",
        "max-age=\"10000, no-store",
        "\", no-store",
        "a=\"b\\\", no-store",
        "private=\"x, no-store",
        "no-store;",
        "no-store; max-age=60",
        "max-age=60; no-store",
        "no-cache; no-store; must-revalidate",
        "private no-store",
        "\"no-store\"",
        "\"no-store, max-age=60\"",
        "{no-store}",
        "no-store; must-understand",
    ] {
        let read = parse(&[text]);
        assert!(read.no_store && !read.must_understand, "{text}");
    }
    assert!(!parse(&["x=\"no-store\""]).no_store);
    assert!(!parse(&["no-store-ever"]).no_store);
}

#[test]
fn what_is_badly_separated_restricts_and_allows_nothing() {
    let cases = [
        ("private; max-age=60", "private, max-age=x"),
        ("private;, max-age=60", "private, max-age=60"),
        ("max-age=60; private", "max-age=x, private"),
        ("no-cache; max-age=0", "no-cache, max-age=0"),
        ("no-cache=\"a\" s-maxage=60", "no-cache, s-maxage=x"),
        ("no-store;must-revalidate", "no-store, must-revalidate"),
        ("public; max-age=60, s-maxage=9", "max-age=x, s-maxage=9"),
        ("immutable; stale-if-error=60", "stale-if-error=0"),
        ("=private", "private"),
        ("x; y", ""),
    ];
    for (text, wanted) in cases {
        let wanted = CacheControl { malformed: true, ..parse(&[wanted]) };
        assert_eq!(parse(&[text]), wanted, "{text}");
    }
    for text in ["", "private", "a=b", "a=\"b; c\"", " ,, no-cache=\"x\" ,"] {
        assert!(!parse(&[text]).malformed, "{text}");
    }
}

#[test]
fn scopes_name_fields_or_the_whole() {
    let cases: [(&[&str], FieldScope); 13] = [
        (&["public"], FieldScope::Absent),
        (&["private"], FieldScope::Whole),
        (&["private=\"Set-Cookie\""], fields(&["set-cookie"])),
        (&["private=set-cookie"], fields(&["set-cookie"])),
        (&["private=\"b , A,,b\""], fields(&["a", "b"])),
        (&["private=\"b\"", "private=\"a\""], fields(&["a", "b"])),
        (&["private=\"a\", private"], FieldScope::Whole),
        (&["private, private=\"a\""], FieldScope::Whole),
        (&["private=\"\""], FieldScope::Whole),
        (&["private="], FieldScope::Whole),
        (&["private=\"a b\""], FieldScope::Whole),
        (&["private =\"a\""], FieldScope::Whole),
        (&["private=\"a"], FieldScope::Whole),
    ];
    for (lines, wanted) in cases {
        assert_eq!(parse(lines).private, wanted, "{lines:?}");
    }
    let many: Vec<String> = (0..=FIELDS_MAX).map(|number| format!("f{number}")).collect();
    let line = format!("no-cache=\"{}\"", many.join(","));
    assert_eq!(parse(&[&line]).no_cache, FieldScope::Whole);
}

#[test]
fn request_directives_err_towards_freshness() {
    let cases = [
        ("max-stale", Some(None)),
        ("max-stale=10", Some(Some(10))),
        ("max-stale=x", Some(Some(0))),
        ("max-stale, max-stale=10", Some(Some(10))),
        ("max-stale=10, max-stale", Some(Some(10))),
        ("max-stale=10, max-stale=5", Some(Some(5))),
        ("min-fresh=10", None),
    ];
    for (text, wanted) in cases {
        assert_eq!(parse(&[text]).max_stale, wanted, "{text}");
    }
    assert_eq!(parse(&["min-fresh=5, min-fresh=10"]).min_fresh, Some(10));
    assert_eq!(parse(&["min-fresh=x"]).min_fresh, None);
}

/// Writes directives so that reading them gives the same again.
fn write(directives: &CacheControl) -> String {
    let mut parts = Vec::new();
    let switches = [
        (directives.no_store, "no-store"),
        (directives.public, "public"),
        (directives.must_revalidate, "must-revalidate"),
        (directives.proxy_revalidate, "proxy-revalidate"),
        (directives.must_understand, "must-understand"),
        (directives.no_transform, "no-transform"),
        (directives.immutable, "immutable"),
        (directives.only_if_cached, "only-if-cached"),
    ];
    parts.extend(switches.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()));
    for (scope, name) in [(&directives.no_cache, "no-cache"), (&directives.private, "private")] {
        match scope {
            FieldScope::Absent => {}
            FieldScope::Whole => parts.push(name.to_owned()),
            FieldScope::Fields(fields) => parts.push(format!("{name}=\"{}\"", fields.join(", "))),
        }
    }
    let seconds = [
        (directives.max_age, "max-age"),
        (directives.s_maxage, "s-maxage"),
        (directives.stale_while_revalidate, "stale-while-revalidate"),
        (directives.stale_if_error, "stale-if-error"),
        (directives.min_fresh, "min-fresh"),
        (directives.max_stale.flatten(), "max-stale"),
    ];
    for (value, name) in seconds {
        parts.extend(value.map(|value| format!("{name}={value}")));
    }
    if directives.max_stale == Some(None) {
        parts.push("max-stale".to_owned());
    }
    if directives.malformed {
        parts.push(";".to_owned());
    }
    parts.join(", ")
}

/// Lines of words that mean something, in orders that may not.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "no-store",
        "No-Cache",
        "private",
        "public",
        "max-age",
        "s-maxage",
        "max-stale",
        "min-fresh",
        "stale-if-error",
        "stale-while-revalidate",
        "must-revalidate",
        "x",
        "",
    ]);
    let argument = prop::sample::select(vec![
        "",
        "=",
        "=1",
        "=\"2\"",
        "=99999999999",
        "=x",
        "=\"a, b\"",
        "=\"a",
        " = 3",
        "=\"\\\"",
        "; private",
    ]);
    let directive = (name, argument).prop_map(|(name, argument)| format!("{name}{argument}"));
    prop::collection::vec(directive, 0..8).prop_map(|parts| parts.join(", "))
}

proptest! {
    #[test]
    fn any_bytes_are_survived(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = CacheControl::parse([value.as_slice()]);
    }

    #[test]
    fn what_is_written_is_read_back(lines in prop::collection::vec(line(), 0..4)) {
        let read = CacheControl::parse(lines.iter().map(|line| line.as_bytes()));
        prop_assert_eq!(&parse(&[&write(&read)]), &read);
    }

    #[test]
    fn the_order_of_lines_is_of_no_account(one in line(), other in line()) {
        prop_assert_eq!(parse(&[&one, &other]), parse(&[&other, &one]));
    }
}
