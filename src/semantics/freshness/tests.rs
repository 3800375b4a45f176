//! Tables of lifetimes and ages. The response comes at [`NOW`], unless a case says otherwise.

use proptest::prelude::*;

use super::*;
use crate::semantics::time::write_http_date;

/// Sun, 06 Nov 1994 08:49:37 GMT
const NOW: Timestamp = Timestamp::from_seconds(784_111_777);

/// Fields by lower-case name.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn date(offset: i64) -> String {
    let mut out = Vec::new();
    let seconds = NOW.seconds().checked_add_signed(offset).unwrap();
    write_http_date(Timestamp::from_seconds(seconds), &mut out);
    String::from_utf8(out).unwrap()
}

fn read(status: u16, fields: Fields<'_>) -> ResponseFacts {
    ResponseFacts::read(status, fields.iter().map(|(name, value)| (*name, value.as_bytes())))
}

fn judged(status: u16, fields: Fields<'_>) -> Freshness {
    freshness(&read(status, fields), &FreshnessPolicy::default(), NOW, NOW)
}

#[test]
fn it_fits_into_24_bytes() {
    assert!(size_of::<Freshness>() <= 24);
}

#[test]
fn precedence_of_lifetimes() {
    let (now, hour, past) = (date(0), date(3600), date(-3600));
    let now = ("date", now.as_str());
    let hour = ("expires", hour.as_str());
    let past = ("expires", past.as_str());
    let bad = ("expires", "0");
    let cc = |value| ("cache-control", value);
    let cdn = |value| ("cdn-cache-control", value);
    let own = |value| ("headland-cdn-cache-control", value);
    let cases: [(Fields<'_>, u32); 21] = [
        (&[], 0),
        (&[cc("max-age=60")], 60),
        (&[cc("max-age=60, s-maxage=10")], 10),
        (&[cc("s-maxage=60"), cc("max-age=1")], 60),
        (&[cc("max-age=60"), past, now], 60),
        (&[cc("max-age=60"), bad, now], 60),
        (&[cc("max-age=0"), hour, now], 0),
        (&[hour, now], 3600),
        (&[past, now], 0),
        (&[bad, now], 0),
        (&[hour], 3600),
        (&[hour, ("date", "foo")], 3600),
        (&[hour, past, now], 0),
        (&[hour, bad, now], 0),
        (&[cdn("max-age=5"), cc("s-maxage=60"), hour], 5),
        (&[cdn("no-transform"), cc("s-maxage=60"), hour], 0),
        (&[cdn(""), cc("max-age=60")], 60),
        (&[own("max-age=7"), cdn("max-age=5")], 7),
        (&[cdn("max-age=5"), own("unknown")], 0),
        (&[cdn("max-age=5"), own("max-age=\"7\"")], 5),
        (&[cdn("max-age=5, &&&"), cc("max-age=60")], 60),
    ];
    for (fields, wanted) in cases {
        let found = judged(200, fields);
        assert_eq!(found.lifetime, wanted, "{fields:?}");
    }
}

#[test]
fn guesses_are_a_tenth_and_a_day_at_most() {
    let (now, old, older) = (date(0), date(-1000), date(-10_000_000));
    let later = date(1000);
    fn modified(value: &str) -> (&str, &str) {
        ("last-modified", value)
    }
    let cases: [(u16, Fields<'_>, u32); 17] = [
        (200, &[("date", &now), modified(&old)], 100),
        (200, &[modified(&old)], 100),
        (200, &[modified(&older)], 86_400),
        (200, &[modified(&later)], 0),
        (200, &[modified("yesterday")], 0),
        (404, &[modified(&old)], 100),
        (501, &[modified(&old)], 100),
        (302, &[modified(&old)], 0),
        (500, &[modified(&old)], 0),
        (599, &[modified(&old)], 0),
        (302, &[modified(&old), ("cache-control", "public")], 100),
        (200, &[modified(&old), ("cache-control", "max-age=0")], 0),
        (200, &[modified(&old), ("cache-control", "x=1")], 100),
        (200, &[modified(&old), ("cache-control", "x=1; y")], 0),
        (200, &[modified(&old), ("pragma", "no-cache;")], 0),
        (200, &[modified(&old), ("pragma", "no-cache")], 0),
        (200, &[modified(&old), ("pragma", "no-cache"), ("cache-control", "public")], 100),
    ];
    for (status, fields, wanted) in cases {
        let found = judged(status, fields);
        assert_eq!(found.lifetime, wanted, "{status} {fields:?}");
        assert!(wanted == 0 || found.flags.has(FreshnessFlags::HEURISTIC));
    }
}

#[test]
fn the_site_fills_what_the_origin_leaves_open() {
    let policy = FreshnessPolicy {
        default: 50,
        negative: vec![
            (StatusMatch::Exact(404), 10),
            (StatusMatch::Class(5), 1),
            (StatusMatch::Exact(503), 99),
        ],
        stale_while_revalidate: 7,
        stale_if_error: 8,
        ..FreshnessPolicy::default()
    };
    let old = date(-1000);
    let cases: [(u16, Fields<'_>, u32); 9] = [
        (200, &[], 50),
        (200, &[("last-modified", &old)], 50),
        (200, &[("cache-control", "max-age=3")], 3),
        (200, &[("pragma", "no-cache")], 0),
        (302, &[], 0),
        (404, &[], 10),
        (404, &[("cache-control", "max-age=3")], 3),
        (410, &[], 0),
        (503, &[], 1),
    ];
    for (status, fields, wanted) in cases {
        let found = freshness(&read(status, fields), &policy, NOW, NOW);
        assert_eq!(found.lifetime, wanted, "{status} {fields:?}");
        assert_eq!((found.stale_while_revalidate, found.stale_if_error), (7, 8));
    }
    let own = [("cache-control", "max-age=3, stale-while-revalidate=0, stale-if-error=x")];
    let found = freshness(&read(200, &own), &policy, NOW, NOW);
    assert_eq!((found.stale_while_revalidate, found.stale_if_error), (0, 0));
}

#[test]
fn flags_bind_what_is_stale() {
    let cases: [(&str, bool, bool); 7] = [
        ("max-age=1", false, false),
        ("max-age=1, must-revalidate", true, false),
        ("max-age=1, proxy-revalidate", true, false),
        ("s-maxage=1", true, false),
        ("max-age=1, no-cache", false, true),
        ("no-cache=\"set-cookie\"", false, true),
        ("no-cache, must-revalidate", true, true),
    ];
    let immutable =
        |value| judged(200, &[("cache-control", value)]).flags.has(FreshnessFlags::IMMUTABLE);
    assert!(immutable("max-age=1, immutable") && !immutable("max-age=1"));
    for (value, must_revalidate, no_cache) in cases {
        let flags = judged(200, &[("cache-control", value)]).flags;
        assert_eq!(flags.has(FreshnessFlags::MUST_REVALIDATE), must_revalidate, "{value}");
        assert_eq!(flags.has(FreshnessFlags::NO_CACHE), no_cache, "{value}");
        assert_eq!(FreshnessFlags::from_bits(flags.bits()), flags);
    }
}

#[test]
fn windows_beside_s_maxage_are_the_origins_alone() {
    let policy = FreshnessPolicy {
        stale_while_revalidate: 7,
        stale_if_error: 8,
        ..FreshnessPolicy::default()
    };
    // RFC 9111 section 5.2.2.10 and RFC 5861: value, windows, never stale.
    let cases: [(&str, (u32, u32), bool); 5] = [
        ("max-age=1", (7, 8), false),
        ("s-maxage=1", (0, 0), true),
        ("s-maxage=1, stale-while-revalidate=5", (5, 0), false),
        ("s-maxage=1, stale-if-error=6", (0, 6), false),
        ("s-maxage=1, stale-if-error=6, proxy-revalidate", (0, 6), true),
    ];
    for (value, windows, never) in cases {
        let fields = [("cache-control", value)];
        let found = freshness(&read(200, &fields), &policy, NOW, NOW);
        let told = (found.stale_while_revalidate, found.stale_if_error);
        assert_eq!(told, windows, "{value}");
        assert_eq!(found.flags.has(FreshnessFlags::MUST_REVALIDATE), never, "{value}");
    }
}

#[test]
fn age_at_receipt() {
    let (slow, fast) = (date(-20), date(20));
    let cases: [(Fields<'_>, u64, u32); 13] = [
        (&[], 0, 0),
        (&[("age", "15")], 0, 15),
        (&[("age", "15")], 3, 18),
        (&[("date", &slow)], 0, 20),
        (&[("date", &slow)], 3, 20),
        (&[("date", &slow), ("age", "15")], 0, 20),
        (&[("date", &slow), ("age", "25")], 0, 25),
        (&[("date", &fast), ("age", "15")], 0, 15),
        (&[("age", "7200, 0")], 0, 7200),
        (&[("age", "7"), ("age", "9")], 0, 7),
        (&[("age", "-7"), ("age", "9")], 0, 0),
        (&[("age", "7.5")], 0, 0),
        (&[("date", "never"), ("age", "")], 0, 0),
    ];
    for (fields, delay, wanted) in cases {
        let asked = NOW.minus(Duration::from_secs(delay));
        let found = freshness(&read(200, fields), &FreshnessPolicy::default(), asked, NOW);
        assert_eq!(found.age(NOW), wanted, "{fields:?}");
        assert_eq!(found.age(NOW.plus(Duration::from_secs(5))), wanted + 5);
        assert_eq!(found.age(Timestamp::from_millis(0)), 0);
    }
}

/// RFC 9111 section 1.2.2.
#[test]
fn an_age_that_leads_out_of_the_clock_is_the_greatest() {
    let clock = NOW.seconds().to_string();
    for (age, lifetime) in
        [("2147483648", "2147483647"), ("99999999999", "99999999999"), (&*clock, "2147483647")]
    {
        let control = format!("max-age={lifetime}");
        let found = judged(200, &[("cache-control", &control), ("age", age)]);
        assert_eq!((found.age(NOW), found.is_fresh(NOW)), (u32::MAX, false), "{age}");
    }
}

#[test]
fn fresh_until_the_age_reaches_the_lifetime() {
    let found = judged(200, &[("cache-control", "max-age=10"), ("age", "4")]);
    let cases = [(0, 6, true, 0), (5999, 1, true, 0), (6000, 0, false, 0), (9000, -3, false, 3)];
    for (millis, left, fresh, staleness) in cases {
        let now = NOW.plus(Duration::from_millis(millis));
        assert_eq!(found.left(now), left);
        assert_eq!(found.is_fresh(now), fresh);
        assert_eq!(found.staleness(now), staleness);
    }
}

#[test]
fn other_fields_are_read_too() {
    let facts = read(
        206,
        &[
            ("etag", " W/\"x\""),
            ("vary", "accept, *"),
            ("set-cookie", "a=b"),
            ("content-range", "bytes 0-1/3"),
            ("pragma", "foo, No-Cache"),
        ],
    );
    assert!(facts.has_etag && !facts.has_strong_etag && facts.has_validator());
    assert!(facts.vary.is_star() && facts.set_cookie && facts.is_part);
    assert!(facts.pragma_no_cache);
    assert!(read(200, &[("etag", "\"x\"")]).has_strong_etag);
    assert!(!read(200, &[("etag", "x")]).has_validator());
    assert!(!read(200, &[("etag", "\"")]).has_validator());
}

proptest! {
    #[test]
    fn ages_only_grow(
        age in any::<u32>(),
        asked in any::<u64>(),
        // Clocks within the reach of an age, and any others.
        came in prop_oneof![0..u64::from(u32::MAX) * 1000, any::<u64>()],
        now in any::<u64>(),
        later in any::<u64>(),
        lifetime in any::<u32>(),
    ) {
        let facts = ResponseFacts {
            status: 200,
            age: Some(age),
            cache: CacheControl { max_age: Some(lifetime), ..CacheControl::default() },
            ..ResponseFacts::default()
        };
        let [asked, came] = [asked, came].map(Timestamp::from_millis);
        let found = freshness(&facts, &FreshnessPolicy::default(), asked, came);
        let (now, later) = (now.min(later), now.max(later));
        let [now, later] = [now, later].map(Timestamp::from_millis);
        prop_assert!(found.age(now) <= found.age(later));
        prop_assert!(found.age(came) >= age);
        prop_assert!(!found.is_fresh(later) || found.is_fresh(now));
        prop_assert_eq!(found.is_fresh(now), found.left(now) > 0);
    }
}
