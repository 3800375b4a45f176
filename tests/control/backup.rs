//! `headland control backup` and `restore` as people and scripts type them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use headland::object::Position;
use serde_json::Value;
use tempfile::TempDir;

use super::nats::NatsServer;
use super::{Control, entry};

/// A command beside a control plane's config: exit code, standard output and error.
fn run(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
    command.current_dir(folder).arg("control").args(words);
    let output = command.args(["--config", "control.toml"]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn data(json: &str) -> Value {
    serde_json::from_str::<Value>(json).unwrap()["data"].clone()
}

/// A control plane with a node, and one purge that it has applied.
fn begun(folder: &Path, purge_log: &str) -> (Control, Position) {
    let control = Control::start_with(folder, purge_log).led();
    let start = Position::start(control.log());
    assert_eq!(control.beat(start).0, 200);
    control.purge("before").unwrap();
    let applied = control.follow(start).find_map(|line| {
        let is_entry = line["first"].is_number();
        is_entry.then(|| start.then(&entry(&line)).unwrap())
    });
    (control, applied.unwrap())
}

#[test]
fn a_backup_is_one_private_file_taken_while_it_runs() {
    let folder = TempDir::new().unwrap();
    let (control, _) = begun(folder.path(), "path = \"log\"");
    let take = ["backup", "--to", "it.backup", "--json"];
    let (code, out, error) = run(folder.path(), &take);
    assert_eq!((code, error.as_str()), (0, ""));
    let told = data(&out);
    assert_eq!((&told["sequence"]["number"], &told["nodes"]), (&1.into(), &1.into()));
    assert_eq!(told["sequence"]["log"], control.log().to_string());
    let file = folder.path().join("it.backup");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();
    control.purge("after").unwrap();
    let (code, _, error) = run(folder.path(), &take);
    let there = "it.backup is there already; name another file, or --force\n";
    assert!(code == 1 && error.ends_with(there), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let (code, out, _) = run(folder.path(), &["backup", "--to", "it.backup", "--force"]);
    assert_eq!((code, out.as_str()), (0, "it.backup: the log up to purge 2, 1 node registered\n"));
    let files = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(files.count(), 3, "config, log and backup");
    let (code, _, error) = run(folder.path(), &["backup", "--to", "missing/it.backup"]);
    assert!(code == 1 && error.contains("cannot be written: No such file"), "{error}");
    assert_eq!(run(folder.path(), &["backup"]).0, 2);
}

#[test]
fn what_can_be_read_is_backed_up_and_what_cannot_is_told() {
    let folder = TempDir::new().unwrap();
    let (control, _) = begun(folder.path(), "path = \"log\"");
    drop(control);
    std::fs::create_dir_all(folder.path().join("log/config")).unwrap();
    std::fs::write(folder.path().join("log/config/index"), "?").unwrap();
    let (code, out, error) = run(folder.path(), &["backup", "--to", "it.backup"]);
    assert_eq!((code, &*out), (1, "it.backup: the log up to purge 1, 1 node registered\n"));
    assert!(error.contains("log/config/index is damaged"), "{error}");
    assert!(error.ends_with("; the backup holds all but that\n"), "{error}");
    let (code, out, _) = run(folder.path(), &["backup", "--to", "it.backup", "--force", "--json"]);
    let lacks = data(&out)["lacks"].as_str().unwrap().to_owned();
    assert!(code == 1 && lacks.contains("log/config/index is damaged"), "{lacks}");
    std::fs::remove_dir_all(folder.path().join("log")).unwrap();
    let (code, out, error) = run(folder.path(), &["restore", "--from", "it.backup"]);
    assert!(code == 0 && out.contains(" goes on behind purge 1 of "), "{out}{error}");
}

#[test]
fn a_restore_changes_nothing_unless_it_may() {
    let folder = TempDir::new().unwrap();
    let (control, _) = begun(folder.path(), "path = \"log\"");
    assert_eq!(run(folder.path(), &["backup", "--to", "it.backup"]).0, 0);
    let restore = ["restore", "--from", "it.backup", "--force"];
    let (code, _, error) = run(folder.path(), &restore);
    assert!(code == 1 && error.ends_with("another control plane uses its folder\n"), "{error}");
    let log = control.log();
    drop(control);
    let file = folder.path().join("log/purges.log");
    let before = std::fs::read(&file).unwrap();
    let (code, _, error) = run(folder.path(), &restore[..3]);
    assert!(code == 1 && error.contains("log is not empty; expected another place"), "{error}");
    let whole = std::fs::read(folder.path().join("it.backup")).unwrap();
    let cases = [
        (&whole[..whole.len() - 1], "it is damaged: its checksum is wrong"),
        (&whole[..40], "it is damaged: its checksum is wrong"),
        (b"headland backup 2 x\n", "its format is version 2, this program's is 1"),
        (b"purges", "it is no backup of a control plane"),
    ];
    for (bytes, expected) in cases {
        std::fs::write(folder.path().join("bad"), bytes).unwrap();
        let (code, _, error) = run(folder.path(), &["restore", "--from", "bad", "--force"]);
        let expected = format!("headland control restore: bad cannot be used: {expected}\n");
        assert_eq!((code, error), (1, expected));
    }
    assert_eq!(run(folder.path(), &["restore", "--from", "missing", "--force"]).0, 1);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let (code, out, error) = run(folder.path(), &restore);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains(&format!(" goes on behind purge 1 of {log}, 1 node registered.\n")));
    assert_ne!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_log_on_nats_is_brought_back_to_other_servers() {
    let (lost, server) = (NatsServer::start(), NatsServer::start());
    let settings =
        |server: &NatsServer| format!("backend = \"nats\"\nservers = [\"{}\"]", server.url());
    let folder = TempDir::new().unwrap();
    let (control, before) = begun(folder.path(), &settings(&lost));
    assert_eq!(run(folder.path(), &["backup", "--to", "it.backup"]).0, 0);
    let restore = ["restore", "--from", "it.backup", "--json"];
    let (code, _, error) = run(folder.path(), &restore);
    assert!(code == 1 && error.ends_with("a control plane runs on these servers; stop it first\n"));
    drop(control);
    // One that runs there already writes the config anew.
    drop(Control::start_with(folder.path(), &settings(&server)).led());
    let (code, out, error) = run(folder.path(), &restore);
    assert_eq!(code, 0, "{error}");
    let told = data(&out);
    assert_eq!(told["backup"]["log"], before.log.to_string());
    let control = Control::start_with(folder.path(), &settings(&server)).led();
    assert_eq!(told["sequence"]["log"], control.log().to_string());
    assert_ne!(control.log(), before.log);
    let mut lines = control.follow(before);
    assert_eq!(lines.next().unwrap()["resume"], "foreign");
    let nodes = control.ask("GET", "/v1/nodes", &Value::Null).unwrap().1;
    assert_eq!(nodes["data"][0]["name"], "fra-1");
    let purges = control.ask("GET", "/v1/purges", &Value::Null).unwrap().1;
    assert_eq!(purges["data"][0]["value"], "before");
    let (_, receipt) = control.purge("since").unwrap();
    assert_eq!(receipt["data"]["sequence"]["number"], 2);
    assert_eq!(receipt["data"]["state"], "pending", "the node of the backup is waited for");
    drop(control);
    let (code, _, error) = run(folder.path(), &restore);
    assert!(code == 1 && error.contains("the stream \"headland\" is not empty"), "{error}");
}
