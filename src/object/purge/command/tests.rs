//! Purges in JSON: what is read, and what is said of the rest.

use serde_json::json;

use super::*;

fn read(json: Value) -> PurgeCommand {
    PurgeCommand::from_json(&json).unwrap()
}

#[test]
fn a_purge_of_each_kind_is_read_and_written() {
    let url = |host: &str, target: &str, exact| PurgeUrl {
        host: host.to_owned(),
        target: target.to_owned(),
        exact,
    };
    let cases = [
        (
            json!({"kind": "url", "value": "https://A.example/x"}),
            PurgeTarget::Url(url("a.example", "/x", false)),
        ),
        (
            json!({"kind": "url", "value": "https://a/*", "exact": true}),
            PurgeTarget::Url(url("a", "/*", true)),
        ),
        (
            json!({"kind": "url", "value": "https://a/*.jpg", "soft": true}),
            PurgeTarget::Wildcard(url("a", "/*.jpg", false)),
        ),
        (
            json!({"kind": "prefix", "value": "https://a/img/", "site": "shop"}),
            PurgeTarget::Prefix(url("a", "/img/", false)),
        ),
        (json!({"kind": "tag", "value": "p42", "site": "shop"}), PurgeTarget::Tag),
        (json!({"kind": "site", "value": "shop"}), PurgeTarget::Site),
    ];
    for (json, target) in cases {
        let command = read(json.clone());
        assert_eq!(command.target, target, "{json}");
        assert_eq!(command.to_json(), json);
        assert_eq!(command.kind == PurgeKind::Soft, json["soft"] == true);
    }
    let site = read(json!({"kind": "site", "value": "shop", "site": "shop"}));
    assert_eq!(site.site.as_deref(), Some("shop"));
}

#[test]
fn faults_name_the_field_and_what_was_expected() {
    let cases = [
        (json!("/x"), "purge: expected a JSON object, found \"/x\""),
        (json!({"value": "http://a/"}), "kind: expected url, prefix, tag or site, found nothing"),
        (json!({"kind": "ur"}), "kind: expected url, prefix, tag or site, found \"ur\""),
        (json!({"kind": "url"}), "value: expected a URL, found nothing"),
        (json!({"kind": "url", "value": 7}), "value: expected a URL, found 7"),
        (json!({"kind": "tag", "value": ""}), "value: expected a surrogate key, found \"\""),
        (json!({"kind": "tag", "value": "a,b"}), "value: expected a surrogate key, found \"a,b\""),
        (
            json!({"kind": "tag", "value": "x".repeat(1025)}),
            &format!("value: expected at most 1024 bytes, found \"{}…", "x".repeat(199)),
        ),
        (
            json!({"kind": "tag", "value": "a", "exact": true}),
            "exact: expected only with a url, found true",
        ),
        (
            json!({"kind": "site", "value": "shop", "site": "blog"}),
            "site: expected the site of value, or none, found \"blog\"",
        ),
        (
            json!({"kind": "url", "value": "/x"}),
            "value: expected an absolute URL that begins with http:// or https://, found \"/x\"",
        ),
        (
            json!({"kind": "url", "value": "http://a/", "soft": "yes"}),
            "soft: expected true or false, found \"yes\"",
        ),
        (
            json!({"kind": "url", "value": "http://a/", "site": null}),
            "site: expected the name of a site, found null",
        ),
        (
            json!({"kind": "url", "value": "http://a/", "hard": true}),
            "hard: unknown field; expected kind, value, site, soft or exact",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(PurgeCommand::from_json(&json).unwrap_err().to_string(), expected);
    }
}

#[test]
fn nobody_asks_for_a_prefix_with_a_star() {
    let check = |value: &str| read(json!({"kind": "prefix", "value": value})).asked();
    let expected = "value: expected the beginning of a URL without a star; stars are for kind url, \
                    found \"https://a/img/*\"";
    assert_eq!(check("https://a/img/*").unwrap_err().to_string(), expected);
    assert!(check("https://a/img/%2A").is_ok());
    assert!(read(json!({"kind": "url", "value": "https://a/img/*"})).asked().is_ok());
}

#[test]
fn a_url_that_is_asked_for_has_one_spelling_and_one_that_was_logged_keeps_its_own() {
    let cases = [
        ("url", "HTTP://Shop.Example:8080/A?B#C", "http://shop.example:8080/A?B#C"),
        ("url", "hTTps://*.Example?Q=://X/*", "https://*.example?Q=://X/*"),
        ("url", "HTTPS://Shop.Example", "https://shop.example"),
        ("prefix", "Https://Shop.Example/Img/", "https://shop.example/Img/"),
        ("tag", "HTTP://A", "HTTP://A"),
    ];
    for (kind, value, expected) in cases {
        let command = read(json!({"kind": kind, "value": value}));
        assert_eq!(command.value, value, "as the entry is hashed");
        let asked = command.clone().asked().unwrap();
        assert_eq!((&*asked.value, asked.target), (expected, command.target));
    }
}

#[test]
fn a_list_is_taken_whole_or_not_at_all() {
    let good = json!({"kind": "url", "value": "http://a/"});
    let fault = |list: &[Value]| PurgeCommand::list_from_json(list).unwrap_err();
    assert_eq!(PurgeCommand::list_from_json(&[good.clone(), good.clone()]).unwrap().len(), 2);
    assert_eq!(fault(&[]), (None, CommandFault::Count { found: 0 }));
    assert_eq!(fault(&vec![good.clone(); 1001]), (None, CommandFault::Count { found: 1001 }));
    let (index, fault) = fault(&[good, json!({"kind": "url"})]);
    assert_eq!(index, Some(1));
    assert_eq!(fault.to_string(), "value: expected a URL, found nothing");
}
