//! How purges come on, node by node: on a terminal lines that are written anew, elsewhere a line
//! for each change.

use std::collections::HashMap;
use std::io::{IsTerminal, Write, stderr};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::terminal;
use serde_json::Value;

use super::describe_node;
use crate::cli::door::{Door, DoorError};

/// Between two looks: short at first, for most purges take no longer.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Nodes on a terminal at once; those that are pending come first.
const NODES_SHOWN: usize = 12;

/// What has been shown so far.
#[derive(Debug)]
pub(super) struct Progress {
    how: How,
    /// The last line of each node.
    lines: HashMap<String, String>,
}

#[derive(Debug)]
enum How {
    /// These lines stand on the terminal.
    Terminal(Vec<String>),
    Lines,
    Nothing,
}

impl Progress {
    /// Shown on stderr, if at all.
    pub(super) fn new(is_shown: bool) -> Self {
        let how = match (is_shown, stderr().is_terminal()) {
            (true, true) => How::Terminal(Vec::new()),
            (true, false) => How::Lines,
            (false, _) => How::Nothing,
        };
        Self { how, lines: HashMap::new() }
    }

    /// Waits until the purge `number` is complete or it is `until`; its receipt then. A control
    /// plane that goes away is asked again meanwhile.
    pub(super) fn watch(
        &mut self,
        door: &Door,
        number: u64,
        until: Instant,
    ) -> Result<Value, DoorError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let told = door.get(&format!("/v1/purges/{number}"));
            let left = until.saturating_duration_since(Instant::now());
            match told {
                Ok(told) => {
                    self.show(&told.data);
                    if told.data["state"] == "complete" || left.is_zero() {
                        return Ok(told.data);
                    }
                }
                Err(error) if left.is_zero() || !error.is_fleeting() => return Err(error),
                Err(_) => {}
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes from the terminal what will be part of the receipts.
    pub(super) fn clear(&mut self) {
        if let How::Terminal(drawn) = &mut self.how {
            write(&erase(std::mem::take(drawn).len()));
        }
    }

    fn show(&mut self, receipt: &Value) {
        match &mut self.how {
            How::Terminal(drawn) => {
                // Some terminals do not know how wide they are.
                let columns = terminal::size().map_or(0, |(columns, _)| usize::from(columns));
                let frame = frame(receipt, if columns == 0 { 80 } else { columns });
                if frame != *drawn {
                    write(&format!("{}{}", erase(drawn.len()), text(&frame)));
                    *drawn = frame;
                }
            }
            How::Lines => {
                let changes = self.changes(receipt);
                write(&text(&changes));
            }
            How::Nothing => {}
        }
    }

    /// A line for each node that is not as it was.
    fn changes(&mut self, receipt: &Value) -> Vec<String> {
        let mut changes = Vec::new();
        for node in nodes(receipt) {
            let line = describe_node(node);
            let name = node["name"].as_str().unwrap_or("-");
            if self.lines.get(name) != Some(&line) {
                changes.push(line.clone());
                self.lines.insert(name.to_owned(), line);
            }
        }
        changes
    }
}

/// A summary, and the first nodes, each cut to the width of the terminal.
fn frame(receipt: &Value, columns: usize) -> Vec<String> {
    let is_pending = |node: &&Value| node["state"] == "pending";
    let (pending, others): (Vec<_>, Vec<_>) = nodes(receipt).partition(is_pending);
    let (done, all) = (others.len(), pending.len() + others.len());
    let number = &receipt["sequence"]["number"];
    let mut lines = vec![format!("purge {number}: {done} of {all} nodes")];
    lines.extend(pending.iter().chain(&others).take(NODES_SHOWN).map(|node| describe_node(node)));
    let cut = |line: String| line.chars().take(columns.saturating_sub(1)).collect();
    lines.into_iter().map(cut).collect()
}

fn nodes(receipt: &Value) -> impl Iterator<Item = &Value> {
    receipt["nodes"].as_array().into_iter().flatten()
}

fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// Takes the last lines from the terminal.
fn erase(lines: usize) -> String {
    // ECMA-48: cursor up, erase to the end.
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") }
}

fn write(text: &str) {
    // Nobody reads along; the receipt comes all the same.
    let _gone = stderr().write_all(text.as_bytes()).is_err();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn receipt(states: &[(&str, &str)]) -> Value {
        let node = |(name, state): &(&str, &str)| {
            let ms = (*state == "applied").then_some(1.5);
            json!({ "name": name, "state": state, "ms": ms })
        };
        let nodes: Vec<_> = states.iter().map(node).collect();
        json!({ "sequence": { "number": 7 }, "state": "pending", "nodes": nodes })
    }

    #[test]
    fn each_change_is_a_line() {
        let mut progress = Progress { how: How::Lines, lines: HashMap::new() };
        let first = receipt(&[("fra-1", "pending"), ("nyc-1", "pending")]);
        assert_eq!(progress.changes(&first), ["  fra-1  pending", "  nyc-1  pending"]);
        let second = receipt(&[("fra-1", "applied"), ("nyc-1", "pending")]);
        assert_eq!(progress.changes(&second), ["  fra-1  applied  1.5 ms"]);
        assert_eq!(progress.changes(&second), [""; 0]);
    }

    #[test]
    fn a_frame_has_what_is_pending_first_and_fits_the_terminal() {
        let shown = receipt(&[("fra-1", "applied"), ("nyc-1", "pending")]);
        let expected = ["purge 7: 1 of 2 nodes", "  nyc-1  pending", "  fra-1  applied  1.5 ms"];
        assert_eq!(frame(&shown, 80), expected);
        assert_eq!(frame(&shown, 11)[1], "  nyc-1  p");
        let many = receipt(&[("n", "pending"); 100]);
        assert_eq!(frame(&many, 80).len(), 1 + NODES_SHOWN);
        assert_eq!((erase(0).as_str(), erase(3).as_str()), ("", "\x1b[3A\x1b[J"));
    }
}
