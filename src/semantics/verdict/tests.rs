//! The decision table, and the properties that hold for every input.

use std::time::Duration;

use proptest::prelude::*;

use super::super::cacheability::{Storage, storage};
use super::super::directives::RequestDirectives;
use super::super::freshness::{FreshnessPolicy, ResponseFacts};
use super::*;

const BORN: Timestamp = Timestamp::from_seconds(1_000_000);

const GET: RequestFacts = RequestFacts {
    method: Method::Get,
    authorization: false,
    body: false,
    ambiguous: false,
    range: false,
    directives: None,
    upgrade: false,
    odd: false,
};

/// Fresh for 10 s, then 5 s of stale-while-revalidate and 20 s of stale-if-error.
const STORED: StoredFacts = StoredFacts {
    freshness: Freshness {
        born: BORN,
        lifetime: 10,
        stale_while_revalidate: 5,
        stale_if_error: 20,
        flags: FreshnessFlags::EXPLICIT,
    },
    validator: true,
    strong_validator: true,
    purged: PurgeState::Clean,
};

fn flagged(flag: FreshnessFlags) -> StoredFacts {
    StoredFacts { freshness: Freshness { flags: flag, ..STORED.freshness }, ..STORED }
}

fn purged(purged: PurgeState) -> StoredFacts {
    StoredFacts { purged, ..STORED }
}

fn bare(stored: StoredFacts) -> StoredFacts {
    StoredFacts { validator: false, strong_validator: false, ..stored }
}

fn after(seconds: u64) -> Timestamp {
    BORN.plus(Duration::from_secs(seconds))
}

#[test]
fn a_get_by_what_is_stored() {
    use Verdict::*;
    let must = flagged(FreshnessFlags::MUST_REVALIDATE);
    let no_cache = flagged(FreshnessFlags::NO_CACHE);
    let weak = StoredFacts { strong_validator: false, ..purged(PurgeState::Possibly) };
    let cases = [
        (None, 0, Fetch(Reason::Miss)),
        (Some(STORED), 0, Serve(Reason::Fresh)),
        (Some(STORED), 9, Serve(Reason::Fresh)),
        (Some(STORED), 10, ServeAndRefresh(Reason::StaleWhileRevalidate)),
        (Some(STORED), 14, ServeAndRefresh(Reason::StaleWhileRevalidate)),
        (Some(STORED), 15, Revalidate(Reason::Stale)),
        (Some(bare(STORED)), 15, Fetch(Reason::Stale)),
        (Some(must), 9, Serve(Reason::Fresh)),
        (Some(must), 10, Revalidate(Reason::Stale)),
        (Some(bare(must)), 10, Fetch(Reason::Stale)),
        (Some(no_cache), 0, Revalidate(Reason::NoCache)),
        (Some(bare(no_cache)), 0, Fetch(Reason::NoCache)),
        (Some(purged(PurgeState::Soft)), 0, ServeAndRefresh(Reason::SoftPurged)),
        (Some(purged(PurgeState::Soft)), 15, Revalidate(Reason::SoftPurged)),
        (Some(purged(PurgeState::Hard)), 0, Fetch(Reason::HardPurged)),
        (Some(purged(PurgeState::Possibly)), 0, Revalidate(Reason::PossiblyPurged)),
        (Some(weak), 0, Fetch(Reason::PossiblyPurged)),
    ];
    for (stored, age, wanted) in cases {
        assert_eq!(verdict(&GET, stored.as_ref(), after(age)), wanted, "{stored:?} {age}");
    }
}

#[test]
fn other_requests() {
    use Verdict::*;
    let head = RequestFacts { method: Method::Head, ..GET };
    let post = RequestFacts { method: Method::Post, ..GET };
    let fat = RequestFacts { body: true, ..GET };
    let leaving = RequestFacts { upgrade: true, ..asking("only-if-cached") };
    let ambiguous = RequestFacts { ambiguous: true, ..GET };
    let only = asking("only-if-cached");
    let cases = [
        (head, Some(STORED), 0, Serve(Reason::Fresh)),
        (head, Some(STORED), 15, Revalidate(Reason::Stale)),
        (head, Some(bare(STORED)), 15, Pass(Reason::Stale)),
        (head, Some(purged(PurgeState::Hard)), 0, Pass(Reason::HardPurged)),
        (head, None, 0, Pass(Reason::Miss)),
        (post, Some(STORED), 0, Pass(Reason::Method)),
        (post, None, 0, Pass(Reason::Method)),
        (fat, Some(STORED), 0, Pass(Reason::RequestBody)),
        (leaving, Some(STORED), 0, Pass(Reason::Upgrade)),
        (leaving, None, 0, Pass(Reason::Upgrade)),
        (ambiguous, Some(STORED), 0, Pass(Reason::AmbiguousKey)),
        (ambiguous, None, 0, Pass(Reason::AmbiguousKey)),
        (only, Some(STORED), 0, Serve(Reason::Fresh)),
        (only, Some(STORED), 10, ServeAndRefresh(Reason::StaleWhileRevalidate)),
        (only, Some(STORED), 15, Refuse(Reason::OnlyIfCached)),
        (only, None, 0, Refuse(Reason::OnlyIfCached)),
    ];
    for (request, stored, age, wanted) in cases {
        let found = verdict(&request, stored.as_ref(), after(age));
        assert_eq!(found, wanted, "{request:?} {stored:?} {age}");
    }
}

fn asking(cache_control: &str) -> RequestFacts {
    let lines = [cache_control.as_bytes()].into_iter();
    RequestFacts { directives: RequestDirectives::read(lines, [].into_iter()), ..GET }
}

#[test]
fn what_a_request_asks_of_caches_is_done() {
    use Verdict::*;
    let must = flagged(FreshnessFlags::MUST_REVALIDATE);
    let immutable = flagged(FreshnessFlags::IMMUTABLE);
    let (soft, hard) = (purged(PurgeState::Soft), purged(PurgeState::Hard));
    let no_swr = StoredFacts {
        freshness: Freshness { stale_while_revalidate: 0, ..STORED.freshness },
        ..STORED
    };
    let fresher = Revalidate(Reason::RequestDirective);
    let cases = [
        ("no-cache", Some(STORED), 0, fresher),
        ("no-cache", Some(bare(STORED)), 0, Fetch(Reason::RequestDirective)),
        ("no-cache", Some(STORED), 12, Revalidate(Reason::Stale)),
        ("no-cache", None, 0, Fetch(Reason::Miss)),
        ("max-age=3", Some(STORED), 3, Serve(Reason::Fresh)),
        ("max-age=3", Some(STORED), 4, fresher),
        ("max-age=99", Some(STORED), 12, Revalidate(Reason::Stale)),
        ("max-age=0", Some(immutable), 9, Serve(Reason::Fresh)),
        ("max-age=0", Some(immutable), 12, Revalidate(Reason::Stale)),
        ("no-cache", Some(immutable), 0, fresher),
        ("max-age=0, no-cache", Some(immutable), 0, fresher),
        ("max-age=0, min-fresh=3", Some(immutable), 8, fresher),
        ("min-fresh=3", Some(STORED), 7, Serve(Reason::Fresh)),
        ("min-fresh=3", Some(STORED), 8, fresher),
        ("max-stale", Some(no_swr), 99, Serve(Reason::MaxStale)),
        ("max-stale=3", Some(no_swr), 13, Serve(Reason::MaxStale)),
        ("max-stale=3", Some(no_swr), 14, Revalidate(Reason::Stale)),
        ("max-stale=3", Some(STORED), 14, ServeAndRefresh(Reason::StaleWhileRevalidate)),
        ("max-stale", Some(must), 10, Revalidate(Reason::Stale)),
        ("max-stale", Some(flagged(FreshnessFlags::NO_CACHE)), 0, Revalidate(Reason::NoCache)),
        ("max-stale", Some(soft), 15, Revalidate(Reason::SoftPurged)),
        ("max-stale", Some(hard), 0, Fetch(Reason::HardPurged)),
        ("no-store", Some(STORED), 0, Serve(Reason::Fresh)),
        ("no-store", Some(STORED), 15, Pass(Reason::RequestNoStore)),
        ("no-store", None, 0, Pass(Reason::RequestNoStore)),
        ("only-if-cached, no-cache", Some(STORED), 0, Refuse(Reason::OnlyIfCached)),
        ("only-if-cached, max-stale", Some(no_swr), 99, Serve(Reason::MaxStale)),
    ];
    for (asked, stored, age, wanted) in cases {
        let found = verdict(&asking(asked), stored.as_ref(), after(age));
        assert_eq!(found, wanted, "{asked} {stored:?} {age}");
    }
}

#[test]
fn the_way_forward_is_told() {
    let cases = [
        (Verdict::Serve(Reason::Fresh), None),
        (Verdict::ServeAndRefresh(Reason::StaleWhileRevalidate), None),
        (Verdict::Refuse(Reason::OnlyIfCached), None),
        (Verdict::Fetch(Reason::Miss), Some(Forward::Miss)),
        (Verdict::Fetch(Reason::HardPurged), Some(Forward::Miss)),
        (Verdict::Revalidate(Reason::Stale), Some(Forward::Stale)),
        (Verdict::Revalidate(Reason::NoCache), Some(Forward::Stale)),
        (Verdict::Pass(Reason::Method), Some(Forward::Method)),
        (Verdict::Pass(Reason::RequestBody), Some(Forward::Bypass)),
    ];
    for (verdict, wanted) in cases {
        assert_eq!(verdict.forward(), wanted, "{verdict:?}");
    }
}

#[test]
fn failures_upstream() {
    use Failure::*;
    let soft = purged(PurgeState::Soft);
    let cases = [
        (None, Unreachable, 0, false),
        (Some(STORED), Unreachable, 29, true),
        (Some(STORED), Timeout, 29, true),
        (Some(STORED), Unreachable, 30, false),
        (Some(STORED), Status(500), 20, true),
        (Some(STORED), Status(502), 20, true),
        (Some(STORED), Status(503), 20, true),
        (Some(STORED), Status(504), 20, true),
        (Some(STORED), Status(501), 20, false),
        (Some(STORED), Status(404), 20, false),
        (Some(STORED), Status(200), 20, false),
        (Some(soft), Unreachable, 0, true),
        (Some(purged(PurgeState::Hard)), Unreachable, 0, false),
        (Some(purged(PurgeState::Possibly)), Unreachable, 0, false),
        (Some(flagged(FreshnessFlags::MUST_REVALIDATE)), Unreachable, 20, false),
        (Some(flagged(FreshnessFlags::NO_CACHE)), Unreachable, 0, false),
    ];
    for (stored, failure, age, stale) in cases {
        let wanted = if stale { OnFailure::ServeStale } else { OnFailure::Fail };
        let found = on_failure(stored.as_ref(), failure, after(age));
        assert_eq!(found, wanted, "{stored:?} {failure:?} {age}");
    }
}

fn any_stored() -> impl Strategy<Value = StoredFacts> {
    let purged = prop::sample::select(vec![
        PurgeState::Clean,
        PurgeState::Soft,
        PurgeState::Hard,
        PurgeState::Possibly,
    ]);
    let windows = (0u32..40, 0u32..40, 0u32..40, 0u8..32, 0u64..200_000);
    (windows, any::<(bool, bool)>(), purged).prop_map(|(windows, validators, purged)| {
        let (lifetime, while_revalidate, if_error, bits, born) = windows;
        StoredFacts {
            freshness: Freshness {
                born: Timestamp::from_millis(born),
                lifetime,
                stale_while_revalidate: while_revalidate,
                stale_if_error: if_error,
                flags: FreshnessFlags::from_bits(bits),
            },
            validator: validators.0,
            strong_validator: validators.0 && validators.1,
            purged,
        }
    })
}

fn any_request() -> impl Strategy<Value = RequestFacts> {
    let method = prop::sample::select(vec![Method::Get, Method::Head, Method::Post]);
    (method, any::<[bool; 6]>(), prop::option::of(any_directives())).prop_map(
        |(method, [authorization, body, ambiguous, range, upgrade, odd], directives)| {
            RequestFacts { method, authorization, body, ambiguous, range, directives, upgrade, odd }
        },
    )
}

fn any_directives() -> impl Strategy<Value = RequestDirectives> {
    let seconds = || prop::option::of(0u32..60);
    (any::<[bool; 3]>(), seconds(), seconds(), seconds()).prop_map(
        |([no_store, no_cache, only_if_cached], max_age, min_fresh, max_stale)| RequestDirectives {
            no_store,
            no_cache,
            only_if_cached,
            max_age,
            min_fresh,
            max_stale,
        },
    )
}

/// Whether it may go out without the origin's word, stale or not.
fn is_usable(stored: &StoredFacts, now: Timestamp) -> bool {
    let flags = stored.freshness.flags;
    let fresh = stored.purged == PurgeState::Clean && stored.freshness.is_fresh(now);
    matches!(stored.purged, PurgeState::Clean | PurgeState::Soft)
        && !flags.has(FreshnessFlags::NO_CACHE)
        && (fresh || !flags.has(FreshnessFlags::MUST_REVALIDATE))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_may_not_be_used_never_is(
        request in any_request(),
        stored in prop::option::of(any_stored()),
        now in 0u64..400_000,
    ) {
        let now = Timestamp::from_millis(now);
        let found = verdict(&request, stored.as_ref(), now);
        match found {
            Verdict::Serve(_) => {
                let stored = stored.unwrap();
                let freshness = &stored.freshness;
                let asked = request.directives.unwrap_or_default();
                let accepted = asked.max_stale.is_some_and(|most| freshness.staleness(now) <= most);
                prop_assert!(is_usable(&stored, now) && (freshness.is_fresh(now) || accepted));
                prop_assert!(!asked.no_cache);
                let immutable = freshness.flags.has(FreshnessFlags::IMMUTABLE);
                prop_assert!(
                    asked.max_age.is_none_or(|most| freshness.age(now) <= most)
                        || immutable && freshness.is_fresh(now)
                );
                prop_assert!(request.method != Method::Post && !request.body && !request.upgrade);
                prop_assert!(!request.ambiguous);
            }
            Verdict::ServeAndRefresh(_) => {
                let stored = stored.unwrap();
                prop_assert!(is_usable(&stored, now));
                prop_assert!(
                    stored.freshness.staleness(now) < stored.freshness.stale_while_revalidate
                );
                prop_assert!(request.method != Method::Post && !request.body && !request.upgrade);
                prop_assert!(!request.ambiguous);
            }
            Verdict::Revalidate(_) => {
                let stored = stored.unwrap();
                prop_assert!(stored.validator && stored.purged != PurgeState::Hard);
                prop_assert!(stored.purged != PurgeState::Possibly || stored.strong_validator);
            }
            Verdict::Fetch(_) => prop_assert_eq!(request.method, Method::Get),
            Verdict::Pass(_) => {
                let no_store = request.directives.is_some_and(|asked| asked.no_store);
                let own = request.body || request.upgrade || request.ambiguous || no_store;
                prop_assert!(request.method != Method::Get || own);
            }
            Verdict::Refuse(_) => {
                prop_assert!(request.directives.is_some_and(|asked| asked.only_if_cached));
            }
        }
    }

    /// From the fields of a response to what a request gets, through storing.
    #[test]
    fn what_is_served_was_allowed_to_be_stored(
        status in 200u16..600,
        control in "(no-store|private|no-cache|max-age=[0-9]|public|s-maxage=[0-9]|, ){0,6}",
        age in prop::option::of("-?[0-9]{1,2}"),
        (cookie, etag, authorization, odd) in any::<(bool, bool, bool, bool)>(),
        request in any_request(),
        later in 0u64..12_000,
    ) {
        let mut fields = vec![("cache-control", control.as_str())];
        fields.extend(age.as_deref().map(|age| ("age", age)));
        fields.extend(cookie.then_some(("set-cookie", "a=b")));
        fields.extend(etag.then_some(("etag", "\"1\"")));
        let lines = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let response = ResponseFacts::read(status, lines);
        let asked = RequestFacts { authorization, odd, ..GET };
        let policy = FreshnessPolicy::default();
        let storage = storage(&asked, &response, &policy, BORN, BORN);
        let Storage::Store(freshness) = storage else { return Ok(()) };
        let (validator, strong_validator, purged) = (etag, etag, PurgeState::Clean);
        let stored = StoredFacts { freshness, validator, strong_validator, purged };
        let now = BORN.plus(Duration::from_millis(later));
        if let Verdict::Serve(_) = verdict(&request, Some(&stored), now) {
            let said = &response.cache;
            prop_assert!(!said.no_store && !said.private.is_present() && !cookie);
            prop_assert!(!said.no_cache.is_present() && status != 206 && status != 304);
            prop_assert!(!odd || status < 400);
            prop_assert!(!authorization || said.public || said.s_maxage.is_some());
            // Nothing gave it more time than the origin, and it is no younger than told.
            let lifetime = u64::from(said.s_maxage.or(said.max_age).unwrap_or(0));
            let told = u64::from(response.age.unwrap_or(0));
            let accepted = request.directives.and_then(|asked| asked.max_stale).unwrap_or(0);
            let limit = lifetime + u64::from(accepted).saturating_add(1);
            prop_assert!(told + later / 1000 < limit);
        }
    }

    #[test]
    fn a_failure_revives_nothing(stored in any_stored(), now in 0u64..400_000) {
        let now = Timestamp::from_millis(now);
        if on_failure(Some(&stored), Failure::Unreachable, now) == OnFailure::ServeStale {
            prop_assert!(is_usable(&stored, now));
            prop_assert!(stored.freshness.staleness(now) < stored.freshness.stale_if_error);
        }
    }
}
