//! Where clients are sent.

use super::super::{Access, Canned};
use super::{get, rules};

/// Status and target of a redirect by `lines`; `None` where the request goes on.
fn sent(lines: &str, url: &str) -> Option<(u16, String, String)> {
    match get(url).judged(&rules(lines)) {
        Access::Admit => None,
        Access::Refuse(denial) => panic!("{denial:?}"),
        Access::Answer(Canned { status, block, body, .. }) => {
            assert!(body.is_empty());
            let field = |name| String::from_utf8(block.get(name).unwrap().to_vec()).unwrap();
            Some((status.as_u16(), field("location"), field("cache-control")))
        }
    }
}

fn location(lines: &str, url: &str) -> Option<String> {
    sent(lines, url).map(|(_, location, _)| location)
}

#[test]
fn scheme_host_and_slash_are_set_right_at_once() {
    let https = "redirects.https = true";
    let www = "redirects.host = \"www.example.com\"";
    let apex = "redirects.host = \"example.com\"";
    let add = "redirects.slash = \"add\"";
    let remove = "redirects.slash = \"remove\"";
    let all = "redirects = { https = true, host = \"www.example.com\", slash = \"add\" }";
    let cases = [
        (https, "http://example.com/a?b=1", Some("https://example.com/a?b=1")),
        (https, "http://example.com:8080/", Some("https://example.com/")),
        (https, "https://example.com/a", None),
        (https, "http://example.com//evil.example/", Some("https://example.com//evil.example/")),
        (www, "http://example.com/a?b", Some("http://www.example.com/a?b")),
        (www, "http://example.com:8080/a", Some("http://www.example.com:8080/a")),
        (www, "https://shop.example.com/", Some("https://www.example.com/")),
        (www, "https://www.example.com/", None),
        (apex, "https://www.example.com/a", Some("https://example.com/a")),
        (apex, "https://example.com/a", None),
        (add, "https://example.com/a?b", Some("https://example.com/a/?b")),
        (add, "https://example.com/a/", None),
        (add, "https://example.com/a.css", None),
        (add, "https://example.com/.well-known/acme-challenge/token", None),
        (remove, "https://example.com/a/?b", Some("https://example.com/a?b")),
        (remove, "https://example.com/", None),
        (remove, "https://example.com//evil.example/", Some("https://example.com/evil.example")),
        (all, "http://example.com:80/a?b", Some("https://www.example.com/a/?b")),
        (all, "https://www.example.com/a/", None),
    ];
    for (lines, url, expected) in cases {
        assert_eq!(location(lines, url).as_deref(), expected, "{lines} {url}");
        if let Some(to) = expected {
            assert_eq!(location(lines, to), None, "{lines} {url} goes on from {to}");
        }
    }
}

#[test]
fn the_table_is_asked_first() {
    const TABLE: &str = r##"
        [site.redirects]
        host = "www.example.com"
        rules = [
            { from = "/old/*", to = "/new/*" },
            { from = "/old/a", to = "/b" },
            { from = "/old/a", to = "/never" },
            { from = "/q", to = "/p?x=1#f" },
            { from = "/bare", to = "/plain", query = false },
            { from = "/away/*", to = "https://other.example/*" },
            { from = "/go/*", to = "/*" },
            { from = "/all/*", to = "https://www.example.com/all/*" },
            { from = "/caf%c3%a9/*", to = "/coffee/*" },
            { from = "/tilde%7ea", to = "/t" },
            { from = "/*.php", to = "/*.html" },
        ]
        "##;
    let cases = [
        ("/old/x/y", Some("https://www.example.com/new/x/y")),
        ("/old/a", Some("https://www.example.com/b")),
        ("/old", None),
        ("/q", Some("https://www.example.com/p?x=1#f")),
        ("/q?y=2", Some("https://www.example.com/p?x=1&y=2#f")),
        ("/bare?y=2", Some("https://www.example.com/plain")),
        ("/away/x?y", Some("https://other.example/x?y")),
        // What a client writes is no host.
        ("/go//evil.example/", Some("https://www.example.com//evil.example/")),
        ("/away/@evil.example", Some("https://other.example/@evil.example")),
        ("/a/b.php?c", Some("https://www.example.com/a/b.html?c")),
        // The path that chose the route is the one that is judged.
        ("/caf\u{e9}/1", Some("https://www.example.com/coffee/1")),
        ("/caf%c3%a9/1", Some("https://www.example.com/coffee/1")),
        ("/tilde~a", Some("https://www.example.com/t")),
        ("/x/../old/%61", Some("https://www.example.com/b")),
        ("/all/x", None),
        ("/", None),
    ];
    for (target, expected) in cases {
        let url = format!("https://www.example.com{target}");
        assert_eq!(location(TABLE, &url).as_deref(), expected, "{target}");
    }
    let elsewhere = location(TABLE, "https://example.com/all/x");
    assert_eq!(elsewhere.as_deref(), Some("https://www.example.com/all/x"));
}

#[test]
fn status_and_lifetime_are_chosen() {
    let plain = sent("redirects.https = true", "http://example.com/").unwrap();
    assert_eq!((plain.0, plain.2.as_str()), (308, "no-store"));
    let lines = r#"redirects = { https = true, status = 301, max_age = "1h", rules = [
        { from = "/a", to = "/b", status = 303 }, { from = "/c", to = "/d" }
    ] }"#;
    for (target, status) in [("/", 301), ("/a", 303), ("/c", 301)] {
        let (sent, _, control) = sent(lines, &format!("http://example.com{target}")).unwrap();
        assert_eq!((sent, control.as_str()), (status, "max-age=3600"), "{target}");
    }
}
