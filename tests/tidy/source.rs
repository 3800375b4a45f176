//! A source file as text, each byte known to be code, comment or literal.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// One file, and its text thrice: each time with the other two kinds blanked by spaces, so that
/// positions and lines agree.
pub(crate) struct Source {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Neither comments nor literals.
    pub(crate) code: String,
    /// Comments alone.
    pub(crate) comments: String,
    /// String, byte and character literals alone.
    pub(crate) literals: String,
    /// Items under `#[cfg(test)]`.
    tests: Vec<Range<usize>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let kinds = kinds(text);
        let only = |kind| {
            let mut only = String::with_capacity(text.len());
            for (at, char) in text.char_indices() {
                if kinds[at] == kind || char == '\n' {
                    only.push(char);
                } else {
                    // A space for each byte keeps the positions.
                    only.extend(std::iter::repeat_n(' ', char.len_utf8()));
                }
            }
            only
        };
        let code = only(Kind::Code);
        let tests = test_items(&code);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            comments: only(Kind::Comment),
            literals: only(Kind::Literal),
            code,
            tests,
        }
    }

    /// Whether a position in `code` belongs to a test.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.is_test_file() || self.tests.iter().any(|item| item.contains(&at))
    }

    /// Whether the whole file is tests.
    pub(crate) fn is_test_file(&self) -> bool {
        !self.path.starts_with("src/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// `file:line: what` for a position in one of the texts.
    pub(crate) fn fault(&self, at: usize, what: &str) -> String {
        let line = self.code[..at].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }

    /// Name, position and number of lines of each function with a body.
    pub(crate) fn functions(&self) -> Vec<(String, usize, usize)> {
        let code = self.code.as_str();
        let mut found = Vec::new();
        for at in words(code, "fn ") {
            let signature = at + "fn ".len();
            let name = code[signature..].split(|char| !is_word(char)).next().unwrap_or_default();
            let Some(body) = body_start(code, signature) else {
                continue;
            };
            let end = block_end(code, body);
            found.push((name.to_owned(), at, code[at..end].matches('\n').count() + 1));
        }
        found
    }
}

/// All `.rs` files below `folders` of `root`, in a fixed order.
pub(crate) fn read_tree(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        // A folder that does not exist yet has no faults.
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                let path = path.strip_prefix(root).expect("below the root");
                sources.push(Source::new(&path.to_string_lossy().replace('\\', "/"), &text));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

/// Positions of `word` in `text` where no longer word ends with it.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let starts_as_word = word.starts_with(is_word);
    let inside = move |at: usize| starts_as_word && text[..at].ends_with(is_word);
    text.match_indices(word).map(|(at, _)| at).filter(move |at| !inside(*at))
}

pub(crate) fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Where the body of a signature begins; none if it is only declared.
fn body_start(code: &str, signature: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(signature) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' | b'}' if depth <= 0 => return None,
            _ => {}
        }
    }
    None
}

/// Behind the brace that closes the one at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

fn test_items(code: &str) -> Vec<Range<usize>> {
    let attributes = ["#[cfg(test)]", "#[cfg(all(test"];
    let starts = attributes.iter().flat_map(|attribute| code.match_indices(attribute));
    starts
        .map(|(at, attribute)| {
            let item = at + attribute.len();
            let end = code[item..].find([';', '{']).map_or(code.len(), |end| item + end);
            let is_block = code[end..].starts_with('{');
            at..if is_block { block_end(code, end) } else { end }
        })
        .collect()
}

/// The kind of each byte.
fn kinds(text: &str) -> Vec<Kind> {
    let bytes = text.as_bytes();
    let mut kinds = vec![Kind::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let (kind, length) = if rest.starts_with("//") {
            (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Kind::Comment, block_comment(rest))
        } else if let Some(length) = literal(rest, text[..at].ends_with(is_word)) {
            (Kind::Literal, length)
        } else {
            (Kind::Code, rest.chars().next().map_or(1, char::len_utf8))
        };
        kinds[at..at + length].fill(kind);
        at += length;
    }
    kinds
}

/// Length of the comment that `rest` begins with; such comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        at += if here.starts_with(b"/*") {
            depth += 1;
            2
        } else if here.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of the literal that `rest` begins with, its prefix included.
fn literal(rest: &str, within_word: bool) -> Option<usize> {
    let prefix = rest.bytes().take(3).position(|byte| matches!(byte, b'"' | b'\'' | b'#'))?;
    let is_prefix = matches!(&rest.as_bytes()[..prefix], b"" | b"b" | b"c" | b"r" | b"br" | b"cr");
    if !is_prefix || (within_word && prefix > 0) {
        return None;
    }
    if rest[..prefix].ends_with('r') {
        let hashes = rest[prefix..].bytes().take_while(|byte| *byte == b'#').count();
        let open = prefix + hashes;
        let close = format!("\"{}", "#".repeat(hashes));
        let body = rest[open..].strip_prefix('"')?;
        let end = body.find(&close).map_or(body.len(), |end| end + close.len());
        return Some(open + 1 + end);
    }
    match rest.as_bytes().get(prefix)? {
        b'"' => Some(prefix + 1 + quoted(&rest[prefix + 1..], b'"')),
        b'\'' => {
            let body = &rest[prefix + 1..];
            // A quote behind one character, or an escape; else it is a lifetime.
            let mut chars = body.chars();
            let first = chars.next()?;
            let is_char = first == '\\' || chars.next() == Some('\'');
            is_char.then(|| prefix + 1 + quoted(body, b'\''))
        }
        _ => None,
    }
}

/// Length up to and with the closing `quote`.
fn quoted(body: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}
