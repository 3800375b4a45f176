//! `[logging]`: the access log and the log of the node itself.

use std::path::PathBuf;

use tracing_subscriber::filter::Targets;

use super::reader::Node;
use super::rule::{Form, Within};
use super::section::{choice, section};
use super::value::{Value, quote};

section! {
    /// The access log, and the log of the node itself, which goes to standard error.
    pub struct Logging {
        /// Where the access log goes: "stdout", "stderr", "off" or a path.
        access: AccessLog = AccessLog::Stdout;
        /// Form of an access log line: JSON, or the Common Log Format.
        format: LogFormat = LogFormat::default();
        /// Access log lines that wait to be written; more are dropped and counted.
        queue: usize = 65_536, Within(64..=16_777_216);
        /// What the node tells of itself: "error", "warn", "info", "debug" or "trace", also by
        /// part as in "info,headland::net=debug".
        level: String = "info".to_owned(), LEVEL;
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere.
    Off,
    /// A file, appended to.
    File(PathBuf),
}

impl Value for AccessLog {
    fn expected() -> String {
        "\"stdout\", \"stderr\", \"off\" or a path".to_owned()
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let folder = node.folder();
        node.parse(&Self::expected(), |text| match text {
            "" => None,
            "stdout" => Some(Self::Stdout),
            "stderr" => Some(Self::Stderr),
            "off" => Some(Self::Off),
            path => Some(Self::File(folder?.join(path))),
        })
    }

    fn show(&self) -> Option<String> {
        match self {
            Self::Stdout => Some(quote("stdout")),
            Self::Stderr => Some(quote("stderr")),
            Self::Off => Some(quote("off")),
            Self::File(path) => path.show(),
        }
    }
}

choice! {
    /// Form of an access log line.
    pub enum LogFormat {
        /// One JSON object.
        Json = "json",
        /// The Common Log Format.
        Common = "common",
    }
}

/// What a program may be told to tell of itself.
pub(super) const LEVEL: Form = Form {
    expected: "a level such as \"info\" or \"info,headland::net=debug\"",
    holds: |level| level.parse::<Targets>().is_ok(),
    sample: None,
};
