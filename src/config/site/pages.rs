//! `[site.respond]`, `[site.error_pages]` and `[site.maintenance]`: bodies that are a node's own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Statuses;
use crate::config::address::Network;
use crate::config::reader::{Document, Node};
use crate::config::reference::Sample::Commented;
use crate::config::rule::{Form, Rule, Unordered, Within};
use crate::config::section::section;
use crate::config::value::Value;

/// Bytes that a page has at most: it stays in memory.
const PAGE_MAX: u64 = 1 << 20;

section! {
    /// A response that is the same for everybody, such as that for robots.txt, without store and
    /// origin.
    pub struct Respond {
        /// Status of the response; of the class 2xx, 4xx or 5xx.
        status: usize = 200, AnswerStatus;
        /// What it says; either this or `file`.
        body: String = String::new();
        /// File of what it says, of at most 1 MiB, read when the config is.
        file: Option<PathBuf> = None, Commented(r#""robots.txt""#);
        /// What kind of body it is.
        content_type: String = "text/plain; charset=utf-8".to_owned(), FIELD_VALUE;
        /// How long clients may keep it; then they ask whether it is still the same.
        max_age: Duration = Duration::ZERO, Within(Duration::ZERO..=Duration::from_hours(24 * 365));
    }
}

section! {
    /// Pages in the place of the short errors that this node makes.
    pub struct ErrorPages {
        /// Files by status, "404", or class, "5xx"; each of at most 1 MiB, read when the config is.
        files: PageFiles = PageFiles::default();
        /// What kind of pages they are.
        content_type: String = "text/html; charset=utf-8".to_owned(), FIELD_VALUE;
        /// Whether the errors of the origin get them too. Their other fields stay.
        origin: bool = false;
    }
}

section! {
    /// Everybody gets 503 while it is on.
    pub struct Maintenance {
        /// Turns it on.
        enabled: bool = false;
        /// Networks whose clients are served all the same.
        allow: Vec<Network> = vec![], Unordered;
        /// After how long clients are told to come again.
        retry_after: Duration = Duration::from_mins(5),
            Within(Duration::from_secs(1)..=Duration::from_hours(24 * 30));
        /// File of the page, of at most 1 MiB, read when the config is; without it that of
        /// `error_pages`.
        page: Option<PathBuf> = None, Commented(r#""maintenance.html""#);
        /// What kind of page it is.
        content_type: String = "text/html; charset=utf-8".to_owned(), FIELD_VALUE;
    }
}

const FIELD_VALUE: Form = Form {
    expected: "the value of a header field",
    holds: |text| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
    sample: None,
};

/// A final status that a body may explain.
struct AnswerStatus;

impl Rule<usize> for AnswerStatus {
    fn apply(&self, status: usize) -> Result<usize, String> {
        match matches!(status, 200..=299 | 400..=599) {
            true => Ok(status),
            false => Err(<Self as Rule<usize>>::bounds(self)),
        }
    }

    fn bounds(&self) -> String {
        "200 to 299, or 400 to 599".to_owned()
    }
}

/// Files of pages by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageFiles(BTreeMap<Statuses, PathBuf>);

impl PageFiles {
    /// Each, those of single statuses first.
    pub fn iter(&self) -> impl Iterator<Item = (Statuses, &Path)> {
        self.0.iter().map(|(statuses, file)| (*statuses, file.as_path()))
    }
}

impl Value for PageFiles {
    fn expected() -> String {
        "a table such as { \"404\" = \"404.html\", \"5xx\" = \"error.html\" }".to_owned()
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let mut files = BTreeMap::new();
        for (status, node) in node.table()?.entries() {
            let is_error = |statuses: &Statuses| match statuses {
                Statuses::One(status) => *status >= 400,
                Statuses::Class(class) => *class >= 4,
            };
            let Some(statuses) = Statuses::parse(status).filter(is_error) else {
                let expected = "a status of 400 to 599 or a class such as \"5xx\"";
                node.wrong(expected, &format!("found \"{status}\""));
                continue;
            };
            if let Some(file) = PathBuf::read(&node, None) {
                files.insert(statuses, file);
            }
        }
        Some(Self(files))
    }

    fn show(&self) -> Option<String> {
        Some("{}".to_owned())
    }
}

impl Respond {
    /// What it says.
    ///
    /// # Errors
    /// The file's.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match &self.file {
            Some(file) => read_page(file),
            None => Ok(self.body.clone().into_bytes()),
        }
    }

    /// Tells what contradicts itself; `key` is that of the table.
    pub(in crate::config) fn check(&self, document: &Document<'_>, key: &str) {
        let has_body = !self.body.is_empty() || self.file.is_some();
        if !self.body.is_empty() && self.file.is_some() {
            document.tell(key, "either body or file", "found both");
        } else if has_body && matches!(self.status, 204 | 205) {
            let wrong = format!("found one with status {}", self.status);
            document.tell(key, "no body where the status has none", &wrong);
        }
    }
}

/// Reads a page.
///
/// # Errors
/// The file system's, or it is too large.
pub fn read_page(file: &Path) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    File::open(file)?.take(PAGE_MAX + 1).read_to_end(&mut page)?;
    match page.len() as u64 > PAGE_MAX {
        true => Err(io::Error::other("more than 1 MiB")),
        false => Ok(page),
    }
}
