//! Tables of what is stored and what is refused. The response comes at [`NOW`].

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(784_111_777);

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

/// Fields by lower-case name.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn decide(request: RequestFacts, status: u16, fields: Fields<'_>) -> Option<NoStore> {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let response = ResponseFacts::read(status, fields);
    match storage(&request, &response, &FreshnessPolicy::default(), NOW, NOW) {
        Storage::Store(_) => None,
        Storage::Refuse(why) => Some(why),
    }
}

#[test]
fn responses_to_a_plain_get() {
    use NoStore as No;
    let cc = |value| ("cache-control", value);
    let etag = ("etag", "\"x\"");
    let modified = ("last-modified", "Sun, 06 Nov 1994 08:00:00 GMT");
    let cookie = ("set-cookie", "a=b");
    let cases: [(u16, Fields<'_>, Option<No>); 28] = [
        (200, &[cc("max-age=60")], None),
        (200, &[], Some(No::NoFreshness)),
        (200, &[etag], None),
        (200, &[modified], None),
        (200, &[cc("max-age=0"), etag], None),
        (200, &[cc("max-age=0")], Some(No::NoFreshness)),
        (200, &[cc("max-age=60"), ("age", "60")], Some(No::NoFreshness)),
        (200, &[cc("max-age=0, stale-while-revalidate=9")], None),
        (200, &[cc("max-age=0, stale-if-error=9")], None),
        (200, &[cc("max-age=0, stale-if-error=9, must-revalidate")], Some(No::NoFreshness)),
        (200, &[cc("no-cache, max-age=60")], Some(No::NoValidator)),
        (200, &[cc("no-cache, max-age=60"), etag], None),
        (200, &[cc("public")], Some(No::NoFreshness)),
        (200, &[("expires", "0")], Some(No::NoFreshness)),
        (200, &[cc("no-store, max-age=60")], Some(No::NoStore)),
        (200, &[cc("private, max-age=60")], Some(No::Private)),
        (200, &[cc("private=\"a\", max-age=60")], Some(No::Private)),
        (200, &[cc("private, s-maxage=60")], Some(No::Private)),
        (200, &[cc("private; max-age=60"), modified], Some(No::Private)),
        (200, &[cc("max-age=60; private"), modified], Some(No::Private)),
        (200, &[cc("no-store; max-age=60"), modified], Some(No::NoStore)),
        (200, &[cc("max-age=60; x"), modified], None),
        (200, &[cc("max-age=60; x")], Some(No::NoFreshness)),
        (200, &[cc("max-age=60"), cookie], Some(No::SetCookie)),
        (200, &[cc("public, max-age=60"), cookie], Some(No::SetCookie)),
        (200, &[cc("max-age=60"), ("vary", "*")], Some(No::VaryStar)),
        (200, &[cc("max-age=60"), ("vary", "accept, *")], Some(No::VaryStar)),
        (200, &[cc("max-age=60"), ("vary", "accept")], None),
    ];
    for (status, fields, wanted) in cases {
        assert_eq!(decide(GET, status, fields), wanted, "{status} {fields:?}");
    }
}

#[test]
fn statuses_of_responses_to_a_plain_get() {
    use NoStore as No;
    let cc = |value| ("cache-control", value);
    let etag = ("etag", "\"x\"");
    let modified = ("last-modified", "Sun, 06 Nov 1994 08:00:00 GMT");
    let part = ("content-range", "bytes 0-1/3");
    let cases: [(u16, Fields<'_>, Option<No>); 25] = [
        (200, &[cc("max-age=60"), part], Some(No::Partial)),
        (200, &[cc("max-age=60"), ("content-range", "bytes 0-1/*")], Some(No::Partial)),
        (200, &[cc("max-age=60"), ("content-range", "bytes 0-1/2")], None),
        (200, &[cc("max-age=60"), ("content-range", "bytes */2")], None),
        (200, &[cc("max-age=60"), ("content-range", "lines 0-1/3")], None),
        (206, &[cc("max-age=60"), part], Some(No::Partial)),
        (304, &[cc("max-age=60")], Some(No::Status)),
        (100, &[cc("max-age=60")], Some(No::Status)),
        (700, &[cc("max-age=60")], Some(No::Status)),
        (599, &[cc("max-age=60")], None),
        (500, &[cc("max-age=60")], None),
        (500, &[etag], Some(No::NoFreshness)),
        (302, &[], Some(No::NoFreshness)),
        (302, &[cc("max-age=60")], None),
        (302, &[modified], Some(No::NoFreshness)),
        (404, &[etag], Some(No::NoFreshness)),
        (404, &[modified], None),
        (412, &[cc("max-age=60")], Some(No::Status)),
        (416, &[cc("max-age=60")], Some(No::Status)),
        (200, &[cc("must-understand, no-store, max-age=60")], None),
        (299, &[cc("must-understand, no-store, max-age=60")], Some(No::NotUnderstood)),
        (299, &[cc("must-understand, max-age=60")], Some(No::NotUnderstood)),
        (299, &[cc("no-store, max-age=60")], Some(No::NoStore)),
        (200, &[("cdn-cache-control", "max-age=60"), cc("no-store")], None),
        (200, &[("cdn-cache-control", "no-store"), cc("max-age=60")], Some(No::NoStore)),
    ];
    for (status, fields, wanted) in cases {
        assert_eq!(decide(GET, status, fields), wanted, "{status} {fields:?}");
    }
}

fn asked(value: &str) -> Option<RequestDirectives> {
    RequestDirectives::read([value.as_bytes()].into_iter(), [].into_iter())
}

#[test]
fn an_odd_request_makes_but_successes_for_others() {
    let fresh = [("cache-control", "public, max-age=60")];
    for status in [200, 301, 400, 403, 404, 405, 414, 431, 500, 501, 503] {
        let wanted = (status != 200).then_some(NoStore::Provoked);
        assert_eq!(decide(RequestFacts { odd: true, ..GET }, status, &fresh), wanted, "{status}");
        assert_eq!(decide(GET, status, &fresh), None, "{status}");
    }
}

#[test]
fn cookies_are_shared_where_the_site_says_so() {
    let fields = [("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    let read = || fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    for (set_cookie, stored) in
        [(SetCookie::Pass, false), (SetCookie::Remove, true), (SetCookie::Store, true)]
    {
        let policy = FreshnessPolicy { set_cookie, ..FreshnessPolicy::default() };
        let found = storage(&GET, &ResponseFacts::read(200, read()), &policy, NOW, NOW);
        assert_eq!(matches!(found, Storage::Store(_)), stored, "{set_cookie:?}");
    }
}

#[test]
fn requests_that_forbid() {
    use NoStore as No;
    let fresh = [("cache-control", "max-age=60")];
    let cases = [
        (RequestFacts { method: Method::Head, ..GET }, Some(No::Method)),
        (RequestFacts { method: Method::Post, ..GET }, Some(No::Method)),
        (RequestFacts { method: Method::Other, ..GET }, Some(No::Method)),
        (RequestFacts { body: true, ..GET }, Some(No::RequestBody)),
        (RequestFacts { ambiguous: true, ..GET }, Some(No::AmbiguousKey)),
        (RequestFacts { directives: asked("no-store"), ..GET }, Some(No::RequestNoStore)),
        (RequestFacts { directives: asked("no-cache, only-if-cached"), ..GET }, None),
        (RequestFacts { odd: true, ..GET }, None),
        (RequestFacts { authorization: true, ..GET }, Some(No::Authorization)),
        (RequestFacts { range: true, ..GET }, None),
    ];
    for (request, wanted) in cases {
        assert_eq!(decide(request, 200, &fresh), wanted, "{request:?}");
    }
}

#[test]
fn authorization_needs_leave_to_share() {
    let request = RequestFacts { authorization: true, ..GET };
    let cases = [
        ("max-age=60", false),
        ("max-age=60, proxy-revalidate", false),
        ("max-age=60, no-cache", false),
        ("max-age=60, public", true),
        ("max-age=60, must-revalidate", true),
        ("max-age=60, must-revalidate, x; y", false),
        ("s-maxage=60", true),
    ];
    for (value, stored) in cases {
        let found = decide(request, 200, &[("cache-control", value)]);
        assert_eq!(found.is_none(), stored, "{value}");
    }
}

#[test]
fn the_site_may_store_what_the_origin_leaves_open() {
    use super::super::freshness::StatusMatch;
    let policy = FreshnessPolicy {
        default: 5,
        negative: vec![
            (StatusMatch::Exact(429), 1),
            (StatusMatch::Class(4), 1),
            (StatusMatch::Class(5), 1),
        ],
        ..FreshnessPolicy::default()
    };
    let cases = [
        (200, true),
        (301, true),
        (302, false),
        (404, true),
        (400, false),
        (431, false),
        (429, true),
        (403, false),
        (405, false),
        (501, false),
        (503, true),
    ];
    for (status, stored) in cases {
        let response = ResponseFacts { status, ..ResponseFacts::default() };
        let found = storage(&GET, &response, &policy, NOW, NOW);
        assert_eq!(matches!(found, Storage::Store(_)), stored, "{status}");
    }
}

#[test]
fn unsafe_methods_that_succeed_invalidate() {
    let cases = [
        (Method::Post, 200, true),
        (Method::Put, 204, true),
        (Method::Delete, 302, true),
        (Method::Patch, 201, true),
        (Method::Other, 200, true),
        (Method::Post, 404, false),
        (Method::Post, 500, false),
        (Method::Get, 200, false),
        (Method::Head, 200, false),
        (Method::Options, 200, false),
        (Method::Trace, 200, false),
    ];
    for (method, status, wanted) in cases {
        assert_eq!(invalidates(method, status), wanted, "{method:?} {status}");
    }
}

#[test]
fn methods_are_read_exactly() {
    let cases = [
        ("GET", Method::Get),
        ("get", Method::Other),
        ("HEAD", Method::Head),
        ("DELETE", Method::Delete),
        ("PURGE", Method::Other),
        ("", Method::Other),
    ];
    for (name, wanted) in cases {
        assert_eq!(Method::from_bytes(name.as_bytes()), wanted, "{name}");
    }
}

proptest! {
    /// Whoever writes the word has meant it, whatever stands around it.
    #[test]
    fn what_restricts_does_so_however_it_is_separated(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "no-store", "Private", "no-cache", "public", "max-age=60", "s-maxage=9", "x", "y=1",
            ]),
            1..6,
        ),
        between in prop::collection::vec(
            prop::sample::select(vec![
                ",", ";", " ", "\t", "; ", ", ", ";,", "/", ":", "\"", "\" ", "{", "\u{a0}",
            ]),
            6,
        ),
    ) {
        let text: String = words.iter().zip(&between).flat_map(|(word, by)| [*word, *by]).collect();
        let modified = ("last-modified", "Sun, 06 Nov 1983 08:00:00 GMT");
        let fields = [("cache-control", text.as_str()), modified];
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let response = ResponseFacts::read(200, fields);
        let storage = storage(&GET, &response, &FreshnessPolicy::default(), NOW, NOW);
        let says = |word| words.contains(&word);
        if says("no-store") || says("Private") {
            prop_assert!(matches!(storage, Storage::Refuse(_)), "{text:?}");
        } else if let Storage::Store(freshness) = storage {
            let least = match (says("max-age=60"), says("s-maxage=9")) {
                (_, true) => 9,
                (true, false) => 60,
                (false, false) => u32::MAX,
            };
            prop_assert!(freshness.lifetime <= least, "{text:?}");
            prop_assert!(
                !says("no-cache") || freshness.flags.has(FreshnessFlags::NO_CACHE),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_not_to_be_stored_never_is(
        status in 0u16..700,
        value in "(no-store|private|max-age=9|public|s-maxage=9|must-revalidate|, ){0,6}",
        cookie in any::<bool>(),
        authorization in any::<bool>(),
    ) {
        let mut fields = vec![("cache-control", value.as_str()), ("etag", "\"x\"")];
        if cookie {
            fields.push(("set-cookie", "a=b"));
        }
        let facts = super::super::cache_control::CacheControl::parse([value.as_bytes()]);
        if decide(RequestFacts { authorization, ..GET }, status, &fields).is_none() {
            prop_assert!(!facts.no_store && !facts.private.is_present() && !cookie);
            prop_assert!((200..600).contains(&status) && status != 206 && status != 304);
            prop_assert!(
                !authorization || facts.public || facts.must_revalidate
                    || facts.s_maxage.is_some()
            );
        }
    }
}
