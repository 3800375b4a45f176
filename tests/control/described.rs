//! The descriptions that both doors serve, before a validator of another make.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::commands::Stage;

/// Fails on what is no OpenAPI 3.1.
fn validate(file: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/test-tools/venv/bin/python");
    let mut command = Command::new(&python);
    command.args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(file);
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{} cannot be run ({error}): tests/setup-tools.sh", python.display())
    });
    let told = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(output.status.success(), "{}: {}", file.display(), told.concat());
}

#[test]
fn both_doors_are_described_as_openapi_has_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["src/control/door/openapi.json", "src/admin/openapi.json"];
    let [control, node] = files.map(|file| root.join(file));
    validate(&control);
    validate(&node);
    // Who writes a client has no token yet.
    let mut stage = Stage::start();
    stage.control.authorization = "x-nothing: x".to_owned();
    let (status, served) = stage.control.ask("GET", "/openapi.json", &Value::Null).unwrap();
    let text = std::fs::read_to_string(control).unwrap();
    assert_eq!((status, served), (200, serde_json::from_str(&text).unwrap()));
}
