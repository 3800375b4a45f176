//! `headland explain`: what would become of a request to a node, and why.

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use form_urlencoded::Serializer;
use serde_json::Value;

use super::door::{Door, DoorError, NodeArgs, conclude};
use super::table::{Section, bytes, rows, text};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tell what a node would do with a request, and why: which rules matter and who gives them, how
/// fresh what is stored is, what would be sent of it, and which purge would cover it. Nothing is
/// fetched or counted, and no client's rate drawn on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland explain https://static.example.com/app.js
  headland explain https://static.example.com/ -H 'Accept-Encoding: br' -H 'Range: bytes=0-99'
  headland explain https://static.example.com/ --client 192.0.2.7
  headland explain https://static.example.com/app.js --json | jq .data.rules")]
pub(super) struct Args {
    /// The URL, with scheme and host
    #[arg(value_name = "URL", value_parser = url)]
    url: String,
    /// The method of the request
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// A field of the request, as often as there are any
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The client's address: without it rules about addresses are named, and not asked
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// Bytes of a URL that is asked about: what a node takes by default.
const URL_MAX: usize = 8 << 10;

fn url(text: &str) -> Result<String, String> {
    match text.len() {
        0..=URL_MAX => Ok(text.to_owned()),
        length => Err(format!("expected at most {URL_MAX} bytes, found {length}")),
    }
}

pub(super) fn run(args: &Args) -> ExitCode {
    conclude("explain", ask(args))
}

fn ask(args: &Args) -> Result<String, DoorError> {
    let door = Door::node(&args.node, PATIENCE)?;
    let mut query = Serializer::new(String::new());
    query.append_pair("url", &args.url).append_pair("method", &args.method);
    for header in &args.headers {
        query.append_pair("header", header);
    }
    if let Some(client) = args.client {
        query.append_pair("client", &client.to_string());
    }
    let told = door.get(&format!("/v1/explain?{}", query.finish()))?;
    if args.json {
        return Ok(format!("{}\n", told.whole));
    }
    Ok(describe(&told.data))
}

fn describe(told: &Value) -> String {
    let mut parts = vec![format!("{}\n", verdict(told))];
    if told["site"].is_string() {
        parts.push(way(told).text());
        parts.extend(stored(told).map(|section| section.text()));
        parts.extend(response(told).map(|section| section.text()));
        parts.push(rules(told).text());
        parts.extend(purges(told));
    }
    parts.join("\n")
}

/// One line: what is done, and why.
fn verdict(told: &Value) -> String {
    let [method, url, verdict, reason] =
        ["method", "url", "verdict", "reason"].map(|key| text(&told[key]));
    let more = match (told["status"].as_u64(), told["uncacheable"].as_bool()) {
        (Some(status), _) => format!(", with {status}"),
        (None, Some(true)) => "; a response to it was not to be shared a moment ago".to_owned(),
        _ => String::new(),
    };
    format!("{method} {url}: {verdict}, for {reason}{more}")
}

fn way(told: &Value) -> Section {
    // What a rule at the edge answers has neither origin nor key.
    let keys = ["site", "route", "origin", "key"].into_iter().filter(|key| told.get(key).is_some());
    let (head, row) = keys.map(|key| (key, text(&told[key]))).unzip();
    Section { head, rows: vec![row] }
}

fn response(told: &Value) -> Option<Section> {
    let response = told["response"].as_object()?;
    let size = response["bytes"].as_u64().map_or_else(|| "-".to_owned(), bytes);
    let (coding, copy) = match response.get("coding") {
        Some(coding) if response["coded_copy"] == true => (text(coding), "stored"),
        Some(coding) => (text(coding), "to be made"),
        None => ("-".to_owned(), "-"),
    };
    let head = vec!["answer", "size", "coding made", "coded copy"];
    Some(Section {
        head,
        rows: vec![vec![text(&response["status"]), size, coding, copy.to_owned()]],
    })
}

fn stored(told: &Value) -> Option<Section> {
    let (freshness, purge) = (told["freshness"].as_object()?, &told["purge"]);
    let seconds = |key: &str| format!("{}s", text(&freshness[key]));
    let size = told["stored"]["bytes"].as_u64().map_or_else(|| "-".to_owned(), bytes);
    let head =
        vec!["tier", "status", "size", "age", "lifetime", "left", "purged", "reflects purge"];
    let reflects = format!("{} of {}", text(&purge["reflects"]), text(&purge["position"]));
    let row = vec![
        text(&told["tier"]),
        text(&told["stored"]["status"]),
        size,
        seconds("age"),
        seconds("lifetime"),
        seconds("left"),
        text(&purge["state"]),
        reflects,
    ];
    Some(Section { head, rows: vec![row] })
}

fn rules(told: &Value) -> Section {
    let row = |rule: &Value| {
        let place = match (rule["file"].as_str(), rule["line"].as_u64()) {
            (Some(file), Some(line)) => format!("{file}:{line} {}", text(&rule["name"])),
            _ => match rule["name"].as_str() {
                Some(name) => format!("{} {name}", text(&rule["source"])),
                None => text(&rule["source"]),
            },
        };
        vec![place, text(&rule["says"]), text(&rule["effect"])]
    };
    Section { head: vec!["by", "says", "so"], rows: rows(&told["rules"], row) }
}

/// The commands that would purge it.
fn purges(told: &Value) -> Option<String> {
    let mut lines = "to purge it, one of\n".to_owned();
    for need in told["purge"]["needs"].as_array()? {
        let site = need["site"].as_str().map(|site| format!(" --site {site}")).unwrap_or_default();
        let (kind, value) = (text(&need["kind"]), text(&need["value"]));
        lines.push_str(&format!("  headland purge {kind} {}{site}\n", quoted(&value)));
    }
    Some(lines)
}

/// As a shell takes it; what would move a terminal's cursor is shown as a mark.
fn quoted(value: &str) -> String {
    let harmless = value.replace(char::is_control, "\u{fffd}");
    format!("'{}'", harmless.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_what_is_shown() {
        let cases = [("p42", "'p42'"), ("it's", r"'it'\''s'"), ("a\x1b[2Jb", "'a\u{fffd}[2Jb'")];
        for (value, shown) in cases {
            assert_eq!(quoted(value), shown);
        }
    }
}
