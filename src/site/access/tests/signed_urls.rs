//! Who has a URL, and for how long.

use std::net::IpAddr;

use super::super::signed_urls::{Grant, Unsignable, sign_url};
use super::super::{Access, Denial};
use super::{NOW, get, rules};
use crate::config::secret::Secret;

const KEYS: &str = r#"
    [site.signed_urls]
    keys = [
        { id = "old", secret = "the old one of 16 bytes" },
        { id = "new", secret = "the new one of 16 bytes" },
    ]
    "#;

const GRANT: Grant<'static> = Grant { key: None, expires: NOW + 60, ip: None, prefix: None };

fn secret(which: &str) -> Secret {
    Secret::new(format!("the {which} one of 16 bytes"))
}

fn signed(url: &str, grant: Grant<'_>) -> String {
    sign_url(url, &secret("new"), &grant).unwrap()
}

fn denied(url: &str) -> Option<Denial> {
    match get(url).judged(&rules(KEYS)) {
        Access::Admit => None,
        Access::Refuse(denial) => Some(denial),
        Access::Answer(canned) => panic!("{canned:?}"),
    }
}

#[test]
fn the_form_is_that_of_the_documentation() {
    let grant = Grant { key: Some("new"), prefix: Some("/media/"), ..GRANT };
    let message = "headland-url-1\nexample.com\n1800000060\n\nprefix\n/media/";
    let key =
        aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret("new").reveal().as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    let tag = data_encoding::BASE64URL_NOPAD.encode(tag.as_ref());
    assert_eq!(
        signed("https://Example.com:8443/media/./film.mp4?q=1#t", grant),
        format!(
            "https://Example.com:8443/media/film.mp4?q=1&hl_expires=1800000060&hl_key=new\
             &hl_prefix=7&hl_signature={tag}"
        )
    );
}

#[test]
fn what_is_signed_is_served_until_it_ends() {
    let film = "https://example.com/media/film.mp4";
    let url = signed(film, GRANT);
    assert_eq!(denied(&url), None);
    assert_eq!(denied(&signed(&format!("{film}?q=1"), GRANT)), None);
    assert_eq!(denied(&signed(film, Grant { key: Some("new"), ..GRANT })), None);
    let old = |key| sign_url(film, &secret("old"), &Grant { key, ..GRANT }).unwrap();
    assert_eq!(denied(&old(None)), None);
    assert_eq!(denied(&old(Some("old"))), None);
    let wrong = Some(Denial::WrongSignature);
    assert_eq!(denied(&old(Some("new"))), wrong);
    assert_eq!(denied(&old(Some("other"))), wrong);
    assert_eq!(denied(&sign_url(film, &secret("odd"), &GRANT).unwrap()), wrong);
    for (expires, expected) in
        [(NOW + 1, None), (NOW, Some(Denial::Expired)), (0, Some(Denial::Expired))]
    {
        assert_eq!(denied(&signed(film, Grant { expires, ..GRANT })), expected, "{expires}");
    }
    assert_eq!(denied(film), Some(Denial::NoSignature));
    assert_eq!(denied(&format!("{film}?hl_expires=1")), Some(Denial::NoSignature));
}

#[test]
fn what_is_changed_is_not_served() {
    let url = signed("https://example.com/media/film.mp4", GRANT);
    for (from, to) in [
        ("film.mp4", "film.mp5"),
        ("film", "Film"),
        ("example.com", "www.example.com"),
        ("1800000060", "1800000061"),
        ("hl_expires", "hl_ip=1&hl_expires"),
        ("hl_expires", "hl_prefix=7&hl_expires"),
        ("hl_expires", "hl_prefix=999&hl_expires"),
        ("hl_expires", "hl_prefix=x&hl_expires"),
        ("hl_expires", "hl_expires=1800000060&hl_expires"),
        ("hl_signature=", "hl_signature=A"),
    ] {
        let changed = url.replacen(from, to, 1);
        assert_ne!(changed, url);
        assert_eq!(denied(&changed), Some(Denial::WrongSignature), "{changed}");
    }
    let cut = &url[..url.len() - 1];
    assert_eq!(denied(cut), Some(Denial::WrongSignature));
    assert_eq!(denied(&url.replace("?", "?id=8&")), Some(Denial::WrongSignature));
    let asks = signed("https://example.com/download?id=7&x", GRANT);
    assert_eq!(denied(&asks), None);
    for (from, to) in [("id=7", "id=8"), ("&x", "&x=1"), ("id=7&x", "x&id=7"), ("id=7&", "")] {
        let changed = asks.replacen(from, to, 1);
        assert_eq!(denied(&changed), Some(Denial::WrongSignature), "{changed}");
    }
    // What is not signed may change.
    assert_eq!(denied(&url.replace("https://", "http://")), None);
    assert_eq!(denied(&url.replace("/media/", "/x/../media/")), None);
}

#[test]
fn a_prefix_is_for_all_that_begins_with_it() {
    let grant = Grant { prefix: Some("/media/"), ..GRANT };
    let url = signed("https://example.com/media/a", grant);
    for (path, expected) in [
        ("/media/a", None),
        ("/media/b/c", None),
        ("/media/", None),
        ("/media", Some(Denial::WrongSignature)),
        ("/other/", Some(Denial::WrongSignature)),
        ("/media/../other/x", Some(Denial::WrongSignature)),
        ("/media/b?id=8", None),
        ("/media/..%2fother/x", Some(Denial::WrongSignature)),
        ("/media/%/../../other/x", Some(Denial::WrongSignature)),
        (r"/media/..\other\x", Some(Denial::WrongSignature)),
        ("/media/..;/other/x", Some(Denial::WrongSignature)),
        ("/media//b%2fc", None),
    ] {
        let changed = match path.contains('?') {
            true => url.replace("/media/a?", &format!("{path}&")),
            false => url.replace("/media/a", path),
        };
        assert_eq!(denied(&changed), expected, "{path}");
    }
    for prefix in ["", "/other/"] {
        let grant = Grant { prefix: Some(prefix), ..GRANT };
        let made = sign_url("https://example.com/media/a", &secret("new"), &grant);
        assert_eq!(made, Err(Unsignable::Prefix));
    }
}

#[test]
fn who_has_a_signature_may_read() {
    let url = signed("https://example.com/a", GRANT);
    for (method, is_denied) in
        [("GET", false), ("HEAD", false), ("POST", true), ("DELETE", true), ("OPTIONS", true)]
    {
        let judged = get(&url).method(method.parse().unwrap()).judged(&rules(KEYS));
        let denied = matches!(judged, Access::Refuse(Denial::WrongSignature));
        assert_eq!(denied, is_denied, "{method}");
    }
}

#[test]
fn what_no_url_holds_is_escaped() {
    for (url, path) in [
        ("https://example.com/my film", "/my%20film"),
        ("https://example.com/caf\u{e9}/a%2fb?q=\u{e9}", "/caf%C3%A9/a%2Fb?q=%C3%A9"),
    ] {
        let url = signed(url, GRANT);
        assert!(url.starts_with(&format!("https://example.com{path}")), "{url}");
        assert_eq!(denied(&url), None);
    }
}

#[test]
fn one_client_may_be_meant() {
    for (ip, client, expected) in [
        ("192.0.2.1", "192.0.2.1", None),
        ("192.0.2.1", "::ffff:192.0.2.1", None),
        ("192.0.2.1", "192.0.2.2", Some(Denial::WrongSignature)),
        ("2001:db8::1", "2001:db8::1", None),
    ] {
        let ip: IpAddr = ip.parse().unwrap();
        let url = signed("https://example.com/a", Grant { ip: Some(ip), ..GRANT });
        let judged = get(&url).client(client.parse().unwrap()).judged(&rules(KEYS));
        let denied = match judged {
            Access::Refuse(denial) => Some(denial),
            _ => None,
        };
        assert_eq!(denied, expected, "{ip} {client}");
    }
}

#[test]
fn what_is_no_url_is_not_signed() {
    for url in ["/a", "example.com/a", "ftp://example.com/a", "https:///a", "https://a b/"] {
        assert_eq!(sign_url(url, &secret("new"), &GRANT), Err(Unsignable::Url), "{url}");
    }
    let url = signed("https://example.com/", GRANT);
    assert_eq!(sign_url(&url, &secret("new"), &GRANT), Err(Unsignable::Signed));
    assert!(signed("https://example.com?a", GRANT).starts_with("https://example.com/?a&hl_exp"));
}
