//! Faults of `[origin.s3]`, and what a bucket is asked by.

use std::path::Path;

use http::Method;

use super::{Config, SOUND, faults};

/// An origin with a bucket, from line 10 on; cases add to its `[origin.s3]` from line 15 on.
const BUCKET: &str = "[[origin]]\nname = \"b\"\n[origin.s3]\nbucket = \"assets\"\nregion = \"r\"\n";

fn check_each(cases: &[(&str, &str)]) {
    for (added, expected) in cases {
        let expected = [format!("edge.toml:{expected}"), "1 fault".to_owned()];
        assert_eq!(faults(&format!("{SOUND}{BUCKET}{added}")), expected, "{added}");
    }
}

#[test]
fn a_bucket_that_cannot_be_asked_is_told() {
    assert_eq!(faults(&format!("{SOUND}{BUCKET}")), ["0 faults"]);
    check_each(&[
        (
            "endpoint = \"http://10.0.0.5:9000\"",
            "12:9: origin[1].s3.path_style: expected true, the endpoint is an address, which no \
             name of a bucket can stand before",
        ),
        (
            "endpoint = \"https://[::1]:9000\"\npath_style = false",
            "16:1: origin[1].s3.path_style: expected true, the endpoint is an address, which no \
             name of a bucket can stand before",
        ),
        (
            "prefix = \"a/../b\"",
            "15:10: origin[1].s3.prefix: expected a part of a key without the segments \".\" and \
             \"..\", found \"a/../b\"",
        ),
        (
            "index = \"a/b\"",
            "15:9: origin[1].s3.index: expected a name without a slash, found \"a/b\"",
        ),
        (
            "credentials = \"file\"",
            "12:9: origin[1].s3.credentials_file: expected a file, which credentials = \"file\" \
             asks for, found none",
        ),
        (
            "credentials = \"none\"\ncredentials_file = \"f\"",
            "16:1: origin[1].s3.credentials_file: expected none, found a file beside credentials = \
             \"none\"",
        ),
        (
            "credentials = \"iam\"",
            "15:15: origin[1].s3.credentials: expected \"auto\" or \"environment\" or \"file\" or \
             \"instance\" or \"web_identity\" or \"none\", found \"iam\"",
        ),
        (
            "[[site.route]]\npath = \"/b/*\"\norigin = \"b\"\nallow = [\"POST\", \"PUT\"]",
            "18:1: site[0].route[0].allow: expected \"GET\" or \"HEAD\", by which a bucket is \
             asked, found neither",
        ),
    ]);
    let dotted = BUCKET.replace("assets", "static.example.com");
    let wrong = "12:9: origin[1].s3.path_style: expected true, no certificate of a service covers \
                 a host with a dot in the bucket's name";
    assert_eq!(faults(&format!("{SOUND}{dotted}"))[0], format!("edge.toml:{wrong}"));
    for (line, key, wrong) in [
        ("host = \"h\"", "host", "a bucket has the host that is signed"),
        ("health = {}", "health", "a bucket answers signed requests alone"),
    ] {
        let text = BUCKET.replace("[origin.s3]", &format!("{line}\n[origin.s3]"));
        let expected = format!("edge.toml:12:1: origin[1].{key}: expected none beside s3, {wrong}");
        assert_eq!(faults(&format!("{SOUND}{text}")), [expected, "1 fault".to_owned()]);
    }
}

#[test]
fn a_file_without_the_credentials_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys"), "[ci]\naws_access_key_id = secret\n").unwrap();
    let check = |lines: &str| {
        let text = format!("{SOUND}{BUCKET}{lines}");
        let config = Config::parse(&text, "edge.toml", folder.path(), &|_| None).unwrap();
        config.check_files(|_| None).to_string()
    };
    let file = folder.path().join("keys");
    for (lines, wrong) in [
        ("credentials_file = \"keys\"", "it has no section [default]"),
        (
            "credentials_file = \"keys\"\nprofile = \"ci\"",
            "its section [ci] has no aws_secret_access_key",
        ),
    ] {
        let expected = format!(
            "edge.toml:15:1: origin[1].s3.credentials_file: expected a file of credentials, found \
             {}: {wrong}\n1 fault",
            file.display()
        );
        assert_eq!(check(lines).trim_end(), expected);
    }
    assert!(check("credentials_file = \"none\"").contains("No such file"));
}

#[test]
fn routes_to_a_bucket_let_get_and_head_through_alone() {
    let routes = "[[site.route]]\npath = \"/b/*\"\norigin = \"b\"\n\
                  [[site.route]]\npath = \"/h/*\"\norigin = \"b\"\n\
                  allow = [\"HEAD\", \"POST\"]\n";
    let text = format!("{SOUND}{BUCKET}{routes}");
    let config = Config::parse(&text, "edge.toml", Path::new(""), &|_| None).unwrap();
    let allowed: Vec<_> =
        config.sites[0].routes.iter().map(|route| route.policy.allow.clone()).collect();
    assert_eq!(allowed, [vec![Method::GET, Method::HEAD], vec![Method::HEAD], vec![]]);
}
