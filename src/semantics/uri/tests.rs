//! Tables of paths, queries and hosts, and what holds for all of them.

use proptest::prelude::*;

use super::*;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

/// A query without the parameters that are ignored.
fn normal<'q>(query: &'q str, ignore: &[Pattern], sort: bool) -> Cow<'q, str> {
    normalize_query(query, |name| !ignore.iter().any(|pattern| pattern.matches(name)), sort)
}

#[test]
fn paths() {
    let cases = [
        ("", "/"),
        ("/", "/"),
        ("*", "*"),
        ("foo/./bar", "foo/./bar"),
        ("/a/b", "/a/b"),
        ("/a//b/", "/a//b/"),
        ("/%7Euser", "/~user"),
        ("/%7euser/%41%62", "/~user/Ab"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%c3%a4", "/a%C3%A4"),
        ("/a%20b%3F", "/a%20b%3F"),
        ("/./a", "/a"),
        ("/a/.", "/a/"),
        ("/a/./", "/a/"),
        ("/a/..", "/"),
        ("/a/../b", "/b"),
        ("/a/b/../../c", "/c"),
        ("/../../a", "/a"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/..%2Fb", "/a/..%2Fb"),
        ("/a/...", "/a/..."),
        ("/a/.b", "/a/.b"),
        ("/a//../b", "/a/b"),
        ("/..", "/"),
        ("/%zz/%41", "/%zz/%41"),
        ("/%%34%31", "/%%34%31"),
        ("/100%", "/100%"),
        ("/a%4", "/a%4"),
        ("/%25%34%31", "/%2541"),
        ("/\u{e4}", "/%C3%A4"),
        ("/%c3%a4", "/%C3%A4"),
        ("/\u{e4}%", "/%C3%A4%"),
        ("/\u{e4}/../%7e", "/~"),
    ];
    for (path, wanted) in cases {
        let found = normalize_path(path);
        assert_eq!(found, wanted, "{path}");
        let borrowed = matches!(found, Cow::Borrowed(_));
        assert!(borrowed || path != wanted, "{path} is normal and was copied");
    }
}

#[test]
fn queries() {
    let tracking = ["utm_*", "fbclid"];
    let cases: [(&str, &[&str], bool, &str); 16] = [
        ("", &[], true, ""),
        ("b=1&a=2", &[], false, "b=1&a=2"),
        ("b=1&a=2", &[], true, "a=2&b=1"),
        ("a=2&b=1", &[], true, "a=2&b=1"),
        ("a=2&a=1", &[], true, "a=2&a=1"),
        ("b&a=2&b=0&a=1", &[], true, "a=2&a=1&b&b=0"),
        ("a=1&ab=2&a-=3", &[], true, "a=1&a-=3&ab=2"),
        ("utm_source=x&a=1&fbclid=y", &tracking, false, "a=1"),
        ("utm_source=x", &tracking, false, ""),
        ("a=1&utm_=x&utm", &tracking, false, "a=1&utm"),
        ("a=utm_source", &tracking, false, "a=utm_source"),
        ("UTM_source=x", &tracking, false, "UTM_source=x"),
        ("z=1&utm_x=2&a=3", &tracking, true, "a=3&z=1"),
        ("a=1", &["*"], false, ""),
        ("a=1&&b", &[], false, "a=1&&b"),
        ("a=1=2&b", &["a"], false, "b"),
    ];
    for (query, ignore, sort, wanted) in cases {
        let found = normal(query, &patterns(ignore), sort);
        assert_eq!(found, wanted, "{query}");
        let borrowed = matches!(found, Cow::Borrowed(_));
        assert!(borrowed || query != wanted, "{query} is normal and was copied");
    }
}

#[test]
fn hosts() {
    let cases = [
        ("example.com", Some("example.com")),
        ("Example.COM", Some("example.com")),
        ("example.com.", Some("example.com")),
        ("example.com:8080", Some("example.com")),
        ("example.com.:80", Some("example.com")),
        ("example.com:", Some("example.com")),
        ("a_b.example", Some("a_b.example")),
        ("127.0.0.1:1", Some("127.0.0.1")),
        ("localhost", Some("localhost")),
        ("[::1]", Some("[::1]")),
        ("[::1]:443", Some("[::1]")),
        ("[0:0::1]", Some("[::1]")),
        ("[2001:DB8::A]", Some("[2001:db8::a]")),
        ("", None),
        (".", None),
        (":80", None),
        ("a..b", None),
        (".a", None),
        ("a.b..", None),
        ("a:b", None),
        ("a:80:80", None),
        ("a:65536", None),
        ("a:-1", None),
        ("a:+1", None),
        ("user@a", None),
        ("a/b", None),
        ("a b", None),
        ("a%2eb", None),
        ("*.a", None),
        ("\u{e4}.example", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[::1]:x", None),
        ("[1.2.3.4]", None),
        ("[]", None),
    ];
    for (host, wanted) in cases {
        let found = normalize_host(host);
        assert_eq!(found.as_deref(), wanted, "{host}");
        let borrowed = matches!(found, None | Some(Cow::Borrowed(_)));
        assert!(borrowed || Some(host) != wanted, "{host} is normal and was copied");
    }
    let label = "a".repeat(LABEL_MAX);
    assert!(normalize_host(&label).is_some());
    assert!(normalize_host(&format!("{label}a")).is_none());
    let long = [label.as_str(); 4].join(".");
    assert!(normalize_host(&long).is_none());
    assert!(normalize_host(&long[2..]).is_some());
}

proptest! {
    #[test]
    fn normalising_a_path_is_idempotent(
        path in "(/|\\.|%2[eEfF]|%4[1a]|%7[eE]|%|[a-z]|4|1){0,16}",
    ) {
        let once = normalize_path(&path).into_owned();
        prop_assert_eq!(normalize_path(&once), once.as_str());
    }

    #[test]
    fn a_normal_path_has_no_dot_segments(path in "/(/|\\.|%2[eE]|[a-z]){0,16}") {
        let normal = normalize_path(&path);
        prop_assert!(normal.starts_with('/'));
        prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
    }

    #[test]
    fn escaped_slashes_stay(path in "/(/|\\.|%2[eEfF]|[a-z]){0,16}") {
        let escaped = |text: &str| text.to_ascii_uppercase().matches("%2F").count();
        prop_assert!(escaped(&normalize_path(&path)) <= escaped(&path));
        prop_assert!(normalize_path(&path).matches('/').count() <= path.matches('/').count() + 1);
    }

    #[test]
    fn a_sorted_query_is_the_same_for_every_order(
        pairs in prop::collection::btree_map("[a-z_]{0,3}", "[a-z=]{0,3}", 0..8),
        turn in 0usize..8,
    ) {
        let mut list: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let ignore = patterns(&["a*", "*z"]);
        let one = list.join("&");
        let count = list.len().max(1);
        list.rotate_left(turn % count);
        list.reverse();
        let other = list.join("&");
        prop_assert_eq!(
            normal(&one, &ignore, true),
            normal(&other, &ignore, true)
        );
    }

    #[test]
    fn normalising_a_query_is_idempotent(query in "[abz_=&]{0,20}", sort in any::<bool>()) {
        let ignore = patterns(&["a*"]);
        let once = normal(&query, &ignore, sort).into_owned();
        prop_assert_eq!(normal(&once, &ignore, sort), once.as_str());
    }

    #[test]
    fn normalising_a_host_is_idempotent(host in "[a-cA-C0-9.:\\[\\]_-]{0,12}") {
        if let Some(once) = normalize_host(&host) {
            let twice = normalize_host(&once);
            prop_assert_eq!(twice.as_deref(), Some(&*once));
        }
    }
}
