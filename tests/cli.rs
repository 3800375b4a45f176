//! The program as a script sees it: exit codes, stdout, stderr.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::path::Path;
use std::process::{Command, Output};

use headland::config::Config;
use headland::config::secret::Secret;
use headland::node::Node;
use serde_json::Value;

const CONFIG: &str = r#"
[listen]
http = ["127.0.0.1:0"]
[[origin]]
name = "app"
servers = [{ url = "http://127.0.0.1:1" }]
[[site]]
name = "shop"
hosts = ["shop.example"]
origin = "app"
"#;

fn headland(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headland"))
        .args(arguments)
        .env_remove("HEADLAND_CONTROL")
        .env_remove("HEADLAND_TOKEN_FILE")
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn check(text: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.toml");
    std::fs::write(&file, text).unwrap();
    headland(&[&["check", "--config", file.to_str().unwrap()], more].concat())
}

#[test]
fn help_is_given_for_every_command() {
    let commands = [
        "demo",
        "run",
        "control",
        "check",
        "cache",
        "cache verify",
        "explain",
        "purge",
        "purge url",
        "purge prefix",
        "purge tag",
        "purge site",
        "purges",
        "sign",
        "nodes",
        "nodes forget",
        "status",
        "top",
        "token",
        "token new",
    ];
    for command in commands {
        let arguments: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let help = headland(&arguments);
        assert_eq!(code(&help), 0, "{command}");
        assert!(stdout(&help).contains(&format!("Usage: headland {command}")), "{command}");
    }
    assert!(stdout(&headland(&["--help"])).contains("Examples:"));
    assert!(stdout(&headland(&["--version"])).starts_with("headland "));
}

#[test]
fn bad_usage_exits_with_2() {
    let cases: [&[&str]; 22] = [
        &[],
        &["fly"],
        &["check"],
        &["run"],
        &["purge", "url"],
        &["purge", "tag"],
        &["purge", "tag", "p42", "--exact"],
        &["purge", "tag", "p42", "--dry-run", "--wait"],
        &["purge", "url", "http://a/", "--timeout", "5s"],
        &["purge", "tag", "a", "--control", "http://[::1]:1", "--node", "http://[::1]:2"],
        &["status", "--node", "127.0.0.1"],
        &["status", "--token-file", "/nonexistent/token"],
        &["cache", "verify"],
        &["explain"],
        &["cache", "verify", "--config", "/nonexistent/edge.toml"],
        &["top", "--interval", "0"],
        &["nodes", "--control", "127.0.0.1:9190"],
        &["nodes", "forget", "a/b"],
        &["nodes", "--node", "http://127.0.0.1:9180"],
        &["purges", "x"],
        &["purges", "--limit", "0"],
        &["token", "new", "--name", "a b", "--role", "view"],
    ];
    for arguments in cases {
        let output = headland(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_was_expected() {
    let cases: [(&[&str], &str); 3] = [
        (&["purges", "x"], "'x' for '[NUMBER]': expected the number of a purge, such as 42"),
        (&["config", "publish", "x", "--share", "0.5"], "expected whole percent, from 1 to 100"),
        (&["config", "promote", "--share", "101"], "expected whole percent, from 1 to 100"),
    ];
    for (arguments, expected) in cases {
        let output = headland(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let run = |control: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
        command.args(["nodes"]).env("HEADLAND_CONTROL", control).env("HEADLAND_TOKEN_FILE", "");
        command.output().unwrap()
    };
    // Nobody listens at port 1 of loopback; somebody may where one listens by default.
    let named = run("http://127.0.0.1:1");
    assert!(stderr(&named).contains("http://127.0.0.1:1 does not answer"), "{named:?}");
    let empty = run("");
    assert!(!stderr(&empty).contains("expected"), "{empty:?}");
    let wrong = run("control");
    let expected = "headland nodes: HEADLAND_CONTROL: expected a URL without a path, ";
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).starts_with(expected), "{wrong:?}");
    // What is said goes before what the surroundings say.
    let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
    let node = ["purge", "tag", "a", "--node", "http://127.0.0.1:1"];
    let output = command.args(node).env("HEADLAND_CONTROL", "control").output().unwrap();
    assert!(stderr(&output).contains("http://127.0.0.1:1 does not answer"), "{output:?}");
}

#[test]
fn check_names_every_fault() {
    let good = check(CONFIG, &[]);
    assert_eq!(code(&good), 0, "{}", stderr(&good));
    assert!(stdout(&good).ends_with("edge.toml: no fault\n"));

    let faulty = CONFIG.replace("http = ", "htp = ");
    let bad = check(&faulty, &[]);
    assert_eq!((code(&bad), stdout(&bad).as_str()), (2, ""));
    assert!(stderr(&bad).contains("edge.toml:3:"), "{}", stderr(&bad));

    let json: Value = serde_json::from_slice(&check(&faulty, &["--json"]).stdout).unwrap();
    assert_eq!(json["data"]["ok"], false);
    let faults = json["data"]["faults"].as_array().unwrap();
    assert!(faults.iter().any(|fault| fault["line"] == 3 && fault["key"] == "listen.htp"));
}

#[test]
fn a_folder_that_a_node_refuses_is_no_cache_for_check_either() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let names = ["sites", "purges.journal", "identity", "config", "config.new", "store"];
    for name in names {
        std::fs::write(cache.join(name), "a list of mine").unwrap();
        let config =
            format!("{CONFIG}\n[cache]\ndisk = {{ path = {cache:?}, size = \"64MiB\" }}\n");
        assert_eq!(code(&check(&config, &[])), 0);
        let bad = check(&config, &["--files"]);
        let told = format!("holds a file {name:?} that is none of a cache");
        assert_eq!((code(&bad), stderr(&bad).contains(&told)), (2, true), "{}", stderr(&bad));
        let path = cache.with_extension("toml");
        std::fs::write(&path, &config).unwrap();
        let refused = headland(&["run", "--config", path.to_str().unwrap()]);
        let told = format!("{}: cache.disk.path: ", path.display());
        assert_eq!(code(&refused), 1);
        assert!(stderr(&refused).contains(&told), "{}", stderr(&refused));
        assert_eq!(std::fs::read(cache.join(name)).unwrap(), b"a list of mine");
        std::fs::remove_file(cache.join(name)).unwrap();
    }
}

#[test]
fn check_knows_the_config_of_a_control_plane() {
    let good = check("[purge_log]\npath = \"log\"\n", &["--files"]);
    assert_eq!(code(&good), 0, "{}", stderr(&good));
    assert!(stdout(&good).ends_with("no fault, as the config of a control plane\n"), "{good:?}");
    let bad = check("[purge_log]\npath = \"log\"\n[fleet]\nleese = \"10s\"\n", &[]);
    assert_eq!(code(&bad), 2);
    let told = stderr(&bad);
    assert!(told.contains("edge.toml:4:1: fleet.leese: unknown key"), "{told}");
    assert!(told.ends_with("1 fault\n"), "{told}");
    let broken = check("[purge_log\n[fleet]\nlease = 1\n", &[]);
    assert!(stderr(&broken).contains("fleet.lease: expected"), "{broken:?}");
    let files = "[purge_log]\nbackend = \"nats\"\nservers = [\"nats://a\"]\nca_file = \"none\"\n";
    assert_eq!(code(&check(files, &[])), 0);
    let missing = check(files, &["--files"]);
    assert!(stderr(&missing).contains("edge.toml:4:1: purge_log.ca_file: "), "{missing:?}");
}

#[test]
fn check_opens_files_when_asked() {
    let config = format!("{CONFIG}\n[logging]\naccess = \"nowhere/access.log\"\n");
    assert_eq!(code(&check(&config, &[])), 0);
    let bad = check(&config, &["--files"]);
    assert_eq!(code(&bad), 2);
    assert!(stderr(&bad).contains("logging.access"), "{}", stderr(&bad));
    assert_eq!(code(&headland(&["check", "--config", "/nonexistent/edge.toml"])), 2);
}

#[test]
fn a_new_token_is_one_that_a_config_takes() {
    let arguments =
        ["token", "new", "--name", "deploy", "--role", "purge", "--site", "shop", "--json"];
    let output = headland(&arguments);
    assert_eq!(code(&output), 0);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let token = json["data"]["token"].as_str().unwrap();
    assert!(token.starts_with("hl_") && token.len() == 46, "{token}");
    let stanza = json["data"]["stanza"].as_str().unwrap();
    let config = format!("{CONFIG}\n{stanza}");
    let config = Config::parse(&config, "edge.toml", Path::new(""), &|_| None).unwrap();
    let secret = Secret::new(token);
    assert!(config.tokens[0].hash.matches(&secret));

    let people = headland(&arguments[..8]);
    assert!(stdout(&people).contains("[[token]]\nname = \"deploy\"\nrole = \"purge\"\n"));
    assert!(!stdout(&people).contains(token));
}

#[test]
fn a_long_value_is_not_said_back() {
    let output = headland(&["purge", "tag", &"x".repeat(9000), "--node", "http://127.0.0.1:1"]);
    assert_eq!(code(&output), 2);
    let told = stderr(&output);
    assert!(told.len() < 500 && told.contains("value: expected at most 1024 bytes"), "{told}");
}

#[test]
fn who_does_not_answer_is_named() {
    // Port 1 of loopback: nobody listens there.
    for arguments in [
        &["status", "--node", "http://127.0.0.1:1"][..],
        &["top", "--node", "http://127.0.0.1:1"],
        &["purge", "url", "http://shop.example/", "--node", "http://127.0.0.1:1"],
        &["purge", "tag", "p42", "--wait", "--control", "http://127.0.0.1:1"],
        &["nodes", "--control", "http://127.0.0.1:1"],
        &["purges", "--control", "http://127.0.0.1:1"],
        &["nodes", "forget", "fra-1", "--control", "http://127.0.0.1:1"],
    ] {
        let output = headland(arguments);
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(stderr(&output).contains("http://127.0.0.1:1 does not answer"), "{output:?}");
    }
}

/// A node of this process, with a disk tier in `folder`.
fn node(folder: &Path) -> Node {
    let disk = format!("[cache]\ndisk = {{ path = \"{}\", size = \"64MiB\" }}", folder.display());
    let text = CONFIG.replace("[listen]", &format!("{disk}\n[listen]\nadmin = \"127.0.0.1:0\""));
    std::fs::write(folder.with_extension("toml"), &text).unwrap();
    let config = Config::parse(&text, "edge.toml", Path::new(""), &|_| None);
    Node::start(config.unwrap()).unwrap()
}

#[test]
fn a_cache_is_verified_while_no_node_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let node = node(&cache);
    let file = cache.with_extension("toml");
    let arguments = ["cache", "verify", "--config", file.to_str().unwrap()];
    let used = headland(&arguments);
    assert_eq!(code(&used), 2);
    assert!(stderr(&used).contains("is in use by a node (process "), "{}", stderr(&used));

    node.shutdown();
    let sound = headland(&arguments);
    assert_eq!(code(&sound), 0, "{}", stderr(&sound));
    assert!(stdout(&sound).ends_with("sound\n"), "{}", stdout(&sound));
    std::fs::write(cache.join("notes"), "").unwrap();
    let json = headland(&[&arguments[..], &["--json"]].concat());
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["data"]["sound"], true);
    assert_eq!(json["data"]["unknown"], serde_json::json!(["notes"]));

    std::fs::write(cache.join("purges.journal"), "damaged").unwrap();
    let damaged = headland(&arguments);
    assert_eq!(code(&damaged), 1);
    assert!(stdout(&damaged).contains("damage: purges.journal: "), "{}", stdout(&damaged));

    std::fs::remove_dir_all(&cache).unwrap();
    std::fs::write(&cache, "").unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let faulty = text.replace("http = ", "htp = ");
    let cases = [
        (text.as_str(), "holds no cache: it is a file"),
        (CONFIG, "has no disk tier"),
        (&faulty, "listen.htp"),
    ];
    for (config, why) in cases {
        std::fs::write(&file, config).unwrap();
        let failed = headland(&[&arguments[..], &["--json"]].concat());
        assert_eq!(code(&failed), 2);
        assert!(stderr(&failed).contains(why), "{}", stderr(&failed));
        let json: Value = serde_json::from_slice(&failed.stdout).unwrap();
        assert!(json["data"]["sound"].is_null());
        assert!(json["data"]["error"].as_str().unwrap().contains(why), "{json}");
    }
}

#[test]
fn top_prints_a_frame_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(&folder.path().join("cache"));
    let url = format!("http://{}", node.addresses().admin.unwrap());
    for more in [&[][..], &["--once"]] {
        let frame = headland(&[&["top", "--node", &url], more].concat());
        assert_eq!(code(&frame), 0, "{}", stderr(&frame));
        for head in ["node ", "tier ", "memory ", "disk ", "evicted ", "upstream ", "purge log "] {
            let shown = stdout(&frame);
            assert!(shown.lines().any(|line| line.starts_with(head)), "{head}: {shown}");
        }
    }
    node.shutdown();
}

#[test]
fn urls_are_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signing.key");
    std::fs::write(&file, "a secret of some length\n").unwrap();
    let sign = |more: &[&str]| {
        let url = "https://shop.example/media/a?q=1";
        let key = ["sign", url, "--key-file", file.to_str().unwrap(), "--expires", "1h"];
        headland(&[&key[..], more].concat())
    };
    let signed = sign(&["--prefix", "/media/", "--ip", "192.0.2.1", "--key", "main"]);
    let url = stdout(&signed);
    let (before, rest) = url.split_once("&hl_expires=").unwrap();
    assert_eq!((code(&signed), before), (0, "https://shop.example/media/a?q=1"));
    assert!(rest.contains("&hl_ip=1&hl_key=main&hl_prefix=7&hl_signature="), "{url}");
    let json: Value = serde_json::from_str(&stdout(&sign(&["--json"]))).unwrap();
    assert!(json["data"]["url"].as_str().unwrap().starts_with(before));
    let wrong = sign(&["--prefix", "/other/"]);
    assert_eq!((code(&wrong), stdout(&wrong)), (2, String::new()));
    assert!(stderr(&wrong).contains("does not begin with the prefix"));
    std::fs::write(&file, "short").unwrap();
    assert_eq!(code(&sign(&[])), 2);
}
