//! Reads configs as users write them: every fault told at once and in its place; routes that
//! inherit; and `config/*.toml` held against the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headland::config::Config;
use headland::config::control_plane::ControlPlane;
use headland::config::fault::Report;
use headland::config::logging::AccessLog;
use headland::config::published::Published;
use headland::config::reference::{Key, Sample};
use headland::config::shield::Fallback;
use headland::config::site::Site;
use headland::config::units::ByteSize;
use proptest::prelude::*;

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

fn parse(text: &str) -> Result<Config, Report> {
    let environment = |name: &str| match name {
        "SIZE" => Some("2MiB".to_owned()),
        "SECRET" => Some("hl_secret".to_owned()),
        _ => None,
    };
    Config::parse(text, "edge.toml", Path::new("/etc/headland"), &environment)
}

fn sound_with(added: &str) -> Config {
    parse(&format!("{SOUND}{added}")).unwrap_or_else(|report| panic!("{report}"))
}

/// The report of a faulty config, line by line.
fn faults(text: &str) -> Vec<String> {
    let report = parse(text).err().unwrap_or_default().to_string();
    report.lines().map(str::to_owned).collect()
}

#[test]
fn a_sound_config_is_accepted() {
    let config = sound_with("");
    assert_eq!(config.sites[0].hosts[0].to_string(), "www.example.com");
    assert_eq!(config.limits.headers, 128);
    assert!(!config.listen.http3, "there is no https");
}

/// Every key of the documented interface, as users' files have them.
const EVERYTHING: &str = r#"
[node]
name = "fra-1"
region = "eu-central"
role = "edge"
workers = 0
[listen]
http  = ["0.0.0.0:80"]
https = ["0.0.0.0:443"]
http3 = true
admin = "127.0.0.1:9180"
probes = "0.0.0.0:9181"
proxy_protocol = ["10.0.0.0/8"]
[tls]
certificates = [{ cert = "cert.pem", key = "key.pem" }]
[cache]
memory = "1GiB"
disk = { path = "/var/cache/headland", size = "100GiB" }
slice = "1MiB"
[shield]
nodes = ["https://shield-1.internal:8443", "https://shield-2.internal:8443"]
[peer]
secret_file = "peer.secret"
ca_file = "peer-ca.pem"
[control]
url = "https://control.internal:9190"
token_file = "node.token"
on_control_loss = "serve"
[[origin]]
name = "app"
servers = [{ url = "http://10.0.0.5:8080", weight = 2 }, { url = "http://10.0.0.6", backup = true }]
balance = "least_connections"
host = "static.example.com"
health = { path = "/healthz", interval = "5s", timeout = "1s", unhealthy = 3, healthy = 2 }
connect_timeout = "2s"
response_timeout = "30s"
max_connections = 256
retries = 2
[[origin]]
name = "bucket"
[origin.s3]
bucket = "assets"
region = "eu-central-1"
endpoint = "https://s3.eu-central-1.amazonaws.com"
prefix = ""
path_style = false
[[site]]
name = "shop"
hosts = ["static.example.com", "*.cdn.example.com"]
origin = "app"
allow = ["GET", "HEAD"]
[site.key]
query = { ignore = ["utm_*", "fbclid"], sort = true }
headers = []
[site.freshness]
default = "0s"
negative = { "404" = "10s", "5xx" = "1s" }
stale_while_revalidate = "0s"
stale_if_error = "1h"
[site.headers]
[[site.route]]
path = "/media/*"
origin = "bucket"
[limits]
connections = 65536
connections_per_address = 10000
requests_per_connection = 0
streams = 256
headers = 128
header_bytes = "64KiB"
url = "8KiB"
header_timeout = "10s"
idle_timeout = "60s"
drain_timeout = "30s"
[logging]
access = "stdout"
[purge]
linger = "30s"
settle = "0s"
"#;

#[test]
fn the_documented_interface_is_understood_and_only_what_comes_later_is_refused() {
    let report = parse(EVERYTHING).unwrap_err();
    let mut refused = Vec::new();
    for fault in &report.faults {
        assert_eq!(fault.wrong, "not supported yet by this version", "{fault}");
        refused.push(fault.key.as_str());
    }
    let later = "listen.probes listen.proxy_protocol";
    assert_eq!(refused.join(" "), later);
}

proptest! {
    /// Damage anywhere ends in a config or in a report whose faults lie within the file.
    #[test]
    fn damage_is_reported(
        at in 0..EVERYTHING.len(),
        cut in 0..40_usize,
        put in prop_oneof!["\\PC{0,6}", "[\\[\\]{}=\"#,.\n0-9$]{0,6}"],
    ) {
        let end = (at + cut).min(EVERYTHING.len());
        let text = format!("{}{put}{}", &EVERYTHING[..at], &EVERYTHING[end..]);
        if let Err(report) = parse(&text) {
            let lines = text.lines().count() + 1;
            prop_assert!(!report.is_clean());
            prop_assert!(report.faults.iter().all(|fault| (1..=lines).contains(&fault.place.line)));
        }
    }
}

#[test]
fn every_fault_at_once_in_the_order_of_the_file() {
    let text = "[node]\nname = \"a b\"\n[limits]\nheders = 1\nurl = ten\n[[site]]\n\
                hosts = [\"é..x\", \"*.ok.example\"]\norigin = \"${NOWHERE}\"\n";
    assert_eq!(
        faults(text),
        [
            "edge.toml:2:8: node.name: expected 1 to 64 letters, digits, \".\", \"_\" or \"-\", \
             found \"a b\"",
            "edge.toml:4:1: limits.heders: unknown key; did you mean \"headers\"?",
            "edge.toml:5:7: limits.url: invalid boolean, expected `true`",
            "edge.toml:7:10: site[0].hosts[0]: expected a host such as \"www.example.com\" or \
             \"*.example.com\", found \"é..x\"",
            "edge.toml:8:10: site[0].origin: ${NOWHERE} is not set",
            "5 faults"
        ]
    );
}

#[test]
fn variables_are_replaced_and_never_printed() {
    let config = sound_with("[cache]\nmemory = \"${SIZE}\"");
    assert_eq!(config.cache.memory, ByteSize::mib(2));
    assert_eq!(config.cache.max_object, ByteSize::mib(2), "never more than memory");
    assert_eq!(
        faults(&format!("{SOUND}[cache]\nmemory = \"${{SECRET}}\"")),
        [
            "edge.toml:11:10: cache.memory: expected a size in KiB, MiB, GiB or TiB such as \
             \"1GiB\", found \"${SECRET}\"",
            "1 fault"
        ]
    );
}

#[test]
fn paths_start_from_the_folder_of_the_config() {
    let config = sound_with(
        "[tls]\ncertificates = [{ cert = \"a.pem\", key = \"/b.pem\" }]\n\
         [logging]\naccess = \"log\"",
    );
    assert_eq!(config.tls.certificates[0].cert, PathBuf::from("/etc/headland/a.pem"));
    assert_eq!(config.tls.certificates[0].key, PathBuf::from("/b.pem"));
    assert_eq!(config.logging.access, AccessLog::File("/etc/headland/log".into()));
}

#[test]
fn no_limit_is_a_limit_beyond_reach() {
    let limits =
        sound_with("[limits]\nstreams = 1_000\nconnections = 0\nurl = \"0B\"\nidle_timeout = 0")
            .limits;
    assert_eq!(limits.streams, 1_000);
    assert_eq!(limits.connections, 16_777_216);
    assert_eq!(limits.url, ByteSize::mib(1));
    assert_eq!(limits.idle_timeout, Duration::from_hours(24 * 365));
}

#[test]
fn a_route_has_what_it_says_and_else_what_its_site_says() {
    let config = sound_with(
        r#"
        allow = ["GET"]
        key.query = { ignore = ["utm_*"], sort = true }
        freshness = { default = "10s", negative = { "404" = "2s", "5xx" = "1s" } }
        headers.response = { set = { X-Frame-Options = "DENY" } }
        [[site.route]]
        path = "/media/*"
        freshness.stale_if_error = "1d"
        key.query.sort = false
        "#,
    );
    let Site { routes, .. } = &config.sites[0];
    let [media, rest] = &routes[..] else { panic!("{routes:?}") };
    assert_eq!((media.path.as_str(), rest.path.as_str()), ("/media/*", "*"));

    let mut expected = rest.policy.clone();
    expected.freshness.stale_if_error = Duration::from_hours(24);
    expected.key.query.sort = false;
    assert_eq!(media.policy, expected);

    assert_eq!(rest.policy.origin, "app");
    assert_eq!(rest.policy.freshness.default, Duration::from_secs(10));
    let negative = |status| rest.policy.freshness.negative.lifetime(status);
    assert_eq!(negative(404), Some(Duration::from_secs(2)));
    assert_eq!(negative(503), Some(Duration::from_secs(1)));
    assert_eq!(negative(410), None);
    assert_eq!(rest.policy.headers.response.set["x-frame-options"], "DENY");
}

#[test]
fn a_shield_is_a_url_or_a_table() {
    let config = sound_with(
        r#"
        [peer]
        secret_file = "peer.secret"
        [shield]
        nodes = ["https://a:8443", { url = "http://[::1]:8080", region = "eu", weight = 3 }]
        "#,
    );
    let shield = config.shield.unwrap();
    let nodes: Vec<_> = shield
        .nodes
        .iter()
        .map(|node| (node.url.to_string(), node.region.as_str(), node.weight))
        .collect();
    let expected =
        [("https://a:8443".to_owned(), "", 1), ("http://[::1]:8080".to_owned(), "eu", 3)];
    assert_eq!(nodes, expected);
    assert_eq!((shield.fallback, shield.hedge), (Fallback::Origin, Duration::ZERO));
    assert_eq!(config.peer.unwrap().secret_file, PathBuf::from("/etc/headland/peer.secret"));
}

#[test]
fn files_are_opened_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let pem = |label| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    std::fs::write(folder.path().join("cert.pem"), pem("CERTIFICATE")).unwrap();
    std::fs::write(folder.path().join("key.pem"), pem("PRIVATE KEY")).unwrap();
    let check = |cert: &str, key: &str| {
        let text =
            format!("{SOUND}[tls]\ncertificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n");
        let config = Config::parse(&text, "edge.toml", folder.path(), &|_| None).unwrap();
        let keys = config
            .check_files(|_| None)
            .faults
            .into_iter()
            .map(|fault| (fault.place.line, fault.key));
        keys.collect::<Vec<_>>()
    };
    assert_eq!(check("cert.pem", "key.pem"), []);
    let wrong = ["cert", "key"].map(|key| (11, format!("tls.certificates[0].{key}")));
    assert_eq!(check("key.pem", "cert.pem"), wrong);
    assert_eq!(check("absent.pem", "absent.pem"), wrong);

    std::fs::write(folder.path().join("short.secret"), " too short, 15b \n").unwrap();
    std::fs::write(folder.path().join("peer.secret"), "just long enough\n").unwrap();
    let peer = |secret: &str, ca: &str| {
        let text = format!("{SOUND}[peer]\nsecret_file = \"{secret}\"\nca_file = \"{ca}\"\n");
        let config = Config::parse(&text, "edge.toml", folder.path(), &|_| None).unwrap();
        config.check_files(|_| None).to_string()
    };
    assert_eq!(peer("peer.secret", "cert.pem"), "0 faults");
    let report = peer("short.secret", "key.pem");
    let secret = "edge.toml:11:1: peer.secret_file: expected a text of at least 16 bytes, found ";
    assert!(report.starts_with(secret), "{report}");
    assert!(report.contains("short.secret: 14 bytes\n"), "{report}");
    assert!(report.contains("12:1: peer.ca_file: expected a PEM certificate, "), "{report}");

    let check = |path: &str, access: &str| {
        let text = format!(
            "{SOUND}[cache]\ndisk = {{ path = \"{path}\", size = \"1GiB\" }}\n\
             [logging]\naccess = \"{access}\"\n"
        );
        let config = Config::parse(&text, "edge.toml", folder.path(), &|_| None).unwrap();
        config.check_files(|_| None).to_string()
    };
    for path in ["cert.pem", "cert.pem/cache"] {
        let report = check(path, ".");
        for key in ["cache.disk.path: expected a folder", "logging.access: expected a file"] {
            assert!(report.contains(key), "{path}: {report}");
        }
    }
    let report = check("none/yet", "off");
    assert!(!report.contains("cache.disk.path"), "{report}");
}

#[test]
fn a_node_that_follows_a_control_plane_may_have_its_sites_from_there() {
    let without = "[listen]\nhttp = [\"127.0.0.1:0\"]\n";
    assert_eq!(
        faults(without),
        ["edge.toml:1:1: site: expected at least one [[site]], found none", "1 fault"]
    );
    let control = "[control]\nurl = \"http://127.0.0.1:1\"\ntoken_file = \"t\"\n";
    let hash = "0".repeat(64);
    let token = format!(
        "[[token]]\nname = \"a\"\nrole = \"view\"\nsites = [\"published\"]\n\
         hash = \"blake3:{hash}\"\n"
    );
    assert!(parse(&format!("{without}{control}{token}")).is_ok());
    let half = format!("{without}{control}[[site]]\nname = \"a\"\norigin = \"b\"\n");
    assert_eq!(faults(&half).last().unwrap(), "2 faults", "what is there is checked");
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let report = Config::read(Path::new("/nowhere/edge.toml")).unwrap_err().to_string();
    assert!(report.starts_with("/nowhere/edge.toml: cannot be read: "), "{report}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    std::fs::write(&path, b"[node]\nname = \"\xe9\"\n").unwrap();
    let report = Config::read(&path).unwrap_err().to_string();
    assert!(report.contains("edge.toml:2:9: expected UTF-8, found other bytes\n"), "{report}");
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

#[test]
fn shipped_configs_are_accepted() {
    for name in ["edge.toml", "shield.toml", "reference.toml"] {
        if let Err(report) = Config::read(&shipped(name)) {
            panic!("{report}");
        }
    }
    let sites = std::fs::read_to_string(shipped("sites.toml")).unwrap();
    Published::check(&sites, "sites.toml").unwrap_or_else(|report| panic!("{report}"));
    let server = |name: &str| (name == "APP_SERVER").then(|| "10.0.0.5:8080".to_owned());
    Published::parse(&sites, "sites.toml", &server).unwrap_or_else(|report| panic!("{report}"));
}

#[test]
fn the_configs_of_the_readme_are_accepted() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let [first, bucket, rules, control, shield, edge] = blocks.collect::<Vec<_>>()[..] else {
        panic!()
    };
    let (listens, _) = first.split_once("[[origin]]").unwrap();
    let (without_site, _) = first.split_once("[[site]]").unwrap();
    // The others say what stands besides.
    let (_, rest) = SOUND.split_once("[[origin]]").unwrap();
    for text in [
        first.to_owned(),
        format!("{listens}{bucket}"),
        format!("{without_site}{rules}"),
        format!("{shield}[[origin]]{rest}"),
        format!("{edge}{SOUND}"),
    ] {
        parse(&text).unwrap_or_else(|report| panic!("{report}\n{text}"));
    }
    let control = ControlPlane::parse(control, "control.toml", Path::new("/etc"), &|_| None);
    control.unwrap_or_else(|report| panic!("{report}"));
}

/// `HEADLAND_BLESS=1 cargo test --test config` writes the file anew.
#[test]
fn the_reference_is_as_the_code_says() {
    let path = shipped("reference.toml");
    if std::env::var_os("HEADLAND_BLESS").is_some() {
        std::fs::write(&path, Config::reference()).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == Config::reference(), "HEADLAND_BLESS=1");
}

/// The keys of the reference, read without the code that wrote it: a line `key = value` under its
/// heading, or `key: …` below the line of its table; a comment sign does not matter.
#[test]
fn the_reference_has_every_key_with_its_default_and_no_other() {
    let text = std::fs::read_to_string(shipped("reference.toml")).unwrap();
    let (mut table, mut inline) = (String::new(), String::new());
    let mut found = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start_matches("# ");
        if bare.starts_with('[') && bare.ends_with(']') {
            table = bare.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) = bare.split_once(" = ").filter(|(key, _)| is_key(key)) {
            inline = format!("{table}.{key}");
            found.push((inline.clone(), Some(value.to_owned())));
        } else if let Some(key) = line.strip_prefix("#     ")
            && let Some((key, _)) = key.split_once(": ").filter(|(key, _)| is_key(key))
        {
            found.push((format!("{inline}.{key}"), None));
        }
    }

    let keys = Config::keys();
    let tables: BTreeSet<_> =
        keys.iter().filter_map(|key| Some(key.path.rsplit_once('.')?.0)).collect();
    let shown = |key: &&Key| !tables.contains(key.path.as_str()) || key.sample.is_some();
    let expected: Vec<_> = keys.iter().filter(shown).map(|key| key.path.clone()).collect();
    assert_eq!(found.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), expected);
    for (path, value) in found {
        let key = keys.iter().find(|key| key.path == path).unwrap();
        let sample = key.sample.map(
            |(Sample::Required(sample) | Sample::Shown(sample) | Sample::Commented(sample))| {
                sample.to_owned()
            },
        );
        if let Some(value) = value {
            assert_eq!(Some(value), sample.or_else(|| key.default.clone()), "{path}");
        }
    }
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn the_reference_reads_as_the_defaults() {
    let reference = Config::read(&shipped("reference.toml")).unwrap();
    let none = Config::default();
    assert_eq!(reference.node, none.node);
    assert_eq!(reference.cache, none.cache);
    assert_eq!(reference.limits, none.limits);
    assert_eq!(reference.logging, none.logging);
    assert_eq!(reference.purge, none.purge);
    assert_eq!(reference.listen.admin, none.listen.admin);
    let [route, rest] = &reference.sites[0].routes[..] else { panic!() };
    assert_eq!(route.policy, rest.policy);
    assert_eq!(rest.policy.freshness, sound_with("").sites[0].routes[0].policy.freshness);
    let own = sound_with("").origins[0].clone();
    assert_eq!(reference.origins, [own]);
}
