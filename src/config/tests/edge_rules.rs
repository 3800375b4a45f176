//! Edge rules that contradict themselves or say nothing that can be done.

use super::{Config, SOUND, check_each, faults};

#[test]
fn redirects() {
    check_each(&[
        (
            "redirects.status = 300",
            "10:20: site[0].redirects.status: expected 301, 302, 303, 307 or 308, found 300",
        ),
        (
            "redirects.host = \"*.example.com\"",
            "10:18: site[0].redirects.host: expected one host, without \"*\", \
             found \"*.example.com\"",
        ),
        (
            "[[site.redirects.rules]]\nfrom = \"old\"\nto = \"/new\"",
            "11:8: site[0].redirects.rules[0].from: expected a path that starts with \"/\", \
             without query, found \"old\"",
        ),
        (
            "[[site.redirects.rules]]\nfrom = \"/old\"\nto = \"/new/*\"",
            "12:1: site[0].redirects.rules[0].to: expected no more \"*\" than in from, found more",
        ),
    ]);
    let target = "a path that starts with \"/\", or a URL with a host without \"*\"";
    for to in ["new", "https://*.example/", "https://a.example*", "ftp://a.example/", "/a b", ""] {
        let text = format!("{SOUND}[[site.redirects.rules]]\nfrom = \"/*\"\nto = \"{to}\"");
        let expected = format!("site[0].redirects.rules[0].to: expected {target}, found \"{to}\"");
        assert!(faults(&text)[0].ends_with(&expected), "{:?}", faults(&text));
    }
}

/// Whether rules of a table lead round for ever, by pairs of `from` and `to`.
fn goes_round(lines: &str, rules: &[(&str, &str)]) -> bool {
    let rule = |(from, to): &(&str, &str)| {
        format!("[[site.redirects.rules]]\nfrom = \"{from}\"\nto = \"{to}\"\n")
    };
    let rules: String = rules.iter().map(rule).collect();
    let found = faults(&format!("{SOUND}{lines}\n{rules}"));
    let loops = found.iter().filter(|line| line.contains("expected a target that ends")).count();
    assert_eq!(loops, found.len().saturating_sub(1), "{found:?}");
    loops > 0
}

#[test]
fn loops_are_seen() {
    type Table<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Table<'_>, bool)] = &[
        ("", &[("/a", "/b")], false),
        ("", &[("/a", "/a")], true),
        ("", &[("/a", "/a?x")], true),
        ("", &[("/a", "/b"), ("/b", "/a")], true),
        ("", &[("/a", "/b"), ("/b", "/c"), ("/c", "/d")], false),
        ("", &[("/a", "/b"), ("/b", "/c"), ("/c", "/b")], true),
        ("", &[("/a/*", "/b/*")], false),
        ("", &[("/a/*", "/a/b/*")], true),
        ("", &[("/a/*", "/a/b"), ("/a/b", "/c")], false),
        ("", &[("/*", "/x")], true),
        ("", &[("/a*", "/*")], false),
        ("", &[("/a", "https://other.example/a")], false),
        ("", &[("/a", "https://www.example.com/a")], false),
        ("", &[("/a", "https://www.example.com:8443/b"), ("/b", "/a")], true),
        ("", &[("/*", "https://www.example.com/*")], false),
        ("redirects.https = true", &[("/a", "http://www.example.com/a")], true),
        ("redirects.https = true", &[("/a", "http://other.example/a")], false),
        ("redirects.slash = \"remove\"", &[("/a", "/a/")], true),
        ("redirects.slash = \"remove\"", &[("/a", "/b/")], false),
        ("redirects.slash = \"add\"", &[("/a/", "/a")], true),
        ("redirects.slash = \"add\"", &[("/a", "/a/")], false),
    ];
    for (lines, rules, expected) in cases {
        assert_eq!(goes_round(lines, rules), *expected, "{lines} {rules:?}");
    }
}

#[test]
fn sites_do_not_send_clients_to_and_fro() {
    let other = |host: &str| {
        format!(
            "redirects.host = \"blog.example.com\"\n[[site]]\nname = \"blog\"\n\
             hosts = [\"blog.example.com\"]\norigin = \"app\"\nredirects.host = \"{host}\"\n"
        )
    };
    let wrong = "expected a host where clients stay, found one whose site sends clients on to";
    assert_eq!(
        faults(&format!("{SOUND}{}", other("www.example.com"))),
        [
            format!("edge.toml:10:11: site[0].redirects.host: {wrong} www.example.com"),
            format!("edge.toml:15:11: site[1].redirects.host: {wrong} blog.example.com"),
            "2 faults".to_owned(),
        ]
    );
    assert_eq!(faults(&format!("{SOUND}{}", other("blog.example.com"))), ["0 faults"]);
}

#[test]
fn cors() {
    check_each(&[
        (
            "cors = { origins = [\"https://a.example\", \"*\"], credentials = true }",
            "10:48: site[0].cors.credentials: expected false where origins has \"*\", found true",
        ),
        (
            "cors = { origins = [\"https://a.example\"], credentials = true, expose = [\"*\"] }",
            "10:63: site[0].cors.expose: expected names where credentials is true, found \"*\"",
        ),
        (
            "cors = { origins = [\"https://a.example\"], credentials = true, methods = [\"*\"] }",
            "10:63: site[0].cors.methods: expected names where credentials is true, found \"*\"",
        ),
        (
            "cors.origins = [\"a.example\"]",
            "10:17: site[0].cors.origins[0]: expected an origin such as \
             \"https://app.example.com\", found \"a.example\"",
        ),
    ]);
    // A route that adds what its site's origins forbid.
    check_each(&[(
        "cors.origins = [\"*\"]\n[[site.route]]\npath = \"/x\"\ncors.credentials = true",
        "13:6: site[0].route[0].cors.credentials: expected false where origins has \"*\", \
         found true",
    )]);
}

#[test]
fn signed_urls() {
    let keys = |keys: &str| format!("signed_urls.keys = [{keys}]");
    let secret = "secret = \"a secret of 16 bytes\"";
    check_each(&[
        (
            &keys("{ id = \"a\" }"),
            "10:21: site[0].signed_urls.keys[0]: expected either file or secret, found neither",
        ),
        (
            &keys(&format!("{{ file = \"f\", {secret} }}")),
            "10:21: site[0].signed_urls.keys[0]: expected either file or secret, found both",
        ),
        (
            &keys(&format!("{{ {secret} }}, {{ {secret} }}")),
            "10:58: site[0].signed_urls.keys[1].id: expected another value, found \"main\" \
             again, as in line 10",
        ),
        (
            &keys("{ secret = \"short\" }"),
            "10:32: site[0].signed_urls.keys[0].secret: expected a secret of at least 16 bytes, \
             found \"short\"",
        ),
    ]);
    let three = ["a", "b", "c"].map(|id| format!("{{ id = \"{id}\", {secret} }}")).join(", ");
    let found = faults(&format!("{SOUND}{}", keys(&three)));
    let expected = "10:13: site[0].signed_urls.keys: expected at most two keys, found 3";
    assert_eq!(found[0], format!("edge.toml:{expected}"));
}

#[test]
fn pages_and_security() {
    check_each(&[
        (
            "respond.status = 302",
            "10:18: site[0].respond.status: expected 200 to 299, or 400 to 599, found 302",
        ),
        (
            "respond = { body = \"x\", file = \"f\" }",
            "10:1: site[0].respond: expected either body or file, found both",
        ),
        (
            "respond = { body = \"x\", status = 204 }",
            "10:1: site[0].respond: expected no body where the status has none, found one with \
             status 204",
        ),
        (
            "error_pages.files = { \"304\" = \"f\" }",
            "10:31: site[0].error_pages.files.304: expected a status of 400 to 599 or a class \
             such as \"5xx\", found \"304\"",
        ),
        (
            "security.hsts = { preload = true }",
            "10:19: site[0].security.hsts.preload: expected include_subdomains and a max_age of \
             at least 365d with it, found true alone",
        ),
    ]);
}

#[test]
fn the_files_of_edge_rules_are_opened() {
    let lines = "respond.file = \"none\"\nsigned_urls.keys = [{ file = \"none\" }]\n\
                 maintenance.page = \"none\"\nerror_pages.files = { \"404\" = \"none\" }\n\
                 [[site.route]]\npath = \"/x\"\n";
    let folder = tempfile::tempdir().unwrap();
    let config = |text: &str| Config::parse(text, "edge.toml", folder.path(), &|_| None).unwrap();
    let keys = || {
        let report = config(&format!("{SOUND}{lines}")).check_files(|_| None);
        report.faults.iter().map(|fault| fault.key.clone()).collect::<Vec<_>>().join(" ")
    };
    let site =
        ["respond.file", "signed_urls.keys[0].file", "maintenance.page", "error_pages.files"];
    assert_eq!(keys(), site.map(|key| format!("site[0].{key}")).join(" "));
    std::fs::write(folder.path().join("none"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert_eq!(
        keys(),
        site.map(|key| format!("site[0].{key}"))
            .join(" ")
            .replace("site[0].signed_urls.keys[0].file ", "")
    );
    std::fs::write(folder.path().join("none"), "a text of some length").unwrap();
    assert_eq!(keys(), "");
}

#[test]
fn countries() {
    let none = "1:1: geo.database: expected a database, by which sites tell countries, found none";
    check_each(&[
        ("country_allow = [\"DE\"]", none),
        ("key.country = true", none),
        ("[[site.route]]\npath = \"/x\"\ncountry_deny = [\"DE\"]", none),
        (
            "country_deny = [\"Germany\"]",
            "10:17: site[0].country_deny[0]: expected a country by its two letters such as \
             \"DE\", found \"Germany\"",
        ),
    ]);
}

#[test]
fn upgrade() {
    let expected = "expected a protocol other than HTTP and TLS such as \"websocket\"";
    for protocol in ["h2c", "HTTP/2.0", "http", "TLS/1.0", "*", "", "a b", "a/", "/1", "a/1/2"] {
        let text = format!("{SOUND}upgrade = [\"websocket\", \"{protocol}\"]");
        let told = format!("edge.toml:10:25: site[0].upgrade[1]: {expected}, found \"{protocol}\"");
        assert_eq!(faults(&text)[0], told);
    }
    for protocol in ["websocket", "WebSocket", "irc/6.9", "example.com-v1"] {
        assert_eq!(faults(&format!("{SOUND}upgrade = [\"{protocol}\"]")), ["0 faults"]);
    }
    check_each(&[
        (
            "allow = [\"POST\"]\nupgrade = [\"websocket\"]",
            "11:1: site[0].upgrade: expected GET among the methods of allow, found others alone",
        ),
        (
            "allow = [\"POST\"]\n[[site.route]]\npath = \"/x\"\nupgrade = [\"websocket\"]",
            "13:1: site[0].route[0].upgrade: expected GET among the methods of allow, \
             found others alone",
        ),
    ]);
}
