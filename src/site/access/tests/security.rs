//! What browsers are told, and whose pages may embed.

use http::HeaderMap;

use super::super::{Access, Denial};
use super::{get, rules};
use crate::config::site::{FieldRules, Policy};
use crate::message::{Extra, Fields};
use crate::site::header_rules::HeaderRules;

#[test]
fn pages_that_may_embed_are_told_by_their_host() {
    let list = "hotlink = { hosts = [\"friend.example\", \"*.friend.example\"] }";
    let strict = "hotlink = { hosts = [\"friend.example\"], empty = false }";
    let cases = [
        (list, None, true),
        (list, Some(""), true),
        (strict, None, false),
        (strict, Some(""), false),
        (strict, Some("https://friend.example/page"), true),
        (list, Some("https://friend.example/page"), true),
        (list, Some("http://FRIEND.example:8080"), true),
        (list, Some("https://www.friend.example/"), true),
        (strict, Some("https://www.friend.example/"), false),
        (list, Some("https://example.com/page"), true),
        (list, Some("https://www.example.com/page"), false),
        (list, Some("https://evil.example/friend.example"), false),
        (list, Some("https://friend.example.evil.example/"), false),
        (list, Some("https://friend.example@evil.example/"), false),
        (list, Some("friend.example"), false),
        (list, Some("about:blank"), false),
        (list, Some("/page"), false),
    ];
    for (lines, referer, expected) in cases {
        let request = get("https://example.com/a.jpg");
        let request = referer.into_iter().fold(request, |it, value| it.field("referer", value));
        let judged = request.judged(&rules(lines));
        let is_admitted = match judged {
            Access::Admit => true,
            Access::Refuse(Denial::Referer) => false,
            other => panic!("{other:?}"),
        };
        assert_eq!(is_admitted, expected, "{lines} {referer:?}");
    }
}

/// The fields of a response by these lines, over what the origin says.
fn fields(lines: &str, own: &FieldRules) -> HeaderMap {
    let mut all = HeaderRules::from_config(own);
    rules(lines).extend(&mut all);
    let mut headers = HeaderMap::new();
    headers.insert("x-frame-options", "ALLOWALL".parse().unwrap());
    headers.insert("strict-transport-security", "max-age=1".parse().unwrap());
    all.apply(&mut headers);
    headers
}

#[test]
fn a_preset_stands_in_the_place_of_the_origins_and_behind_the_sites() {
    let none = Policy::default().headers.response;
    let basic = fields("security.preset = \"basic\"", &none);
    assert_eq!(basic["x-frame-options"], "SAMEORIGIN");
    assert_eq!(basic["x-content-type-options"], "nosniff");
    assert_eq!(basic["referrer-policy"], "strict-origin-when-cross-origin");
    assert_eq!(basic["strict-transport-security"], "max-age=1");
    let strict = fields("security = { preset = \"strict\", hsts = {} }", &none);
    assert_eq!(strict["x-frame-options"], "DENY");
    assert_eq!(strict["cross-origin-resource-policy"], "same-origin");
    assert_eq!(strict.len(), 6, "{strict:?}");
    let mut own = FieldRules::default();
    own.set.insert("x-frame-options", "ALLOW-FROM x".parse().unwrap());
    own.remove.push("referrer-policy".parse().unwrap());
    let basic = fields("security.preset = \"basic\"", &own);
    assert_eq!(basic["x-frame-options"], "ALLOW-FROM x");
    assert!(!basic.contains_key("referrer-policy"));
}

#[test]
fn hsts_is_told_over_tls_alone() {
    let told = |lines: &str, is_secure| {
        let mut extra = Extra::new();
        rules(lines).push_own(is_secure, &Fields::default(), &mut extra);
        String::from_utf8(extra.to_vec()).unwrap()
    };
    let year = "strict-transport-security: max-age=31536000";
    assert_eq!(told("security.hsts = {}", true), format!("{year}\r\n"));
    assert_eq!(told("security.hsts = {}", false), "");
    assert_eq!(
        told("security.hsts = { include_subdomains = true, preload = true }", true),
        format!("{year}; includeSubDomains; preload\r\n")
    );
    // What the site says itself comes before, over TLS alone as well.
    let both = "security.hsts = {}\nheaders.response.set.strict-transport-security = \"max-age=1\"";
    assert_eq!(told(both, true), "strict-transport-security: max-age=1\r\n");
    let mut own = FieldRules::default();
    own.set.insert("strict-transport-security", "max-age=1".parse().unwrap());
    assert!(!fields(both, &own).contains_key("strict-transport-security"));
}

#[test]
fn what_is_made_here_has_what_the_site_leaves_open() {
    let made = |lines: &str| {
        let mut extra = Extra::new();
        rules(lines).push_fixed(&mut extra);
        String::from_utf8(extra.to_vec()).unwrap()
    };
    assert_eq!(
        made(
            "cors.origins = [\"https://a.example\"]\nsecurity.preset = \"basic\"\n\
              headers.response = { set = { X-Frame-Options = \"DENY\" } }"
        ),
        "x-frame-options: DENY\r\nx-content-type-options: nosniff\r\n\
         referrer-policy: strict-origin-when-cross-origin\r\nvary: origin\r\n"
    );
    // What a site says of the origin's responses is said of no other, but for the safety of users.
    assert_eq!(
        made(
            "hotlink.hosts = [\"a.example\"]\nheaders.response.set = \
             { x-a = \"1\", content-security-policy = \"default-src 'self'\" }"
        ),
        "content-security-policy: default-src 'self'\r\n"
    );
}
