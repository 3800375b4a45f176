//! What is answered alike, and when nobody is served.

use std::fs;

use http::{Method, StatusCode};

use super::super::{Access, Denial};
use super::{get, rules};

const ROBOTS: &str = "respond = { body = \"User-agent: *\\n\", max_age = \"1h\" }";

#[test]
fn a_body_is_answered() {
    let canned = get("https://example.com/robots.txt").answered(&rules(ROBOTS));
    let lines = String::from_utf8(canned.block.as_bytes().to_vec()).unwrap();
    let etag = canned.block.get("etag").unwrap();
    assert_eq!((etag.len(), etag[0], etag[33]), (34, b'"', b'"'));
    assert!(lines.starts_with("cache-control: max-age=3600\r\netag: "), "{lines}");
    assert!(lines.ends_with("content-type: text/plain; charset=utf-8\r\n"), "{lines}");
    assert_eq!((canned.status.as_u16(), &canned.body[..]), (200, &b"User-agent: *\n"[..]));
    assert_eq!(canned.content_length, Some(14));
}

#[test]
fn conditions_are_heard() {
    let rules = rules(ROBOTS);
    let robots = || get("https://example.com/robots.txt");
    let etag = robots().answered(&rules).block.get("etag").unwrap().to_vec();
    let etag = std::str::from_utf8(&etag).unwrap();
    let cases = [
        ("GET", "if-none-match", etag, 304),
        ("HEAD", "if-none-match", etag, 304),
        ("GET", "if-none-match", &format!("\"x\", W/{etag}"), 304),
        ("GET", "if-none-match", "*", 304),
        ("GET", "if-none-match", "\"x\"", 200),
        ("POST", "if-none-match", etag, 405),
        ("DELETE", "accept", "*/*", 405),
        ("OPTIONS", "accept", "*/*", 405),
        ("HEAD", "accept", "*/*", 200),
        ("GET", "if-match", etag, 200),
        ("GET", "if-match", "\"x\"", 412),
        ("GET", "if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", 200),
    ];
    for (method, name, value, status) in cases {
        let request = robots().method(method.parse::<Method>().unwrap()).field(name, value);
        let canned = request.answered(&rules);
        assert_eq!(canned.status, status, "{method} {name}: {value}");
        assert_eq!(canned.body.is_empty(), status != 200);
        assert_eq!(canned.content_length.is_none(), status == 304);
        assert_eq!(canned.block.get("content-type").is_some(), status == 200);
        assert_eq!(canned.block.get("etag").is_some(), matches!(status, 200 | 304));
        let allow = canned.block.get("allow");
        assert_eq!(allow, (status == 405).then_some(&b"GET, HEAD"[..]));
    }
}

#[test]
fn status_and_lifetime_are_chosen() {
    for (lines, status, control) in [
        ("{ status = 410, body = \"gone\" }", 410, "no-store"),
        ("{ status = 404, max_age = \"1m\" }", 404, "max-age=60"),
        ("{ status = 204 }", 204, "no-cache"),
        ("{}", 200, "no-cache"),
    ] {
        let canned = get("https://example.com/").answered(&rules(&format!("respond = {lines}")));
        assert_eq!(canned.status, status);
        assert_eq!(canned.block.get("cache-control"), Some(control.as_bytes()), "{lines}");
        assert_eq!(canned.block.get("etag").is_some(), status < 300);
        assert_eq!(canned.content_length.is_none(), status == 204);
    }
}

#[test]
fn files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page");
    fs::write(&file, "hello").unwrap();
    let path = file.display();
    let canned =
        get("https://example.com/").answered(&rules(&format!("respond.file = \"{path}\"")));
    assert_eq!(&canned.body[..], b"hello");
    let lines =
        format!("[site.error_pages]\nfiles = {{ \"404\" = \"{path}\", \"5xx\" = \"{path}\" }}");
    let rules = rules(&lines);
    let page = |status| {
        rules.page(StatusCode::from_u16(status).unwrap(), None).map(|page| page.body.to_vec())
    };
    assert_eq!((page(404), page(503)), (Some(b"hello".to_vec()), Some(b"hello".to_vec())));
    assert_eq!((page(403), page(200)), (None, None));
    assert!(rules.page_for_origin(StatusCode::NOT_FOUND).is_none());
}

#[test]
fn while_closed_only_some_are_served() {
    let lines = "[site.maintenance]\nenabled = true\nretry_after = \"2m\"\n\
                 allow = [\"198.51.100.0/24\"]\n";
    let redirects = format!("redirects.https = true\n{lines}");
    for lines in [lines, &redirects] {
        let judged = get("http://example.com/").judged(&rules(lines));
        assert!(matches!(judged, Access::Refuse(Denial::Maintenance { wait: 120 })), "{judged:?}");
        let own = get("http://example.com/").client([198, 51, 100, 7].into());
        assert!(!matches!(own.judged(&rules(lines)), Access::Refuse(_)));
    }
}
