//! Control configs as users write them.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<ControlPlane, Report> {
    ControlPlane::parse(text, "control.toml", Path::new("/etc/headland"), &|_| None)
}

fn faults(text: &str) -> Vec<String> {
    let report = parse(text).err().unwrap_or_default().to_string();
    report.lines().map(str::to_owned).collect()
}

#[test]
fn a_path_is_all_that_it_takes() {
    let config = parse("[purge_log]\npath = \"log\"").unwrap();
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:9190");
    assert_eq!(config.fleet.lease, Duration::from_secs(10));
    assert_eq!(config.purge_log.backend, Backend::Embedded);
    assert_eq!(config.purge_log.path, PathBuf::from("/etc/headland/log"));
}

#[test]
fn every_fault_is_told_at_once() {
    let text = "\
[listen]
api = \"0.0.0.0:9190\"
[fleet]
lease = \"1ms\"
leese = \"10s\"
[purge_log]
backend = \"nats\"
[[token]]
name = \"deploy\"
role = \"purge\"
hash = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"
[[token]]
name = \"deploy\"
role = \"owner\"
hash = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"
[cache]
";
    let expected = [
        "control.toml:2:1: listen.api: expected a loopback address such as \"127.0.0.1:9190\", \
         found another without [tls] certificates and a [[token]]",
        "control.toml:4:9: fleet.lease: expected \"100ms\" to \"1h\", found \"1ms\"",
        "control.toml:5:1: fleet.leese: unknown key; did you mean \"lease\"?",
        "control.toml:6:2: purge_log.servers: expected URLs such as \
         [\"nats://nats-1.internal:4222\"], found none",
        "control.toml:13:1: token[1].name: expected another value, found \"deploy\" again, as in \
         line 9",
        "control.toml:14:8: token[1].role: expected \"view\" or \"purge\" or \"node\" or \
         \"admin\", found \"owner\"",
        "control.toml:16:2: cache: unknown key",
        "7 faults",
    ];
    assert_eq!(faults(text), expected);
    let none = "control.toml:1:1: purge_log.path: expected a path such as \"/var/lib/headland\", \
                found none";
    assert_eq!(faults(""), [none, "1 fault"]);
}

#[test]
fn each_home_of_the_log_has_its_own_keys() {
    let config =
        parse("[purge_log]\nbackend = \"nats\"\nservers = [\"tls://a:4222\", \"nats://b\"]");
    let PurgeLog { servers, stream, replicas, check_sync, .. } = config.unwrap().purge_log;
    assert_eq!(servers, ["tls://a:4222", "nats://b"]);
    assert_eq!((stream.as_str(), replicas, check_sync), ("headland", 1, true));
    let text = "\
[purge_log]
backend = \"nats\"
path = \"log\"
servers = [\"nats://a\", \"http://b\", \"nats://\", \"nats://me:secret@c\"]
stream = \"a.b\"
replicas = 6
";
    let server = "a URL such as \"nats://nats-1.internal:4222\" or \"tls://…\"";
    let found = |index, at, found: &str| {
        format!("control.toml:4:{at}: purge_log.servers[{index}]: expected {server}, found {found}")
    };
    let expected = [
        "control.toml:3:1: purge_log.path: expected it with backend = \"embedded\" alone, found \
         backend = \"nats\""
            .to_owned(),
        found(1, 24, "\"http://b\""),
        found(2, 36, "\"nats://\""),
        found(3, 47, "\"nats://me:secret@c\""),
        "control.toml:5:10: purge_log.stream: expected 1 to 64 letters, digits, \"_\" or \"-\", \
         found \"a.b\""
            .to_owned(),
        "control.toml:6:12: purge_log.replicas: expected 1 to 5, found 6".to_owned(),
        "6 faults".to_owned(),
    ];
    assert_eq!(faults(text), expected);
    let embedded = "[purge_log]\npath = \"log\"\nservers = [\"nats://a\"]\nreplicas = 3\n";
    let told = faults(embedded);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("servers: expected it with backend = \"nats\" alone"), "{told:?}");
}

#[test]
fn beyond_loopback_it_takes_tls_and_tokens() {
    let guarded = "\
[listen]
api = \"0.0.0.0:9190\"
[tls]
certificates = [{ cert = \"cert.pem\", key = \"key.pem\" }]
[purge_log]
path = \"log\"
[[token]]
name = \"edges\"
role = \"node\"
hash = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"
";
    assert!(parse(guarded).is_ok(), "{:?}", faults(guarded));
}

#[test]
fn hooks_say_where_objects_are_served() {
    let hook = |lines: &str| {
        format!("[purge_log]\npath = \"log\"\n[[hook]]\nname = \"a\"\nbucket = \"b\"\n{lines}")
    };
    let config = parse(&hook("urls = [\"https://a.example/\", \"http://b.example:81/x/\"]\n"));
    let Hook { prefix, index, site, soft, .. } = config.unwrap().hooks.remove(0);
    let expected = (String::new(), "index.html".to_owned(), None, false);
    assert_eq!((prefix, index, site, soft), expected);
    let expected = "a URL such as \"https://static.example.com/\", with a slash at its end";
    for wrong in
        ["a.example/", "https://a.example", "https://a.example/x", "https:///", "https://*/"]
    {
        let told =
            format!("control.toml:6:9: hook[0].urls[0]: expected {expected}, found {wrong:?}");
        assert_eq!(faults(&hook(&format!("urls = [{wrong:?}]\n"))), [told.as_str(), "1 fault"]);
    }
    assert_eq!(faults(&hook("")).len(), 2, "{:?}", faults(&hook("")));
    let none = faults(&hook("urls = []\n"));
    assert!(none[0].ends_with(&format!("expected {expected}, found none")), "{none:?}");
    let twice = hook("urls = [\"https://a.example/\"]\n[[hook]]\nname = \"a\"\n");
    let twice = faults(&format!("{twice}bucket = \"\"\nurls = [\"https://a.example/\"]\n"));
    let told: Vec<_> = twice.iter().map(|fault| fault.split(": ").nth(1).unwrap_or("")).collect();
    assert_eq!(told, ["hook[1].name", "hook[1].bucket", ""], "{twice:?}");
}

#[test]
fn the_example_is_accepted_and_shows_every_key() {
    let text = include_str!("../../../config/control.toml");
    assert!(parse(text).is_ok(), "{:?}", faults(text));
    let lines: Vec<_> = text.lines().map(|line| line.trim_start_matches(['#', ' '])).collect();
    for key in ControlPlane::keys() {
        let name = key.path.rsplit('.').next().unwrap();
        let starts = [format!("{name} ="), format!("[{name}]"), format!("[[{name}]]")];
        let inline = format!("{name} = ");
        let shown = |line: &&str| starts.iter().any(|start| line.starts_with(start));
        let is_shown = lines.iter().any(shown) || text.contains(&inline);
        assert!(is_shown, "{}", key.path);
    }
}
