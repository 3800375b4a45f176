//! The step for GitHub Actions, run as it stands in `deploy/purge/action.yml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::commands::{DEPLOY, Stage};

/// What the step sets from the inputs, with the defaults, and its shell.
struct Action {
    environment: BTreeMap<String, String>,
    shell: String,
}

impl Action {
    fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/purge/action.yml");
        let text = std::fs::read_to_string(file).unwrap();
        let (head, shell) = text.split_once("      run: |\n").unwrap();
        let lines = shell.lines().map(|line| line.strip_prefix("        ").unwrap_or(line));
        let (inputs, step) = head.split_once("\nruns:\n").unwrap();
        let (_, environment) = step.split_once("      env:\n").unwrap();
        let variables = environment.lines().map(|line| {
            let (name, input) = line.trim().split_once(": ").unwrap();
            let input = input.strip_prefix("${{ inputs.").unwrap().strip_suffix(" }}").unwrap();
            (name.to_owned(), default(inputs, input))
        });
        Self { environment: variables.collect(), shell: lines.flat_map(|it| [it, "\n"]).collect() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let before = self.environment.insert(name.to_owned(), value.to_owned());
        assert!(before.is_some(), "the step sets no {name}");
        self
    }

    /// The step's command, towards a control plane.
    fn step(self, stage: &Stage, token: &str) -> Command {
        let all = self.with("HEADLAND_CONTROL", &stage.url()).with("HEADLAND_TOKEN", token);
        let mut command = Command::new("bash");
        // As the runner does it.
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &all.shell]);
        command.envs(&all.environment).env("NO_PROXY", "*").stdin(Stdio::null());
        command
    }

    /// Whether the step succeeds, and what it prints.
    fn run(self, stage: &Stage, token: &str) -> (bool, String) {
        let output = self.step(stage, token).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), told + &String::from_utf8(output.stderr).unwrap())
    }
}

/// The default of an input; nothing where it is required.
fn default(inputs: &str, input: &str) -> String {
    let (_, rest) = inputs.split_once(&format!("\n  {input}:\n")).expect("a declared input");
    let own = rest.lines().take_while(|line| line.starts_with("    "));
    let default = own.filter_map(|line| line.trim().strip_prefix("default: ")).next();
    default.unwrap_or_default().trim_matches('"').to_owned()
}

#[test]
fn a_deploy_purges_and_waits_for_the_receipt() {
    let stage = Stage::start();
    let action = Action::read().with("VALUES", "p42 back\\slash\n  quo\"te *");
    let mut command = action.with("SITE", "shop").with("SOFT", "true").step(&stage, DEPLOY);
    let step = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.acknowledge(4);
    let output = step.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.starts_with(&format!("::add-mask::{DEPLOY}\n")), "{told}");
    assert!(told.ends_with("Purged from every node: p42 back\\slash quo\"te *\n"), "{told}");
    let purges = stage.control.ask("GET", "/v1/purges", &json!(null)).unwrap().1;
    let values: Vec<_> =
        purges["data"].as_array().unwrap().iter().map(|it| it["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["*", "quo\"te", "back\\slash", "p42"]);
    let first = &purges["data"][0];
    let how = [&first["kind"], &first["site"], &first["soft"], &first["by"]];
    assert_eq!(how, [&json!("tag"), &json!("shop"), &json!(true), &json!("deploy")]);
}

#[test]
fn a_deploy_fails_while_a_node_has_yet_to_apply_it() {
    let stage = Stage::start();
    let action = Action::read().with("VALUES", "p42").with("TIMEOUT", "50ms");
    let (success, told) = action.run(&stage, DEPLOY);
    assert!(!success && told.contains("\"name\":\"fra-1\",\"state\":\"pending\""), "{told}");
    assert!(told.contains("::error title=Headland purge::still pending after 50ms"), "{told}");
}

#[test]
fn a_deploy_of_what_no_node_serves_fails() {
    let stage = Stage::start();
    let action = Action::read().with("VALUES", "p42").with("SITE", "shpo");
    let mut command = action.step(&stage, DEPLOY);
    let step = command.stdout(Stdio::piped()).spawn().unwrap();
    stage.acknowledge_without(&json!([[1, 1]]));
    let output = step.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && told.contains("no node serves some of that"), "{told}");
}

#[test]
fn a_deploy_that_is_refused_fails_and_says_why() {
    let stage = Stage::start();
    let action = || Action::read().with("VALUES", "p42").with("TIMEOUT", "50ms");
    let cases = [
        (action(), "hl_wrong", "with status 401: {\"detail\":\"authorization: the token is not"),
        (action().with("KIND", "page"), DEPLOY, "with status 400: "),
        (action().with("TIMEOUT", "soon"), DEPLOY, "with status 400: {\"detail\":\"timeout: "),
        (action().with("SOFT", "yes"), DEPLOY, "soft: expected true or false, found yes"),
        (action().with("VALUES", " \n"), DEPLOY, "values: expected something to purge"),
        (action().with("VALUES", "a\u{1}b"), DEPLOY, "found a control character"),
    ];
    for (action, token, expected) in cases {
        let (success, told) = action.run(&stage, token);
        assert!(!success && told.contains("::error title=Headland purge::"), "{told}");
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!(stage.control.ask("GET", "/v1/purges", &json!(null)).unwrap().1["data"], json!([]));
}
