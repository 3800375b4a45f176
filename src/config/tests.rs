//! Each fault that a config can have, with its place and its words: what is added to a sound
//! config, and the one line that it makes.

mod edge_rules;
mod s3;

use std::path::Path;

use super::Config;
use super::moment::Moment;

/// A config without a fault; cases add theirs from line 10 on.
const SOUND: &str = r#"[listen]
http = ["127.0.0.1:8080"]
[[origin]]
name = "app"
servers = [{ url = "http://127.0.0.1:3000" }]
[[site]]
name = "shop"
hosts = ["www.example.com"]
origin = "app"
"#;

/// The report of a text, line by line.
fn faults(text: &str) -> Vec<String> {
    let config = Config::parse(text, "edge.toml", Path::new(""), &|_| None);
    let report = config.err().unwrap_or_default().to_string();
    report.lines().map(str::to_owned).collect()
}

/// Each case: what is added to the sound config, and the one fault it makes.
fn check_each(cases: &[(&str, &str)]) {
    for (added, expected) in cases {
        let expected = [format!("edge.toml:{expected}"), "1 fault".to_owned()];
        assert_eq!(faults(&format!("{SOUND}{added}")), expected, "{added}");
    }
}

#[test]
fn syntax() {
    check_each(&[
        ("[node\nname = \"a\"", "10:6: node: unclosed table, expected `]`"),
        (
            "[node]\nname = a",
            "11:8: node.name: string values must be quoted, expected literal string",
        ),
        ("[node]\nname = \"a", "11:10: node.name: invalid basic string, expected `\"`"),
        ("[node]\nname = \"a\"\nname = \"b\"", "12:1: node.name: duplicate key"),
        ("[node]\n[node]", "11:2: node: duplicate key"),
        (
            "[site.key] # note\nheaders = [\n  accept,\n]",
            "12:3: string values must be quoted, \
          expected literal string",
        ),
    ]);
}

#[test]
fn sizes() {
    check_each(&[
        (
            "[cache]\nmemory = \"1XB\"",
            "11:10: cache.memory: expected a size in KiB, MiB, GiB or TiB such as \"1GiB\", \
             found \"1XB\"",
        ),
        (
            "[cache]\ndisk = { path = \"x\", size = \"100G\" }",
            "11:29: cache.disk.size: expected a size in KiB, MiB, GiB or TiB such as \"100GiB\", \
             found \"100G\"",
        ),
    ]);
}

#[test]
fn values() {
    check_each(&[
        (
            "[site.freshness]\ndefault = \"ten\"",
            "11:11: site[0].freshness.default: expected a duration such as \"10s\", found \"ten\"",
        ),
        (
            "[limits]\nidle_timeout = 60",
            "11:16: limits.idle_timeout: expected a duration such as \"10s\", found 60",
        ),
        (
            "[limits]\nstreams = \"many\"",
            "11:11: limits.streams: expected a whole number such as 64, found \"many\"",
        ),
        (
            "[limits]\nstreams = -1",
            "11:11: limits.streams: expected a whole number such as 64, found -1",
        ),
        (
            "[limits]\nmin_rate = \"1KiB\"",
            "11:12: limits.min_rate: expected a rate such as \"1KiB/s\", found \"1KiB\"",
        ),
        (
            "[site.key]\nquery = { sort = 1 }",
            "11:18: site[0].key.query.sort: expected true or false, found 1",
        ),
        (
            "[site.key]\nheaders = [\"accept\", \"a b\"]",
            "11:22: site[0].key.headers[1]: expected the name of a header field such as \
             \"accept-language\", found \"a b\"",
        ),
        (
            "[logging]\nformat = \"xml\"",
            "11:10: logging.format: expected \"json\" or \"common\", found \"xml\"",
        ),
        (
            "[logging]\nlevel = \"loud=yes=no\"",
            "11:9: logging.level: expected a level such as \"info\" or \
             \"info,headland::net=debug\", found \"loud=yes=no\"",
        ),
        ("cache = 5\n", "10:1: site[0].cache: unknown key"),
        ("[[limits]]", "10:1: limits: expected a table, found [[limits]]"),
        (
            "[site.freshness]\nnegative = { \"600\" = \"1s\" }",
            "11:22: site[0].freshness.negative.600: expected a status of 300 to 599 or a class \
             such as \"5xx\", found \"600\"",
        ),
        (
            "[site.freshness]\nnegative = { \"+404\" = \"1s\" }",
            "11:23: site[0].freshness.negative.+404: expected a status of 300 to 599 or a class \
             such as \"5xx\", found \"+404\"",
        ),
        (
            "[site.headers]\nrequest = { set = { \"x y\" = \"1\" } }",
            "11:29: site[0].headers.request.set.x y: expected the name of a header field such as \
             \"accept-language\", found \"x y\"",
        ),
        (
            "[site.headers]\nresponse = { remove = [\"Transfer-Encoding\"] }",
            "11:23: site[0].headers.response.remove: expected no \"transfer-encoding\", which is \
             this node's own, found [\"Transfer-Encoding\"]",
        ),
        (
            "[[site.route]]\npath = \"media/*\"",
            "11:8: site[0].route[0].path: expected a path that starts with \"/\" or \"*\", found \
             \"media/*\"",
        ),
    ]);
}

#[test]
fn bounds() {
    check_each(&[
        (
            "[limits]\nheaders = 5000",
            "11:11: limits.headers: expected 8 to 4096, or 0 for no limit, found 5000",
        ),
        (
            "[limits]\nheader_timeout = \"1ms\"",
            "11:18: limits.header_timeout: expected \"10ms\" to \"365d\", or 0 for no limit, \
             found \"1ms\"",
        ),
        (
            "[cache]\nmemory = \"1KiB\"",
            "11:10: cache.memory: expected \"1MiB\" to \"16TiB\", found \"1KiB\"",
        ),
        ("[node]\nworkers = 2000", "11:11: node.workers: expected 0 to 1024, found 2000"),
        (
            "[node]\nname = \"two words\"",
            "11:8: node.name: expected 1 to 64 letters, digits, \".\", \"_\" or \"-\", found \
             \"two words\"",
        ),
        (
            "[[site.route]]\npath = \"/\"\nfreshness.negative = { \"404\" = \"99999d\" }",
            "12:32: site[0].route[0].freshness.negative.404: expected \"0s\" to \"3650d\", found \
             \"99999d\"",
        ),
    ]);
}

#[test]
fn unknown_keys() {
    check_each(&[
        ("[limits]\nheders = 9", "11:1: limits.heders: unknown key; did you mean \"headers\"?"),
        ("[limit]\nheaders = 9", "10:2: limit: unknown key; did you mean \"limits\"?"),
        ("colour = \"blue\"", "10:1: site[0].colour: unknown key"),
        (
            "[[site.route]]\npath = \"/\"\norigni = \"app\"",
            "12:1: site[0].route[0].origni: unknown key; did you mean \"origin\"?",
        ),
    ]);
}

#[test]
fn what_is_missing() {
    check_each(&[
        (
            "[[site.route]]\norigin = \"app\"",
            "10:1: site[0].route[0].path: expected a pattern such as \"utm_*\", found none",
        ),
        (
            "[[origin]]\nname = \"empty\"",
            "10:1: origin[1].servers: expected servers or s3, found neither",
        ),
        (
            "[[origin]]\nname = \"b\"\nservers = [{ weight = 2 }]",
            "12:12: origin[1].servers[0].url: expected a URL without path such as \
             \"http://10.0.0.5:8080\", found none",
        ),
        (
            "[tls]\ncertificates = [{ cert = \"a.pem\" }]",
            "11:17: tls.certificates[0].key: expected a path, found none",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = []\norigin = \"app\"",
            "12:1: site[1].hosts: expected at least one host, found none",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b.example.com\"]",
            "10:1: site[1].origin: expected the name of an existing [[origin]], found none",
        ),
    ]);
    assert_eq!(
        faults(""),
        [
            "edge.toml:1:1: listen.http: expected an address here or under https, found none",
            "edge.toml:1:1: site: expected at least one [[site]], found none",
            "2 faults"
        ]
    );
}

#[test]
fn rules_between_keys() {
    let token =
        format!("[[token]]\nname = \"a\"\nrole = \"view\"\nhash = \"blake3:{}\"\n", "0".repeat(64));
    check_each(&[
        (
            "[[site.route]]\npath = \"/\"\norigin = \"ap\"",
            "12:1: site[0].route[0].origin: expected the name of an existing [[origin]], \
             found \"ap\"; did you mean \"app\"?",
        ),
        (
            "[[site]]\nname = \"shop\"\nhosts = [\"b.example.com\"]\norigin = \"app\"",
            "11:1: site[1].name: expected another value, found \"shop\" again, as in line 7",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b.example.com\", \"WWW.example.com:80\"]\n\
             origin = \"app\"",
            "12:27: site[1].hosts[1]: expected another value, found \"www.example.com\" again, as \
             in line 8",
        ),
        (
            "[[origin]]\nname = \"app\"\nservers = [{ url = \"http://127.0.0.1\" }]",
            "11:1: origin[1].name: expected another value, found \"app\" again, as in line 4",
        ),
        (
            "[[origin]]\nname = \"b\"\nservers = [{ url = \"http://127.0.0.1\", backup = true }]",
            "12:1: origin[1].servers: expected a server that is no backup, found none",
        ),
        (
            "[[site.route]]\npath = \"/a\"\n[[site.route]]\npath = \"/a\"",
            "13:1: site[0].route[1].path: \
             expected another value, found \"/a\" again, as in line 11",
        ),
        (
            "[cache]\nmemory = \"1MiB\"\nmax_object = \"2MiB\"",
            "12:1: cache.max_object: expected at most cache.memory, 1MiB, found 2MiB",
        ),
        (
            &format!("{token}sites = [\"shop\", \"shp\"]"),
            "14:18: token[0].sites[1]: expected the name of an existing [[site]], found \"shp\"; \
             did you mean \"shop\"?",
        ),
    ]);
}

#[test]
fn rules_between_listeners() {
    let rest = SOUND.split_once("[[origin]]").unwrap().1;
    let cases = [
        (
            "https = [\"0.0.0.0:443\"]",
            "2:1: listen.https: expected certificates under [tls], found none",
        ),
        (
            "http = [\"0.0.0.0:80\"]\nhttp3 = true",
            "3:1: listen.http3: expected addresses under https, found none",
        ),
        (
            "http = [\"0.0.0.0:80\"]\nadmin = \"0.0.0.0:9180\"",
            "3:1: listen.admin: expected a loopback address such as \"127.0.0.1:9180\", found \
             another without [tls] certificates and a [[token]]",
        ),
        (
            "http = [\"0.0.0.0:80\", \"0.0.0.0:80\"]",
            "2:23: listen.http[1]: \
             expected another value, found \"0.0.0.0:80\" again, as in line 2",
        ),
        ("http = []", "2:1: listen.http: expected an address here or under https, found none"),
    ];
    for (listen, expected) in cases {
        let text = format!("[listen]\n{listen}\n[[origin]]{rest}");
        let expected = [format!("edge.toml:{expected}"), "1 fault".to_owned()];
        assert_eq!(faults(&text), expected, "{listen}");
    }
}

#[test]
fn rules_between_tiers() {
    let peer = "[peer]\nsecret_file = \"peer.secret\"\n[shield]\n";
    let nodes = |nodes: &str| format!("{peer}nodes = {nodes}");
    check_each(&[
        (
            "[shield]\nnodes = [\"https://a\"]",
            "10:2: shield: expected a [peer] with the secret of the shields, found none",
        ),
        (
            "[node]\nrole = \"shield\"",
            "11:1: node.role: expected a [peer] by which a shield knows its edges, found none",
        ),
        (
            &format!("[node]\nrole = \"shield\"\n{}", nodes("[\"https://a\"]")),
            "14:2: shield: a node with role = \"shield\" asks no shield",
        ),
        ("[peer]\nca_file = \"ca.pem\"", "10:1: peer.secret_file: expected a path, found none"),
        (
            peer.trim_end(),
            "12:1: shield.nodes: expected an array, each element a URL or a table such as \
             \"https://shield-1.internal:8443\" or { url = \"https://…\" }, found none",
        ),
        (&nodes("[]"), "13:1: shield.nodes: expected at least one shield, found none"),
        (
            &nodes("[\"https://a\", { url = \"https://A:443/\", weight = 2 }]"),
            "13:23: shield.nodes[1]: expected another value, found \"https://a\" again, as in \
             line 13",
        ),
        (
            &nodes("[\"http://localhost:80\", \"http://10.0.0.5\"]"),
            "13:33: shield.nodes[1]: expected https://, or an address of this machine alone, \
             found \"http://10.0.0.5\"",
        ),
        (
            &nodes("[{ url = \"https://a\", weight = 0 }]"),
            "13:40: shield.nodes[0].weight: expected 1 to 1000, found 0",
        ),
        (
            &nodes("[{ weight = 2 }]"),
            "13:10: shield.nodes[0].url: expected a URL without path such as \
             \"http://10.0.0.5:8080\", found none",
        ),
        (
            &nodes("[{ url = \"https://a\", regoin = \"eu\" }]"),
            "13:31: shield.nodes[0].regoin: unknown key; did you mean \"region\"?",
        ),
        (
            &nodes("[5]"),
            "13:10: shield.nodes[0]: expected a URL or a table such as \
             \"https://shield-1.internal:8443\" or { url = \"https://…\" }, found 5",
        ),
        (
            &nodes("[\"https://a\"]\nfallback = \"edge\""),
            "14:12: shield.fallback: expected \"origin\" or \"none\", found \"edge\"",
        ),
        (
            &nodes("[\"https://a\"]\npause = \"1m\""),
            "14:1: shield.pause: expected at most shield.pause_max, 30s, found 60s",
        ),
    ]);
}

#[test]
fn what_this_version_does_not_serve_is_refused() {
    check_each(&[
        ("server_timing = []", "10:1: site[0].server_timing: not supported yet by this version"),
        (
            "[[site.route]]\npath = \"/\"\nserver_timing = {}",
            "12:1: site[0].route[0].server_timing: not supported yet by this version",
        ),
    ]);
    assert_eq!(
        faults(&format!("{SOUND}[cache]\ndisk = {{ size = 5 }}")),
        [
            "edge.toml:11:8: cache.disk.path: expected a path, found none",
            "edge.toml:11:17: cache.disk.size: expected \"64MiB\" to \"16TiB\", found 5",
            "2 faults"
        ]
    );
}

#[test]
fn what_a_control_plane_does_is_not_for_its_nodes() {
    const CONTROL: &str = "[control]\nurl = \"http://127.0.0.1:9190\"\ntoken_file = \"t\"\n";
    let settles = |settle: &str| format!("{CONTROL}[purge]\nsettle = \"{settle}\"\n");
    check_each(&[(
        &settles("1m"),
        "14:1: purge.settle: expected it without [control] alone; with one, in the control \
         plane's config, found 60s",
    )]);
    assert_eq!(faults(&format!("{SOUND}{}", settles("0s"))), ["0 faults"]);
    assert_eq!(faults(&format!("{SOUND}[purge]\nsettle = \"1m\"")), ["0 faults"]);
}

#[test]
fn tokens_end_at_a_moment() {
    let token = |expires: &str| {
        let hash = "0".repeat(64);
        format!(
            "[[token]]\nname = \"a\"\nrole = \"view\"\nhash = \"blake3:{hash}\"\n\
             expires = {expires}\n"
        )
    };
    for sound in ["2027-01-01", "2027-01-01T00:00:00Z", "\"2027-01-01 01:00:00+01:00\""] {
        let text = format!("{SOUND}{}", token(sound));
        let config = Config::parse(&text, "edge.toml", Path::new(""), &|_| None).unwrap();
        assert_eq!(config.tokens[0].expires, Some(Moment(1_798_761_600)), "{sound}");
    }
    for wrong in ["2027-01-01T00:00:00", "00:00:00", "7", "\"30d\""] {
        let expected = format!(
            "14:11: token[0].expires: expected a date such as 2027-01-01, or a date and time with \
             its offset such as 2027-01-01T00:00:00Z, found {wrong}"
        );
        check_each(&[(&token(wrong), &expected)]);
    }
}
