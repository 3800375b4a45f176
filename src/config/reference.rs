//! Every key there is, and the text of `config/reference.toml`, from the rows that the readers use.

use super::later::{FOR_LATER, LATER, is_for_later};

/// One key of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Tables and name, such as `site.freshness.default`.
    pub path: String,
    /// One sentence: what it does.
    pub about: String,
    /// What kind of value, with an example.
    pub kind: String,
    /// The bounds in words; empty where there are none.
    pub bounds: String,
    /// The default as TOML; `None` where nothing is the default.
    pub default: Option<String>,
    /// The value that the reference shows in place of the default.
    pub sample: Option<Sample>,
    /// For a table that is written with a heading: the heading.
    pub(super) heading: Option<String>,
}

/// How `reference.toml` shows a key that has no default worth showing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// The key has to be there: shown with this value.
    Required(&'static str),
    /// Shown with this value.
    Shown(&'static str),
    /// Shown with this value, behind a comment sign.
    Commented(&'static str),
}

/// Collects the keys of a config.
pub(super) struct Keys {
    path: String,
    keys: Vec<Key>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { path: String::new(), keys: Vec::new() }
    }

    /// Lists a key, then the keys within.
    pub(super) fn list(&mut self, key: Key, within: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.path, key.path.clone());
        self.keys.push(key);
        within(self);
        self.path = outer;
    }

    /// Tables and name of a key within.
    pub(super) fn path_to(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn into_keys(self) -> Vec<Key> {
        self.keys
    }
}

/// The text of `config/reference.toml`.
pub(super) fn render(keys: &[Key]) -> String {
    let mut page = Page { text: HEAD.to_owned(), commented: None, inline: None };
    for key in keys {
        page.key(key);
    }
    let known = |later: &&str| keys.iter().all(|key| key.path != **later);
    let names: Vec<_> = LATER.into_iter().filter(known).collect();
    page.text.push('\n');
    page.comment(&format!("These keys are {FOR_LATER}: {}.", names.join(", ")), "# ");
    page.text
}

const HEAD: &str = "\
# Every key of a node's configuration: what it does, its kind, its default and its bounds.
# Made from the code. Left out, a key has its default; where a value other than the default is
# shown, it is an example. Sizes count bytes (\"64KiB\" = 65536, \"64KB\" = 64000); durations are
# written \"250ms\", \"10s\", \"1h30m\". ${NAME} in a string is replaced from the environment, $${
# stands for ${ itself. Paths start from the folder of this file.
";

/// The reference while it is written.
struct Page {
    text: String,
    /// The table within which every line is a comment, because the table is left out by default.
    commented: Option<String>,
    /// The table that stands in one line, so that its keys have no line of their own.
    inline: Option<String>,
}

impl Page {
    fn key(&mut self, key: &Key) {
        let within = |table: &Option<String>| {
            table.as_ref().is_some_and(|table| key.path.starts_with(&format!("{table}.")))
        };
        let (commented, inline) = (within(&self.commented), within(&self.inline));
        match &key.heading {
            Some(heading) if key.sample.is_none() => self.heading(key, heading),
            _ if inline => self.explain(key, "#     "),
            table => {
                self.explain(key, "# ");
                self.line(key, commented);
                if table.is_some() {
                    self.inline = Some(key.path.clone());
                }
            }
        }
    }

    fn heading(&mut self, key: &Key, heading: &str) {
        self.text.push('\n');
        self.comment(&about(key), "# ");
        if heading.starts_with('#') {
            self.commented = Some(key.path.clone());
        }
        self.text.push_str(heading);
        self.text.push('\n');
    }

    fn line(&mut self, key: &Key, commented: bool) {
        let (value, commented) = match (key.sample, &key.default) {
            (Some(Sample::Required(value) | Sample::Shown(value)), _) => (value, commented),
            (Some(Sample::Commented(value)), _) => (value, true),
            (None, Some(default)) => (default.as_str(), commented),
            (None, None) => ("\"\"", true),
        };
        let sign = if commented || is_for_later(&key.path) { "# " } else { "" };
        self.text.push_str(&format!("{sign}{} = {value}\n", name(key)));
    }

    /// The sentence, then kind, default and bounds.
    fn explain(&mut self, key: &Key, margin: &str) {
        let inline = margin.len() > 2;
        let subject = if inline { format!("{}: ", name(key)) } else { String::new() };
        let default = match (&key.default, key.sample) {
            (_, Some(Sample::Required(_))) => "required".to_owned(),
            (Some(default), _) => format!("default {default}"),
            (None, _) => "left out by default".to_owned(),
        };
        // The value below is example enough.
        let kind = key.kind.split(" such as ").next().unwrap_or_default();
        let mut facts = vec![kind.to_owned(), default];
        if !key.bounds.is_empty() {
            facts.push(key.bounds.clone());
        }
        self.comment(&format!("{subject}{}", about(key)), margin);
        self.comment(&format!("({})", facts.join("; ")), margin);
    }

    fn comment(&mut self, text: &str, margin: &str) {
        const WIDTH: usize = 98;
        let mut line = margin.to_owned();
        for word in text.split_whitespace() {
            if line.chars().count() + word.chars().count() > WIDTH {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                line = margin.to_owned();
            }
            line.push_str(word);
            line.push(' ');
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

fn about(key: &Key) -> String {
    match is_for_later(&key.path) {
        true => format!("{} ({})", key.about, FOR_LATER),
        false => key.about.clone(),
    }
}

fn name(key: &Key) -> &str {
    key.path.rsplit('.').next().unwrap_or_default()
}
