//! `headland config`: what people type to publish, and what they are told.

use serde_json::json;

use super::commands::Stage;

/// A text of one site.
const SITES: &str = "[[origin]]\nname = \"app\"\nservers = [{ url = \"http://${APP}\" }]\n\
                     [[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\norigin = \"app\"\n";

impl Stage {
    /// `headland config` by an admin, with the text in a file.
    fn config(&self, text: &str, arguments: &[&str]) -> (i32, String, String) {
        let file = self.folder.path().join("sites.toml");
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let arguments = arguments.iter().map(|&it| if it == "FILE" { file } else { it });
        let ops = self.folder.path().join("ops");
        let token = ["--token-file", ops.to_str().unwrap()];
        let words: Vec<_> = ["config"].into_iter().chain(arguments).chain(token).collect();
        self.run(&words)
    }

    /// The node says by which config it serves.
    fn node_says(&self, config: serde_json::Value) {
        let beat = json!({
            "incarnation": "0000000000000001", "role": "edge", "on_control_loss": "serve",
            "fenced": false, "position": null, "config": config,
        });
        assert_eq!(self.control.ask("POST", "/v1/nodes/fra-1", &beat).unwrap().0, 200);
    }
}

#[test]
fn a_file_is_checked_published_shown_and_taken_back() {
    let stage = Stage::start();
    let (code, told, _) = stage.config(SITES, &["publish", "FILE", "--dry-run"]);
    assert_eq!((code, &*told), (0, "no fault: 1 sites, 1 origins; nothing is published\n"));
    let (code, told, stderr) = stage.config(SITES, &["publish", "FILE", "--after", "0"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        told.lines().nth(1).unwrap().starts_with("1        current  100 %  0        1 "),
        "{told}"
    );
    let other = SITES.replace("shop.example", "other.example");
    let share = ["publish", "FILE", "--share", "10", "--json"];
    let told: serde_json::Value = serde_json::from_str(&stage.config(&other, &share).1).unwrap();
    assert_eq!(
        (&told["data"]["version"], &told["data"]["state"]),
        (&json!(2), &json!("candidate"))
    );
    let (_, told, _) = stage.config("", &["promote", "--share", "5"]);
    assert_eq!(told, "");
    assert_eq!(stage.config("", &["promote", "2"]).0, 0);
    assert_eq!(stage.config("", &["show", "2"]).1, other);
    let (code, told, _) = stage.config("", &["rollback", "2"]);
    assert!(code == 0 && told.ends_with("  as 1\n"), "{told}");
    assert_eq!(stage.config("", &["show", "3"]).1, SITES);
    let states: Vec<_> = stage
        .config("", &["show"])
        .1
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(states, ["3 current", "2 past", "1 past"]);
}

#[test]
fn faults_are_told_by_the_files_name_and_refusals_say_why() {
    let stage = Stage::start();
    let (code, _, stderr) = stage.config("[limits]\n", &["publish", "FILE"]);
    let faults = "sites.toml:1:1: limits: expected [[origin]] and [[site]] alone, found what each \
                  node has of its own\n";
    assert!(code == 2 && stderr.contains(faults), "{stderr}");
    assert_eq!(stage.config(SITES, &["publish", "FILE"]).0, 0);
    let (code, _, stderr) = stage.config(SITES, &["publish", "FILE", "--after", "0"]);
    assert!(code == 1 && stderr.contains("after: expected 1, the latest version"), "{stderr}");
    let (code, _, stderr) = stage.run(&["config", "rollback"]);
    let role = "expected a token of role admin, found purge";
    assert!(code == 1 && stderr.contains(role), "{stderr}");
    assert_eq!(stage.run(&["config", "publish", "/nonexistent.toml"]).0, 2);
    let long = format!("{SITES}{}", "#".repeat((256 << 10) + 1 - SITES.len()));
    let (code, _, stderr) = stage.config(&long, &["publish", "FILE"]);
    let told = "toml: expected at most 262144 bytes, found 262145";
    assert!(code == 2 && stderr.contains(told), "{stderr}");
}

#[test]
fn nodes_are_waited_for_and_those_that_cannot_are_named() {
    let stage = Stage::start();
    let (code, _, stderr) =
        stage.config(SITES, &["publish", "FILE", "--wait", "--timeout", "10ms"]);
    let told = "0 nodes cannot serve by it, 1 have yet to; see headland nodes\n";
    assert!(code == 1 && stderr.ends_with(told), "{stderr}");
    let release = |version: u64| {
        let config = stage.control.ask("GET", "/v1/config", &json!(null)).unwrap().1;
        json!({ "version": version, "hash": config["data"]["current"]["hash"] })
    };
    stage.node_says(release(1));
    let other = SITES.replace("shop.example", "other.example");
    stage.config(&other, &["publish", "FILE"]);
    let mut failed = json!({ "version": 0 });
    failed["failed"] = release(2);
    failed["failed"]["fault"] = "${APP} is not set".into();
    stage.node_says(failed);
    let (code, _, stderr) = stage.config(&other, &["promote", "--wait"]);
    assert!(code == 1 && stderr.contains("expected a candidate"), "{stderr}");
    let (code, nodes, _) = stage.run(&["nodes"]);
    assert_eq!(code, 0);
    assert!(nodes.contains("  own, 2 failed\n"), "{nodes}");
    assert!(
        nodes.ends_with("fra-1 cannot serve by what is published:\n${APP} is not set\n"),
        "{nodes}"
    );
}

#[test]
fn a_share_says_how_many_nodes_it_comes_to() {
    let stage = Stage::start();
    stage.config(SITES, &["publish", "FILE"]);
    // By their names fra-1 is not in the first percent, and is in the first 99.
    let publish = |host: &str, share: &str, more: &[&str]| {
        let text = SITES.replace("shop.example", host);
        stage.config(&text, &[&["publish", "FILE", "--share", share], more].concat())
    };
    let (code, _, stderr) = publish("a.example", "1", &[]);
    assert_eq!((code, &*stderr), (0, "version 2: 1 percent are 0 of 1 nodes, by name\n"));
    assert_eq!(stage.config("", &["rollback"]).0, 0);
    let (code, _, stderr) = publish("b.example", "1", &["--wait"]);
    let told = "headland config: version 3 is for none of 1 nodes: nobody was waited for\n";
    assert!(code == 1 && stderr.ends_with(told), "{stderr}");
    let (_, _, stderr) = stage.config("", &["promote", "--share", "99"]);
    assert_eq!(stderr, "version 3: 99 percent are 1 of 1 nodes, by name\n");
}
