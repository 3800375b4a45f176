//! Pages of other origins.

use http::Method;

use super::super::{Access, Denial};
use super::{get, rules};
use crate::message::Extra;
use crate::site::header_rules::HeaderRules;

const LIST: &str = r#"
    [site.cors]
    origins = ["https://app.example", "https://*.shop.example"]
    methods = ["GET", "PUT"]
    headers = ["X-Token"]
    expose = ["X-Total"]
    credentials = true
    max_age = "1h"
    "#;

const ALL: &str = "[site.cors]\norigins = [\"*\"]\nheaders = [\"*\"]\nexpose = [\"x-a\", \"x-b\"]";

/// The lines that one response gets, by who asks.
fn own(lines: &str, origin: Option<&str>) -> String {
    let mut extra = Extra::new();
    let request = origin
        .into_iter()
        .fold(get("https://example.com/"), |request, origin| request.field("origin", origin));
    rules(lines).push_own(true, &request.fields, &mut extra);
    String::from_utf8(extra.to_vec()).unwrap()
}

#[test]
fn a_page_that_may_read_is_named() {
    let allowed = "access-control-allow-credentials: true\r\n\
                   access-control-expose-headers: x-total\r\n";
    for (origin, expected) in [
        (Some("https://app.example"), true),
        (Some("https://a.b.shop.example"), true),
        (Some("https://shop.example"), false),
        (Some("http://app.example"), false),
        (Some("null"), false),
        (None, false),
    ] {
        let line = format!("access-control-allow-origin: {}\r\n", origin.unwrap_or_default());
        let expected = if expected { line + allowed } else { String::new() };
        assert_eq!(own(LIST, origin), expected, "{origin:?}");
    }
    assert_eq!(own(ALL, Some("https://app.example")), "");
}

#[test]
fn what_all_responses_have_is_put_in_once() {
    let of = |lines: &str| {
        let mut fields = HeaderRules::default();
        rules(lines).extend(&mut fields);
        let mut headers = http::HeaderMap::new();
        headers.insert("access-control-allow-origin", "https://evil.example".parse().unwrap());
        headers.insert("access-control-allow-credentials", "true".parse().unwrap());
        headers.insert("vary", "accept".parse().unwrap());
        fields.apply(&mut headers);
        let all = |name| {
            let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
            values.collect::<Vec<_>>().join(", ")
        };
        ["access-control-allow-origin", "access-control-expose-headers", "vary"]
            .map(all)
            .into_iter()
            .chain([all("access-control-allow-credentials")])
            .collect::<Vec<_>>()
    };
    assert_eq!(of(LIST), ["", "", "accept, origin", ""]);
    assert_eq!(of(ALL), ["*", "x-a, x-b", "accept", ""]);
}

#[test]
fn preflights_are_answered() {
    let asked = |lines: &str, method: Method, fields: &[(&str, &str)]| {
        let request = get("https://example.com/").method(method);
        let request =
            fields.iter().fold(request, |request, (name, value)| request.field(name, value));
        request.judged(&rules(lines))
    };
    let origin = ("origin", "https://app.example");
    let method = ("access-control-request-method", "PUT");
    let wanted = ("access-control-request-headers", "x-token,x-other");
    let lines = |access: Access| match access {
        Access::Answer(canned) => {
            assert_eq!((canned.status.as_u16(), canned.content_length), (204, None));
            assert_eq!(canned.reason, "preflight");
            String::from_utf8(canned.block.as_bytes().to_vec()).unwrap()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        lines(asked(LIST, Method::OPTIONS, &[origin, method, wanted])),
        "access-control-allow-methods: GET, PUT\r\naccess-control-max-age: 3600\r\n\
         access-control-allow-headers: x-token\r\n"
    );
    assert_eq!(
        lines(asked(ALL, Method::OPTIONS, &[origin, method, wanted])),
        "access-control-allow-methods: GET, HEAD, POST\r\naccess-control-max-age: 600\r\n\
         access-control-allow-headers: x-token,x-other\r\n"
    );
    let evil = ("origin", "https://evil.example");
    let refused = asked(LIST, Method::OPTIONS, &[evil, method]);
    assert!(matches!(refused, Access::Refuse(Denial::Origin)));
    for (method, fields) in [
        (Method::OPTIONS, &[origin][..]),
        (Method::OPTIONS, &[method]),
        (Method::GET, &[origin, method]),
        (Method::PUT, &[evil]),
    ] {
        assert!(matches!(asked(LIST, method, fields), Access::Admit));
    }
}

#[test]
fn a_preflight_is_not_sent_elsewhere() {
    let lines = format!("redirects.https = true\n{ALL}");
    let request = get("http://example.com/").method(Method::OPTIONS);
    let request = request.field("origin", "https://a.example");
    let request = request.field("access-control-request-method", "GET");
    assert!(matches!(request.judged(&rules(&lines)), Access::Answer(it) if it.status == 204));
}
